//! What is to happen to a place's incumbent, and what is written down of it before it begins.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Build;
use super::json::read_json;
use super::names::Naming;
use crate::digest::Digest;
use crate::record::error::RecordError;
use crate::record::ledger::{Line, Source, What};
use crate::stats::Metrics;

/// A file's name and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// For sources the path below the root, or an absolute one; for binaries the file's name.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Content {
    /// The name, and a digest of the bytes.
    pub fn source(&self) -> Source {
        Source { path: self.path.clone(), digest: Digest::of(&self.bytes) }
    }
}

/// Whether a commit belongs to a transition, made by the caller between [`super::begin`] and [`super::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// Without it there is no transition.
    Wanted,
    /// There is none.
    Unwanted,
}

/// A kernel that becomes the incumbent.
#[derive(Debug, Clone, PartialEq)]
pub struct Install {
    /// The ledger's line: [`What::Baseline`], [`What::Keep`] or [`What::Set`]. Its sources are taken
    /// from below.
    pub line: Line,
    /// The built kernel, as `kernel.so`; none when only a command can build it.
    pub binary: Option<Content>,
    /// The kernel's files.
    pub sources: Vec<Content>,
    /// The project's other files that it was built from.
    pub headers: Vec<Content>,
    /// How it was built.
    pub build: Option<Build>,
    /// As measured; what is not finite is left out.
    pub metrics: Metrics,
    /// The key of that measurement.
    pub key: Digest,
    /// Whether a commit is made of it.
    pub commit: Commit,
    /// What that commit holds, below the root.
    pub commits: Vec<String>,
}

/// What is to happen to a place's incumbent.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A kernel becomes the incumbent.
    Install(Box<Install>),
    /// The incumbent's files are put back where the candidate's are. The ledger's line is a
    /// [`What::Revert`] or [`What::Undecided`] whose candidate is what goes.
    Revert(Box<Line>),
    /// Nothing is written but what stands for the best and the baseline: nothing after a
    /// [`What::Reset`], and what did before the last change after a [`What::Undo`].
    Rename(Box<Line>),
}

/// A file that a revert puts back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Below the root; absolute for files elsewhere.
    pub path: String,
    /// What was in it; none when it was not there.
    pub before: Option<Digest>,
    /// What the incumbent's was.
    pub after: Digest,
}

/// A transition that has begun: all that is needed to end it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// [`super::INCUMBENT_VERSION`].
    pub version: u32,
    /// Unlike that of any transition that the ledger knows.
    pub id: String,
    /// What the ledger will say; its number is not known yet.
    pub line: Line,
    /// Whether a commit belongs to it.
    pub commit: Commit,
    /// What that commit holds, below the root.
    #[serde(default)]
    pub commits: Vec<String>,
    /// The incumbent's folder, beside `current`: the one that comes, or whose files are put back.
    pub folder: String,
    /// Files to put back.
    pub files: Vec<Restore>,
    /// Where the candidate's files are kept that are written over, below the state folder.
    pub kept: String,
    /// What the place's names stand for then.
    #[serde(default)]
    pub(super) names: Vec<Naming>,
}

impl Intent {
    /// Whether it puts the incumbent's files back, rather than making another the incumbent.
    pub fn restores(&self) -> bool {
        matches!(self.line.event, What::Revert | What::Undecided)
    }

    /// Whether it brings a kernel with a folder of its own.
    pub fn installs(&self) -> bool {
        matches!(self.line.event, What::Baseline | What::Keep | What::Set)
    }
}

/// Where the intent lies. There is one at most: its writer holds the state's lock.
pub(super) fn path_of(state: &Path) -> PathBuf {
    // Names of problems are cleaned and never begin with a dot.
    state.join("best").join(".intent.json")
}

/// The transition that has begun and not ended, if there is one.
///
/// # Errors
/// When the file is there and cannot be read or understood.
pub fn pending(state: &Path) -> Result<Option<Intent>, RecordError> {
    read_json(&path_of(state))
}
