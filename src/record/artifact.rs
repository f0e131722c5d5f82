//! Artifacts: the authoritative account of one stage's result.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RecordError;
use super::status::Status;
use crate::engine::StageRecord;
use crate::measure::pairs::Decided;
use crate::pipeline::Overrides;
use crate::plan::StageKind;
use crate::stats::Metrics;

/// Rises when a reader of artifacts would have to change.
pub const ARTIFACT_VERSION: u32 = 2;

/// Where a measured kernel came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Provenance {
    /// The pipeline file.
    pub pipeline: String,
    /// The root folder's name is left out on purpose: artifacts are shared between machines.
    pub kernel: Vec<String>,
    /// The problem file, which is the harness.
    pub problem: String,
    /// What the pipeline asks for: `cpu`, `cuda:0` ….
    pub device: String,
    /// Model, cores and clock policy of what it ran on.
    pub device_identity: String,
    /// The commit checked out, if any.
    pub commit: String,
    /// What the kernel files differ by from that commit, as a patch; an untracked file differs
    /// from nothing.
    pub kernel_diff: String,
    /// The command line of this run.
    pub command: Vec<String>,
    /// What that changed about the pipeline.
    #[serde(default)]
    pub overrides: Overrides,
    /// The program's version.
    pub optloop: String,
}

/// One stage's result with everything needed to judge it later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Artifact {
    /// [`ARTIFACT_VERSION`].
    pub version: u32,
    /// Run that made it.
    pub run: String,
    /// When it was made, RFC 3339.
    pub at: String,
    /// The stage.
    pub stage: String,
    /// Its kind (the mode).
    pub kind: StageKind,
    /// Where the kernel came from.
    pub provenance: Provenance,
    /// The exact command, for stages that run one.
    pub command: Vec<String>,
    /// Its exit code; `null` for stages that run no command, and for commands ended by a signal.
    pub exit_code: Option<i32>,
    /// `passed` or the failure's class.
    pub status: Status,
    /// The failure's message; empty when it passed.
    pub message: String,
    /// What it printed.
    pub output: String,
    /// Its key, and what that was made of.
    pub key: String,
    /// Named fields of the key.
    pub key_fields: Vec<(String, String)>,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Named numbers.
    pub metrics: Metrics,
    /// What was decided of the candidate, where it was compared.
    pub decision: Option<Decided>,
    /// The stage kind's own record.
    pub result: Option<StageRecord>,
}

impl Artifact {
    /// Reads one.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RecordError::Unreadable { path: path.to_owned(), source })?;
        serde_json::from_str(&text)
            .map_err(|source| RecordError::NoArtifact { path: path.to_owned(), source })
    }

    /// All artifacts below a state folder, oldest first.
    pub fn list(state_dir: &Path) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = walkdir::WalkDir::new(state_dir.join("runs"))
            .min_depth(2)
            .max_depth(2)
            .sort_by_file_name()
            .into_iter()
            .filter_map(Result::ok)
            .map(walkdir::DirEntry::into_path)
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        // Runs are named by time, so names order them; within a run the time of writing does.
        found.sort_by_key(|p| {
            let written = p.metadata().and_then(|m| m.modified()).ok();
            // The best of a matrix is written right after its last point, perhaps within one tick of
            // the file system's clock: `sweep.json` comes after `sweep[…].json`.
            (p.parent().map(Path::to_owned), written, Reverse(p.file_name().map(OsStr::to_owned)))
        });
        found
    }
}
