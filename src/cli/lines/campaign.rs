//! Lines about campaigns.

use serde::Serialize;

use crate::campaign::standing::Standing;
use crate::campaign::steering::Steering;

/// How a campaign is doing.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CampaignStatusLine {
    /// What its log says.
    #[serde(flatten)]
    pub(in crate::cli) standing: Standing,
    /// The process that drives it; none when there is none.
    pub(in crate::cli) driver: Option<String>,
    /// The last thing that the agent printed, while it works.
    pub(in crate::cli) agent: Option<String>,
    /// Where its files lie.
    pub(in crate::cli) folder: String,
}

/// What iterations changed.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CampaignDiffLine {
    /// The campaign's name and the time of its start.
    pub(in crate::cli) id: String,
    /// The one that changed it; none for all that were kept.
    pub(in crate::cli) iteration: Option<u32>,
    /// The commit before, in the campaign's repository.
    pub(in crate::cli) from: String,
    /// The commit after.
    pub(in crate::cli) to: String,
    /// What is different, as `git apply` takes it.
    pub(in crate::cli) patch: String,
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

/// What was published.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CampaignPublishedLine {
    /// The branch of the user's repository.
    pub(in crate::cli) branch: String,
    /// Its last commit.
    pub(in crate::cli) commit: String,
    /// How many commits are new.
    pub(in crate::cli) added: u32,
}
