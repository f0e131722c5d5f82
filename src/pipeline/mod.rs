//! The pipeline file: TOML to a validated [`Pipeline`], with every mistake found at once.
//!
//! Not for: the graph (that is `plan`), what a kernel computes (that is `problem`), or running
//! anything. Files are read through a given [`Loader`]; nothing here touches a clock, a process,
//! the environment or a device.

mod compile;
mod device;
mod draft;
mod duration;
pub mod file;
mod findings;
mod matrix;
mod metric;
#[cfg(test)]
mod mutation_tests;
mod overlay;
mod paths;
mod preset;
mod resolve;
mod rule;
mod schema;
#[cfg(test)]
mod tests;
mod upstream;
mod validate;
pub mod values;
mod variables;
pub mod when;
mod work;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Source};
use crate::digest::Digest;

pub use metric::{MetricStream, TimeUnit};
pub use preset::BUILT_IN;
pub use resolve::load;
pub use rule::{Guard, Incumbent, RuleWork};
pub use schema::schemas;
pub use validate::COMPARED;
pub use variables::DIR;

/// How this room sees the world outside: files and the environment.
pub trait Loader {
    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// True when a file or folder is there.
    fn exists(&self, path: &Path) -> bool;
    /// Names of the entries of a folder, sorted; empty when there is none.
    fn list(&self, dir: &Path) -> Vec<String>;
    /// An environment variable, for `${env.NAME}`.
    fn env(&self, name: &str) -> Option<String>;
    /// True for a variable that is set, be it text or not.
    fn is_set(&self, name: &str) -> bool {
        self.env(name).is_some()
    }
    /// Where a path leads to through links; itself where it is not there.
    fn real(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// What the command line changes about a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Overrides {
    /// `--set key=value`: variables of `[vars]` and dotted paths such as `stages.candidate.repeats`.
    pub set: BTreeMap<String, String>,
    /// `--kernel PATH`, already relative to the pipeline's folder or absolute.
    pub kernel: Option<String>,
    /// `--device D`.
    pub device: Option<String>,
    /// `--stage-repeats 8,16,32` or `--repeats 32`.
    pub repeats: Option<Vec<u32>>,
    /// `--early-stop-us T`.
    pub early_stop_us: Option<f64>,
    /// `--timeout-seconds S`.
    pub timeout_s: Option<f64>,
    /// `--incumbent I`, for the stages that score.
    pub incumbent: Option<String>,
    /// Presets to add as stages of their own names, unless the file has such stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Stages that are planned, with what they need; all when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
}

/// A pipeline with presets merged, variables put in and matrices multiplied out.
/// No `Option` here means "the default": defaults are filled in.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The pipeline file as it was given.
    pub path: PathBuf,
    /// The folder that relative paths and commands start from: the pipeline file's.
    pub dir: PathBuf,
    /// The text, for diagnostics of later rooms.
    pub source: Arc<Source>,
    /// Kernel sources as written (relative to `dir`, or absolute); empty for command pipelines.
    pub kernel: Vec<String>,
    /// Kernel sources as the file names them, whatever the command line says.
    pub usual_kernel: Vec<String>,
    /// The problem file and where the pipeline names it.
    pub problem: Option<(String, Range<usize>)>,
    /// Where it is to run.
    pub device: DeviceRequest,
    /// Stages in file order.
    pub stages: Vec<Stage>,
    /// Every file that was read, so that a parsed pipeline can be kept: the pipeline, presets.
    pub sources: Vec<PathBuf>,
    /// The project's own preset folder was looked for here (whether or not it exists).
    pub preset_dir: PathBuf,
    /// Environment variables that `${env.NAME}` read.
    pub env_read: Vec<String>,
}

/// `device = …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceRequest {
    /// The best there is: the first CUDA device for CUDA sources, else the CPU.
    Auto,
    /// The CPU.
    Cpu(Cores),
    /// A CUDA device by index or `GPU-<uuid>`.
    Cuda(String),
}

/// Which cores a kernel may run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cores {
    /// One that the engine picks.
    Picked,
    /// The one of that number.
    One(u32),
    /// Every one, for kernels with threads.
    All,
}

/// Where a kernel runs: a [`DeviceRequest`] with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// These cores.
    Cpu(Cores),
    /// A CUDA device by index or `GPU-<uuid>`.
    Cuda(String),
}

