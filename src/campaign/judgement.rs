//! What the engine finds out about a candidate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an agent is asked once more in one iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedFor {
    /// Its candidate is better, and a guard refuses it.
    Rework,
    /// Its call failed and changed nothing.
    FailedCall,
}

/// What the engine found out about a candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// What came of it.
    pub outcome: Outcome,
    /// The metric, where it was measured.
    pub value: Option<f64>,
    /// The gain as a share of the incumbent's, or in the metric's unit.
    pub gain: Option<f64>,
    /// The gain as a share of the incumbent's, where it can be one.
    #[serde(default)]
    pub share: Option<f64>,
    /// The lower end of its 95 % interval.
    pub lower: Option<f64>,
    /// The upper end.
    pub upper: Option<f64>,
    /// The artifact that holds the measurement.
    pub artifact: Option<String>,
    /// Why, in a sentence.
    pub reason: String,
    /// How long it took, s.
    pub seconds: f64,
    /// What the comparison says of a candidate that a guard refuses, where there was one.
    #[serde(default)]
    pub compared: Option<Outcome>,
}

impl Judgement {
    /// One of which nothing else is known.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            value: None,
            gain: None,
            share: None,
            lower: None,
            upper: None,
            artifact: None,
            reason: String::new(),
            seconds: 0.0,
            compared: None,
        }
    }
}

/// What came of judging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// KEEP.
    Better,
    /// REVERT.
    Worse,
    /// UNDECIDED.
    Undecided,
    /// It does not build, is wrong, crashes, or is against the rules.
    Failed,
    /// A guard said no.
    Guard,
    /// It is better, by too little for the size of its change.
    NotWorthIt,
    /// Nothing that the candidate can be blamed for, as often as it was tried.
    Infrastructure,
}
