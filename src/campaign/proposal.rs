//! What an agent made of its copy of the project, and how its command ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spent::Usage;

/// What an agent made of its copy of the project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proposal {
    /// What it says of its change.
    pub description: String,
    /// The files that it changed where it may.
    pub files: Vec<Changed>,
    /// New files elsewhere: listed, and never taken over.
    pub strays: Vec<String>,
    /// What it changed where it must not, or in a way that is not taken over; any makes the
    /// proposal invalid.
    pub violations: Vec<Violation>,
    /// How its command ended.
    pub agent: AgentEnd,
    /// What it says beside the description.
    #[serde(default)]
    pub account: Box<Account>,
    /// Commands that it called and must not: their words, in the order of the calls.
    #[serde(default)]
    pub denied: Vec<String>,
}

fn is_nothing(usage: &Usage) -> bool {
    *usage == Usage::default()
}

impl Proposal {
    /// Why there is nothing to judge, where nothing was changed that may be.
    pub fn nothing_words(&self) -> String {
        const SHOWN: usize = 3;
        if self.strays.is_empty() {
            return "the agent changed nothing".to_owned();
        }
        let shown = self.strays.iter().take(SHOWN).map(String::as_str);
        let more = if self.strays.len() > SHOWN { ", …" } else { "" };
        let shown = shown.collect::<Vec<_>>().join(", ");
        format!("the agent changed nothing that it may edit; it left new files: {shown}{more}")
    }
}

/// What an agent says of its change. Only a veto has an effect; the rest is kept for people and for
/// later prompts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Account {
    /// How sure it is of a gain, from 0 to 1.
    pub confidence: Option<f64>,
    /// What the call cost.
    #[serde(skip_serializing_if = "is_nothing")]
    pub usage: Usage,
    /// Why it made this change.
    pub reasoning: String,
    /// What else it thought of.
    pub alternatives: Vec<String>,
    /// What it would try next.
    pub next_step: String,
    /// What it learned.
    pub feedback: String,
    /// Where its idea comes from.
    pub sources: Vec<String>,
    /// Which kind of change it is.
    pub family: String,
    /// What else distinguishes it.
    pub modifiers: Vec<String>,
    /// The files that it says it changed.
    pub files: Vec<String>,
    /// Why it must not be kept, even if it is better.
    pub veto: Option<String>,
    /// What could not be understood of the answer.
    pub notes: Vec<String>,
}

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Below the project's root.
    pub path: String,
    /// What was done to it.
    pub how: How,
}

/// What was done to a file.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is new.
    Added,
    /// It has other bytes, or another mode.
    Edited,
    /// It is gone.
    Removed,
}

/// What a proposal must not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Where.
    pub path: String,
    /// Which rule it breaks.
    pub rule: Rule,
}

/// A rule for what agents change.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The file is protected.
    Protected,
    /// The file belongs to the project and is not among those that may be edited.
    OutsideScope,
    /// The file needs an approval that was not given.
    NeedsApproval,
    /// It is a link, FIFO, socket or device.
    NotAFile,
    /// It is larger than a source file can be.
    TooLarge,
}

impl Rule {
    /// In words, behind a path.
    pub fn words(self) -> &'static str {
        match self {
            Self::Protected => "is protected",
            Self::OutsideScope => "is not among the files that may be edited",
            Self::NeedsApproval => "needs an approval: `--approve PATH`",
            Self::NotAFile => "is not a plain file",
            Self::TooLarge => "is larger than 10 MB",
        }
    }
}

/// How an agent's command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum AgentEnd {
    /// It exited with 0.
    #[default]
    Fine,
    /// It exited with another code.
    Failed {
        /// How, in words.
        message: String,
    },
    /// It took longer than it may.
    TimedOut {
        /// Which limit, in words.
        message: String,
    },
    /// It printed nothing after its start for as long as it may.
    Silent {
        /// Which limit, in words.
        message: String,
    },
    /// It printed something, and then nothing for as long as it may.
    Idle {
        /// Which limit, in words.
        message: String,
    },
    /// The disk had hardly any room left while it ran.
    NoRoom {
        /// Which limit, in words.
        message: String,
    },
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
}

impl AgentEnd {
    /// Why it is no success; none for one that is.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Fine => None,
            Self::Failed { message }
            | Self::TimedOut { message }
            | Self::Silent { message }
            | Self::Idle { message }
            | Self::NoRoom { message }
            | Self::NotStarted { message } => Some(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::event::{Entry, Event};

    #[test]
    fn lines_of_earlier_versions_can_be_read() {
        let proposed = r#"{"version": 1, "at": "2026-11-30T22:00:00Z", "event": "proposed",
            "iteration": 1, "proposal": {"description": "d", "files": [], "strays": [],
            "violations": [], "agent": {"how": "timed_out", "message": "2 h"}}}"#;
        let entry: Entry = serde_json::from_str(proposed).expect("it is read");
        let Event::Proposed { proposal, .. } = entry.event else { panic!("{:?}", entry.event) };
        let wanted = Proposal {
            description: "d".to_owned(),
            agent: AgentEnd::TimedOut { message: "2 h".to_owned() },
            ..Proposal::default()
        };
        assert_eq!(proposal, wanted);
        let baseline = r#"{"version": 1, "at": "2026-11-30T22:00:00Z", "event": "baseline",
            "stage": "s", "metric": "m", "better": "lower", "value": 1.0, "artifact": "a",
            "guards": [null]}"#;
        let entry: Entry = serde_json::from_str(baseline).expect("it is read");
        let Event::Baseline(baseline) = entry.event else { panic!("{:?}", entry.event) };
        assert!(baseline.device.is_none() && baseline.bounds.is_empty());
    }
}