/// One `[stages.NAME]`.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Bytes of the name in the pipeline's source.
    pub span: Range<usize>,
    /// The preset it was made from, if any.
    pub preset: Option<String>,
    /// Stages that must pass first, each with its span.
    pub needs: Vec<(String, Range<usize>)>,
    /// Condition over upstream results, such as `candidate.median_us < 900`; checked to parse and
    /// to name only results that exist. Dashes in stage names are written as underscores.
    pub when: Option<String>,
    /// One per point of the matrix; exactly one with an empty label when there is no matrix.
    pub variants: Vec<Variant>,
    /// The metric that says which variant is best, and whether lower is better.
    pub best_by: (String, Direction),
}

/// One point of a stage's matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// `define.BLOCK=64,flags=-O2`; empty without a matrix.
    pub label: String,
    /// What it does.
    pub work: Work,
}

/// What a stage does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Runs a command.
    Command(CommandWork),
    /// Compares the kernel's outputs with the reference's.
    Check(CheckWork),
    /// Measures the kernel.
    Bench(BenchWork),
}

/// `run = …`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandWork {
    /// The command.
    pub run: Run,
    /// Input files and patterns, relative to `dir`, in file order.
    pub inputs: Vec<String>,
    /// Output files, relative to `dir`.
    pub outputs: Vec<String>,
    /// Variables set for the command.
    pub env: BTreeMap<String, String>,
    /// Variables passed through by name; their values count in the key.
    pub pass_env: Vec<String>,
    /// A make-style dependency file the command writes: its entries become inputs.
    pub depfile: Option<String>,
    /// The number it prints, if it has one.
    pub metric: Option<CommandMetric>,
    /// Limits.
    pub limits: Limits,
    /// Whether its result is used again.
    pub cache: Reuse,
    /// True: nothing else runs meanwhile.
    pub exclusive: bool,
    /// Free text that only changes the key.
    pub salt: String,
    /// Whether its number scores a kernel or confirms an earlier score.
    pub purpose: Purpose,
    /// What its number is compared with.
    pub incumbent: Incumbent,
    /// Pairs of runs at each look.
    pub repeats: Vec<u32>,
    /// How that is decided.
    pub rule: RuleWork,
    /// Ignored files and folders that a comparison needs, relative to `dir`.
    pub carry: Vec<String>,
    /// The kernel's files where the command compares: found by the plan, and empty before.
    pub kernel: Vec<KernelFile>,
    /// What takes their place on the incumbent's side: found by the plan, and `None` before.
    pub opponent: Option<Opponent>,
}

/// Whether a command's result is used again while nothing that it declares has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reuse {
    /// It is.
    Yes,
    /// It says `cache = false`.
    No,
    /// It says neither what it reads nor that it reads nothing, so nobody could tell that it is
    /// out of date.
    Unsure,
}

/// A kernel's file as a command that compares finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFile {
    /// The candidate's, relative to the root.
    pub file: String,
    /// Where it lies for the command, relative to the root: its own place, and that of the file
    /// that the pipeline names, when the command line names another.
    pub places: Vec<String>,
}

/// The incumbent of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opponent {
    /// Its files, relative to the root, in the order of the kernel's.
    pub kernel: Vec<String>,
    /// How people call it.
    pub called: String,
    /// Under which key it was measured itself, where that is known.
    pub measured: Option<Digest>,
}

/// A command as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// A string, for `sh -c`.
    Shell(String),
    /// A list, executed as it is; never empty.
    Argv(Vec<String>),
}

/// Time limit and retries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// After this the whole process tree is ended; 0: no limit.
    pub timeout_ms: u64,
    /// Time between TERM and KILL.
    pub grace_ms: u64,
    /// How often an infrastructure failure is tried again.
    pub retries: u32,
}

/// How a command's number is read, and which way is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandMetric {
    /// Its name among the stage's results.
    pub name: String,
    /// How it is found in what the command prints.
    pub from: MetricSource,
    /// Where it is printed.
    pub stream: MetricStream,
    /// What it is given in, where it is a time that may be printed in several units.
    pub unit: Option<TimeUnit>,
    /// Which way is better.
    pub better: Direction,
    /// How two of them are compared.
    pub scale: MetricScale,
    /// Whether it is the same each time; `None`: seen when it is.
    pub deterministic: Option<bool>,
}

