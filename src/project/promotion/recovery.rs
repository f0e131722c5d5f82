//! Ending the keep or revert that a killed process began.

use std::path::{Path, PathBuf};

use crate::git::{self, Outside};
use crate::record::RecordError;
use crate::record::incumbent::{self, End, Intent};
use crate::record::ledger::{Place, What};

/// The trailer by which the commit of a keep is found again.
pub(super) const INTENT: &str = "Optloop-Intent";

/// A keep, revert or other change of the best that a killed process began, and that is ended now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// What was begun.
    pub event: What,
    /// Of which best.
    pub place: Place,
    /// Whether it is done now, or nothing of it is left.
    pub end: End,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// Ends what was cut off; `None` when there was nothing.
///
/// The caller holds the state's lock.
///
/// # Errors
/// What could not be read or written: the next call goes on from there.
pub fn recover(
    root: &Path,
    state: &Path,
    outside: &Outside,
) -> Result<Option<Recovered>, RecordError> {
    let mut left = None;
    let ended = incumbent::recover::<RecordError>(state, &mut |intent| {
        // First: a `git commit` that outlived its optloop may still be about to make the commit.
        left = git::recover(root, outside).err();
        Ok(git::find_commit_with_trailer(root, INTENT, &intent.id, outside))
    })?;
    Ok(ended.map(|ended| Recovered {
        event: ended.intent.line.event,
        place: ended.intent.line.place.clone(),
        end: ended.end,
        warnings: ended.warnings.into_iter().chain(left.map(|e| e.to_string())).collect(),
    }))
}

/// What the commit of a keep holds, absolute.
pub(super) fn files(root: &Path, intent: &Intent) -> Vec<PathBuf> {
    let line = &intent.line;
    // One that an older optloop began does not say.
    let kernel = line.sources.iter().filter(|_| intent.commits.is_empty()).map(|s| &s.path);
    kernel.chain(&intent.commits).map(|path| root.join(path)).collect()
}
