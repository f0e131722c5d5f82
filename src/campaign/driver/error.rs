//! Why a campaign cannot go on.

use std::io;
use std::path::PathBuf;

use crate::campaign::derived::Unwritten;
use crate::campaign::guards::No;
use crate::campaign::log::LogError;
use crate::campaign::trees::TreeError;

/// Why a campaign cannot go on; nothing is lost, and it can be resumed.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Its log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its trees.
    #[error(transparent)]
    Trees(#[from] TreeError),
    /// Its judge.
    #[error("{0}")]
    Judge(String),
    /// The unchanged project does not pass a guard.
    #[error("the project as it is does not pass: {}", .0.words())]
    Guard(No),
    /// The machine fails, and the candidate waits.
    #[error("the machine fails; the candidate is judged when the campaign is resumed: {0}")]
    Pending(String),
    /// The kept changes and the adopted commit change the same lines.
    #[error(
        "the commit {head} that is checked out now and the campaign's kept changes both change lines of \
         {files}: check out the commit before, or write on_moved = \"ignore\" to go on without the \
         new one; `optloop loop diff` prints the kept changes"
    )]
    Conflict {
        /// The commit of the user's.
        head: String,
        /// The files.
        files: String,
    },
    /// The kept changes do not work on the adopted commit.
    #[error(
        "the campaign's kept changes do not work on the commit that is checked out now: {0}: commit \
         what mends that and resume, or begin another campaign"
    )]
    Merged(String),
    /// Commands are to run elsewhere than at the beginning.
    #[error(
        "[compute] says now that commands run elsewhere than when the campaign began, and numbers from \
         there and here cannot be compared: write it as it was, or begin another campaign"
    )]
    OtherPlace,
    /// A file of its own.
    #[error("cannot write {path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pattern of the scope.
    #[error("{0}")]
    Scope(#[from] globset::Error),
}

impl From<Unwritten> for DriverError {
    fn from(Unwritten { path, source }: Unwritten) -> Self {
        Self::File { path, source }
    }
}
