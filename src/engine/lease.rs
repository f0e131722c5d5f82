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
    /// `cpu` or `GPU-…`.
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
