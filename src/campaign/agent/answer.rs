//! What an agent says of its change.

use std::fs;
use std::path::Path;

/// The file in which an agent describes its change.
pub const ANSWER: &str = ".optloop-answer.md";
/// A description is one sentence.
const MAX_DESCRIPTION: usize = 400;

/// What the agent wrote of its change; the file is not part of that.
pub(super) fn described(lane: &Path) -> Option<String> {
    let place = lane.join(ANSWER);
    let metadata = fs::symlink_metadata(&place).ok()?;
    let text = metadata.is_file().then(|| fs::read(&place).ok()).flatten();
    // What stays is a stray, and as such does no harm.
    drop(fs::remove_file(&place));
    let text = String::from_utf8_lossy(&text?).into_owned();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(MAX_DESCRIPTION).collect())
}
