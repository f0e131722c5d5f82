//! Device leases: one lock file per device and machine, so that two runs never time at once, even
//! from different projects.

use std::path::PathBuf;
use std::time::Duration;

use super::EngineError;
use crate::cache::lock::{Lock, TryLock};
use crate::process::Cancel;

/// A device held by this run; given back when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "held for its drop")] Lock);

/// Who asks for which device, and whether they wait.
pub struct Request<'a> {
    /// `cpu`, `GPU-…`, or `cuda:0` where no UUID is known.
    pub device: &'a str,
    /// What to tell others: pid and command.
    pub who: &'a str,
    /// Refuse instead of waiting.
    pub no_wait: bool,
    /// Called once with the holder when there is one.
    pub waiting: &'a dyn Fn(&str),
    /// Ctrl-C ends the wait.
    pub cancel: &'a Cancel,
}

/// Takes the lease; `None` when the wait was cancelled.
///
/// # Errors
/// When the device is in use and waiting was ruled out, or the lock cannot be made.
pub fn take(request: &Request<'_>) -> Result<Option<Lease>, EngineError> {
    const PAUSE: Duration = Duration::from_millis(50);
    let path = folder().join(format!("{}.lock", request.device.replace(['/', ':'], "_")));
    let mut told = false;
    loop {
        match Lock::try_take(&path)? {
            TryLock::Taken(mut lock) => {
                lock.sign(request.who)?;
                return Ok(Some(Lease(lock)));
            }
            TryLock::Held(holder) if request.no_wait => {
                return Err(EngineError::DeviceBusy { device: request.device.to_owned(), holder });
            }
            TryLock::Held(holder) if !told => {
                (request.waiting)(&holder);
                told = true;
            }
            TryLock::Held(_) => {}
        }
        if request.cancel.is_set() {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

/// What the lease on a CUDA device is called: by the UUID that its identity tells, so that whoever
/// counts devices in another way holds the same one, and else as it was asked for.
pub fn device_of(name: &str, identity: &str) -> String {
    let uuid = identity.split_whitespace().find(|word| word.starts_with("GPU-"));
    uuid.unwrap_or(name).to_owned()
}

/// A folder that every user of the machine shares, else a private one. Locks do not survive a
/// restart, so a folder that is emptied then is right.
fn folder() -> PathBuf {
    let shared = std::env::temp_dir().join("optloop-leases");
    if std::fs::create_dir_all(&shared).is_ok() {
        use std::os::unix::fs::PermissionsExt;
        // Others may already own it: then the mode is right already.
        drop(std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)));
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cuda_device_is_leased_by_its_uuid_where_one_is_told() {
        for (identity, expected) in [
            ("Example H GPU-0011-22 driver 580.65.06", "GPU-0011-22"),
            ("Example H at 0000:19:00.0 driver 580.65.06", "cuda:0"),
            ("", "cuda:0"),
        ] {
            assert_eq!(device_of("cuda:0", identity), expected);
        }
    }

    #[test]
    fn devices_are_held_apart_and_each_by_one_at_a_time() {
        let (cancel, unique) = (Cancel::default(), std::process::id());
        let take_it = |device: &str| {
            let device = format!("{device}-test-{unique}");
            take(&Request {
                device: &device,
                who: "a test",
                no_wait: true,
                waiting: &|_| {},
                cancel: &cancel,
            })
        };
        let first = take_it("cuda:0").unwrap();
        assert!(first.is_some() && take_it("cuda:1").unwrap().is_some());
        assert!(matches!(take_it("cuda:0"), Err(EngineError::DeviceBusy { .. })));
        drop(first);
        assert!(take_it("cuda:0").is_ok());
    }
}
