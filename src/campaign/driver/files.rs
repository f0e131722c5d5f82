//! The campaign's own files.

use std::fs;
use std::io;
use std::path::Path;

use super::DriverError;

pub(super) fn make_folder(path: &Path) -> Result<(), DriverError> {
    fs::create_dir_all(path).map_err(|source| DriverError::File { path: path.to_owned(), source })
}

/// Writes a file that can be made again, wholly or not at all.
pub(super) fn write(path: &Path, text: &str) -> Result<(), DriverError> {
    let write = |file: &mut fs::File| io::Write::write_all(file, text.as_bytes());
    let written = crate::cache::index::replace(path, write);
    written.map_err(|source| DriverError::File { path: path.to_owned(), source })
}
