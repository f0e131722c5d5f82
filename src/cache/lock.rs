//! Advisory locks that a dead owner cannot keep: `flock` on a file, with a note of who holds it.

mod shared;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl};

use super::CacheError;

/// Bytes of what a holder says of itself.
const SIGNATURE: usize = 256;

/// A held lock; released when dropped, or by the kernel when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

/// Taken or not.
#[derive(Debug)]
pub enum TryLock {
    /// It is ours.
    Taken(Lock),
    /// Somebody else has it: what they wrote about themselves.
    Held(String),
}

impl Lock {
    /// Tries to take the lock on `path`, which is created when missing.
    ///
    /// # Errors
    /// When the file cannot be opened or locked for another reason than being held.
    pub fn try_take(path: &Path) -> Result<TryLock, CacheError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(CacheError::io("cannot open", path))?;
        Self::lock(file, path)
    }

    /// As [`Lock::try_take`], for a file in a folder that all users of the machine share: the file
    /// serves all of them whatever the umask of the one who came first, and nothing that somebody
    /// else left under its name (a link, a pipe) is opened or written to.
    ///
    /// # Errors
    /// When the file cannot be opened or locked for another reason than being held.
    pub fn try_take_shared(path: &Path) -> Result<TryLock, CacheError> {
        loop {
            let file = shared::open(path).map_err(CacheError::io("cannot open", path))?;
            let taken = Self::lock(file, path)?;
            // One that was removed between opening and locking excludes nobody.
            match &taken {
                TryLock::Taken(lock) if !shared::is_at(&lock.file, path) => {}
                _ => return Ok(taken),
            }
        }
    }

    fn lock(file: File, path: &Path) -> Result<TryLock, CacheError> {
        match file.try_lock() {
            Ok(()) => Ok(TryLock::Taken(Self { file, path: path.to_owned() })),
            Err(TryLockError::WouldBlock) => Ok(TryLock::Held(holder(file))),
            Err(TryLockError::Error(e)) => Err(CacheError::io("cannot lock", path)(e)),
        }
    }

    /// Writes who holds it, for those who wait. A null run is over before anyone could ask, so
    /// it does not call this and leaves the file as it was.
    ///
    /// The text is padded and written over the old one: emptying the file first would make some
    /// file systems write it out at once, which takes milliseconds. A shared file of another user
    /// that may only be read keeps what stands there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sign(&mut self, who: &str) -> Result<(), CacheError> {
        if fcntl_getfl(&self.file).is_ok_and(|flags| !flags.contains(OFlags::RDWR)) {
            return Ok(());
        }
        let mut text = [b' '; SIGNATURE];
        let end = who.floor_char_boundary(SIGNATURE - 1);
        text[..end].copy_from_slice(&who.as_bytes()[..end]);
        text[SIGNATURE - 1] = b'\n';
        self.file.write_all_at(&text, 0).map_err(CacheError::io("cannot write", &self.path))
    }
}

/// What the holder says of itself. In a shared file anybody may have written it: no more than a
/// signature is read, and nothing of it moves the cursor.
fn holder(file: File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read says as little as an empty file.
    drop(file.take(SIGNATURE as u64).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default();
    let plain: String = line.chars().filter(|c| !c.is_control()).collect();
    match plain.trim() {
        "" => "another optloop".to_owned(),
        who => who.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_learns_who_holds_it_and_gets_it_after_release() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("lock");
        let TryLock::Taken(mut lock) = Lock::try_take(&path).expect("lock") else {
            panic!("free lock not taken");
        };
        lock.sign(&"long ".repeat(100)).expect("sign");
        lock.sign("pid 7, optloop pipeline x\n").expect("sign");
        match Lock::try_take(&path).expect("lock") {
            TryLock::Held(who) => assert_eq!(who, "pid 7, optloop pipeline x"),
            TryLock::Taken(_) => panic!("taken twice"),
        }
        drop(lock);
        assert!(matches!(Lock::try_take(&path).expect("lock"), TryLock::Taken(_)));
    }

    #[test]
    fn what_a_holder_says_cannot_move_the_cursor() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("lock");
        std::fs::write(&path, "\x1b[2Jpid 7\x07\n").expect("written");
        assert_eq!(holder(File::open(&path).expect("there")), "[2Jpid 7");
        std::fs::write(&path, [0xff; 4096]).expect("written");
        assert!(holder(File::open(&path).expect("there")).chars().count() <= SIGNATURE);
        std::fs::write(&path, "").expect("written");
        assert_eq!(holder(File::open(&path).expect("there")), "another optloop");
    }
}
