//! The exact image of a pipeline file and of a preset file: what may be written, and nothing
//! about what it means. The comments on the fields become the descriptions of the JSON schema.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use super::rule::RuleFile;
use super::values::{MetricFile, OneOrMany, Scalar};
use super::{CacheMode, Clocks, Purpose, SandboxMode};
use crate::diagnostic::{Entries, Spanned};

/// A list of strings that all know their places.
pub type Strings = Spanned<Vec<Spanned<String>>>;

/// An optloop pipeline.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "optloop pipeline")]
pub struct PipelineFile {
    /// What the results are filed under.
    #[schemars(required, length(min = 1))]
    pub name: Option<Spanned<String>>,
    /// The code under test: `.c`, `.cc`, `.cpp`, `.cu`, `.ptx` or `.cubin`; several are built
    /// into one.
    pub kernel: Option<OneOrMany<String>>,
    /// The problem file: what the kernel must compute.
    pub problem: Option<Spanned<String>>,
    /// `auto`, `cpu`, `cpu:3`, `cuda:0` or `cuda:GPU-<uuid>`.
    pub device: Option<Spanned<String>>,
    /// Variables, used as `${name}`.
    #[serde(default)]
    pub vars: Entries<Spanned<Scalar>>,
    /// How the kernel is compiled, in every stage that does not say otherwise.
    pub compile: Option<CompileFile>,
    /// The stages by name.
    #[schemars(required)]
    pub stages: Option<Entries<StageFile>>,
}

/// How a kernel is compiled.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompileFile {
    /// The compiler; `cc` for C, `c++` for C++ and `nvrtc` for CUDA when not given.
    #[schemars(length(min = 1))]
    pub cc: Option<Spanned<String>>,
    /// Flags; `-O3 -march=native` for C and C++ when not given, none for CUDA.
    pub flags: Option<Strings>,
    /// Definitions, as `-DNAME=value`. True is 1 and false is 0.
    #[serde(default)]
    pub defines: Entries<Spanned<Scalar>>,
    /// Folders for `-I`.
    pub include_dirs: Option<Strings>,
    /// What a CUDA kernel is compiled for, such as `sm_90a`; what the device is when not given.
    pub arch: Option<Spanned<String>>,
    /// True: a CUDA kernel with host code, `extern "C" void launch(arguments…, cudaStream_t)`.
    pub host: Option<Spanned<bool>>,
    /// How often a kernel in C or C++ is linked, each time at other addresses; processes that measure have
    /// one of these by lot.
    #[schemars(range(min = 1, max = 8))]
    pub layouts: Option<Spanned<u32>>,
    /// How long the compiler may take, such as `60s`.
    pub timeout: Option<Spanned<String>>,
}

/// What a stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Compares the kernel's outputs with the reference's.
    Check,
    /// Measures the kernel.
    Bench,
    /// Runs a command.
    Command,
}

/// A stage, in a pipeline or as a preset in a file of its own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "optloop stage")]
pub struct StageFile {
    /// What it is for, in a few words.
    pub description: Option<String>,
    /// The preset it starts from; without `use` and `run`, the preset of the stage's own name.
    #[serde(rename = "use")]
    pub preset: Option<Spanned<String>>,
    /// What it does; comes with the preset, or is `command` where there is a `run`.
    pub kind: Option<Spanned<Kind>>,
    /// What a measurement is for; a command with a metric is `candidate` or `final`.
    pub purpose: Option<Spanned<Purpose>>,
    /// Stages that must pass first.
    pub needs: Option<Strings>,
    /// Run only when this holds over results of earlier stages: `candidate.median_us < 900`.
    pub when: Option<Spanned<String>>,
    /// How long it may take: `500ms`, `60s`, `2m`, `1h` or `none`.
    pub timeout: Option<Spanned<String>>,
    /// Time between asking it to end and ending it.
    pub grace: Option<Spanned<String>>,
    /// How often a failure of the machinery (never of the kernel) is tried again.
    pub retries: Option<Spanned<u32>>,
    /// Values to try: one node for each combination, the best one is the stage's result.
    pub matrix: Option<Spanned<MatrixFile>>,
    /// The command: a string goes to `sh -c`, a list is executed as it is.
    pub run: Option<OneOrMany<String>>,
    /// Files and patterns that the command reads; an empty list when it reads none. Without it the
    /// command runs every time.
    pub inputs: Option<Strings>,
    /// Files that the command writes.
    pub outputs: Option<Strings>,
    /// Environment variables to set.
    pub env: Option<Spanned<Entries<Spanned<Scalar>>>>,
    /// Environment variables to pass on, by name.
    pub pass_env: Option<Strings>,
    /// A make-style dependency file that the command writes.
    pub depfile: Option<Spanned<String>>,
    /// The headline number: a name for a measuring stage, a table for a command.
    pub metric: Option<Spanned<MetricFile>>,
    /// False: runs every time. True: a command that names no inputs is known while it is the same.
    pub cache: Option<Spanned<bool>>,
    /// True: nothing else runs meanwhile; without it what has a metric runs alone.
    pub exclusive: Option<Spanned<bool>>,
    /// Ignored files and folders that a comparison needs: each side gets a copy.
    pub carry: Option<Strings>,
    /// Any text; another text means another result.
    pub salt: Option<Spanned<String>>,
    /// How the kernel is compiled in this stage.
    pub compile: Option<Spanned<CompileFile>>,
    /// Launches whose outputs are compared, per case.
    #[schemars(range(min = 1))]
    pub launches: Option<Spanned<u32>>,
    /// Launches of one process on one case, to find what goes wrong only later; 0 for none.
    pub endurance: Option<Spanned<u32>>,
    /// Also run a build with sanitizers, where the compiler has them.
    pub sanitize: Option<Spanned<bool>>,
    /// Whether the kernel is confined: as far as the system can, fully or not at all.
    pub sandbox: Option<Spanned<SandboxMode>>,
    /// How the caches are when a launch begins.
    pub mode: Option<Spanned<CacheMode>>,
    /// What becomes of a CUDA device's clock meanwhile; locking it takes root.
    pub clocks: Option<Spanned<Clocks>>,
    /// Stop at a look once the interval's half-width is at most this share of the time: `0.01`.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub precision: Option<Spanned<f64>>,
    /// A command that prints counts per resource as JSON, for bounds; written like `run`.
    pub telemetry: Option<OneOrMany<String>>,
    /// Timed launches per case: one number, or a rising list of looks.
    pub repeats: Option<OneOrMany<u32>>,
    /// Untimed launches first.
    pub warmup: Option<Spanned<u32>>,
    /// Give up once the time per launch is surely above this.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub early_stop_us: Option<Spanned<f64>>,
    /// What to compare with: `best`, `none`, `file:PATH` or `git:REVISION`. Where there is one,
    /// `repeats` counts pairs. `candidate` and `final` compare with the best when not given.
    pub incumbent: Option<Spanned<String>>,
    /// The numbers by which a comparison is decided.
    pub rule: Option<Spanned<RuleFile>>,
}

