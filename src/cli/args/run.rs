//! The command lines of what runs, compares, explains or draws a pipeline.

use clap::{Args, ValueEnum};

use super::which::{Tuning, Which};

/// `optloop pipeline`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct PipelineArgs {
    #[command(flatten)]
    pub(in crate::cli) which: Which,
    /// Only these stages and what they need.
    pub(in crate::cli) stages: Vec<String>,
    /// Stages at the same time; by default what make or the processor allows.
    #[arg(long, short)]
    pub(in crate::cli) jobs: Option<usize>,
    /// Run everything, known or not.
    #[arg(long)]
    pub(in crate::cli) rerun: bool,
    /// After a failure, go on with stages that do not depend on it.
    #[arg(long, short)]
    pub(in crate::cli) keep_going: bool,
    /// Say what would run and why; run nothing, write nothing.
    #[arg(long, conflicts_with_all = ["rerun", "audit"])]
    pub(in crate::cli) dry_run: bool,
    /// Say of every stage that runs which fields of its key changed.
    #[arg(long)]
    pub(in crate::cli) explain: bool,
    /// Run commands under trace and refuse reads and writes that are not declared.
    #[arg(long)]
    pub(in crate::cli) audit: bool,
    /// Refuse instead of waiting when another run holds the state or the device.
    #[arg(long)]
    pub(in crate::cli) no_wait: bool,
    /// Print nothing but the path of an artifact: of the last stage that is named, else of the last
    /// that was measured.
    #[arg(long)]
    pub(in crate::cli) artifact_only: bool,
    /// Whose recorded output is shown: that of stages that ran, of all, or of none.
    #[arg(long, value_enum, default_value_t = Logs::All)]
    pub(in crate::cli) logs: Logs,
}

/// `--logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Logs {
    /// Of stages that ran.
    New,
    /// Of known stages too, marked with their age.
    All,
    /// Only of stages that failed.
    None,
}

/// `optloop compare`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompareArgs {
    /// The incumbent: a file, a git revision, `best` or `baseline`.
    #[arg(required_unless_present = "anchor")]
    pub(in crate::cli) a: Option<String>,
    /// The candidate, named alike.
    #[arg(required_unless_present = "anchor")]
    pub(in crate::cli) b: Option<String>,
    /// The pipeline that says what is computed and how it is built; without one, files are compared
    /// by the `problem.toml` beside them.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) pipeline: Option<String>,
    /// The stage whose rule decides.
    #[arg(long, default_value = "candidate")]
    pub(in crate::cli) stage: String,
    /// The best so far against the first baseline: 64 pairs, and the product of the steps beside it.
    #[arg(long, conflicts_with_all = ["a", "b"], requires = "pipeline")]
    pub(in crate::cli) anchor: bool,
    #[command(flatten)]
    pub(in crate::cli) tuning: Tuning,
}

/// `optloop calibrate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CalibrateArgs {
    #[command(flatten)]
    pub(in crate::cli) which: Which,
}

/// `optloop graph`.
#[derive(Debug, Args)]
pub(in crate::cli) struct GraphArgs {
    #[command(flatten)]
    pub(in crate::cli) which: Which,
    /// How it is drawn.
    #[arg(long = "as", value_enum, default_value_t = Drawing::Tree)]
    pub(in crate::cli) drawing: Drawing,
}

/// `--as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Drawing {
    /// A tree of text.
    Tree,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// `optloop explain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    #[command(flatten)]
    pub(in crate::cli) which: Which,
    /// The stage; all of them when none is named.
    pub(in crate::cli) stage: Option<String>,
}
