//! The command line of `optloop loop`.

use clap::{Args, Subcommand};

/// `optloop loop …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LoopCommand {
    /// Start a campaign: an agent proposes one change at a time, and the pipeline decides whether it
    /// stays.
    ///
    /// The checkout is not touched. One of the same name that has not ended is taken up.
    Start(StartArgs),
    /// Take up the last campaign that has not ended.
    Resume(WhichCampaign),
    /// Say how a campaign is doing, whether it runs or not.
    Status(WhichCampaign),
    /// Ask a campaign to end after its present iteration.
    Stop(WhichCampaign),
    /// Show what was tried, and what came of it.
    Results(WhichCampaign),
    /// Print what an iteration changed, or what all kept ones changed together, as a patch.
    Diff(DiffArgs),
}

/// `optloop loop start`.
#[derive(Debug, Args)]
pub(in crate::cli) struct StartArgs {
    /// The campaign file.
    #[arg(default_value = "campaign.toml")]
    pub(in crate::cli) file: String,
    /// Say what would be done, and the first prompt; do nothing.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Allow changes of a file or pattern that `scope.approve` names; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) approve: Vec<String>,
}

/// Which campaign is meant.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct WhichCampaign {
    /// Its name, or its name and time; the last one without it.
    pub(in crate::cli) campaign: Option<String>,
}

/// `optloop loop diff`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// Only what this iteration changed.
    #[arg(long, short, value_name = "N")]
    pub(in crate::cli) iteration: Option<u32>,
    #[command(flatten)]
    pub(in crate::cli) which: WhichCampaign,
}
