//! Device leases: one lock file per device and machine, so that two runs never time at once, even
//! from different projects or of different users.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::EngineError;
pub use super::error::FOLDER_VARIABLE;
use crate::cache::CacheError;
use crate::cache::lock::{Lock, TryLock};
use crate::host::Host;
use crate::process::Cancel;

/// Where the lock files of a machine lie: the first of these in which every user may make files and
/// nobody may remove another's. Never what `TMPDIR` names, which each job may set anew. Locks do
/// not survive a restart, so a folder that is emptied then is right.
const FOLDERS: [&str; 4] = ["/run/lock", "/var/lock", "/tmp", "/var/tmp"];

/// A device held by this run; given back when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "held for its drop")] Lock);

/// Who asks for which device, and whether they wait.
pub struct Request<'a> {
    /// Where the lock files lie, see [`folder`].
    pub folder: &'a Path,
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
/// When the device is in use and waiting was ruled out, or the lock cannot be made or opened.
pub fn take(request: &Request<'_>) -> Result<Option<Lease>, EngineError> {
    const PAUSE: Duration = Duration::from_millis(50);
    let file = format!("optloop-{}.lock", request.device.replace(['/', ':'], "_"));
    let path = request.folder.join(file);
    let mut told = false;
    loop {
        match Lock::try_take_shared(&path).map_err(|e| refused(request.device, e))? {
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

/// The folder that all users of this machine share for their leases.
pub fn folder(host: &dyn Host) -> PathBuf {
    match host.var(FOLDER_VARIABLE).filter(|named| !named.is_empty()) {
        Some(named) => named.into(),
        None => first_shared(&FOLDERS).map_or_else(std::env::temp_dir, Path::to_owned),
    }
}

/// The first folder in which all may make files that only their owners can remove. What decides is
/// the same for every user: not what this one may do there.
fn first_shared<'a>(folders: &'a [&'a str]) -> Option<&'a Path> {
    const ALL_MAY_WRITE_AND_NONE_REMOVE: u32 = 0o1002;
    let is_shared = |path: &&Path| {
        let mode = path.metadata().map_or(0, |metadata| metadata.mode());
        let fits = mode & ALL_MAY_WRITE_AND_NONE_REMOVE == ALL_MAY_WRITE_AND_NONE_REMOVE;
        let flags = rustix::fs::statvfs(*path).map(|fs| fs.f_flag);
        fits && flags.is_ok_and(|flags| !flags.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    };
    folders.iter().map(Path::new).find(is_shared)
}

/// A lock that cannot be had for another reason than being held.
fn refused(device: &str, error: CacheError) -> EngineError {
    let CacheError::Io { path, source, .. } = error;
    EngineError::Lease { device: device.to_owned(), path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[test]
    fn devices_are_held_apart_and_each_by_one_at_a_time() {
        let cancel = Cancel::default();
        let dir = tempfile::tempdir().unwrap();
        let take_it = |device: &str| {
            take(&Request {
                folder: dir.path(),
                device,
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

    #[test]
    fn leases_lie_where_all_may_write_and_none_remove_whatever_tmpdir_says() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let modes = [("gone", None), ("own", Some(0o700)), ("loose", Some(0o777))];
        let modes = modes.into_iter().chain([("shared", Some(0o1777)), ("later", Some(0o1777))]);
        let names: Vec<String> = modes
            .map(|(name, mode)| {
                let path = dir.path().join(name);
                if let Some(mode) = mode {
                    std::fs::create_dir(&path).unwrap();
                    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
                }
                path.to_string_lossy().into_owned()
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(first_shared(&names), Some(Path::new(names[3])));
        assert_eq!(first_shared(&names[..3]), None);

        let of = |variable: &str| folder(&MemoryHost::with_vars([(variable, "/jobs/17")]));
        assert_eq!(of(FOLDER_VARIABLE), Path::new("/jobs/17"));
        assert_eq!(of("TMPDIR"), folder(&MemoryHost::default()));
        assert_ne!(of("TMPDIR"), Path::new("/jobs/17"));
    }

    #[test]
    fn a_lock_that_may_not_be_opened_is_named_with_its_owner() {
        let error = EngineError::Lease {
            device: "cpu".to_owned(),
            path: "/run/lock/optloop-cpu.lock".to_owned(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        };
        let text = error.to_string();
        assert!(text.contains("the lease of cpu") && text.contains("/run/lock/optloop-cpu.lock"));
        assert!(error.hint().is_some_and(|hint| hint.contains(FOLDER_VARIABLE)), "{text}");
    }
}
