//! Where a kernel's time goes: its bound, hardware or simulated counters, and what the compiler
//! says about its loops. Nothing here decides anything.

pub mod cuda;
mod device;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bench::{BenchDef, Roofs, Trial};
use super::compile::{self, CompileDef};
use super::counters::{self, CountersReport, CountersRequest, Tool};
use super::{StageContext, judge};
use crate::backend::cpu::assembly::{self, Around};
use crate::backend::cpu::remarks::{self, Family, Remark, RemarkKind};
use crate::backend::cpu::replay::Replay;
use crate::backend::cpu::{Compilation, Step};
use crate::backend::cpu::{compiler, replay};
use crate::engine::account::{ProfileRecord, RemarkRecord};
use crate::measure::Measurement;
use crate::pipeline::Target;
use crate::plan::kernel::WORKER_ENV;
use crate::problem::{self, Staged};
use crate::process::{self, CommandSpec, Exit, SpawnError};

/// Kernel time that a counted run is made of, ns: enough to outweigh the process around it.
const COUNTED_NS: f64 = 10e6;

/// Launches of a counted run, at most.
const MOST_LAUNCHES: f64 = 500.0;

/// Remarks that are told; the artifact has all.
const TOLD: usize = 5;

/// A simulated processor is up to a hundred times slower.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why a part of a profile is missing.
#[derive(Debug, thiserror::Error)]
enum Unprofiled {
    #[error("there is no case")]
    NoCase,
    /// Its inputs cannot be drawn.
    #[error(transparent)]
    Inputs(#[from] problem::CaseError),
    #[error("cannot make {}: {source}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write {}: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot start {}: {source}", .program.display())]
    Start { program: PathBuf, source: SpawnError },
    /// The build cannot be planned.
    #[error("{0}")]
    Build(String),
    /// The compiler fails; its first lines.
    #[error("{0}")]
    Refused(String),
    #[error("its remarks are known for GCC and clang only")]
    UnknownCompiler,
}

/// Looks at a kernel that was measured; `None` where its sources, which would be built once more,
/// are not known.
pub(super) fn look(
    trial: Trial<'_>,
    measurement: &Measurement,
    roofs: &Roofs,
) -> Option<ProfileRecord> {
    let def = trial.def;
    let case = largest(def);
    let verdict = verdict(def, case, roofs);
    match (&def.target, &def.build) {
        (Target::Cuda(device), _) => Some(device::look(trial, device, case, &verdict)),
        (Target::Cpu(_), Some(build)) => {
            let typical_ns = typical_ns(measurement, case);
            Some(on_cpu(&Rebuilt { trial, build, case, typical_ns }, verdict))
        }
        (Target::Cpu(_), None) => None,
    }
}

/// A kernel that is built once more, to be looked into at one case.
struct Rebuilt<'a> {
    trial: Trial<'a>,
    build: &'a CompileDef,
    case: usize,
    /// How long a launch takes there.
    typical_ns: f64,
}

fn on_cpu(rebuilt: &Rebuilt<'_>, verdict: String) -> ProfileRecord {
    let Trial { def, ctx, .. } = rebuilt.trial;
    let (build, case) = (rebuilt.build, rebuilt.case);
    let counted = count(rebuilt);
    let remarks = compiler_remarks(build, ctx);
    let mut lines = vec![verdict.clone()];
    lines.extend(counter_lines(&counted));
    lines.extend(remark_lines(&remarks));
    let (counters, no_counters) = apart(counted);
    let (remarks, no_remarks) = apart(remarks);
    ProfileRecord {
        verdict,
        case: def.problem.cases.get(case).map(|c| c.label.clone()),
        counters,
        no_counters,
        remarks: remarks.map(|all| all.iter().map(remark_record).collect()),
        no_remarks,
        lines,
        ..ProfileRecord::default()
    }
}

/// What was found, and why nothing was.
fn apart<T>(found: Result<T, Unprofiled>) -> (Option<T>, Option<String>) {
    match found {
        Ok(found) => (Some(found), None),
        Err(why) => (None, Some(why.to_string())),
    }
}

/// The case with the most bytes: there a kernel shows what it is.
fn largest(def: &BenchDef) -> usize {
    let bytes =
        |i: &usize| problem::bytes_needed(&def.problem, &def.problem.cases[*i]).unwrap_or(0);
    (0..def.problem.cases.len()).max_by_key(bytes).unwrap_or(0)
}

fn typical_ns(measurement: &Measurement, case: usize) -> f64 {
    measurement.cases.get(case).map_or(1e6, |c| c.summary.median * 1e3)
}

/// The roofline in one line.
fn verdict(def: &BenchDef, case: usize, roofs: &Roofs) -> String {
    let label = def.problem.cases.get(case).map_or("", |c| c.label.as_str());
    let roof = match roofs {
        Ok(roofs) => roofs.get(case).and_then(Option::as_ref),
        Err(why) => return format!("no bound is known: {why}"),
    };
    let Some(roof) = roof else { return format!("no bound is known for case {label}") };
    let rate = |what: Option<f64>, unit: &str| {
        what.map(|w| format!(", {:.1} G{unit}", w / 1e9)).unwrap_or_default()
    };
    format!(
        "{label}: bound by {}, at {:.0} % of it ({:.1} \u{b5}s above the least){}{}",
        roof.bound,
        100.0 * roof.share,
        roof.headroom_us,
        rate(roof.flops_per_s, "flop/s"),
        rate(roof.bytes_per_s, "B/s"),
    )
}

