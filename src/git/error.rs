//! Why something cannot be read from git, or is not written to it.

use std::fmt;
use std::path::PathBuf;

use crate::process::Exit;

/// What was in the way. Nothing has been changed when one of these comes back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to read from or to commit to.
    #[error(
        "`{root}` lies in no git repository: `git init` makes one there",
        root = root.display()
    )]
    NoRepository {
        /// Where one was looked for.
        root: PathBuf,
    },
    /// A repository without a working tree.
    #[error(
        "`{place}` is a bare repository, which has no files: work in a checkout of it",
        place = place.display()
    )]
    Bare {
        /// The repository.
        place: PathBuf,
    },
    /// The repository belongs to another user.
    #[error(
        "opening the git repository around `{root}`: {cause}; if you trust it, run `git config \
         --global --add safe.directory {root}`",
        root = root.display()
    )]
    Untrusted {
        /// Where it was looked for.
        root: PathBuf,
        /// What the library said.
        cause: String,
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
        /// Of which kind.
        what: Operation,
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
    /// git does not know who commits.
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
        why: Unfit,
    },
    /// The `git` program is needed and not installed.
    #[error("the `git` program is needed {purpose}, and it is not in the PATH: install it{instead}",
        instead = purpose.instead())]
    NoProgram {
        /// What for.
        purpose: Purpose,
    },
    /// The `git` program, or a hook that it ran, refused to write.
    #[error("`git {command}` refused ({exit}). It said:\n{output}",
        exit = Ending(*exit))]
    Blocked {
        /// Its first word.
        command: String,
        /// How it ended.
        exit: Exit,
        /// What it and its hooks printed.
        output: String,
    },
    /// The `git` program could not tell what it was asked.
    #[error("`git {command}` failed ({exit}): {output}", exit = Ending(*exit))]
    Unread {
        /// Its first word.
        command: String,
        /// How it ended.
        exit: Exit,
        /// What it printed.
        output: String,
    },
    /// A revision names no commit of this repository.
    #[error("{why}")]
    NoRevision {
        /// As it was given.
        revision: String,
        /// What is wrong with it, and what to write instead.
        why: String,
    },
    /// A file is not there at a revision.
    #[error("`{path}` does not exist at `{revision}`{other}", path = path.display(),
        other = near.as_ref().map(|n| format!("; `{}` is there", n.display())).unwrap_or_default())]
    NotThere {
        /// Below the repository.
        path: PathBuf,
        /// As it was given.
        revision: String,
        /// A file of this name elsewhere, for one that was moved.
        near: Option<PathBuf>,
    },
    /// A kernel was a link, a folder or a submodule at a revision.
    #[error("`{path}` is not a plain file at `{revision}`", path = path.display())]
    NotPlain {
        /// Below the repository.
        path: PathBuf,
        /// As it was given.
        revision: String,
    },
    /// A file is none of the repository's.
    #[error("`{path}` lies outside the repository `{work}`", path = path.display(),
        work = work.display())]
    Outside {
        /// As it was given.
        path: PathBuf,
        /// The folder of the working tree.
        work: PathBuf,
    },
    /// The library does not run filter drivers.
    #[error(
        "`{path}` goes through the filter `{filter}`, which only `git checkout` runs: check the \
         revision out with `git worktree add` and name the file there",
        path = path.display()
    )]
    Filtered {
        /// Below the repository.
        path: PathBuf,
        /// Its name.
        filter: String,
    },
    /// A revision would bring too much.
    #[error(
        "the folder `{folder}` is too large to be written out beside the state ({what}): put the \
         kernel, and its headers, into a folder of its own",
        folder = folder.display()
    )]
    TooLarge {
        /// Below the repository.
        folder: PathBuf,
        /// How large it is.
        what: String,
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

impl Error {
    /// For `map_err`: the step that failed, and what was said.
    pub(super) fn failed<E: ToString>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |error| Self::Failed { doing, cause: error.to_string() }
    }
}

/// Why one file cannot be committed as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no such file.
    #[error("it does not exist")]
    Missing,
    /// The system does not show it.
    #[error("{0}")]
    Unreadable(String),
    /// A symbolic link.
    #[error(
        "it is a symbolic link, and the commit would hold the link and not the kernel: name the \
         file that it points to"
    )]
    Link,
    /// A folder, a pipe, a device.
    #[error("it is not a file")]
    NotAFile,
    /// It belongs to no repository, or to another one.
    #[error("it lies outside the repository `{work}`", work = work.display())]
    Outside {
        /// The folder of the working tree.
        work: PathBuf,
    },
    /// A file of git's.
    #[error("it lies inside git's own folder")]
    GitsOwn,
    /// It belongs to a repository inside this one.
    #[error(
        "`{folder}` is a repository of its own (a submodule or a nested checkout): commit it \
         there, or pass --no-commit",
        folder = folder.display()
    )]
    OtherRepository {
        /// Its folder, below this one.
        folder: PathBuf,
    },
    /// Untracked, and named by a `.gitignore` or its like.
    #[error("it is ignored by a .gitignore: run `git add -f` for it once, or pass --no-commit")]
    Ignored,
    /// The index has several versions of it.
    #[error("it is in conflict: resolve it and `git add` it first")]
    Conflict,
    /// The commit would take something else away.
    #[error(
        "in the last commit `{path}` is something else (a file, a folder or a submodule): commit \
         that change yourself first",
        path = path.display()
    )]
    Replaces {
        /// What would go.
        path: PathBuf,
    },
    /// The user has staged what cannot be there at the same time.
    #[error(
        "the index has `{path}`, which cannot be there beside it: commit or unstage that first",
        path = path.display()
    )]
    Clashes {
        /// What is staged.
        path: PathBuf,
    },
    /// `skip-worktree`.
    #[error(
        "git was told to keep it out of this checkout (a sparse checkout): run `git \
         sparse-checkout add` for its folder, or pass --no-commit"
    )]
    Sparse,
    /// `assume-unchanged`.
    #[error(
        "git was told not to look at its changes: run `git update-index --no-assume-unchanged` \
         for it, or pass --no-commit"
    )]
    AssumedUnchanged,
}

/// What the next commit would become part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `git merge`.
    Merge,
    /// `git revert`.
    Revert,
    /// `git cherry-pick`.
    CherryPick,
    /// `git bisect`.
    Bisection,
    /// `git rebase`.
    Rebase,
    /// `git am`.
    Patches,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Merge => "merge",
            Self::Revert => "revert",
            Self::CherryPick => "cherry-pick",
            Self::Bisection => "bisection",
            Self::Rebase => "rebase",
            Self::Patches => "series of patches (`git am`)",
        })
    }
}

/// What the `git` program is needed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To write into a repository of the user's.
    Write,
    /// To read one that the library refuses.
    Read {
        /// What the library said.
        because: String,
    },
}

impl Purpose {
    fn instead(&self) -> &'static str {
        match self {
            Self::Write => ", or pass --no-commit",
            Self::Read { .. } => "",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write => f.write_str("to commit"),
            Self::Read { because } => write!(f, "to read this repository ({because})"),
        }
    }
}

/// How a command ended, in words.
struct Ending(Exit);

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(signal) => write!(f, "signal {signal}"),
            Exit::TimedOut => f.write_str("it took too long"),
            Exit::Cancelled => f.write_str("it was interrupted"),
        }
    }
}
