//! The files of a problem, as this module reads and names them.

use std::io;
use std::path::{Path, PathBuf};

/// How this module sees the world outside.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// True when a file is there.
    fn exists(&self, path: &Path) -> bool;
    /// Physical memory of the machine: cases must fit half of it.
    fn memory_bytes(&self) -> u64;
}

/// Where the reference lies: absolute, without touching the disk.
pub(super) fn absolute(problem_file: &Path, relative: &str) -> PathBuf {
    let joined = beside(problem_file, relative);
    std::path::absolute(&joined).unwrap_or(joined)
}

/// A path that the problem file names, as users would write it.
pub(super) fn beside(problem_file: &Path, relative: &str) -> PathBuf {
    problem_file.parent().unwrap_or(Path::new("")).join(relative)
}