/// Runs the kernel alone under the best counter there is.
fn count(rebuilt: &Rebuilt<'_>) -> Result<CountersReport, Unprofiled> {
    let Rebuilt { trial: Trial { def, ctx, .. }, build, case, typical_ns } = *rebuilt;
    (ctx.progress)(0.3, "counting");
    let folder = own_folder(ctx, "counted")?;
    let chosen = def.problem.cases.get(case).ok_or(Unprofiled::NoCase)?;
    let staged = problem::stage(&def.problem, chosen, judge::seed(None))?;
    let launches = (COUNTED_NS / typical_ns).clamp(1.0, MOST_LAUNCHES).ceil() as u32;
    let inside = within(ctx, &folder);
    let replayed = Replayed { staged: &staged, launches };
    let mut report = count_build(build, &inside, replayed, &[])?;
    if report.tool == Tool::None && cfg!(target_arch = "x86_64") {
        // The widest vectors are what simulated processors lack.
        let narrow = count_build(build, &inside, replayed, &["-mno-avx512f"])?;
        if narrow.tool != Tool::None {
            report = narrow;
            let what = "counted in a build with -mno-avx512f, the most that callgrind can follow";
            report.unavailable.push(what.to_owned());
        }
    }
    for hot in &mut report.hot_lines {
        hot.file = shown(&hot.file, ctx).into();
    }
    for value in report.counters.values_mut() {
        *value /= f64::from(launches);
    }
    Ok(report)
}

/// Launches that are counted, all on one set.
#[derive(Clone, Copy)]
struct Replayed<'a> {
    staged: &'a Staged,
    launches: u32,
}

/// Builds the kernel as it was measured, with line tables and `extra` flags, and counts.
fn count_build(
    build: &CompileDef,
    ctx: &StageContext<'_>,
    replayed: Replayed<'_>,
    extra: &[&str],
) -> Result<CountersReport, Unprofiled> {
    let Replayed { staged, launches } = replayed;
    let library = ctx.scratch.join("kernel.so");
    let plan = compile::commands(build, ctx, &library, compiler::plan);
    let mut plan = plan.map_err(|failure| Unprofiled::Build(failure.message))?;
    for step in &mut plan.steps {
        step.args.retain(|a| !a.to_string_lossy().starts_with("-ffile-prefix-map="));
        step.args.push("-g1".into());
        step.args.extend(extra.iter().map(OsString::from));
    }
    build_all(&plan, ctx)?;
    let program =
        fs::read_link(ctx.host.program()).unwrap_or_else(|_| ctx.host.program().to_owned());
    let recipe = ctx.scratch.join("recipe");
    let arguments = judge::arguments(staged);
    let alone = Replay { program: &program, library: &library, arguments: &arguments, launches };
    let argv = replay::prepare(&alone, &recipe)
        .map_err(|source| Unprofiled::Write { path: recipe.clone(), source })?;
    let mut env = ctx.inherited(&["PATH"]);
    env.extend(ctx.inherited(&WORKER_ENV));
    Ok(counters::take(&CountersRequest {
        argv: &argv,
        env: &env,
        dir: ctx.scratch,
        scratch: ctx.scratch,
        marker: &format!("{}.count", ctx.marker),
        timeout: Some(PATIENCE),
        function: Some("optloop_launch"),
        cancel: ctx.cancel,
    }))
}

fn own_folder(ctx: &StageContext<'_>, name: &str) -> Result<PathBuf, Unprofiled> {
    let folder = ctx.scratch.join(name);
    fs::create_dir_all(&folder)
        .map_err(|source| Unprofiled::Folder { path: folder.clone(), source })?;
    Ok(folder)
}

fn within<'a>(ctx: &StageContext<'a>, folder: &'a Path) -> StageContext<'a> {
    StageContext { scratch: folder, ..*ctx }
}

fn build_all(plan: &Compilation, ctx: &StageContext<'_>) -> Result<String, Unprofiled> {
    let (path, text) = &plan.trampoline;
    fs::write(path, text).map_err(|source| Unprofiled::Write { path: path.clone(), source })?;
    let mut said = String::new();
    for (index, step) in plan.steps.iter().enumerate() {
        said += &run_step(step, ctx, index)?;
    }
    Ok(said)
}

fn run_step(step: &Step, ctx: &StageContext<'_>, index: usize) -> Result<String, Unprofiled> {
    let marker = format!("{}.profile{index}", ctx.marker);
    let mut spec = CommandSpec::new(&step.program, ctx.scratch, marker);
    spec.args.clone_from(&step.args);
    spec.env = compile::environment(ctx);
    spec.timeout = Some(PATIENCE);
    let finished = process::run(&spec, ctx.cancel)
        .map_err(|source| Unprofiled::Start { program: step.program.clone(), source })?;
    let said = String::from_utf8_lossy(&[finished.stdout, finished.stderr].concat()).into_owned();
    match finished.exit {
        Exit::Code(0) => Ok(said),
        _ => Err(Unprofiled::Refused(said.lines().take(3).collect::<Vec<_>>().join("; "))),
    }
}

