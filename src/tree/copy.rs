//! One file, link or boundary of a tree.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::listing::Item;
use super::times::time;
use crate::paths::plain;

/// Copies a file to where nothing is: as a reflink where the file system has them, else at the
/// speed of the disk.
pub(super) fn file(item: &Item, to: &Path, mtime_ns: i64) -> io::Result<()> {
    let source = File::open(&item.from)?;
    let copy = OpenOptions::new().write(true).create_new(true).open(to)?;
    if rustix::fs::ioctl_ficlone(&copy, &source).is_err() {
        io::copy(&mut &source, &mut &copy)?;
    }
    copy.set_modified(time(mtime_ns))?;
    copy.set_permissions(Permissions::from_mode(item.mode & 0o7777))
}

/// Where the copy of a link leads: to the copy of what lies in the project, and to the very same
/// file elsewhere.
pub(super) fn target(item: &Item, root: &Path, place: &Path) -> io::Result<PathBuf> {
    // What is carried has a root of its own.
    let depth = item.name.components().count();
    let own = item.from.ancestors().nth(depth).filter(|own| own.join(&item.name) == item.from);
    let root = own.unwrap_or(root);
    let target = fs::read_link(&item.from)?;
    let folder = item.from.parent().unwrap_or(root);
    let led_to = plain(&folder.join(&target));
    Ok(match led_to.strip_prefix(root) {
        Ok(below) if target.is_absolute() => place.join(below),
        Ok(_) => target,
        Err(_) => led_to,
    })
}

/// Removes a file or folder, if there is one; no link is followed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => remove_folder(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

/// Some tools leave folders behind that nothing can be removed from.
fn remove_folder(path: &Path) -> io::Result<()> {
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
        if entry.file_type().is_dir() {
            // What cannot be changed shows itself in the next line.
            drop(fs::set_permissions(entry.path(), Permissions::from_mode(0o700)));
        }
    }
    fs::remove_dir_all(path)
}

/// Gives the tree an empty repository of its own: neither git nor a tool that looks upwards for one
/// finds the user's.
pub(super) fn bound(place: &Path) -> io::Result<()> {
    let own = place.join(".git");
    if own.join("HEAD").exists() {
        return Ok(());
    }
    for folder in ["objects", "refs"] {
        fs::create_dir_all(own.join(folder))?;
    }
    fs::write(own.join("HEAD"), "ref: refs/heads/optloop\n")
}

/// Removes what Python compiled a source to: it knows sources by size and whole seconds, which two
/// versions can share.
pub(super) fn forget_compiled(source: &Path) {
    let (Some(folder), Some(stem)) = (source.parent(), source.file_stem()) else { return };
    if source.extension().is_none_or(|extension| extension != "py") {
        return;
    }
    let begin = format!("{}.", stem.to_string_lossy());
    for entry in fs::read_dir(folder.join("__pycache__")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&begin) {
            // One that stays is at worst what it was.
            drop(fs::remove_file(entry.path()));
        }
    }
}
