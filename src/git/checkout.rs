//! A checkout that may be committed to, its branch, and files inside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Operation, Unfit};
use super::repository::Repository;
use super::{Error, Outside};

/// A repository with files.
pub(super) struct Checkout {
    pub(super) repository: Repository,
    /// Its folder of files, without symbolic links.
    pub(super) work: PathBuf,
}

/// The branch that a commit moves, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    /// Its full name, `refs/heads/…`.
    pub(super) branch: String,
    /// None before the first commit.
    pub(super) commit: Option<String>,
}

/// A file of the checkout.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// As it was given.
    pub(super) given: PathBuf,
    /// Without symbolic links.
    pub(super) absolute: PathBuf,
    /// Below the checkout's folder.
    pub(super) path: PathBuf,
}

impl Named {
    pub(super) fn refused(&self, why: Unfit) -> Error {
        Error::File { path: self.given.clone(), why }
    }
}

impl Checkout {
    pub(super) fn open(root: &Path, outside: &Outside) -> Result<Self, Error> {
        let repository = Repository::discover(root, outside)?;
        let work = repository.work.clone();
        let work = work.ok_or_else(|| Error::Bare { place: repository.private.clone() })?;
        Ok(Self { repository, work })
    }

    /// The folder of this checkout's HEAD and index; a linked worktree has its own.
    pub(super) fn private(&self) -> &Path {
        &self.repository.private
    }

    /// The user's index, there or not.
    pub(super) fn index(&self) -> PathBuf {
        self.private().join("index")
    }

    /// Refuses while a merge or the like waits for its commit.
    pub(super) fn at_rest(&self) -> Result<(), Error> {
        let there = |name: &str| self.private().join(name).exists();
        // Repositories that keep references in tables keep these there too.
        let is_reference = |name: &str| there(name) || self.repository.reader.commit(name).is_ok();
        let what = if there("rebase-apply/applying") {
            Operation::Patches
        } else if there("rebase-merge") || there("rebase-apply") {
            Operation::Rebase
        } else if is_reference("MERGE_HEAD") {
            Operation::Merge
        } else if is_reference("REVERT_HEAD") {
            Operation::Revert
        } else if is_reference("CHERRY_PICK_HEAD") {
            Operation::CherryPick
        } else if there("BISECT_LOG") {
            Operation::Bisection
        } else {
            return Ok(());
        };
        Err(Error::InProgress { what })
    }

    /// The branch that a commit moves.
    pub(super) fn tip(&self) -> Result<Tip, Error> {
        let head = self.repository.reader.head()?;
        match head.branch {
            Some(branch) => Ok(Tip { branch, commit: head.commit }),
            None => Err(Error::Detached { commit: head.commit.unwrap_or_default() }),
        }
    }

    /// Finds `files` (absolute) inside; each must be a plain file of this very repository.
    pub(super) fn named(&self, files: &[PathBuf]) -> Result<Vec<Named>, Error> {
        let mut named: Vec<Named> = Vec::new();
        for file in files {
            let found = self.locate(file);
            let found = found.map_err(|why| Error::File { path: file.clone(), why })?;
            if !named.iter().any(|n| n.path == found.path) {
                named.push(found);
            }
        }
        Ok(named)
    }

    /// Finds one file (absolute) inside.
    pub(super) fn locate(&self, file: &Path) -> Result<Named, Unfit> {
        let unreadable = |error: io::Error| Unfit::Unreadable(error.to_string());
        let metadata = fs::symlink_metadata(file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unfit::Missing,
            _ => unreadable(error),
        })?;
        if metadata.is_symlink() {
            return Err(Unfit::Link);
        }
        if !metadata.is_file() {
            return Err(Unfit::NotAFile);
        }
        let absolute = file.canonicalize().map_err(unreadable)?;
        let outside = || Unfit::Outside { work: self.work.clone() };
        let path = absolute.strip_prefix(&self.work).map_err(|_| outside())?.to_owned();
        if path.starts_with(".git") {
            return Err(Unfit::GitsOwn);
        }
        let mut folders = path.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty());
        match folders.find(|folder| self.work.join(folder).join(".git").exists()) {
            Some(folder) => Err(Unfit::OtherRepository { folder: folder.to_owned() }),
            None => Ok(Named { given: file.to_owned(), absolute, path }),
        }
    }
}
