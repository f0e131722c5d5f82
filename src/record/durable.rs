//! Files that outlive a kill and a power cut: written whole below `.optloop/tmp`, synced, renamed
//! into place, and the folder synced.
//!
//! The caller holds the state's lock: temporary names are fixed, so that what a killed
//! process left is written over, and `.optloop/tmp` is swept by the next run anyway.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::RecordError;

/// Makes names in a folder last; the empty path is the working directory.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Makes the name of `path` last as well as its content.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Makes a folder and those above it, each of which lasts.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folder(above)?;
    }
    fs::create_dir(folder)?;
    sync_name(folder)
}

/// Writes a new file and syncs its content, not yet its name.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A temporary place of that name below the state folder, with nothing there.
pub(super) fn temporary(state: &Path, name: &str) -> io::Result<PathBuf> {
    let tmp = state.join("tmp");
    fs::create_dir_all(&tmp)?;
    let path = tmp.join(name);
    let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(path),
    }
}

/// Replaces a file's content in one step; its folder is made when missing.
///
/// # Errors
/// What could not be written; the old content is then still there.
pub(super) fn replace(state: &Path, path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let put = || -> io::Result<()> {
        make_folder(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let new = temporary(state, &format!("{name}.new"))?;
        let written = write(&new, bytes).and_then(|()| fs::rename(&new, path));
        if written.is_err() {
            // It may be what fills the disk.
            drop(fs::remove_file(&new));
        }
        written?;
        sync_name(path)
    };
    put().map_err(|source| RecordError::Unwritable { path: path.to_owned(), source })
}

/// Removes a file for good; one that is not there is no error.
pub(super) fn remove(path: &Path) -> Result<(), RecordError> {
    let gone = match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(()) => sync_name(path),
    };
    gone.map_err(|source| RecordError::NotRemoved { path: path.to_owned(), source })
}

/// A file's content; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RecordError::Unreadable { path: path.to_owned(), source }),
    }
}
