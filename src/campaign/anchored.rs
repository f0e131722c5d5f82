//! What a comparison of the best with the first baseline said.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a campaign has come, measured in one go: gains of steps that were each kept because they
/// looked good add up to too much.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Anchored {
    /// The gain of the best beside the first baseline: a share of it, or in the metric's unit.
    pub gain: Option<f64>,
    /// The lower end of its 95 % interval.
    pub lower: Option<f64>,
    /// The upper end.
    pub upper: Option<f64>,
    /// How many times better the kept steps claim to be together; none for metrics that are compared
    /// by their difference.
    pub steps: Option<f64>,
    /// The artifact that holds the measurement.
    pub artifact: Option<String>,
    /// Why it could not be measured.
    pub message: Option<String>,
}
