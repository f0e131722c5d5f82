//! What a stage kind is given and what it gives back. One file per kind.

pub mod bench;
pub mod check;
mod clocks;
pub mod compare;
pub mod compile;
pub mod counters;
mod holdout;
mod judge;
mod layouts;
mod numbers;
pub mod profile;
mod reading;
pub mod replayed;
mod roofline;
mod telemetry;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::account::StageRecord;
use super::device;
use super::event::Event;
use super::job::Shared;
use super::subject::{INCUMBENT, Job};
use crate::backend::loads;
use crate::cache::{CacheError, Kind};
use crate::measure::pairs::Decided;
use crate::pipeline::{CompileWork, Limits, Run};
use crate::plan::kernel::{LIBRARY_PATH, ROOT};
use crate::plan::{Compile, Definition, Sources};
use crate::problem::Problem;
use crate::process::{self, Cancel, SpawnError, Want};
use crate::stats::Metrics;

mod audit;
mod best;
mod command;
mod outputs;

/// What every stage kind is given.
#[derive(Clone, Copy)]
pub struct StageContext<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Folder that relative paths start from (absolute).
    pub dir: &'a Path,
    /// A private folder for this attempt, removed afterwards.
    pub scratch: &'a Path,
    /// The state folder: what is known of this machine lies below it.
    pub state: &'a Path,
    /// This very program, which workers are started from.
    pub program: &'a Path,
    /// What processes carry in their environment, so that a later run can find what a killed one
    /// left behind; unique among the stages in flight.
    pub marker: &'a str,
    /// Variables of the environment that this run was started in.
    pub env: &'a (dyn Fn(&str) -> Option<OsString> + Sync),
    /// Ctrl-C.
    pub cancel: &'a Cancel,
    /// Called with progress in [0, 1] and a few words.
    pub progress: &'a (dyn Fn(f32, &str) + Sync),
    /// Called at each look of a comparison.
    pub looked: &'a (dyn Fn(&Look) + Sync),
}

/// What a comparison saw at a look. Logarithms of the incumbent's time over the candidate's: above
/// 0 the candidate is better.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Look {
    /// Pairs so far.
    pub pairs: u32,
    /// The Hodges-Lehmann estimate.
    pub estimate: f64,
    /// Its lower bound, where there are pairs enough.
    pub lower: Option<f64>,
    /// Its upper bound, where there are pairs enough.
    pub upper: Option<f64>,
    /// What follows from it, in words.
    pub next: String,
}

impl StageContext<'_> {
    /// Those of the named variables that are set.
    fn inherited(&self, names: &[&str]) -> Vec<(OsString, OsString)> {
        names.iter().filter_map(|name| Some((name.into(), (self.env)(name)?))).collect()
    }
}

/// What a stage kind gives back. A failure still carries its log and what was learnt.
#[derive(Debug, Default)]
pub struct StageOutcome {
    /// Everything it printed, as it came.
    pub log: Vec<u8>,
    /// Named numbers: what `when` and the result table read.
    pub metrics: Metrics,
    /// The kind's own record (cases, samples, mismatches): kept in the artifact.
    pub detail: Option<StageRecord>,
    /// What was decided of the candidate, where it was compared. A candidate that does not stay is
    /// a failure too, so that nothing that depends on it goes on.
    pub decision: Option<Decided>,
    /// The exit code of its command, for stages that run one and see it exit.
    pub exit_code: Option<i32>,
    /// Absolute paths of files it read or missed beyond its declared inputs, such as includes;
    /// folders that it listed end with a `/`.
    pub discovered: Vec<PathBuf>,
    /// Why it cannot be told what its result depends on, so that it is not kept; `None` when it
    /// can.
    pub unknowable: Option<String>,
    /// Why it did not pass.
    pub failure: Option<Failure>,
}

/// Why a stage did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    /// Its class.
    pub class: FailureClass,
    /// One or more lines for people.
    pub message: String,
}

/// Classes of failure. Only [`FailureClass::Infrastructure`] is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// It does not compile, or a command exited with another code than 0.
    Failed,
    /// Outputs differ from the reference.
    Wrong,
    /// Ended by a signal, or exited by itself.
    Crashed,
    /// Past its deadline.
    TimedOut,
    /// It tampered with the measurement.
    Cheating,
    /// Surely slower than `early_stop_us`.
    TooSlow,
    /// No better than the incumbent.
    NotBetter,
    /// Neither better nor not: more would have to be measured.
    Inconclusive,
    /// The machine is too noisy to decide anything.
    TooNoisy,
    /// What it is compared with fails the problem itself.
    Incumbent,
    /// There is no such device here.
    NoDevice,
    /// Not the candidate's doing, and it may go away.
    Infrastructure,
    /// Not the candidate's doing, and trying again changes nothing: a file, a setting or this
    /// machine rules it out.
    Setup,
    /// optloop's own mistake.
    Defect,
    /// Ctrl-C.
    Interrupted,
    /// Faster than this machine can be.
    Implausible,
    /// The problem or its reference needs mending: no kernel can be judged by it.
    Problem,
}

