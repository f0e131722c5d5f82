//! The command line of `optloop best`, and of taking a keep back.

use clap::{Args, Subcommand};

use super::said::{SaidArgs, said};
use super::which::Tuning;

/// `optloop best …`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BestArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<BestCommand>,
}

/// What is done about the best.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BestCommand {
    /// Show the best of each problem, device and metric: its files, numbers and history.
    Show {
        /// Only of this problem.
        problem: Option<String>,
    },
    /// List the best of each problem, device and metric, a line each.
    Ls,
    /// Make the kernel of a git revision or a file the best, after it is built, checked and measured.
    ///
    /// What was the best stays in the ledger and in `.optloop/best/`, and `optloop best undo` brings
    /// it back.
    Set(SetArgs),
    /// Begin anew: the next run sets the baseline. Nothing is lost, and `optloop best undo` takes it
    /// back.
    Reset(WhichBest),
    /// Take the last keep, set or reset back: what was the best before is the best again.
    Undo(WhichBest),
}

/// `optloop best set`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetArgs {
    /// A git revision such as HEAD or main~2, or a file.
    #[arg(value_name = "REV|FILE")]
    pub(in crate::cli) kernel: String,
    /// The pipeline that says what is computed and how it is built.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) pipeline: String,
    /// The stage that measures it; by default the first that compares with the best.
    #[arg(long)]
    pub(in crate::cli) stage: Option<String>,
    /// Why, in a sentence or a few.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(in crate::cli) summary: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) tuning: Tuning,
}

/// Which best is meant, where there are several.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct WhichBest {
    /// That of this pipeline.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) pipeline: Option<String>,
    /// And of this stage's metric; by default of the first that compares with the best.
    #[arg(long, requires = "pipeline")]
    pub(in crate::cli) stage: Option<String>,
    /// And on this device.
    #[arg(long, requires = "pipeline")]
    pub(in crate::cli) device: Option<String>,
    /// That of this problem.
    #[arg(long, conflicts_with = "pipeline")]
    pub(in crate::cli) problem: Option<String>,
    /// That of this metric.
    #[arg(long, conflicts_with = "pipeline")]
    pub(in crate::cli) metric: Option<String>,
    /// Why, in a sentence or a few.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(in crate::cli) summary: Option<String>,
}

/// `optloop keep`.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeepArgs {
    /// What it is decided on: a path, a run, RUN/STAGE; by default the last comparison or
    /// measurement of a stage that scores.
    #[arg(default_value = "last")]
    pub(in crate::cli) artifact: String,
    /// Why, in a sentence or a few.
    #[arg(
        long,
        value_name = "TEXT",
        value_parser = said,
        allow_hyphen_values = true,
        required_unless_present = "undo"
    )]
    summary: Option<String>,
    /// A signal or an outlier; once each.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    feedback: Vec<String>,
    /// What to try next.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    next_step: Option<String>,
    /// Commit nothing.
    #[arg(long, conflicts_with = "undo")]
    pub(in crate::cli) no_commit: bool,
    /// Take the last keep back: what was the best before is the best again. Files and commits stay as
    /// they are, and it says which commit to revert.
    #[arg(long)]
    pub(in crate::cli) undo: bool,
    /// With --undo: revert that commit too, as `git revert` does.
    #[arg(long, requires = "undo")]
    pub(in crate::cli) git_revert: bool,
}

impl KeepArgs {
    /// What is said about the decision.
    pub(in crate::cli) fn said(&self) -> SaidArgs {
        SaidArgs {
            summary: self.summary.clone().unwrap_or_default(),
            feedback: self.feedback.clone(),
            next_step: self.next_step.clone(),
        }
    }
}
