//! Whether the best so far is part of what is checked out.

use std::path::{Path, PathBuf};

use super::recovery::INTENT;
use crate::git::{self, Held, History, Outside};
use crate::record::Incumbent;

/// Why the best is not in this history, in words; none when it is, or when no commit holds it.
pub fn not_in_history(root: &Path, best: &Incumbent, outside: &Outside) -> Option<String> {
    let commit = best.commit.as_deref()?;
    let files: Vec<(PathBuf, PathBuf)> =
        best.sources().map(|(source, kept)| (root.join(&source.path), kept)).collect();
    let held = Held { commit, trailer: (INTENT, &best.intent), files: &files };
    let short = |id: &str| id[..id.len().min(12)].to_owned();
    match git::history(root, &held, outside)? {
        History::Within => None,
        History::Undone(by) => {
            Some(format!("its commit {} was undone by {}", short(commit), short(&by)))
        }
        History::Elsewhere => {
            Some(format!("its commit {} is on no way back from HEAD", short(commit)))
        }
    }
}
