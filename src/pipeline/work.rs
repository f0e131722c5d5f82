//! What a stage does, in final types: nothing is left open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::values::BENCH_METRICS;
use super::{CommandMetric, Incumbent, RuleWork};
use crate::digest::Digest;
use crate::stats::Metrics;

/// What a comparison adds to a stage's results; all 0 where there was nothing to compare with.
pub const COMPARED: [&str; 4] =
    [Metrics::GAIN, Metrics::GAIN_LOWER, Metrics::GAIN_UPPER, Metrics::PAIRS];

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

impl Work {
    /// The command, where it runs one.
    pub fn command(&self) -> Option<&CommandWork> {
        match self {
            Self::Command(work) => Some(work),
            _ => None,
        }
    }

    /// The check, where it is one.
    pub fn check(&self) -> Option<&CheckWork> {
        match self {
            Self::Check(work) => Some(work),
            _ => None,
        }
    }

    /// The measurement, where it is one of a kernel.
    pub fn bench(&self) -> Option<&BenchWork> {
        match self {
            Self::Bench(work) => Some(work),
            _ => None,
        }
    }

    /// How its kernel is built, where it takes one.
    pub fn compile(&self) -> Option<&CompileWork> {
        match self {
            Self::Check(work) => Some(&work.compile),
            Self::Bench(work) => Some(&work.compile),
            Self::Command(_) => None,
        }
    }

    /// Whether its kernel runs in a worker that is confined.
    pub fn is_confined(&self) -> bool {
        match self {
            Self::Check(work) => work.sandbox != SandboxMode::Off,
            Self::Bench(work) => work.sandbox != SandboxMode::Off,
            Self::Command(_) => false,
        }
    }

    /// Whether it gives a number by which kernels can be compared.
    pub fn measures(&self) -> bool {
        match self {
            Self::Bench(_) => true,
            Self::Command(work) => work.metric.is_some(),
            Self::Check(_) => false,
        }
    }

    /// Names of the numbers that it gives to `when` and to the result table, besides those that
    /// each stage has.
    pub fn results(&self) -> Vec<&str> {
        match self {
            Self::Bench(_) => {
                let mut results = BENCH_METRICS.to_vec();
                results.extend([
                    Metrics::LAUNCHES,
                    Metrics::PROCESSES,
                    "stopped_early",
                    "unstable",
                    Metrics::MEDIAN_LOWER_US,
                    Metrics::MEDIAN_UPPER_US,
                ]);
                results.extend(COMPARED);
                results
            }
            Self::Check(_) => vec![Metrics::CASES, Metrics::MISMATCHES, Metrics::MAX_ERROR],
            Self::Command(work) => {
                let mut results: Vec<&str> =
                    work.metric.iter().map(|metric| metric.name.as_str()).collect();
                if work.incumbent != Incumbent::None {
                    results.extend(COMPARED);
                }
                results
            }
        }
    }
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
    /// It says neither what it reads nor that it reads nothing, so there is no telling that it is
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

impl Purpose {
    /// What a command is for that does not say so.
    pub(super) fn of_command(stage: &str) -> Self {
        if stage == "final" { Self::Final } else { Self::Candidate }
    }
}

impl CommandWork {
    /// Whether it is run on an incumbent as well, where there is one.
    pub fn compares(&self) -> bool {
        self.incumbent != Incumbent::None && self.metric.is_some()
    }
}

impl Work {
    /// Whether it compares with the best of its place, and so decides what becomes of a kernel.
    pub fn scores(&self) -> bool {
        match self {
            Self::Bench(bench) => {
                bench.incumbent == Incumbent::Best && bench.purpose != Purpose::Calibrate
            }
            Self::Command(command) => {
                command.incumbent == Incumbent::Best && command.metric.is_some()
            }
            Self::Check(_) => false,
        }
    }
}