/// `matrix = { define.BLOCK = [64, 128], … }`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixFile {
    /// Definitions for the compiler.
    #[serde(default)]
    pub define: Entries<Axis<Spanned<Scalar>>>,
    /// Variables, used as `${name}`.
    #[serde(default)]
    pub vars: Entries<Axis<Spanned<Scalar>>>,
    /// Flags added to the stage's own: a string is one flag, a list is several.
    pub flags: Option<Axis<OneOrMany<String>>>,
    /// Compilers.
    pub cc: Option<Axis<Spanned<String>>>,
    /// Timed launches.
    pub repeats: Option<Axis<OneOrMany<u32>>>,
}

/// The values of one dimension.
pub type Axis<T> = Spanned<Vec<T>>;

/// Lays what `top` gives over what `below` gives.
fn over<T: Clone>(top: &mut Option<T>, below: Option<&T>) {
    if top.is_none() {
        *top = below.cloned();
    }
}

impl StageFile {
    /// Fills in from `below` what is not given here.
    pub fn lay_over(&mut self, below: &Self) {
        over(&mut self.description, below.description.as_ref());
        over(&mut self.kind, below.kind.as_ref());
        over(&mut self.purpose, below.purpose.as_ref());
        over(&mut self.needs, below.needs.as_ref());
        over(&mut self.when, below.when.as_ref());
        over(&mut self.timeout, below.timeout.as_ref());
        over(&mut self.grace, below.grace.as_ref());
        over(&mut self.retries, below.retries.as_ref());
        over(&mut self.matrix, below.matrix.as_ref());
        over(&mut self.run, below.run.as_ref());
        over(&mut self.inputs, below.inputs.as_ref());
        over(&mut self.outputs, below.outputs.as_ref());
        over(&mut self.env, below.env.as_ref());
        over(&mut self.pass_env, below.pass_env.as_ref());
        over(&mut self.depfile, below.depfile.as_ref());
        over(&mut self.metric, below.metric.as_ref());
        over(&mut self.cache, below.cache.as_ref());
        over(&mut self.exclusive, below.exclusive.as_ref());
        over(&mut self.carry, below.carry.as_ref());
        over(&mut self.salt, below.salt.as_ref());
        over(&mut self.launches, below.launches.as_ref());
        over(&mut self.endurance, below.endurance.as_ref());
        over(&mut self.sanitize, below.sanitize.as_ref());
        over(&mut self.sandbox, below.sandbox.as_ref());
        over(&mut self.mode, below.mode.as_ref());
        over(&mut self.clocks, below.clocks.as_ref());
        over(&mut self.precision, below.precision.as_ref());
        over(&mut self.telemetry, below.telemetry.as_ref());
        over(&mut self.repeats, below.repeats.as_ref());
        over(&mut self.warmup, below.warmup.as_ref());
        over(&mut self.early_stop_us, below.early_stop_us.as_ref());
        over(&mut self.incumbent, below.incumbent.as_ref());
        over(&mut self.rule, below.rule.as_ref());
        match (&mut self.compile, &below.compile) {
            (Some(compile), Some(below)) => compile.value.lay_over(below),
            (compile, below) => over(compile, below.as_ref()),
        }
    }

