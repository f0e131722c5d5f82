//! The agent's copy, after the agent.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What an owner needs of a folder, and of a file.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o400;
/// No project has folders with longer paths, bytes; the system ends at 4096.
const MAX_PATH: usize = 3000;

/// Makes the copy a folder that can be looked at, whatever an agent did to it: one that is gone, or
/// that something else took the place of, is an empty folder; what nobody may read, its owner may;
/// folders whose paths are too long for the system lie in `aside` then.
///
/// # Errors
/// When that cannot be done.
pub(super) fn put_right(lane: &Path, aside: &Path) -> io::Result<()> {
    match fs::symlink_metadata(lane) {
        Ok(found) if found.is_dir() => return open_up(lane, aside),
        Ok(_) => fs::remove_file(lane)?,
        Err(_) => {}
    }
    fs::create_dir_all(lane)
}

fn open_up(folder: &Path, aside: &Path) -> io::Result<()> {
    grant(folder, FOLDER)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && path.as_os_str().len() > MAX_PATH {
            fs::create_dir_all(aside)?;
            let at = fs::read_dir(aside)?.count();
            fs::rename(path, aside.join(at.to_string()))?;
        } else if kind.is_dir() {
            open_up(&path, aside)?;
        } else if kind.is_file() {
            grant(&path, FILE)?;
        }
    }
    Ok(())
}

/// Adds what is missing of a mode.
fn grant(path: &Path, least: u32) -> io::Result<()> {
    let mode = fs::symlink_metadata(path)?.permissions().mode();
    if mode & least == least {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode | least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_was_closed_removed_or_replaced_is_a_folder_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let lane = dir.path().join("lane");
        let mode = |name: &str| {
            fs::symlink_metadata(lane.join(name)).expect("there").permissions().mode() & 0o777
        };
        fs::create_dir_all(lane.join("lib/deep")).expect("made");
        fs::write(lane.join("lib/deep/k.c"), "k").expect("written");
        std::os::unix::fs::symlink("/etc/passwd", lane.join("link")).expect("linked");
        for name in ["lib/deep/k.c", "lib/deep", "lib", ""] {
            fs::set_permissions(lane.join(name), fs::Permissions::from_mode(0o0)).expect("closed");
        }
        let aside = dir.path().join("aside");
        let put_right = || put_right(&lane, &aside).expect("put right");
        put_right();
        assert_eq!([mode(""), mode("lib"), mode("lib/deep")], [0o700; 3]);
        assert_eq!(mode("lib/deep/k.c"), 0o400);
        fs::remove_dir_all(&lane).expect("removed");
        put_right();
        assert!(lane.is_dir());
        fs::remove_dir(&lane).expect("removed");
        std::os::unix::fs::symlink("/", &lane).expect("linked");
        put_right();
        assert!(fs::symlink_metadata(&lane).expect("there").is_dir());
        assert_eq!(fs::read_dir(&lane).expect("listed").count(), 0);
        assert!(!aside.exists());
    }

    #[test]
    fn folders_deeper_than_paths_can_name_are_laid_aside() {
        use rustix::fs::{Mode, OFlags, mkdirat, openat};
        let dir = tempfile::tempdir().expect("a folder");
        let lane = dir.path().join("lane");
        fs::create_dir_all(&lane).expect("made");
        let mode = Mode::from_raw_mode(0o755);
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut at = openat(rustix::fs::CWD, &lane, flags, mode).expect("opened");
        let name = "a".repeat(200);
        for _ in 0..40 {
            mkdirat(&at, &name, mode).expect("made");
            at = openat(&at, &name, flags, mode).expect("opened");
        }
        let walked = || walkdir::WalkDir::new(&lane).into_iter().collect::<Result<Vec<_>, _>>();
        assert!(walked().is_err());
        put_right(&lane, &dir.path().join("aside")).expect("put right");
        assert!(walked().is_ok());
        assert_eq!(fs::read_dir(dir.path().join("aside")).expect("listed").count(), 1);
    }
}
