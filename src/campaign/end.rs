//! How a campaign ends, and what it is allowed until then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a campaign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The target is reached, and was confirmed twice.
    Target,
    /// A budget is spent.
    Budget,
    /// So many iterations in a row brought no gain.
    Plateau,
    /// It was asked to stop.
    Stopped,
    /// Failures of agents or machine used up what they may.
    Blocked,
    /// A replayed agent has no more versions.
    Exhausted,
    /// The machine failed, and the campaign is to stop then.
    Infrastructure,
    /// Another commit is checked out, and the campaign is to stop then.
    Moved,
}

impl End {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Target => "the target is reached and confirmed",
            Self::Budget => "the budget is spent",
            Self::Plateau => "no gain for as many iterations as `stop.no_gain` allows",
            Self::Stopped => "stopped on request",
            Self::Blocked => "the failures used up what `budget.failures` allows",
            Self::Exhausted => "there is no further version to replay",
            Self::Moved => "another commit is checked out, and `on_moved` says to stop then",
            Self::Infrastructure => "the machine failed, and `on_infra` says to stop then",
        }
    }
}

/// What ends a campaign, by its file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// The most iterations.
    pub iterations: Option<u32>,
    /// The most time of iterations, s.
    pub seconds: Option<f64>,
    /// The most failures of agents and of the machine.
    pub failures: Option<u32>,
    /// How many iterations in a row without a gain.
    pub no_gain: Option<u32>,
    /// The most that calls of the agent may cost, US dollars.
    pub dollars: Option<f64>,
    /// The most tokens that they may take.
    pub tokens: Option<u64>,
    /// The metric that is enough.
    pub target: Option<f64>,
}
