//! The command line as typed values.

mod alone;
mod artifact;
mod best;
mod campaign;
mod inspect;
mod run;
mod said;
mod which;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;

pub(super) use alone::pipeline_alone;
pub(super) use artifact::{AnalyzeArgs, ArtifactCommand};
pub(super) use best::{BestArgs, BestCommand, KeepArgs, SetArgs, WhichBest};
pub(super) use campaign::{
    Budget, DiffArgs, LogCommand, LogForm, LoopCommand, ShowArgs, StartArgs, SteerArgs,
    WhichCampaign,
};
pub(super) use inspect::{AsmArgs, DeviceCodeArgs, InspectCommand, ResourcesArgs};
pub(super) use run::{
    CalibrateArgs, CompareArgs, Drawing, ExplainArgs, GraphArgs, Logs, PipelineArgs,
};
pub(super) use said::{RevertArgs, SaidArgs};
pub(super) use which::{Tuning, Which};

/// optloop makes kernel optimisation a build.
///
/// A TOML pipeline declares stages; what is known already is not run again.
#[derive(Debug, Parser)]
#[command(name = "optloop", version, after_help = exit::TABLE, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Global {
    /// How results are written to standard output.
    #[arg(long, value_enum, default_value_t = Format::Human, global = true)]
    pub(super) format: Format,
    /// Only failures, and what was asked for.
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// Colours and progress bars.
    #[arg(long, value_enum, default_value_t = When::Auto, global = true)]
    pub(super) color: When,
}

/// `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON object a line, with a version field in the first.
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless `NO_COLOR` is set or `CLICOLOR` is 0; anywhere with `CLICOLOR_FORCE`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a pipeline: what is known comes from the cache.
    #[command(visible_alias = "p")]
    Pipeline(PipelineArgs),
    /// Draw a pipeline's stages and what they need.
    Graph(GraphArgs),
    /// Say why a stage would run, without running or writing anything.
    Explain(ExplainArgs),
    /// List, show and analyse the accounts of measured stages.
    #[command(subcommand)]
    Artifact(ArtifactCommand),
    /// Compare two kernels, pair by pair, until it is decided which is better.
    Compare(CompareArgs),
    /// Measure how much identical code differs on this machine, and what can be seen through it.
    Calibrate(CalibrateArgs),
    /// Decide again from recorded pairs.
    Replay(ReplayArgs),
    /// Make a candidate that was proven better the incumbent, and commit its files.
    Keep(KeepArgs),
    /// Put the incumbent's files back where the candidate's are.
    Revert(RevertArgs),
    /// Let an agent improve a kernel for hours: one change at a time, measured and decided here.
    #[command(subcommand)]
    Loop(LoopCommand),
    /// Show the best of each problem, make another kernel the best, or begin anew.
    Best(BestArgs),
    /// Look inside what a kernel is compiled to.
    #[command(subcommand)]
    Inspect(InspectCommand),
    /// Look after what is kept in `.optloop/`.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Print the JSON schemas of pipeline, preset and problem files, for editors.
    Schema(SchemaArgs),
    /// Write a working example into a folder.
    Init(InitArgs),
    /// List the devices of this machine.
    Devices,
    /// Say what this machine has, what is missing, and the command that mends it.
    Doctor,
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder.
    Man(ManArgs),
}

/// `optloop replay`.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The artifact: a path, a run, RUN/STAGE, or `last`. With --jsonl a file of lines; `-` reads
    /// standard input.
    #[arg(value_name = "FILE|-")]
    pub(super) file: Option<String>,
    /// Read decisions as JSON lines, and write one answer a line.
    #[arg(long)]
    pub(super) jsonl: bool,
}

/// `optloop cache …`.
#[derive(Debug, Subcommand)]
pub(super) enum CacheCommand {
    /// How much is kept.
    Stats,
    /// Remove what no pipeline's present state refers to.
    Gc {
        /// Remove every kept result and all state; artifacts stay.
        #[arg(long)]
        all: bool,
    },
    /// Prove that everything kept is what its name says.
    Verify,
}

/// `optloop schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// pipeline, preset, problem or event; all when none is named.
    pub(super) name: Option<String>,
    /// Write one file each into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

/// `optloop init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder.
    #[arg(default_value = ".")]
    pub(super) dir: PathBuf,
    /// Write a campaign file for a pipeline that is there, instead of the example.
    #[arg(long)]
    pub(super) campaign: bool,
    /// The campaign's agent; without it versions of the kernel are replayed from a folder.
    #[arg(long, value_name = "COMMAND", requires = "campaign")]
    pub(super) agent: Option<String>,
    /// The pipeline that decides, from the folder; the first that compares with the best without it.
    #[arg(long, value_name = "FILE", requires = "campaign")]
    pub(super) pipeline: Option<PathBuf>,
}

/// `optloop completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    pub(super) shell: clap_complete::Shell,
}

/// `optloop man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page per command into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}
