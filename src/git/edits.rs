//! Files of a commit in a repository of optloop's own, and how they change.

use std::path::{Path, PathBuf};

use git2::FileMode;

use super::Error;
use super::forgiving::forgiving;

/// A plain file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether it may be run.
    pub is_executable: bool,
}

/// How one file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Below the project's root.
    pub path: PathBuf,
    /// What it was; none where it was not there.
    pub from: Option<Content>,
    /// What it becomes; none where it goes.
    pub to: Option<Content>,
}

/// How files change from one commit to another of the bare repository in `folder`.
///
/// # Errors
/// When the repository or a commit cannot be read.
pub fn edits(folder: &Path, from: &str, to: &str, paths: &[PathBuf]) -> Result<Vec<Edit>, Error> {
    let doing = || format!("reading {to} in `{}`", folder.display());
    let failed = |e: git2::Error| Error::failed(doing())(e.message().to_owned());
    let repository = forgiving(|| git2::Repository::open_bare(folder)).map_err(failed)?;
    let tree = |commit: &str| {
        let commit = repository.revparse_single(commit).and_then(|o| o.peel_to_commit());
        commit.and_then(|commit| commit.tree()).map_err(failed)
    };
    let (from, to) = (tree(from)?, tree(to)?);
    let content = |tree: &git2::Tree<'_>, path: &Path| {
        let Ok(entry) = tree.get_path(path) else { return Ok(None) };
        let blob = repository.find_blob(entry.id()).map_err(failed)?;
        let is_executable = entry.filemode() == i32::from(FileMode::BlobExecutable);
        Ok(Some(Content { bytes: blob.content().to_owned(), is_executable }))
    };
    let edit = |path: &PathBuf| {
        let (from, to) = (content(&from, path)?, content(&to, path)?);
        Ok(Edit { path: path.clone(), from, to })
    };
    paths.iter().map(edit).collect()
}
