//! The agent's copy, after the agent.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What an owner needs of a folder, and of a file.
const FOLDER: u32 = 0o700;
const FILE: u32 = 0o400;

/// Makes the copy a folder that can be looked at, whatever an agent did to it: one that is gone, or
/// that something else took the place of, is an empty folder; what nobody may read, its owner may.
///
/// # Errors
/// When that cannot be done.
pub(super) fn put_right(lane: &Path) -> io::Result<()> {
    match fs::symlink_metadata(lane) {
        Ok(found) if found.is_dir() => return open_up(lane),
        Ok(_) => fs::remove_file(lane)?,
        Err(_) => {}
    }
    fs::create_dir_all(lane)
}

fn open_up(folder: &Path) -> io::Result<()> {
    grant(folder, FOLDER)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            open_up(&entry.path())?;
        } else if kind.is_file() {
            grant(&entry.path(), FILE)?;
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
        put_right(&lane).expect("put right");
        assert_eq!([mode(""), mode("lib"), mode("lib/deep")], [0o700; 3]);
        assert_eq!(mode("lib/deep/k.c"), 0o400);
        fs::remove_dir_all(&lane).expect("removed");
        put_right(&lane).expect("put right");
        assert!(lane.is_dir());
        fs::remove_dir(&lane).expect("removed");
        std::os::unix::fs::symlink("/", &lane).expect("linked");
        put_right(&lane).expect("put right");
        assert!(fs::symlink_metadata(&lane).expect("there").is_dir());
        assert_eq!(fs::read_dir(&lane).expect("listed").count(), 0);
    }
}
