//! What `explain` says: answers, causes and changed fields as values.

use serde::{Deserialize, Serialize};

use super::event::Reason;
use crate::plan::key::Change;

/// What a run would do with a node, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Explanation {
    /// The node's name.
    pub stage: String,
    /// Made by the plan rather than named in the file.
    pub implicit: bool,
    /// What a run would do.
    #[serde(flatten)]
    pub answer: Answer,
    /// Fields in which its key differs from that of its last good run, without those that hang on
    /// what upstream stages would write anew.
    pub changes: Vec<Field>,
    /// Where upstream it begins, first causes first.
    pub causes: Vec<Cause>,
    /// Stages that would run before it and must pass, though it reads nothing of theirs.
    pub provided: Vec<String>,
    /// A condition that can only be asked when the stages it reads have run.
    pub condition: Option<String>,
    /// When its last good result was made, ms since the epoch; 0 for never.
    pub finished_ms: i64,
}

/// What a run would do with a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Nothing: its result is known and in place.
    Known,
    /// Its result is kept under its key: nothing runs, these files are put back.
    PutBack {
        /// Which; none when the files are in place already.
        files: Vec<String>,
    },
    /// It would run.
    Runs {
        /// Why.
        #[serde(flatten)]
        why: Why,
    },
    /// It would run if what upstream stages write turns out different.
    Waits,
    /// Its condition does not hold, or that of something it needs.
    Skipped {
        /// The condition, or the stage.
        because: String,
    },
    /// It would fail before it starts.
    Fails {
        /// Why.
        message: String,
    },
}

/// Why a node's result is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    /// It has no result yet.
    NeverRan,
    /// It says `cache = false`.
    Always,
    /// It names no inputs, so nobody can tell that its result is out of date.
    NoInputs,
    /// It was running when an earlier run was killed.
    Unfinished,
    /// It did not pass the last time.
    NotPassed,
    /// Fields of its key changed.
    Changed,
    /// A result is kept under its key, and its record cannot be understood.
    NotUnderstood {
        /// What of it, in words.
        what: String,
    },
    /// What it had written is gone or damaged, and no good copy is kept.
    OutputLost {
        /// Which file.
        file: String,
    },
}

impl Why {
    /// What explains a reason, and the fields of the key that changed.
    pub(super) fn of(reason: Reason) -> (Self, Vec<Change>) {
        match reason {
            Reason::NeverRan => (Self::NeverRan, Vec::new()),
            // Nobody forces an explanation.
            Reason::Always | Reason::Forced => (Self::Always, Vec::new()),
            Reason::NoInputs => (Self::NoInputs, Vec::new()),
            Reason::Unfinished => (Self::Unfinished, Vec::new()),
            Reason::NotPassed => (Self::NotPassed, Vec::new()),
            Reason::Changed { changes } => (Self::Changed, changes),
            Reason::NotUnderstood { what } => (Self::NotUnderstood { what }, Vec::new()),
            Reason::OutputLost { file } => (Self::OutputLost { file }, Vec::new()),
        }
    }
}

/// A changed field of a key, and the file it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Field {
    /// Old beside new.
    #[serde(flatten)]
    pub change: Change,
    /// The file, for fields that are one.
    pub path: Option<String>,
    /// Its size then, where that is still known.
    pub old_bytes: Option<u64>,
    /// Its size now; `None` when it is gone.
    pub new_bytes: Option<u64>,
}

/// A stage upstream that begins a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Cause {
    /// Its name.
    pub stage: String,
    /// Why it runs.
    #[serde(flatten)]
    pub why: Why,
    /// What changed there.
    pub changes: Vec<Field>,
    /// From the stage after it down to the one explained.
    pub chain: Vec<Link>,
}

/// One step of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Link {
    /// The stage.
    pub stage: String,
    /// What it reads of the one before; empty for that one's result.
    pub reads: Vec<String>,
}

/// How many nodes there are of each answer.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Counts {
    /// Would run.
    pub run: usize,
    /// Would run if something upstream turns out different.
    pub may_run: usize,
    /// Known, with files to put back.
    pub put_back: usize,
    /// Known.
    pub known: usize,
    /// Skipped.
    pub skipped: usize,
    /// Would fail before they start.
    pub fail: usize,
}
