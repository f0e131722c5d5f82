//! What is kept under a key.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::Stat;
use crate::digest::Digest;
use crate::stats::Metrics;

/// Rises with any change to what a stored result holds.
pub const ACTION_VERSION: u32 = 2;

/// A file that a stage wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name, relative to the root where it lies below it.
    pub path: String,
    /// Its content.
    pub digest: Digest,
    /// Permission bits.
    pub mode: u32,
    /// Where it leads, when it is a link; the content is then that of the file there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<PathBuf>,
}

impl Output {
    /// Whether what is there now is this output: content, the right to run it, link or file.
    pub fn is(&self, digest: &Digest, stat: &Stat, link: Option<&Path>) -> bool {
        *digest == self.digest
            && stat.is_executable() == (self.mode & 0o100 != 0)
            && link == self.link.as_deref()
    }
}

/// What is kept under a key: the readable record of the key, and the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// [`ACTION_VERSION`].
    pub version: u32,
    /// The node that it was made for.
    pub node: String,
    /// What entered the key, in order.
    pub fields: Vec<(String, String)>,
    /// Files written.
    pub outputs: Vec<Output>,
    /// What it printed, as a blob; all zero when nothing.
    pub log: Digest,
    /// Named numbers.
    pub metrics: Metrics,
    /// The stage kind's own record.
    pub detail: serde_json::Value,
    /// Names of files it was seen to read.
    pub discovered: Vec<String>,
    /// When it ended, ms since the epoch.
    pub finished_ms: i64,
    /// How long it took.
    pub duration_us: u64,
    /// The artifact that tells everything, relative to the state folder; empty for none.
    pub artifact: String,
}
