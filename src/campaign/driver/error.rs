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