impl Failure {
    /// What the system refused: tried again where it may go away.
    pub(super) fn of_io(what: &str, error: &io::Error) -> Self {
        Self { class: Self::class_of(error), message: format!("{what}: {error}") }
    }

    /// What went wrong with the state on disk; `what` stands before it.
    pub(super) fn of_cache(what: &str, error: &CacheError) -> Self {
        let CacheError::Io { source, .. } = error;
        Self { class: Self::class_of(source), message: format!("{what}{error}") }
    }

    /// Of what the system refused: [`FailureClass::Infrastructure`] where it may go away.
    pub(super) fn class_of(error: &io::Error) -> FailureClass {
        let lasts = process::lasts(error);
        if lasts { FailureClass::Setup } else { FailureClass::Infrastructure }
    }

    /// What a tool's failure is when a disk is full that it works on: not the fault of what it was
    /// given. `output` is what it said.
    pub(super) fn unless_full(self, output: &str, folders: &[PathBuf]) -> Self {
        let want = Want::after(output);
        match folders.iter().find(|folder| process::is_full(folder, want)) {
            Some(folder) => Self {
                class: FailureClass::Infrastructure,
                message: format!(
                    "there is no room left on the disk of {}: {}",
                    folder.display(),
                    self.message
                ),
            },
            None => self,
        }
    }

    /// A program that could not be started or watched.
    pub(super) fn of_spawn(error: &SpawnError) -> Self {
        let lasts = error.lasts();
        let class = if lasts { FailureClass::Setup } else { FailureClass::Infrastructure };
        Self { class, message: error.to_string() }
    }
}

impl From<Failure> for StageOutcome {
    fn from(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }
}

impl StageOutcome {
    /// A failure before anything else was learnt.
    pub fn failed(class: FailureClass, message: impl Into<String>) -> Self {
        Self { failure: Some(Failure { class, message: message.into() }), ..Self::default() }
    }
}

/// Runs a node's definition once.
pub(super) fn run(job: &Job, shared: &Shared<'_>) -> StageOutcome {
    let progress = |fraction: f32, words: &str| {
        (shared.around.sink)(&Event::Progress {
            stage: job.name.clone(),
            fraction,
            words: words.to_owned(),
        });
    };
    let looked = |look: &Look| {
        let (stage, look) = (job.name.clone(), look.clone());
        (shared.around.sink)(&Event::Look { stage, look });
    };
    let dir = shared.root.join(&job.stored.dir);
    let scratch =
        shared.state_dir.join("tmp").join(format!("scratch.{}.{}", std::process::id(), job.node));
    let ctx = StageContext {
        name: &job.name,
        dir: &dir,
        scratch: &scratch,
        state: shared.state_dir,
        program: shared.around.program,
        marker: &format!("{}:{}", shared.marker, job.node),
        env: &|name| shared.around.world.env(name).map(OsString::from_vec),
        cancel: shared.around.cancel,
        progress: &progress,
        looked: &looked,
    };
    let target = job.stored.definition.target();
    if let Some(missing) = target.and_then(|target| device::missing(target, ctx.env)) {
        let message = format!("{}; {}", missing.what, missing.hint);
        return StageOutcome::failed(FailureClass::NoDevice, message);
    }
    match &job.stored.definition {
        Definition::Command(work) => {
            let ground = command::Ground::Project;
            command::run(work, &command::Setting { job, shared, ctx, ground })
        }
        Definition::Best(best) => best::run(best, &job.members, shared.store),
        Definition::Compile(c) => {
            let def = compile_def(c, job, shared.root, ctx.env);
            let outcome = in_scratch(&ctx, || compile::run(&def, &ctx));
            if job.is_reference() { of_problem(outcome) } else { outcome }
        }
        Definition::Check(c) => {
            let (kernel, reference) = binaries(job, shared.root);
            let def = check::CheckDef {
                problem: c.problem.clone(),
                kernel,
                reference,
                launches: c.work.launches,
                endurance: c.work.endurance,
                sandbox: c.work.sandbox,
                sanitize: c
                    .build
                    .as_ref()
                    .map(|build| rebuild(build, &c.problem, &c.work.limits, shared.root)),
                watch: c.work.sanitize,
                limits: c.work.limits,
                seed: None,
                target: c.target.clone(),
            };
            let binaries = [&def.kernel, &def.reference];
            loading(&binaries, &ctx, || check::run(&def, &ctx))
        }
        Definition::Bench(b) => {
            let (kernel, reference) = binaries(job, shared.root);
            let (problem, work, seed) = (b.problem.clone(), b.work.clone(), None);
            let target = b.target.clone();
            let build = b.build.as_ref();
            let build = build.map(|build| rebuild(build, &problem, &work.limits, shared.root));
            let incumbent = b.against.as_ref().and_then(|_| job.inputs.get(INCUMBENT));
            let incumbent = incumbent.map(|k| shared.root.join(&k.name));
            let against = b.against.clone();
            let def = bench::BenchDef {
                problem,
                kernel,
                reference,
                incumbent,
                against,
                work,
                build,
                seed,
                target,
            };
            let binaries: Vec<&PathBuf> =
                [&def.kernel, &def.reference].into_iter().chain(&def.incumbent).collect();
            loading(&binaries, &ctx, || bench::run(&def, &ctx))
        }
    }
}

