//! The command line of `optloop loop`.

use clap::{Args, Subcommand, ValueEnum};

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
    /// Change what a campaign aims at, from its next iteration on.
    Steer(SteerArgs),
    /// Show what was tried, and what came of it.
    Results(WhichCampaign),
    /// Make a commit of each kept change on the branch `optloop/ID` of this repository.
    ///
    /// Files, index and HEAD stay as they are; what the branch has already is not made again.
    Publish(WhichCampaign),
    /// Show, check, export and make anew what is recorded of a campaign.
    #[command(subcommand)]
    Log(LogCommand),
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
    /// In place of the file's `name`; or `OPTLOOP_NAME`.
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// In place of the file's `goal`; or `OPTLOOP_GOAL`.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) goal: Option<String>,
    /// In place of the file's `target`; or `OPTLOOP_TARGET`.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(in crate::cli) target: Option<f64>,
    /// In place of the file's `budget.iterations`; or `OPTLOOP_ITERATIONS`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) iterations: Option<u32>,
    /// In place of the file's `budget.hours`; or `OPTLOOP_HOURS`.
    #[arg(long, value_name = "H")]
    pub(in crate::cli) hours: Option<f64>,
}

/// `optloop loop steer`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("wish").required(true).multiple(true))]
pub(in crate::cli) struct SteerArgs {
    #[command(flatten)]
    pub(in crate::cli) which: WhichCampaign,
    /// Tell the agent something: it goes into every later prompt.
    #[arg(long, value_name = "TEXT", group = "wish")]
    pub(in crate::cli) say: Option<String>,
    /// The metric that is enough, in its unit.
    #[arg(long, value_name = "X", group = "wish", allow_negative_numbers = true)]
    pub(in crate::cli) target: Option<f64>,
    /// A better metric to aim at; it ends nothing.
    #[arg(long, value_name = "X", group = "wish", allow_negative_numbers = true)]
    pub(in crate::cli) stretch: Option<f64>,
    /// Allow changes of a file or pattern that `scope.approve` names; may be repeated.
    #[arg(long, value_name = "PATH", group = "wish")]
    pub(in crate::cli) approve: Vec<String>,
    /// Another budget; may be repeated. Counted from the beginning of the campaign.
    #[arg(long, value_name = "iterations=N|hours=H|failures=N", group = "wish")]
    #[arg(value_parser = budget)]
    pub(in crate::cli) budget: Vec<Budget>,
}

/// A part of a campaign's budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) enum Budget {
    /// Iterations.
    Iterations(u32),
    /// Hours of iterations.
    Hours(f64),
    /// Failures of the agent or the machine.
    Failures(u32),
}

/// Why this is no part of a budget.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum NoBudget {
    /// Another key, or none.
    #[error("write iterations=N, hours=H or failures=N")]
    Key,
    /// The value is none.
    #[error("`{0}` is no such number")]
    Value(String),
}

fn budget(text: &str) -> Result<Budget, NoBudget> {
    let (key, value) = text.split_once('=').ok_or(NoBudget::Key)?;
    let whole = || value.parse().map_err(|_| NoBudget::Value(value.to_owned()));
    match key {
        "iterations" => Ok(Budget::Iterations(whole()?)),
        "failures" => Ok(Budget::Failures(whole()?)),
        "hours" => {
            let hours = value.parse().map_err(|_| NoBudget::Value(value.to_owned()))?;
            Ok(Budget::Hours(hours))
        }
        _ => Err(NoBudget::Key),
    }
}

/// Which campaign is meant.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct WhichCampaign {
    /// Its name, or its name and time; the last one without it.
    pub(in crate::cli) campaign: Option<String>,
}

/// `optloop loop log …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum LogCommand {
    /// Show all iterations in a table, or one with all that is known of it.
    Show(ShowArgs),
    /// Look whether commits, artifacts and files are what the log says; exit code 1 where not.
    Lint(WhichCampaign),
    /// Print all attempts, one JSON object a line, as another loop would have written them.
    Export(ExportArgs),
    /// Make report, diary and all other files anew that are made from the log.
    Rebuild(WhichCampaign),
}

/// `optloop loop log show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Only this iteration, whole.
    #[arg(long, short, value_name = "N")]
    pub(in crate::cli) iteration: Option<u32>,
    #[command(flatten)]
    pub(in crate::cli) which: WhichCampaign,
}

/// `optloop loop log export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The form of the lines.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    pub(in crate::cli) form: LogForm,
    #[command(flatten)]
    pub(in crate::cli) which: WhichCampaign,
}

/// `--as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogForm {
    /// Keys `git_sha`, `cycles`, `valid`, `strategy_tags`: of a loop in which an advisor plans.
    Advised,
    /// Keys `commit`, `metric`, `delta`, `guard`: of a loop that one agent session drives.
    Interactive,
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
