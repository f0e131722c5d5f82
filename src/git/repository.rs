//! A repository that is read: by the library or, where the library does not know its format (a
//! partial clone, `reftable`), by the `git` program. Nothing is written here, not even the index's
//! stat cache.

use std::path::{Path, PathBuf};

use git2::ErrorCode;

use super::by_program::{self, ByProgram};
use super::error::Purpose;
use super::library::Library;
use super::program::Program;
use super::tree::Tree;
use super::{Error, Outside};

/// What is asked of a repository, whatever reads it. Paths are below its working tree.
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

    /// HEAD and its first parents, at most so many.
    fn first_parents(&self, most: usize) -> Result<Vec<Logged>, Error>;

    /// What is reachable from HEAD and not from `commit`, later ones first, at most so many.
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

/// A repository, and where its parts lie.
pub(super) struct Repository {
    /// The folder of its working tree, without symbolic links; none for a bare one.
    pub(super) work: Option<PathBuf>,
    /// The folder of this checkout's HEAD and index; a linked worktree has its own.
    pub(super) private: PathBuf,
    /// The folder of the references, which all worktrees share.
    pub(super) common: PathBuf,
    pub(super) reader: Box<dyn Reader>,
}

impl Repository {
    /// Finds the repository around a folder.
    pub(super) fn discover(root: &Path, outside: &Outside) -> Result<Self, Error> {
        match git2::Repository::discover(root) {
            Ok(repository) => Ok(Self {
                work: repository.workdir().and_then(|work| work.canonicalize().ok()),
                private: repository.path().to_owned(),
                common: repository.commondir().to_owned(),
                reader: Box::new(Library::new(repository)),
            }),
            Err(error) => match error.code() {
                ErrorCode::NotFound => Err(Error::NoRepository { root: root.to_owned() }),
                ErrorCode::Owner => Err(Error::Untrusted {
                    root: root.to_owned(),
                    cause: error.message().to_owned(),
                }),
                _ => Self::through_program(root, error.message(), outside),
            },
        }
    }

    /// Opens what the library refuses.
    fn through_program(root: &Path, because: &str, outside: &Outside) -> Result<Self, Error> {
        let purpose = Purpose::Read { because: because.to_owned() };
        let program = Program::find(root, outside).ok_or(Error::NoProgram { purpose })?;
        let one = |what: &str| {
            let line = program.read(&["rev-parse", "--path-format=absolute", what], &[])?;
            Ok::<_, Error>(by_program::path(line.trim_ascii_end()))
        };
        let is_bare = program.read(&["rev-parse", "--is-bare-repository"], &[])?;
        let work = match is_bare.trim_ascii_end() {
            b"true" => None,
            _ => one("--show-toplevel")?.canonicalize().ok(),
        };
        let (private, common) = (one("--git-dir")?, one("--git-common-dir")?);
        // What is asked about files is relative to where it is asked.
        let program = program.at(work.as_ref().unwrap_or(&private));
        Ok(Self {
            work,
            private: private.clone(),
            common,
            reader: Box::new(ByProgram::new(program, private)),
        })
    }

    /// A file (absolute) below the working tree.
    pub(super) fn below<'p>(&self, file: &'p Path) -> Option<&'p Path> {
        file.strip_prefix(self.work.as_ref()?).ok()
    }

    /// A file's content in the last commit.
    pub(super) fn file_at_head(&self, path: &Path) -> Option<Vec<u8>> {
        let head = self.reader.head().ok()?.commit?;
        self.reader.file(&head, path)
    }
}
