//! The files of one commit, as they are looked through and written out.

use std::path::{Path, PathBuf};

use super::Error;

/// How much of a repository one revision may bring.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// And how many files.
pub(super) const MAX_FILES: usize = 20_000;

/// What is at a path of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A link, a submodule.
    Other,
}

/// The tree of one commit, whatever reads it. Paths are below the repository.
pub(super) trait Tree {
    fn kind(&self, path: &Path) -> Option<Kind>;

    fn text(&self, path: &Path) -> Option<String>;

    /// A file of this name anywhere.
    fn named(&self, name: &[u8]) -> Option<PathBuf>;

    /// Writes `parts`, which are folders and files (`kernel` among them), and every `.gitattributes`
    /// above them, to `dir`, with line ends as a checkout would make them: wholly or not at all. What
    /// is there already is put right.
    fn write(&self, parts: &[PathBuf], kernel: &[PathBuf], dir: &Path) -> Result<(), Error>;
}

/// Refuses a part that is too large to lie beside the state.
pub(super) fn within_limits(part: &Path, bytes: u64, files: usize) -> Result<(), Error> {
    let what = if bytes > MAX_BYTES {
        format!("more than {} MiB", MAX_BYTES >> 20)
    } else if files > MAX_FILES {
        format!("more than {MAX_FILES} files")
    } else {
        return Ok(());
    };
    let folder = if part.as_os_str().is_empty() { Path::new(".") } else { part };
    Err(Error::TooLarge { folder: folder.to_owned(), what })
}

/// The files of attributes above a part, there or not.
pub(super) fn attributes(part: &Path) -> impl Iterator<Item = PathBuf> {
    part.ancestors().skip(1).map(|folder| folder.join(".gitattributes"))
}