fn compile_def(
    compile: &Compile,
    job: &Job,
    root: &Path,
    env: &device::Env<'_>,
) -> compile::CompileDef {
    let output = job.outputs.first().map_or("kernel.so", |o| &o.name);
    // Only what is built for whatever device there is depends on one.
    let mut devices = job.inputs.iter().filter(|input| input.kind == Kind::Device);
    let arch = devices.find_map(|input| input.name.strip_prefix("cuda:"));
    let arch = arch.and_then(|name| Some(device::find(name, env).ok()?.arch()));
    compile::CompileDef {
        sources: compile.sources.iter().map(|s| root.join(s)).collect(),
        entry: compile.problem.entry.clone(),
        problem: compile.problem.clone(),
        compile: CompileWork {
            include_dirs: compile.include_dirs.clone(),
            flags: flags(&compile.work.flags, root),
            ..compile.work.clone()
        },
        compiler: Some(&compile.compiler).filter(|c| !c.is_empty()).map(|c| root.join(c)),
        arch,
        output: root.join(output),
    }
}

/// A reference that does not compile is a mistake in the problem's files, and no candidate's failure.
fn of_problem(mut outcome: StageOutcome) -> StageOutcome {
    if let Some(failure) = outcome.failure.as_mut().filter(|f| f.class == FailureClass::Failed) {
        failure.class = FailureClass::Setup;
        failure.message = format!("the reference does not compile: {}", failure.message);
    }
    outcome
}

/// A stage's own build of the kernel; it keeps what comes of it in its own folder.
fn rebuild(
    build: &Sources,
    problem: &Problem,
    limits: &Limits,
    root: &Path,
) -> compile::CompileDef {
    compile::CompileDef {
        sources: build.sources.iter().map(|s| root.join(s)).collect(),
        entry: problem.entry.clone(),
        problem: problem.clone(),
        compile: CompileWork {
            cc: String::new(),
            flags: flags(&build.flags, root),
            defines: build.defines.clone(),
            include_dirs: build
                .include_dirs
                .iter()
                .map(|d| root.join(d).display().to_string())
                .collect(),
            arch: String::new(),
            host: false,
            layouts: 1,
            timeout_ms: limits.timeout_ms,
        },
        compiler: Some(root.join(&build.compiler)),
        arch: None,
        output: PathBuf::new(),
    }
}

/// Flags with the root put in.
fn flags(flags: &[String], root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    flags.iter().map(|flag| flag.replace(ROOT, &root)).collect()
}

/// The two shared objects that a kernel stage declares first.
fn binaries(job: &Job, root: &Path) -> (PathBuf, PathBuf) {
    let path = |i: usize| job.inputs.get(i).map_or_else(PathBuf::new, |k| root.join(&k.name));
    (path(0), path(1))
}

/// Runs a stage whose result hangs on the libraries that the loader takes with these binaries.
fn loading(
    binaries: &[&PathBuf],
    ctx: &StageContext<'_>,
    go: impl FnOnce() -> StageOutcome,
) -> StageOutcome {
    let path = (ctx.env)(LIBRARY_PATH).unwrap_or_default();
    let needed = binaries.iter().filter_map(|b| loads::needed(b, path.as_encoded_bytes()));
    let files: BTreeSet<PathBuf> = needed.flat_map(loads::contents).collect();
    let mut outcome = in_scratch(ctx, go);
    outcome.discovered.extend(files);
    outcome
}

fn in_scratch(ctx: &StageContext<'_>, go: impl FnOnce() -> StageOutcome) -> StageOutcome {
    if let Err(e) = std::fs::create_dir_all(ctx.scratch) {
        let what = format!("cannot make {}", ctx.scratch.display());
        return Failure::of_io(&what, &e).into();
    }
    let outcome = go();
    // What stays is swept up by the next run.
    drop(std::fs::remove_dir_all(ctx.scratch));
    outcome
}

/// How often an infrastructure failure of this node is tried again.
pub(super) fn retries(definition: &Definition) -> u32 {
    match definition {
        Definition::Command(work) => work.limits.retries,
        Definition::Check(check) => check.work.limits.retries,
        Definition::Bench(bench) => bench.work.limits.retries,
        Definition::Compile(_) => 1,
        Definition::Best(_) => 0,
    }
}

/// The exact command, for stages that run one.
pub(super) fn command_line(job: &Job) -> Vec<String> {
    match &job.stored.definition {
        Definition::Command(work) => match &work.run {
            Run::Shell(script) => ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            Run::Argv(argv) => argv.clone(),
        },
        _ => Vec::new(),
    }
}
