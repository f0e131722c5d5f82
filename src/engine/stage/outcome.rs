//! What a stage kind gives back, and what it tells meanwhile.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cache::CacheError;
use crate::engine::account::StageRecord;
use crate::measure::pairs::Decided;
use crate::process::{self, SpawnError, Want};
use crate::stats::Metrics;

/// What a comparison saw at a look. Logarithms of the incumbent's time over the candidate's: above
/// 0 the candidate is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Look {
    /// Pairs so far.
    pub pairs: u32,
    /// The Hodges-Lehmann estimate.
    pub estimate: f64,
    /// Its lower bound, where there are pairs enough.
    pub lower: Option<f64>,
    /// Its upper bound, where there are pairs enough.
    pub upper: Option<f64>,
    /// What follows from it, in words.
    pub next: String,
}

/// What a stage kind gives back. A failure still carries its log and what was learnt.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Everything it printed, as it came.
    pub log: Vec<u8>,
    /// Named numbers: what `when` and the result table read.
    pub metrics: Metrics,
    /// The kind's own record (cases, samples, mismatches): kept in the artifact.
    pub detail: Option<StageRecord>,
    /// What was decided of the candidate, where it was compared. A candidate that does not stay is
    /// a failure too, so that nothing that depends on it goes on.
    pub decision: Option<Decided>,
    /// The exit code of its command, for stages that run one and see it exit.
    pub exit_code: Option<i32>,
    /// Absolute paths of files it read or missed beyond its declared inputs, such as includes;
    /// folders that it listed end with a `/`.
    pub discovered: Vec<PathBuf>,
    /// Why it cannot be told what its result depends on, so that it is not kept; `None` when it
    /// can.
    pub unknowable: Option<String>,
    /// Why it did not pass.
    pub failure: Option<Failure>,
}

/// Why a stage did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    /// Its class.
    pub class: FailureClass,
    /// One or more lines for people.
    pub message: String,
}

/// Classes of failure. Only [`FailureClass::Infrastructure`] is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// No better than the incumbent.
    NotBetter,
    /// Neither better nor not: more would have to be measured.
    Inconclusive,
    /// The machine is too noisy to decide anything.
    TooNoisy,
    /// What it is compared with fails the problem itself.
    Incumbent,
    /// There is no such device here.
    NoDevice,
    /// Not the candidate's doing, and it may go away.
    Infrastructure,
    /// Not the candidate's doing, and trying again changes nothing: a file, a setting or this
    /// machine rules it out.
    Setup,
    /// optloop's own mistake.
    Defect,
    /// Ctrl-C.
    Interrupted,
    /// Faster than this machine can be.
    Implausible,
    /// The problem or its reference needs mending: no kernel can be judged by it.
    Problem,
}

impl FailureClass {
    /// The class's word, for records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Wrong => "wrong",
            Self::Crashed => "crashed",
            Self::TimedOut => "timed_out",
            Self::Cheating => "cheating",
            Self::TooSlow => "too_slow",
            Self::NotBetter => "not_better",
            Self::Inconclusive => "inconclusive",
            Self::TooNoisy => "too_noisy",
            Self::Incumbent => "incumbent",
            Self::NoDevice => "no_device",
            Self::Infrastructure => "infrastructure",
            Self::Setup => "setup",
            Self::Defect => "defect",
            Self::Interrupted => "interrupted",
            Self::Implausible => "implausible",
            Self::Problem => "problem",
        }
    }
}

impl Failure {
    /// What the system refused: tried again where it may go away.
    pub(in crate::engine) fn of_io(what: &str, error: &io::Error) -> Self {
        Self { class: Self::class_of(error), message: format!("{what}: {error}") }
    }

    /// What went wrong with the state on disk; `what` stands before it.
    pub(in crate::engine) fn of_cache(what: &str, error: &CacheError) -> Self {
        let CacheError::Io { source, .. } = error;
        Self { class: Self::class_of(source), message: format!("{what}{error}") }
    }

    /// Of what the system refused: [`FailureClass::Infrastructure`] where it may go away.
    pub(in crate::engine) fn class_of(error: &io::Error) -> FailureClass {
        let lasts = process::lasts(error);
        if lasts { FailureClass::Setup } else { FailureClass::Infrastructure }
    }

    /// What a tool's failure is when a disk is full that it works on: not the fault of what it was
    /// given. `output` is what it said.
    pub(in crate::engine) fn unless_full(self, output: &str, folders: &[PathBuf]) -> Self {
        let want = Want::after(output);
        match folders.iter().find(|folder| process::is_full(folder, want)) {
            Some(folder) => Self {
                class: FailureClass::Infrastructure,
                message: format!(
                    "there is no room left on the disk of {}: {}",
                    folder.display(),
                    self.message
                ),
            },
            None => self,
        }
    }

    /// A program that could not be started or watched.
    pub(in crate::engine) fn of_spawn(error: &SpawnError) -> Self {
        let lasts = error.lasts();
        let class = if lasts { FailureClass::Setup } else { FailureClass::Infrastructure };
        Self { class, message: error.to_string() }
    }
}

impl From<Failure> for StageOutcome {
    fn from(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

impl StageOutcome {
    /// A failure before anything else was learnt.
    pub fn failed(class: FailureClass, message: impl Into<String>) -> Self {
        Self { failure: Some(Failure { class, message: message.into() }), ..Self::default() }
    }
}
