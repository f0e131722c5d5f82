//! The command line as typed values.

mod alone;
mod best;
mod inspect;

use std::path::PathBuf;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use crate::diagnostic::nearest;
use crate::record::Decision;

pub(super) use alone::pipeline_alone;
pub(super) use best::{BestArgs, BestCommand, KeepArgs, SetArgs, WhichBest};
pub(super) use inspect::{AsmArgs, DeviceCodeArgs, InspectCommand, ResourcesArgs};

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

/// Which pipeline, and what the command line changes about it.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The pipeline file; a bare name is also looked for below `pipelines/`.
    pub(super) file: String,
    /// Measure this kernel instead of the pipeline's.
    #[arg(long, value_name = "PATH")]
    pub(super) kernel: Option<PathBuf>,
    /// What to compare with: best, baseline, none, `file:PATH` or `git:REVISION`.
    #[arg(long, value_name = "I")]
    pub(super) incumbent: Option<String>,
    #[command(flatten)]
    pub(super) tuning: Tuning,
}

/// How stages are run.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Tuning {
    /// Where to run: auto, cpu, cpu:N, cpu:all, cuda:N or cuda:GPU-UUID.
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Set a variable of [vars], or a dotted key such as stages.candidate.warmup.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) set: Vec<(String, String)>,
    /// Launches per case of measuring stages, or pairs of comparing ones, in one look.
    #[arg(long, value_name = "N", conflicts_with = "stage_repeats")]
    pub(super) repeats: Option<u32>,
    /// Launches per case, or pairs, after each look, rising.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',')]
    pub(super) stage_repeats: Option<Vec<u32>>,
    /// Give a measurement up once it is surely above this.
    #[arg(long, value_name = "US")]
    pub(super) early_stop_us: Option<f64>,
    /// Time limit of each stage.
    #[arg(long, value_name = "S")]
    pub(super) timeout_seconds: Option<f64>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

/// `optloop pipeline`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct PipelineArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// Only these stages and what they need.
    pub(super) stages: Vec<String>,
    /// Stages at the same time; by default what make or the processor allows.
    #[arg(long, short)]
    pub(super) jobs: Option<usize>,
    /// Run everything, known or not.
    #[arg(long)]
    pub(super) rerun: bool,
    /// After a failure, go on with stages that do not depend on it.
    #[arg(long, short)]
    pub(super) keep_going: bool,
    /// Say what would run and why; run nothing, write nothing.
    #[arg(long, conflicts_with_all = ["rerun", "audit"])]
    pub(super) dry_run: bool,
    /// Say of every stage that runs which fields of its key changed.
    #[arg(long)]
    pub(super) explain: bool,
    /// Run commands under trace and refuse reads and writes that are not declared.
    #[arg(long)]
    pub(super) audit: bool,
    /// Refuse instead of waiting when another run holds the state or the device.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Print nothing but the path of an artifact: of the last stage that is named, else of the last
    /// that was measured.
    #[arg(long)]
    pub(super) artifact_only: bool,
    /// Whose recorded output is shown: that of stages that ran, of all, or of none.
    #[arg(long, value_enum, default_value_t = Logs::All)]
    pub(super) logs: Logs,
}

/// `--logs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Logs {
    /// Of stages that ran.
    New,
    /// Of known stages too, marked with their age.
    All,
    /// Only of stages that failed.
    None,
}

/// `optloop compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The incumbent: a file, a git revision, `best` or `baseline`.
    #[arg(required_unless_present = "anchor")]
    pub(super) a: Option<String>,
    /// The candidate, named alike.
    #[arg(required_unless_present = "anchor")]
    pub(super) b: Option<String>,
    /// The pipeline that says what is computed and how it is built; without one, files are compared
    /// by the `problem.toml` beside them.
    #[arg(long, value_name = "FILE")]
    pub(super) pipeline: Option<String>,
    /// The stage whose rule decides.
    #[arg(long, default_value = "candidate")]
    pub(super) stage: String,
    /// The best so far against the first baseline: 64 pairs, and the product of the steps beside it.
    #[arg(long, conflicts_with_all = ["a", "b"], requires = "pipeline")]
    pub(super) anchor: bool,
    #[command(flatten)]
    pub(super) tuning: Tuning,
}

/// `optloop calibrate`.
#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    pub(super) which: Which,
}

/// `optloop graph`.
#[derive(Debug, Args)]
pub(super) struct GraphArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// How it is drawn.
    #[arg(long = "as", value_enum, default_value_t = Drawing::Tree)]
    pub(super) drawing: Drawing,
}

/// `--as`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Drawing {
    /// A tree of text.
    Tree,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// `optloop explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) which: Which,
    /// The stage; all of them when none is named.
    pub(super) stage: Option<String>,
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

/// `optloop artifact …`.
#[derive(Debug, Subcommand)]
pub(super) enum ArtifactCommand {
    /// List artifacts, newest last.
    Ls {
        /// Only of this stage.
        #[arg(long)]
        stage: Option<String>,
    },
    /// Show one: a path, a run, RUN/STAGE, or `last`.
    Show {
        /// Which.
        #[arg(default_value = "last")]
        artifact: String,
        /// Pictures in ASCII, whatever the locale.
        #[arg(long)]
        ascii: bool,
    },
    /// Write down what was decided about one; what was measured is not touched.
    Analyze(AnalyzeArgs),
    /// Print the path of one.
    Path {
        /// Which.
        #[arg(default_value = "last")]
        artifact: String,
    },
}

/// `optloop artifact analyze`.
#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    /// Which: a path, a run, RUN/STAGE, or `last`.
    pub(super) artifact: String,
    /// KEEP, REVERT or UNDECIDED.
    #[arg(long, value_parser = DecisionParser)]
    pub(super) decision: Decision,
    #[command(flatten)]
    pub(super) said: SaidArgs,
    /// Who decided.
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(super) by: Option<String>,
}

/// `optloop revert`.
#[derive(Debug, Args)]
pub(super) struct RevertArgs {
    #[command(flatten)]
    pub(super) decided: Decided,
}

/// What is decided, and why.
#[derive(Debug, Args)]
pub(super) struct Decided {
    /// What it is decided on: a path, a run, RUN/STAGE; by default the last comparison or
    /// measurement of a stage that scores.
    #[arg(default_value = "last")]
    pub(super) artifact: String,
    #[command(flatten)]
    pub(super) said: SaidArgs,
}

/// What is said about a decision.
#[derive(Debug, Args)]
pub(super) struct SaidArgs {
    /// Why, in a sentence or a few.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(super) summary: String,
    /// A signal or an outlier; once each.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(super) feedback: Vec<String>,
    /// What to try next.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(super) next_step: Option<String>,
}

/// A text that says something. A forgotten one would swallow the option behind it.
fn said(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty: say something".to_owned()),
        text if text.starts_with("--") => Err("it reads like an option: say something".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Words of decisions, told to completion scripts too.
#[derive(Clone)]
struct DecisionParser;

impl TypedValueParser for DecisionParser {
    type Value = Decision;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Decision, clap::Error> {
        StringValueParser::new().try_map(|word| decision(&word)).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Decision::ALL.into_iter().map(|d| PossibleValue::new(d.word()))))
    }
}

fn decision(word: &str) -> Result<Decision, String> {
    Decision::of_word(word).ok_or_else(|| {
        let words = Decision::ALL.map(Decision::word);
        match nearest(word, words) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", words.join(", ")),
        }
    })
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
