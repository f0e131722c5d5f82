//! What is asked of a repository.

use std::path::{Path, PathBuf};

use super::Error;
use super::tree::Tree;

/// What is asked of a repository, by the library or the program. Paths are below its working tree.
pub(super) trait Reader {
    /// What is checked out.
    fn head(&self) -> Result<Head, Error>;

    /// The id of the commit that a revision names.
    fn commit(&self, revision: &str) -> Result<String, Error>;

    /// A file's content in a commit; none where the commit has no such file.
    fn file(&self, commit: &str, path: &Path) -> Option<Vec<u8>>;

    /// How files differ from HEAD, as a patch; untracked ones differ from nothing.
    fn diff(&self, paths: &[PathBuf]) -> Result<String, Error>;

    /// Whether a `.gitignore` or its like names an untracked file.
    fn is_ignored(&self, path: &Path) -> bool;

    /// Whether a file is tracked, and is as HEAD and the index have it.
    fn is_unchanged(&self, path: &Path) -> bool;

    /// The files in which a commit differs from its first parent.
    fn changed_in(&self, commit: &str) -> Result<Vec<PathBuf>, Error>;

    /// HEAD and its first parents, at most `most`.
    fn first_parents(&self, most: usize) -> Result<Vec<Logged>, Error>;

    /// What is reachable from HEAD and not from `commit`, later ones first, at most `most`.
    fn since(&self, commit: &str, most: usize) -> Result<Vec<Logged>, Error>;

    /// Whether HEAD is this commit or descends from it.
    fn has(&self, commit: &str) -> bool;

    /// The reference that a symbolic one stands for.
    fn stands_for(&self, reference: &str) -> Option<String>;

    /// The files of a commit.
    fn tree<'r>(&'r self, commit: &str) -> Result<Box<dyn Tree + 'r>, Error>;
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// The branch's full name, `refs/heads/…`; none when HEAD is detached.
    pub(super) branch: Option<String>,
    /// None before the first commit.
    pub(super) commit: Option<String>,
}

/// A commit of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) id: String,
    pub(super) message: Vec<u8>,
}
