//! Ending the keep or revert that a killed process began.

use std::path::{Path, PathBuf};

use crate::git::{self, Outside};
use crate::record::RecordError;
use crate::record::incumbent::{self, Commit, End, Intent};

/// The trailer by which the commit of a keep is found again.
pub(super) const INTENT: &str = "Optloop-Intent";

/// Ends what was cut off, and says what that was; no lines when there was nothing.
///
/// The caller holds the state's lock.
///
/// # Errors
/// What could not be read or written: the next call goes on from there.
pub fn recover(root: &Path, state: &Path, outside: &Outside) -> Result<Vec<String>, RecordError> {
    let mut left = None;
    let ended = incumbent::recover::<RecordError>(state, &mut |intent| {
        // First: a `git commit` that outlived its optloop may still be about to make the commit.
        left = git::recover(root, outside).err();
        Ok(git::find_commit_with_trailer(root, INTENT, &intent.id, outside))
    })?;
    let Some(ended) = ended else {
        return Ok(Vec::new());
    };
    let line = &ended.intent.line;
    let what = line.event.word();
    let place = format!("{} by {}", line.place.problem, line.place.metric);
    let said = match (ended.end, ended.intent.commit) {
        (End::Forward, _) => format!("note: a {what} of {place} was cut off; it is done now"),
        (End::Back, Commit::Wanted | Commit::Unwanted) => format!(
            "note: a {what} of {place} was cut off before its commit; nothing of it is left, do \
             it again"
        ),
    };
    let warnings = ended.warnings.into_iter().chain(left.map(|e| e.to_string()));
    Ok(std::iter::once(said).chain(warnings.map(|w| format!("warning: {w}"))).collect())
}

/// What the commit of a keep holds, absolute.
pub(super) fn files(root: &Path, intent: &Intent) -> Vec<PathBuf> {
    let line = &intent.line;
    // One that an older optloop began does not say.
    let kernel = line.sources.iter().filter(|_| intent.commits.is_empty()).map(|s| &s.path);
    kernel.chain(&intent.commits).map(|path| root.join(path)).collect()
}
