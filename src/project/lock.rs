//! The lock of a state folder.

use std::path::Path;
use std::time::Duration;

use super::ProjectError;
use super::observer::{Notice, Observers, notify};
use crate::cache::lock::{Lock, TryLock};
use crate::engine::EngineError;

/// Whether something may be written, and whether to wait for others that write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only: takes no lock and leaves every byte as it is.
    Read,
    /// Writes; waits for other processes.
    Wait,
    /// Writes; refuses when another process is at work, or has the device.
    Refuse,
}

/// Takes the lock of a state folder; waits for the process that has it unless that is ruled out.
///
/// # Errors
/// [`ProjectError::Busy`] when waiting is ruled out; when the lock can be neither made nor opened.
pub fn lock(state: &Path, access: Access, observers: Observers<'_>) -> Result<Lock, ProjectError> {
    const PAUSE: Duration = Duration::from_millis(20);
    let path = state.join("lock");
    let root = state.parent().unwrap_or(state);
    let mut waits = false;
    loop {
        match Lock::try_take(&path).map_err(EngineError::from)? {
            TryLock::Taken(lock) => return Ok(lock),
            TryLock::Held(holder) if access == Access::Refuse => {
                return Err(ProjectError::Busy { holder, root: root.to_owned() });
            }
            TryLock::Held(holder) => {
                if !std::mem::replace(&mut waits, true) {
                    notify(observers, &Notice::Waiting { holder });
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}
