//! What was done with a file.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

/// What was done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessKind {
    /// Opened for reading (a folder: for listing), before the command itself wrote it.
    Read,
    /// Opened for writing, or made by a rename or a link.
    Write,
    /// Executed.
    Exec,
    /// Looked for and not there; its appearance could change the result.
    Missing,
}

/// One file, and one thing that was done with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// Absolute; without symbolic links for what exists.
    pub path: PathBuf,
    /// What was done.
    pub kind: AccessKind,
}

/// The accesses so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    accesses: BTreeSet<Access>,
    written: HashSet<PathBuf>,
}

impl Seen {
    /// Sorted, each once.
    pub(super) fn into_list(self) -> Vec<Access> {
        self.accesses.into_iter().collect()
    }

    /// What the command has written itself is no input of it when it comes back to it.
    pub(super) fn record(&mut self, path: PathBuf, kind: AccessKind) {
        if kind == AccessKind::Write {
            self.written.insert(path.clone());
        } else if self.written.contains(&path) {
            return;
        }
        self.accesses.insert(Access { path, kind });
    }
}
