//! The files of a problem, as it names them.

use std::path::{Path, PathBuf};

/// Where the reference lies: absolute, without touching the disk.
pub(super) fn absolute(problem_file: &Path, relative: &str) -> PathBuf {
    let joined = beside(problem_file, relative);
    std::path::absolute(&joined).unwrap_or(joined)
}

/// A path that the problem file names, as users would write it.
pub(super) fn beside(problem_file: &Path, relative: &str) -> PathBuf {
    problem_file.parent().unwrap_or(Path::new("")).join(relative)
}
