//! Opening a lock file in a folder where every user of the machine may make files, such as
//! `/run/lock`.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, fchmod};
use rustix::io::Errno;

/// Everybody may open it for writing. The text in it is a courtesy; the lock is the system's.
const OPEN_TO_ALL: Mode = Mode::from_raw_mode(0o666);

/// How often is looked again while another user is about to make the file, and for how long each.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(2);

/// Opens the file, and makes it where there is none.
///
/// One that is there is opened without `O_CREAT`: with it Linux refuses another user's file in a
/// sticky folder (`fs.protected_regular`). Where writing is ruled out, reading is enough to lock.
///
/// # Errors
/// When that is impossible, or when something else than a plain file has its name.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut refused = Errno::AGAIN;
    for _ in 0..TRIES {
        match open_once(path) {
            Ok(file) => return checked(file),
            Err(Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
            // Made, or removed, or not yet opened to all by its maker: look again.
            Err(errno @ (Errno::EXIST | Errno::NOENT | Errno::ACCESS)) => refused = errno,
            Err(errno) => return Err(errno.into()),
        }
        std::thread::sleep(PAUSE);
    }
    Err(refused.into())
}

fn open_once(path: &Path) -> Result<File, Errno> {
    // A pipe must not make us wait, a terminal not become ours, a link not lead elsewhere.
    let safe = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let plainly = |flags| rustix::fs::open(path, flags | safe, Mode::empty());
    let fd = match plainly(OFlags::RDWR) {
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => plainly(OFlags::RDONLY)?,
        Err(Errno::NOENT) => {
            let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | safe;
            let fd = rustix::fs::open(path, new, OPEN_TO_ALL)?;
            // The umask has taken bits away.
            fchmod(&fd, OPEN_TO_ALL)?;
            fd
        }
        opened => opened?,
    };
    Ok(fd.into())
}

/// A hard link could make us write into any file of our own.
fn checked(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(io::Error::other("it is no plain file with one name"));
    }
    Ok(file)
}

/// True when the file is what others find under the name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::{Lock, TryLock};
    use super::*;

    #[test]
    fn the_file_serves_everybody_whatever_the_umask() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("cpu.lock");
        let mode = || path.metadata().expect("there").permissions().mode() & 0o777;
        open(&path).expect("made");
        assert_eq!(mode(), 0o666);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        open(&path).expect("opened");
        assert_eq!(mode(), 0o644, "a file that is there stays as it is");
    }

    #[test]
    fn nothing_that_was_left_under_its_name_is_opened() {
        let dir = tempfile::tempdir().expect("tempdir");
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "precious").expect("written");
        let names = ["symbolic", "dangling", "hard", "pipe", "folder"];
        let [symbolic, dangling, hard, pipe, folder] = names.map(|name| dir.path().join(name));
        symlink(&precious, &symbolic).expect("linked");
        symlink(dir.path().join("nowhere"), &dangling).expect("linked");
        std::fs::hard_link(&precious, &hard).expect("linked");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, Mode::RWXU, 0).expect("made");
        std::fs::create_dir(&folder).expect("made");
        for path in [symbolic, dangling, hard, pipe, folder] {
            assert!(open(&path).is_err(), "{}", path.display());
        }
        assert_eq!(std::fs::read_to_string(&precious).expect("there"), "precious");
        assert!(!dir.path().join("nowhere").exists());
    }

    #[test]
    fn a_file_that_was_removed_while_it_was_held_is_made_anew() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("cpu.lock");
        let file = open(&path).expect("made");
        assert!(is_at(&file, &path));
        std::fs::remove_file(&path).expect("removed");
        assert!(!is_at(&file, &path));
        let taken = Lock::try_take_shared(&path).expect("taken");
        assert!(matches!(taken, TryLock::Taken(_)) && path.is_file());
    }
}
