//! Why a tree is not what it should be.

use std::io;
use std::path::PathBuf;

use crate::git;

/// Why a tree is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Files could not be read or written.
    #[error("{doing}: {source}")]
    Files {
        /// What was done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] git::Error),
    /// A path of `carry` is not there.
    #[error("`{path}` of [scope] carry is not in the project: make it first, or leave it out")]
    NothingToCarry {
        /// The path.
        path: String,
    },
    /// The kept changes and another commit of the user's do not fit together.
    #[error("the same lines were changed in {paths:?}")]
    Conflict {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The copies would fill the disk.
    #[error(
        "the copies of the project take up to {} MiB, and {} MiB are free in {}: make room, carry \
         less, or name another disk by XDG_STATE_HOME",
        needed >> 20,
        free >> 20,
        folder.display()
    )]
    NoRoom {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
        /// Where they would lie.
        folder: PathBuf,
    },
}

/// With what was done when files could not be read or written.
pub(super) fn files(doing: &str) -> impl FnOnce(io::Error) -> TreeError {
    let doing = doing.to_owned();
    move |source| TreeError::Files { doing, source }
}
