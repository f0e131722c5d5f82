//! What happens in a campaign: the lines of `events.jsonl`, from which all else can be made again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::anchored::Anchored;
pub use super::begun::{Adopted, Ancestry, Begun};
pub use super::end::{End, Limits};
pub use super::judgement::{AskedFor, Judgement, Outcome};
pub use super::proposal::{AgentEnd, Changed, How, Proposal, Rule, Violation};
use super::steering::Steering;
use crate::record::lines::Record;

/// The version of these lines.
pub const LOG_VERSION: u32 = 1;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Of this line's form.
    #[schemars(extend("const" = LOG_VERSION))]
    pub version: u32,
    /// When it was written, RFC 3339.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record for Entry {
    const VERSION: u32 = LOG_VERSION;
    const KIND: &'static str = "an event of a campaign";
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The campaign begins.
    Begun(Begun),
    /// The unchanged project was measured and passed every guard.
    Baseline(Baseline),
    /// An iteration begins.
    Opened {
        /// Its number, from 1, without gaps.
        iteration: u32,
    },
    /// The agent has ended, and what it changed was collected.
    Proposed {
        /// Of which iteration.
        iteration: u32,
        /// What it changed.
        proposal: Proposal,
    },
    /// The proposal is a commit of the campaign's repository.
    Committed {
        /// Of which iteration.
        iteration: u32,
        /// Its id.
        commit: String,
        /// How many lines it adds to the best and removes from it.
        #[serde(default)]
        lines: u32,
    },
    /// The agent is asked once more in the same iteration.
    AskedAgain {
        /// In which.
        iteration: u32,
        /// Why.
        why: AskedFor,
    },
    /// The candidate was built, checked and compared, or failed on the way.
    Judged {
        /// Of which iteration.
        iteration: u32,
        /// What came of it.
        judgement: Judgement,
    },
    /// An iteration ends, whatever ended it.
    Ended {
        /// Which.
        iteration: u32,
        /// How.
        status: Status,
        /// How long it took, agent and measurement included, s.
        seconds: f64,
    },
    /// The best was measured again because it reached the target.
    Confirmed {
        /// The metric now.
        value: f64,
        /// Whether that reaches the target, too.
        holds: Holds,
        /// How long it took, s.
        #[serde(default)]
        seconds: f64,
    },
    /// The best was compared with the first baseline, in pairs.
    Anchored(Anchored),
    /// A device is held from now on.
    Held {
        /// What it is called.
        name: String,
    },
    /// No device could be held, and the campaign goes on without one.
    NotHeld {
        /// Why.
        message: String,
    },
    /// What follows a new best was done.
    Announced(Announced),
    /// The user's repository has another commit checked out than at the beginning.
    Moved {
        /// Which.
        head: String,
    },
    /// That commit is what the campaign works on from now on.
    Adopted(Adopted),
    /// The kept changes, merged with an adopted commit, were judged beside its baseline.
    MergedJudged {
        /// What came of it.
        judgement: Judgement,
    },
    /// They are the best again.
    MergedKept,
    /// A driver takes up what another one left.
    Resumed,
    /// What ends the campaign, by its file: when it begins, and where that has changed since.
    Limited(Limits),
    /// A request of people was answered.
    Steered(Steered),
    /// The driver could not go on; the campaign can be taken up.
    Halted {
        /// Why.
        message: String,
    },
    /// The campaign ends.
    Finished {
        /// Why.
        end: End,
    },
}

/// What followed a new best.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Announced {
    /// The iteration that the best came from.
    pub iteration: u32,
    /// The branch of the user's repository that has it now.
    pub branch: Option<String>,
    /// Its commit there.
    pub commit: Option<String>,
    /// The user's branch that was moved there, `refs/heads/…`; none where none was.
    #[serde(default)]
    pub merged: Option<String>,
    /// What did not succeed; it changes nothing about the best.
    pub warnings: Vec<String>,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Steered {
    /// The request: it is answered once.
    pub request: String,
    /// What it asks for.
    pub asks: Steering,
    /// Why it is not followed; none where it is.
    #[serde(default)]
    pub refused: Option<String>,
}

/// What the project can do before anything is changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// The stage that measured it: the last of those that compare with the best. What a later one
    /// confirms counts, too.
    pub stage: String,
    /// What it measures.
    pub metric: String,
    /// Which way is better.
    pub better: Better,
    /// Its value.
    pub value: f64,
    /// The artifact that holds it.
    pub artifact: String,
    /// What each guard's `expect` found, in the order of the guards.
    pub guards: Vec<Option<String>>,
    /// What it was measured on, where the stage says so.
    #[serde(default)]
    pub device: Option<String>,
    /// What that allows at best, a line for each case.
    #[serde(default)]
    pub bounds: Vec<String>,
    /// How long it took, s.
    #[serde(default)]
    pub seconds: f64,
    /// How often a command printed the metric; none where no command did, and in older logs.
    #[serde(default)]
    pub matches: Option<usize>,
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Such as a time.
    #[default]
    Lower,
    /// Such as a rate.
    Higher,
}

impl Better {
    /// Whether a value is as good as another, or better.
    pub fn reaches(self, value: f64, target: f64) -> bool {
        match self {
            Self::Lower => value <= target,
            Self::Higher => value >= target,
        }
    }
}

/// How an iteration ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The candidate is the best now.
    Kept,
    /// It was compared and is not better.
    Reverted,
    /// It was compared, and the measurement does not tell.
    Undecided,
    /// It failed before it could be compared.
    Failed,
    /// A guard said no.
    Guard,
    /// It changed what it must not.
    Invalid,
    /// The candidate is better, and the agent itself does not want it kept.
    Vetoed,
    /// Nothing was changed.
    NoOp,
    /// The agent failed, and there is nothing to judge.
    AgentFailed,
    /// It could not be judged, for no reason of its own.
    Infrastructure,
}

impl Status {
    /// The word in logs and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Reverted => "reverted",
            Self::Undecided => "undecided",
            Self::Failed => "failed",
            Self::Guard => "guard",
            Self::Invalid => "invalid",
            Self::Vetoed => "vetoed",
            Self::NoOp => "no-op",
            Self::AgentFailed => "agent-failed",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// Whether a confirmation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// The target is reached again.
    Yes,
    /// It is not.
    No,
}
