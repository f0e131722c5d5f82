//! Lines about campaigns.

use serde::Serialize;

use crate::campaign::event::End;
use crate::campaign::steering::Steering;

/// How a campaign is doing.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CampaignStatusLine {
    /// Its name and the time of its start.
    pub(in crate::cli) id: String,
    /// What it is at, in a few words.
    pub(in crate::cli) phase: String,
    /// The process that drives it; none when there is none.
    pub(in crate::cli) driver: Option<String>,
    /// How many iterations were begun.
    pub(in crate::cli) iterations: u32,
    /// How many of them were kept.
    pub(in crate::cli) kept: u32,
    /// What is measured.
    pub(in crate::cli) metric: Option<String>,
    /// Its value at the beginning.
    pub(in crate::cli) baseline: Option<f64>,
    /// The best value so far.
    pub(in crate::cli) best: Option<f64>,
    /// The iteration that it came from; 0 for the baseline.
    pub(in crate::cli) best_iteration: Option<u32>,
    /// Why it ended.
    pub(in crate::cli) end: Option<End>,
    /// Where its files lie.
    pub(in crate::cli) folder: String,
}

/// A request was left for a campaign.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CampaignSteeredLine {
    /// Its name and the time of its start.
    pub(in crate::cli) id: String,
    /// The request's name: the event that answers it holds it.
    pub(in crate::cli) request: String,
    /// What is asked for.
    pub(in crate::cli) asks: Steering,
}
