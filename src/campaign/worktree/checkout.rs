//! A checkout that may be committed to, its branch, and files inside it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, ReferenceType, Repository, RepositoryState};

use super::Refused;

/// A repository with files, in no unfinished state.
pub(super) struct Checkout {
    pub(super) repository: Repository,
    /// Its folder of files, without symbolic links.
    pub(super) work: PathBuf,
}

/// The branch that a commit moves, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Its full name, `refs/heads/…`.
    pub(super) branch: String,
    /// None before the first commit.
    pub(super) commit: Option<Oid>,
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
    /// The path as trees and the index have it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.path.as_os_str().as_bytes().to_vec()
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> Refused {
        Refused::file(&self.given, why)
    }
}

impl Checkout {
    pub(super) fn open(root: &Path) -> Result<Self, Refused> {
        let repository = Repository::discover(root).map_err(|error| match error.code() {
            ErrorCode::NotFound => Refused::NoRepository { root: root.to_owned() },
            ErrorCode::Owner => Refused::Failed {
                doing: format!("opening the git repository around `{}`", root.display()),
                cause: format!(
                    "{}; if you trust it, run `git config --global --add safe.directory {}`",
                    error.message(),
                    root.display()
                ),
            },
            _ => Refused::Failed {
                doing: format!("opening the git repository around `{}`", root.display()),
                cause: error.message().to_owned(),
            },
        })?;
        let bare = || Refused::Bare { place: repository.path().to_owned() };
        let work = repository.workdir().ok_or_else(bare)?;
        let work = work.canonicalize().map_err(Refused::failed("finding the checkout"))?;
        Ok(Self { repository, work })
    }

    /// The folder of this checkout's HEAD and index; a linked worktree has its own.
    pub(super) fn private(&self) -> &Path {
        self.repository.path()
    }

    pub(super) fn index_file(&self) -> PathBuf {
        self.private().join("index")
    }

    /// What git creates while it moves a branch.
    pub(super) fn branch_lock(&self, branch: &str) -> PathBuf {
        self.repository.commondir().join(format!("{branch}.lock"))
    }

    /// Refuses while a merge or the like waits for its commit.
    pub(super) fn at_rest(&self) -> Result<(), Refused> {
        let what = match self.repository.state() {
            RepositoryState::Clean => return Ok(()),
            RepositoryState::Merge => "merge",
            RepositoryState::Revert | RepositoryState::RevertSequence => "revert",
            RepositoryState::CherryPick | RepositoryState::CherryPickSequence => "cherry-pick",
            RepositoryState::Bisect => "bisection",
            RepositoryState::Rebase
            | RepositoryState::RebaseInteractive
            | RepositoryState::RebaseMerge => "rebase",
            RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => {
                "series of patches (`git am`)"
            }
        };
        Err(Refused::InProgress { what })
    }

    pub(super) fn head(&self) -> Result<Head, Refused> {
        let doing = "reading HEAD";
        let mut reference =
            self.repository.find_reference("HEAD").map_err(Refused::failed(doing))?;
        if reference.kind() == Some(ReferenceType::Direct) {
            let commit = reference.target().map(|id| id.to_string()).unwrap_or_default();
            return Err(Refused::Detached { commit });
        }
        // A branch may itself stand for another one; git's own limit is 5 as well.
        for _ in 0..5 {
            let Some(name) = reference.symbolic_target().map_err(Refused::failed(doing))? else {
                break;
            };
            let name = name.to_owned();
            reference = match self.repository.find_reference(&name) {
                Ok(found) => found,
                Err(error) if error.code() == ErrorCode::NotFound => {
                    return Ok(Head { branch: name, commit: None });
                }
                Err(error) => return Err(Refused::failed(doing)(error)),
            };
        }
        let branch = reference.name().map_err(Refused::failed(doing))?.to_owned();
        Ok(Head { branch, commit: reference.target() })
    }

    /// Finds `files` (absolute) inside; each must be a plain file of this very repository.
    pub(super) fn named(&self, files: &[PathBuf]) -> Result<Vec<Named>, Refused> {
        let mut named: Vec<Named> = Vec::new();
        for file in files {
            let found = self.locate(file)?;
            if !named.iter().any(|n| n.path == found.path) {
                named.push(found);
            }
        }
        Ok(named)
    }

    fn locate(&self, file: &Path) -> Result<Named, Refused> {
        let no = |why: String| Refused::file(file, why);
        let metadata = fs::symlink_metadata(file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no("it does not exist".to_owned()),
            _ => no(error.to_string()),
        })?;
        if metadata.is_symlink() {
            return Err(no("it is a symbolic link, and the commit would hold the link and not \
                           the kernel: name the file that it points to"
                .to_owned()));
        }
        if !metadata.is_file() {
            return Err(no("it is not a file".to_owned()));
        }
        let absolute = file.canonicalize().map_err(|error| no(error.to_string()))?;
        let path = absolute
            .strip_prefix(&self.work)
            .map(Path::to_owned)
            .map_err(|_| no(format!("it lies outside the repository `{}`", self.work.display())))?;
        if path.starts_with(".git") {
            return Err(no("it lies inside git's own folder".to_owned()));
        }
        for folder in path.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty()) {
            if self.work.join(folder).join(".git").exists() {
                return Err(no(format!(
                    "`{}` is a repository of its own (a submodule or a nested checkout): commit \
                     it there, or pass --no-commit",
                    folder.display()
                )));
            }
        }
        Ok(Named { given: file.to_owned(), absolute, path })
    }
}