/// What the compiler says about loops and registers, the most telling first.
fn compiler_remarks(build: &CompileDef, ctx: &StageContext<'_>) -> Result<Vec<Remark>, Unprofiled> {
    (ctx.progress)(0.8, "asking the compiler");
    let folder = own_folder(ctx, "remarks")?;
    let inside = within(ctx, &folder);
    let compiler =
        compile::find_compiler(build, ctx).map_err(|failure| Unprofiled::Build(failure.message))?;
    let version =
        run_step(&Step { program: compiler, args: vec!["--version".into()] }, &inside, 90)?;
    let family = Family::of(&version).ok_or(Unprofiled::UnknownCompiler)?;
    let output = folder.join("kernel.s");
    let plan = compile::commands(build, &inside, &output, |request| {
        assembly::plan(request, Around::Trampoline)
    });
    let mut plan = plan.map_err(|failure| Unprofiled::Build(failure.message))?;
    let told = folder.join("told");
    for step in &mut plan.steps {
        step.args.retain(|a| !a.to_string_lossy().starts_with("-ffile-prefix-map="));
        step.args.splice(0..0, remarks::flags(family, &told));
    }
    let said = build_all(&plan, &inside)? + &fs::read_to_string(&told).unwrap_or_default();
    let mut all = remarks::parse(family, &said);
    let mut innermost = std::collections::BTreeSet::new();
    for step in &plan.steps {
        let text = fs::read_to_string(assembly::listing(step)).unwrap_or_default();
        let parsed = assembly::parse(&text);
        all.extend(remarks::spills(&parsed));
        innermost.extend(remarks::innermost(&parsed));
    }
    // Headers of the system and the trampoline are nobody's to change.
    all.retain(|r| build.sources.iter().any(|s| r.file == *s || r.file.starts_with(ctx.dir)));
    let mut ranked = remarks::rank(all, &innermost);
    // Records are shared between machines: no place of this one stands in them.
    for remark in &mut ranked {
        remark.file = shown(&remark.file, ctx).into();
    }
    Ok(ranked)
}

fn remark_record(remark: &Remark) -> RemarkRecord {
    RemarkRecord {
        file: remark.file.clone(),
        line: remark.line,
        column: remark.column,
        kind: kind(remark.kind).to_owned(),
        text: remark.text.clone(),
        advice: remark.advice().map(str::to_owned),
    }
}

fn kind(kind: RemarkKind) -> &'static str {
    match kind {
        RemarkKind::Vectorised { .. } => "vectorised",
        RemarkKind::Missed => "missed",
        RemarkKind::Spill => "spill",
        RemarkKind::Note => "note",
    }
}

fn counter_lines(counted: &Result<CountersReport, Unprofiled>) -> Vec<String> {
    let report = match counted {
        Ok(report) => report,
        Err(why) => return vec![format!("no counters: {why}")],
    };
    let mut lines = Vec::new();
    let number = |name: &str| report.counters.get(name).copied();
    let ratio = |name: &str| report.derived.get(name).copied();
    let mut told: Vec<String> = Vec::new();
    told.extend(number("instructions").map(|n| format!("{n:.3e} instructions a launch")));
    told.extend(ratio("ipc").map(|r| format!("{r:.2} a cycle")));
    told.extend(
        ratio("branch_miss_rate").map(|r| format!("{:.2} % of branches missed", 100.0 * r)),
    );
    told.extend(ratio("l1d_load_misses_per_1000").map(|r| format!("{r:.1} L1 misses per 1000")));
    if !told.is_empty() {
        let tool = match report.tool {
            Tool::Perf => "perf",
            Tool::Callgrind => "callgrind (simulated)",
            Tool::None => "nobody",
        };
        lines.push(format!("{tool}: {}", told.join(", ")));
    }
    lines.extend(report.hot_lines.iter().take(3).map(|hot| {
        format!("{:.0} % of instructions at {}:{}", 100.0 * hot.share, hot.file.display(), hot.line)
    }));
    lines.extend(report.unavailable.iter().cloned());
    lines
}

fn remark_lines(remarks: &Result<Vec<Remark>, Unprofiled>) -> Vec<String> {
    match remarks {
        Ok(all) => all
            .iter()
            .take(TOLD)
            .map(|r| format!("{}:{}: {}", r.file.display(), r.line, r.text))
            .collect(),
        Err(why) => vec![format!("no remarks of the compiler: {why}")],
    }
}

/// A path as people wrote it, where it lies below the stage's folder or beside it.
fn shown(path: &Path, ctx: &StageContext<'_>) -> String {
    let below = path.strip_prefix(ctx.dir).ok();
    let beside = ctx.dir.parent().and_then(|up| path.strip_prefix(up).ok());
    below.or(beside).unwrap_or(path).display().to_string()
}
