//! Events: one closed enum from which the terminal, JSON lines, the recorder and every report are
//! made. What is not an event did not happen.

use serde::{Deserialize, Serialize};

use super::account::StageRecord;
use super::stage::{Failure, Look};
use crate::digest::Digest;
use crate::measure::pairs::Decided;
use crate::plan::StageKind;
use crate::plan::key::Change;
use crate::stats::Metrics;

/// Rises when a reader of JSON lines would have to change.
pub const EVENT_VERSION: u32 = 2;

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Work is about to begin.
    RunStarted(RunStarted),
    /// Something else holds what this run needs.
    Waiting {
        /// What is waited for.
        what: String,
        /// Who holds it.
        holder: String,
    },
    /// A stage starts.
    StageStarted {
        /// Its name.
        stage: String,
        /// Its kind.
        kind: StageKind,
        /// Why its result is not known.
        reason: Reason,
        /// How long it took the last time, µs; 0 when unknown.
        expected_us: u64,
    },
    /// How far a stage is; shown, never recorded.
    #[schemars(skip)]
    Progress {
        /// Its name.
        stage: String,
        /// In [0, 1].
        fraction: f32,
        /// A few words.
        words: String,
    },
    /// A comparison looked at its pairs.
    Look {
        /// Which stage.
        stage: String,
        /// What it saw.
        look: Look,
    },
    /// An infrastructure failure is tried again.
    Retrying {
        /// Which stage.
        stage: String,
        /// What went wrong.
        message: String,
    },
    /// Inputs changed while a stage read them: its result is not kept.
    InputChanged {
        /// Which stage.
        stage: String,
        /// Which files.
        files: Vec<String>,
    },
    /// A stage ended.
    StageFinished(Box<StageFinished>),
    /// Anything else people should know.
    Notice {
        /// In words.
        text: String,
    },
    /// The run ended.
    RunFinished(RunFinished),
}

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunStarted {
    /// Of these lines.
    #[schemars(extend("const" = EVENT_VERSION))]
    pub version: u32,
    /// Unique name of this run: time and process.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// When, RFC 3339.
    pub at: String,
    /// Stages asked for, with what they need.
    pub stages: usize,
    /// Those that have to be looked at.
    pub doubted: usize,
}

/// Why a stage runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Reason {
    /// It has no result yet.
    NeverRan,
    /// `--rerun` or `--audit`.
    Forced,
    /// It says `cache = false`.
    Always,
    /// It names no inputs, so nobody can tell that its result is out of date.
    NoInputs,
    /// It was running when an earlier run was killed.
    Unfinished,
    /// It did not pass the last time.
    NotPassed,
    /// Fields of its key changed.
    Changed {
        /// Which, old beside new.
        changes: Vec<Change>,
    },
    /// A result is kept under its key, and its record cannot be understood.
    NotUnderstood {
        /// What of it, in words.
        what: String,
    },
    /// Its key is known, but what it had written is gone and no good copy is kept.
    OutputLost {
        /// Which file.
        file: String,
    },
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StageFinished {
    /// Its name.
    pub stage: String,
    /// Its kind.
    pub kind: StageKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Its key; all zero when it has none.
    pub key: Digest,
    /// Named numbers.
    pub metrics: Metrics,
    /// What was decided of the candidate, where it was compared.
    pub decision: Option<Decided>,
    /// The stage kind's own record.
    pub detail: Option<StageRecord>,
    /// What it printed; of a known result, what it printed then.
    pub log: String,
    /// The exact command, for stages that run one.
    pub command: Vec<String>,
    /// Its exit code, for commands that were seen to exit.
    pub exit_code: Option<i32>,
    /// When the result was made, ms since the epoch.
    pub finished_ms: i64,
    /// How long that took, µs.
    pub duration_us: u64,
    /// The artifact, relative to the state folder; empty for none.
    pub artifact: String,
    /// Made by the plan rather than named in the file.
    pub implicit: bool,
    /// What its key was made of.
    pub fields: Vec<(String, String)>,
}

impl StageFinished {
    /// Nothing but how it ended.
    pub fn empty(kind: StageKind, outcome: Outcome) -> Self {
        Self {
            stage: String::new(),
            kind,
            outcome,
            key: Digest::default(),
            metrics: Metrics::default(),
            decision: None,
            detail: None,
            log: String::new(),
            command: Vec::new(),
            exit_code: None,
            finished_ms: 0,
            duration_us: 0,
            artifact: String::new(),
            implicit: false,
            fields: Vec::new(),
        }
    }
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and passed.
    Ran,
    /// Its result was known and everything in place.
    Cached,
    /// Its result was known and files were put back.
    Restored {
        /// Which.
        files: Vec<String>,
    },
    /// It ran and did not pass.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// Its condition did not hold.
    Skipped {
        /// The condition, or the stage whose skipping it follows.
        because: String,
    },
    /// Something it needs did not pass.
    Blocked {
        /// What.
        by: String,
    },
}

impl Outcome {
    /// True when what needs this stage may go on.
    pub fn passed(&self) -> bool {
        matches!(self, Self::Ran | Self::Cached | Self::Restored { .. })
    }
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunFinished {
    /// Stages that ran and passed.
    pub ran: usize,
    /// Stages whose result was known.
    pub cached: usize,
    /// Stages that did not pass.
    pub failed: usize,
    /// Stages whose condition did not hold.
    pub skipped: usize,
    /// Stages that something they need kept from running, or that were not started any more.
    pub blocked: usize,
    /// True after Ctrl-C.
    pub interrupted: bool,
    /// Wall time, ms.
    pub wall_ms: u64,
}
