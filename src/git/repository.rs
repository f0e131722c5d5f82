//! A repository that is read: by the library or, where the library does not know its format (a
//! partial clone, `reftable`), by the `git` program. Nothing is written here, not even the index's
//! stat cache.

use std::path::{Path, PathBuf};

use git2::ErrorCode;

use super::by_program::ByProgram;
use super::error::Purpose;
use super::library::Library;
use super::program::{self, Program};
use super::reader::Reader;
use super::{Error, Outside};

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
            Ok::<_, Error>(program::path(line.trim_ascii_end()))
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
