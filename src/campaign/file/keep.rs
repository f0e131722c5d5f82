//! `[keep]`, `[retry]`, and what becomes of trouble.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Spanned;

/// Which candidates stay.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepFile {
    /// How often in an iteration a candidate that is better and that a guard refuses goes back to
    /// the agent; 2 without it.
    pub rework: Option<Spanned<u32>>,
    /// A gain below this share of the best's metric is kept only with a small change; 0.001 (0.1 %)
    /// without it.
    pub min_gain: Option<Spanned<f64>>,
    /// How many lines a small change adds and removes together; 50 without it.
    pub max_lines: Option<u32>,
}

/// What is tried again, how often, and after which pause.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryFile {
    /// Calls of the agent in an iteration that failed and changed nothing; 0 without it.
    pub agent: Option<Spanned<u32>>,
    /// The pause before such a call; `"30s"` without it.
    pub agent_pause: Option<Spanned<String>>,
    /// Judgements that failed for reasons of the machine; 1 without it.
    pub judge: Option<u32>,
    /// The pause before such a judgement; none without it.
    pub judge_pause: Option<Spanned<String>>,
}

/// What becomes of a candidate that cannot be judged for reasons of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnInfra {
    /// It is dropped, and counts as a failure.
    #[default]
    Count,
    /// It is dropped, and counts for nothing.
    Revert,
    /// The program ends, and the candidate is judged when the campaign is resumed.
    KeepPending,
    /// The campaign ends.
    Stop,
}

/// A number of failures.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number, or \"unlimited\"")]
pub enum Failures {
    /// So many; -1 for any number.
    Most(i64),
    /// `unlimited`.
    Word(String),
}

/// A set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Two more tries of agents and of judgements, and any number of failures.
    Resilient,
}
