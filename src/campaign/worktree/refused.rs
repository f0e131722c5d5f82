//! Why git is left as it is.

use std::path::PathBuf;

/// What a commit would have needed. Nothing has been changed when one of these comes back.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is nothing to commit to.
    #[error(
        "`{root}` lies in no git repository: run `git init` there, or pass --no-commit",
        root = root.display()
    )]
    NoRepository {
        /// Where one was looked for.
        root: PathBuf,
    },
    /// A repository without files.
    #[error(
        "`{place}` is a bare repository, it has no files to commit: work in a checkout of it",
        place = place.display()
    )]
    Bare {
        /// The repository.
        place: PathBuf,
    },
    /// A commit made now would belong to no branch.
    #[error(
        "HEAD is detached at {commit}: a commit made here belongs to no branch and is lost at the \
         next checkout. Run `git switch -c NAME` first, or pass --no-commit"
    )]
    Detached {
        /// What is checked out.
        commit: String,
    },
    /// git is in the middle of something that the next commit would end.
    #[error(
        "a {what} is in progress, and the next commit would become part of it: end it or abort it \
         first (`git status` says how), or pass --no-commit"
    )]
    InProgress {
        /// Its name in words.
        what: &'static str,
    },
    /// Another program changes the index.
    #[error(
        "another program holds `{lock}`: try again when it has ended. If none is running, one was \
         killed: remove that file",
        lock = lock.display()
    )]
    Locked {
        /// The lock's file.
        lock: PathBuf,
    },
    /// The repository did not hold still.
    #[error(
        "the repository or the file changed again and again while it was looked at: try again \
         when nothing else writes there"
    )]
    Changing,
    /// git knows nobody who commits.
    #[error(
        "git does not know who commits: run `git config user.name \"Your Name\"` and \
         `git config user.email you@example.org`, or pass --no-commit"
    )]
    NoIdentity,
    /// One file cannot be committed as it is.
    #[error("cannot commit `{path}`: {why}", path = path.display())]
    File {
        /// As it was given.
        path: PathBuf,
        /// What is in the way, and what to do.
        why: String,
    },
    /// The `git` program is needed and is not to be had.
    #[error(
        "{why}, which only the `git` program can do, and it is not in the PATH: install it, or \
         pass --no-commit"
    )]
    NoProgram {
        /// What needs it.
        why: String,
    },
    /// The `git` program, or a hook that it ran, said no.
    #[error("`git commit` refused ({exit}); nothing is committed. It said:\n{output}")]
    Blocked {
        /// How it ended.
        exit: String,
        /// What it and its hooks printed.
        output: String,
    },
    /// Anything else that went wrong.
    #[error("{doing}: {cause}")]
    Failed {
        /// What was being done.
        doing: String,
        /// What the library or the system said.
        cause: String,
    },
}

impl Refused {
    pub(super) fn file(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::File { path: path.into(), why: why.into() }
    }

    /// For `map_err`: the step that failed, and what was said.
    pub(super) fn failed<E: ToString>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self::Failed { doing, cause: error.to_string() }
    }
}
