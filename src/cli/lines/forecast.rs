//! Lines about what a run would do.

use serde::Serialize;

use crate::engine::explain::{Answer, Explanation, Field};

/// Rises when a reader of the lines of `explain` and of `pipeline --dry-run` would have to change.
pub(in crate::cli) const FORECAST_VERSION: u32 = 1;

/// What `explain` and a dry run begin with.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct ForecastLine {
    /// Of these lines.
    #[schemars(extend("const" = FORECAST_VERSION))]
    pub(in crate::cli) version: u32,
    /// The pipeline's name.
    pub(in crate::cli) pipeline: String,
    /// How many there are.
    pub(in crate::cli) stages: usize,
}

/// What a run would do with a stage that is not known.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct WouldLine {
    /// Its name.
    stage: String,
    /// Made by the plan rather than named in the file.
    implicit: bool,
    /// What a run would do.
    #[serde(flatten)]
    answer: Answer,
    /// Fields of its key that changed.
    changes: Vec<Field>,
    /// Stages that would run before it.
    provided: Vec<String>,
    /// One that can only be asked when others have run.
    condition: Option<String>,
    /// When its last good result was made, ms since the epoch; 0 for never.
    finished_ms: i64,
    /// The stage that it follows from.
    after: Option<String>,
}

impl WouldLine {
    /// `explain` has all causes; here there is the first of them alone.
    pub(in crate::cli) fn of(explanation: &Explanation, after: Option<String>) -> Self {
        let Explanation {
            stage, implicit, answer, changes, provided, condition, finished_ms, ..
        } = explanation.clone();
        Self { stage, implicit, answer, changes, provided, condition, finished_ms, after }
    }
}
