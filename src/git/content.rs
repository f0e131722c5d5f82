//! The content of one file or link: as it lies on the disk, and as it is put there.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use git2::FileMode;

/// The bytes of a file, or where a link leads.
pub(super) fn content(path: &Path) -> io::Result<Vec<u8>> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Ok(fs::read_link(path)?.into_os_string().into_encoded_bytes());
    }
    fs::read(path)
}

/// Removes a file and the folders that are empty then.
pub(super) fn remove(root: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(root.join(path)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    for folder in path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
        // One that still holds something stays.
        if fs::remove_dir(root.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A file or link to be.
pub(super) struct Content<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) mode: i32,
}

impl Content<'_> {
    fn is_link(&self) -> bool {
        self.mode == i32::from(FileMode::Link)
    }

    fn permissions(&self) -> u32 {
        if self.mode == i32::from(FileMode::BlobExecutable) { 0o755 } else { 0o644 }
    }

    pub(super) fn lies_at(&self, place: &Path) -> bool {
        let Ok(found) = place.symlink_metadata() else { return false };
        let is_alike = found.is_symlink() == self.is_link()
            && (self.is_link() || found.mode() & 0o7777 == self.permissions());
        is_alike && content(place).is_ok_and(|bytes| bytes == self.bytes)
    }

    pub(super) fn put(&self, place: &Path) -> io::Result<()> {
        fs::create_dir_all(place.parent().unwrap_or(place))?;
        match fs::remove_file(place) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        if self.is_link() {
            return std::os::unix::fs::symlink(OsStr::from_bytes(self.bytes), place);
        }
        fs::write(place, self.bytes)?;
        fs::set_permissions(place, fs::Permissions::from_mode(self.permissions()))
    }
}