/// How two values of a metric are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricScale {
    /// By their ratio; they must be above 0.
    Ratio,
    /// By their difference, in the metric's own unit: for percentages and what may be 0 or less.
    Difference,
}

/// Where a command's number stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MetricSource {
    /// Last match's group `value`, else its first one but `unit`, else all of it.
    Regex(String),
    /// RFC 9535 path into the last JSON document of the output.
    JsonPath(String),
}

/// Lower or higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Lower is better.
    Lower,
    /// Higher is better.
    Higher,
}

/// How a kernel is compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileWork {
    /// The compiler as written; empty: `cc` for C, `c++` for C++, NVRTC for CUDA, nvcc for CUDA
    /// with host code.
    pub cc: String,
    /// Flags, in order.
    pub flags: Vec<String>,
    /// `-D` definitions.
    pub defines: BTreeMap<String, String>,
    /// `-I` folders, relative to `dir`.
    pub include_dirs: Vec<String>,
    /// What a CUDA kernel is compiled for, such as `sm_90a`; empty: what the device is.
    pub arch: String,
    /// A CUDA kernel with host code: a `launch` function.
    pub host: bool,
    /// How often it is linked, each time at other addresses; 1 for CUDA.
    pub layouts: u32,
    /// Limits.
    pub timeout_ms: u64,
}

/// A stage that checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckWork {
    /// How the kernel is compiled.
    pub compile: CompileWork,
    /// Launches whose outputs are compared, per case.
    pub launches: u32,
    /// Launches of one process on one case, to find what goes wrong only later.
    pub endurance: u32,
    /// Also run a build with sanitizers, where the compiler has them.
    pub sanitize: bool,
    /// What happens where the system cannot confine the kernel.
    pub sandbox: SandboxMode,
    /// Limits.
    pub limits: Limits,
}

/// A stage that measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchWork {
    /// What the measurement is for.
    pub purpose: Purpose,
    /// How the kernel is compiled.
    pub compile: CompileWork,
    /// Staged repeats: total timed launches per case at each look, rising.
    pub repeats: Vec<u32>,
    /// Untimed launches first.
    pub warmup: u32,
    /// Give up once the estimate is surely above this.
    pub early_stop_us: Option<f64>,
    /// Stop at a look once the interval's relative half-width is at most this.
    pub precision: Option<f64>,
    /// How the caches are when a launch begins.
    pub mode: CacheMode,
    /// What becomes of a CUDA device's clock meanwhile.
    pub clocks: Clocks,
    /// What happens where the system cannot confine the kernel.
    pub sandbox: SandboxMode,
    /// A command that prints counts per resource as JSON, for bounds.
    pub telemetry: Option<Run>,
    /// The stage's headline number: `median_us`, `mean_us`, `min_us` or `p90_us`
    /// (geometric mean over cases).
    pub metric: String,
    /// What it is compared with, where that is there; `repeats` then counts pairs.
    pub incumbent: Incumbent,
    /// How that is decided.
    pub rule: RuleWork,
    /// Limits.
    pub limits: Limits,
    /// False: measures every time.
    pub cache: bool,
}

/// How the caches are when a launch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// Buffers were just touched by the core that runs the kernel.
    Hot,
    /// Buffers were dropped from every cache.
    Cold,
}

/// What becomes of a CUDA device's clock while a stage measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clocks {
    /// It does what it does.
    AsIs,
    /// It is held at the rate that the device sustains, or the stage fails.
    Lock,
}

/// What happens where the system cannot confine the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// As much as the system offers; the level is recorded.
    Auto,
    /// All of it, or the stage fails.
    Required,
    /// None beyond a process of its own; for debugging.
    Off,
}

/// Why a stage measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Scoring.
    Candidate,
    /// Confirming.
    Final,
    /// Ranking.
    Leaderboard,
    /// Diagnosing.
    Profile,
    /// Finding out how much identical code differs.
    Calibrate,
}

/// What [`load`] found: the pipeline as far as it could be made, and everything wrong.
#[derive(Debug)]
pub struct Loaded {
    /// Present whenever enough was understood for later rooms to look for more mistakes.
    pub pipeline: Option<Pipeline>,
    /// All mistakes; empty means the pipeline is good.
    pub diagnostics: Vec<Diagnostic>,
}
