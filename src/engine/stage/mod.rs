//! What a stage kind is given and what it gives back. One file per kind.

pub mod bench;
pub mod check;
pub mod compile;
mod judge;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::process::Cancel;

/// What every stage kind is given.
#[derive(Clone, Copy)]
pub struct StageContext<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Folder that relative paths start from (absolute).
    pub dir: &'a Path,
    /// A private folder for this attempt, removed afterwards.
    pub scratch: &'a Path,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
    /// Called with progress in [0, 1] and a few words.
    pub progress: &'a (dyn Fn(f32, &str) + Sync),
}

/// What a stage kind gives back. A failure still carries its log and what was learnt.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Everything it printed, as it came.
    pub log: Vec<u8>,
    /// Named numbers: what `when` and the result table read.
    pub metrics: BTreeMap<String, f64>,
    /// The kind's own record (cases, samples, mismatches): kept in the artifact.
    pub detail: serde_json::Value,
    /// Absolute paths of files it read beyond its declared inputs (includes).
    pub discovered: Vec<PathBuf>,
    /// Why it did not pass.
    pub failure: Option<Failure>,
}

/// Why a stage did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its class.
    pub class: FailureClass,
    /// One or more lines for people.
    pub message: String,
}

/// Classes of failure. Only [`FailureClass::Infrastructure`] is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// It does not compile, or a command exited with another code than 0.
    Failed,
    /// Outputs differ from the reference.
    Wrong,
    /// Ended by a signal, or exited by itself.
    Crashed,
    /// Past its deadline.
    TimedOut,
    /// It tampered with the measurement.
    Cheating,
    /// Surely slower than `early_stop_us`.
    TooSlow,
    /// Not the candidate's doing.
    Infrastructure,
    /// Ctrl-C.
    Interrupted,
}