    /// The keys that are given and not every kind of stage has, where, and which kinds have them.
    pub fn particular_keys(&self) -> impl Iterator<Item = (&'static str, Range<usize>, Fits)> {
        let matrix = self.matrix.as_deref();
        let define = matrix.and_then(|matrix| matrix.define.iter().next());
        [
            ("purpose", place(self.purpose.as_ref()), Fits::COMMAND.or(Fits::BENCH)),
            ("run", self.run.as_ref().map(OneOrMany::span), Fits::COMMAND),
            ("inputs", place(self.inputs.as_ref()), Fits::COMMAND),
            ("outputs", place(self.outputs.as_ref()), Fits::COMMAND),
            ("env", place(self.env.as_ref()), Fits::COMMAND),
            ("pass_env", place(self.pass_env.as_ref()), Fits::COMMAND),
            ("depfile", place(self.depfile.as_ref()), Fits::COMMAND),
            ("exclusive", place(self.exclusive.as_ref()), Fits::COMMAND),
            ("carry", place(self.carry.as_ref()), Fits::COMMAND),
            ("salt", place(self.salt.as_ref()), Fits::COMMAND),
            ("metric", place(self.metric.as_ref()), Fits::COMMAND.or(Fits::BENCH)),
            ("cache", place(self.cache.as_ref()), Fits::COMMAND.or(Fits::BENCH)),
            ("compile", place(self.compile.as_ref()), Fits::KERNEL),
            ("launches", place(self.launches.as_ref()), Fits::CHECK),
            ("endurance", place(self.endurance.as_ref()), Fits::CHECK),
            ("sanitize", place(self.sanitize.as_ref()), Fits::CHECK),
            ("sandbox", place(self.sandbox.as_ref()), Fits::KERNEL),
            ("mode", place(self.mode.as_ref()), Fits::BENCH),
            ("clocks", place(self.clocks.as_ref()), Fits::BENCH),
            ("precision", place(self.precision.as_ref()), Fits::BENCH),
            ("telemetry", self.telemetry.as_ref().map(OneOrMany::span), Fits::BENCH),
            ("repeats", self.repeats.as_ref().map(OneOrMany::span), Fits::COMMAND.or(Fits::BENCH)),
            ("warmup", place(self.warmup.as_ref()), Fits::BENCH),
            ("early_stop_us", place(self.early_stop_us.as_ref()), Fits::BENCH),
            ("incumbent", place(self.incumbent.as_ref()), Fits::COMMAND.or(Fits::BENCH)),
            ("rule", place(self.rule.as_ref()), Fits::COMMAND.or(Fits::BENCH)),
            ("matrix.define", define.map(|(key, _)| key.span.clone()), Fits::KERNEL),
            ("matrix.flags", matrix.and_then(|m| place(m.flags.as_ref())), Fits::KERNEL),
            ("matrix.cc", matrix.and_then(|m| place(m.cc.as_ref())), Fits::KERNEL),
            ("matrix.repeats", matrix.and_then(|m| place(m.repeats.as_ref())), Fits::BENCH),
        ]
        .into_iter()
        .filter_map(|(key, span, fits)| Some((key, span?, fits)))
    }
}

fn place<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
    value.map(|value| value.span.clone())
}

impl CompileFile {
    /// Fills in from `below` what is not given here; definitions of both are kept.
    pub fn lay_over(&mut self, below: &Self) {
        over(&mut self.cc, below.cc.as_ref());
        over(&mut self.flags, below.flags.as_ref());
        over(&mut self.include_dirs, below.include_dirs.as_ref());
        over(&mut self.arch, below.arch.as_ref());
        over(&mut self.host, below.host.as_ref());
        over(&mut self.layouts, below.layouts.as_ref());
        over(&mut self.timeout, below.timeout.as_ref());
        for (name, value) in &below.defines {
            if self.defines.get(name).is_none() {
                self.defines.0.push((name.clone(), value.clone()));
            }
        }
    }
}

/// Kinds of stage that have a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fits(u8);

impl Fits {
    const CHECK: Self = Self(1);
    const BENCH: Self = Self(2);
    const COMMAND: Self = Self(4);
    const KERNEL: Self = Self(3);

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True when `kind` is among them.
    pub const fn has(self, kind: Kind) -> bool {
        let bit = match kind {
            Kind::Check => Self::CHECK,
            Kind::Bench => Self::BENCH,
            Kind::Command => Self::COMMAND,
        };
        self.0 & bit.0 != 0
    }

    /// `check and bench stages`.
    pub fn describe(self) -> String {
        let kinds = [Kind::Check, Kind::Bench, Kind::Command];
        let names: Vec<_> =
            kinds.into_iter().filter(|kind| self.has(*kind)).map(Kind::name).collect();
        format!("{} stages", names.join(" and "))
    }
}

impl Kind {
    /// The word in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Bench => "bench",
            Self::Command => "command",
        }
    }
}
