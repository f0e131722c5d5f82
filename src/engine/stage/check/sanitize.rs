//! The kernel once more, built with sanitizers: accesses beside its own memory, and undefined
//! behaviour, that happen to give the right answer.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::compile::{self, CompileDef};
use super::super::judge::{Bench, Judge, arguments};
use super::super::replayed::DeviceCase;
use super::super::{Failure, FailureClass, StageContext, StageOutcome};
use crate::backend::cpu::compiler::{CompileRequest, plan_sanitized};
use crate::backend::cpu::lines;
use crate::backend::cuda::find::{Places, Tool};
use crate::backend::{Argument, Fault, Mode, Order, Session};
use crate::engine::account::SanitizersRecord;
use crate::problem::{bytes_needed, work};

pub mod cuda;
mod report;
mod runtime;

use cuda::{DeviceSanitize, DeviceSanitized};
use runtime::{EXIT, Runtime};

/// Sanitized code is slow: cases beyond these amounts are left out.
const MOST_BYTES: u64 = 64 << 20;
const MOST_FLOPS: f64 = 5e8;

/// The share of the stage's time that this may take, and the least that it gets.
const SHARE: u32 = 4;
const LEAST: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sanitized {
    /// Whether the kernel ran with sanitizers.
    ran: bool,
    /// Why not, or not at every case.
    why: Option<String>,
    /// Whether accesses to memory were looked at.
    address: bool,
    /// Whether undefined behaviour was.
    undefined: bool,
    /// Launches, each at another case.
    cases: u32,
    /// What was found.
    found: Option<String>,
}

impl Sanitized {
    fn without(why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..Self::default() }
    }
}

/// What came of it on whatever a kernel runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// By the sanitizers of a compiler for processors.
    Built(Sanitized),
    /// By the sanitizer of a device.
    Watched(DeviceSanitized),
}

impl Told {
    /// The stage's record of it.
    pub(super) fn record(&self) -> SanitizersRecord {
        match self {
            Self::Built(done) => SanitizersRecord {
                ran: done.ran,
                why: done.why.clone(),
                address: Some(done.address),
                undefined: Some(done.undefined),
                cases: done.cases,
                found: done.found.clone(),
                ..SanitizersRecord::default()
            },
            Self::Watched(done) => SanitizersRecord {
                ran: done.ran,
                why: done.why.clone(),
                memcheck: Some(done.memcheck),
                racecheck: Some(done.racecheck),
                cases: done.cases,
                warnings: Some(done.warnings),
                found: done.found.clone(),
                lines: done.lines(),
                ..SanitizersRecord::default()
            },
        }
    }

    /// What was found, in a line.
    pub(super) fn found(&self) -> Option<&str> {
        match self {
            Self::Built(done) => done.found.as_deref(),
            Self::Watched(done) => done.found.as_deref(),
        }
    }
}

/// Builds and launches; a failure only for what the kernel does, never for what this machine lacks.
pub(super) fn run(
    def: &CompileDef,
    bench: &Bench<'_>,
    judge: &mut Judge<'_>,
    log: &mut Vec<u8>,
) -> (Told, Option<Failure>) {
    let (done, failure) = build_and_launch(def, bench, judge, log);
    (Told::Built(done), failure)
}

/// A built kernel and the CUDA device that it is launched on.
pub(super) struct DeviceKernel<'a> {
    pub(super) device: &'a str,
    pub(super) bundle: &'a Path,
}

/// Launches the built kernel on a CUDA device, as it is, while the device's sanitizer watches; a
/// failure only for what the kernel does.
pub(super) fn watch(
    kernel: &DeviceKernel<'_>,
    bench: &Bench<'_>,
    judge: &Judge<'_>,
    log: &mut Vec<u8>,
) -> (Told, Option<Failure>) {
    let chosen = small(judge);
    let sets = chosen.iter().filter_map(|&case| {
        let drawn = judge.drawn(case).first()?;
        Some((case, arguments(&drawn.staged)))
    });
    let sets: Vec<(usize, Vec<Argument<'_>>)> = sets.collect();
    let cases: Vec<DeviceCase<'_>> = sets
        .iter()
        .map(|(case, arguments)| DeviceCase {
            label: &judge.cases[*case].label,
            device: kernel.device,
            bundle: kernel.bundle,
            grid: judge.grid(*case),
            arguments,
        })
        .collect();
    let found = Places::of(bench.ctx.host).tool(Tool::ComputeSanitizer);
    let found = found.map(|tool| tool.path).map_err(|why| format!("{why}; {}", why.hint));
    let tool = found.as_deref().map_err(String::as_str);
    let asked = DeviceSanitize { ctx: bench.ctx, tool, cases: &cases, end: end(bench) };
    let (mut done, failure) = cuda::run(&asked, log);
    done.why = done.why.or_else(|| left_out(judge, &chosen));
    (Told::Watched(done), failure)
}

fn build_and_launch(
    def: &CompileDef,
    bench: &Bench<'_>,
    judge: &mut Judge<'_>,
    log: &mut Vec<u8>,
) -> (Sanitized, Option<Failure>) {
    let own = bench.ctx.scratch.join("sanitized");
    let ctx = StageContext { scratch: &own, ..*bench.ctx };
    (ctx.progress)(0.9, "sanitizers");
    let instrumented = match build(def, &ctx) {
        Ok(built) => built,
        Err(Failure { class: FailureClass::Interrupted, message }) => {
            let failure = Failure { class: FailureClass::Interrupted, message };
            return (Sanitized::without("interrupted"), Some(failure));
        }
        // Left out is what this machine lacks. A full disk is no such thing: what was not looked at for
        // that is not correct yet.
        Err(failure) => {
            let failure = failure.unless_full("", &[bench.ctx.scratch.to_owned()]);
            let left_out = Sanitized::without(failure.message.clone());
            let passes = failure.class == FailureClass::Infrastructure;
            return (left_out, passes.then_some(failure));
        }
    };
    let bench = bench.until(end(bench));
    Launches { instrumented: &instrumented, bench: &bench, judge, log }.all(def)
}

/// When this must be over.
fn end(bench: &Bench<'_>) -> Instant {
    let now = Instant::now();
    let left = bench.allowance.left().map(|left| left / SHARE);
    now + left.unwrap_or(Duration::from_mins(1)).max(LEAST)
}

/// A kernel that was built with sanitizers.
struct Instrumented {
    library: PathBuf,
    runtime: Runtime,
}

fn build(def: &CompileDef, ctx: &StageContext<'_>) -> Result<Instrumented, Failure> {
    let failed = |what: String| Failure { class: FailureClass::Failed, message: what };
    fs::create_dir_all(ctx.scratch).map_err(|e| failed(format!("cannot make a folder: {e}")))?;
    let compiler = compile::find_compiler(def, ctx)?;
    let runtime = runtime::of(&compiler, ctx).map_err(|why| failed(why.to_string()))?;
    let source = def.sources.first().map(fs::read).transpose();
    let text = source.map_err(|e| failed(format!("cannot read the kernel: {e}")))?;
    let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
    let folders: Vec<PathBuf> = def.compile.include_dirs.iter().map(|d| ctx.dir.join(d)).collect();
    let library = ctx.scratch.join("kernel.so");
    let request = CompileRequest {
        sources: &def.sources,
        text: &text,
        signature: &compile::signature(def),
        compiler: &compiler,
        flags: &def.compile.flags,
        defines: &def.compile.defines,
        include_dirs: &folders,
        scratch: ctx.scratch,
        output: &library,
    };
    let plan = plan_sanitized(&request, &runtime.link).map_err(|e| failed(e.to_string()))?;
    let (path, text) = &plan.trampoline;
    fs::write(path, text).map_err(|e| failed(format!("writing {}: {e}", path.display())))?;
    // The plain build has said what there is to say about the sources.
    let mut unheard = StageOutcome::default();
    compile::run_steps(def, ctx, &plan, &mut unheard).map_err(|failure| {
        let first = failure.message.lines().next().unwrap_or_default();
        Failure { message: format!("it does not build with sanitizers: {first}"), ..failure }
    })?;
    Ok(Instrumented { library, runtime })
}

/// Launches of a kernel that was built with sanitizers.
struct Launches<'a, 'b> {
    instrumented: &'a Instrumented,
    bench: &'a Bench<'b>,
    judge: &'a Judge<'b>,
    log: &'a mut Vec<u8>,
}

impl Launches<'_, '_> {
    /// One launch of every case that is not too much, the cheapest first.
    fn all(self, def: &CompileDef) -> (Sanitized, Option<Failure>) {
        let Self { instrumented: Instrumented { library, runtime }, bench, judge, log } = self;
        let cases = small(judge);
        let mut session = match bench.open_with(library, environment(runtime)) {
            Ok(session) => session,
            Err(Fault::Interrupted) => return interrupted(),
            Err(fault) => {
                let why = format!("the worker does not start with sanitizers: {fault}");
                return (Sanitized::without(why), None);
            }
        };
        let mut done =
            Sanitized { ran: true, address: true, undefined: true, ..Sanitized::default() };
        done.why = left_out(judge, &cases);
        for case in cases {
            let Err(fault) = launch(judge, &mut session, case) else {
                done.cases += 1;
                continue;
            };
            if fault == Fault::Interrupted {
                return interrupted();
            }
            let text = with_lines(&session.finish(), library);
            log.extend(text.as_bytes());
            let Some(finding) = finding(&fault, &text, def) else {
                done.ran = done.cases > 0;
                done.why = Some(unlike_the_plain_one(&fault, &judge.cases[case].label));
                return (done, None);
            };
            let failure = judge.failure(case, &Fault::Sanitizer { what: finding.clone() });
            done.found = Some(finding);
            return (done, Some(failure));
        }
        log.extend(session.finish());
        (done, None)
    }
}

/// What was printed, with frames in the kernel named by its debugging information.
fn with_lines(printed: &[u8], library: &Path) -> String {
    let text = String::from_utf8_lossy(printed);
    match fs::read(library) {
        Ok(object) => lines::named(&text, &library.to_string_lossy(), &object),
        Err(_) => text.into_owned(),
    }
}

/// Why the looking ended without a finding. That time was up says nothing of the kernel: code with
/// sanitizers is many times as slow, and so may the machine be.
fn unlike_the_plain_one(fault: &Fault, label: &str) -> String {
    match fault {
        Fault::TimedOut => format!(
            "its time was up at {label}, where code with sanitizers is slow; with a longer `timeout` \
             it is given more"
        ),
        _ => format!("the sanitizer build {fault}, and the plain one does not"),
    }
}

/// That not all of the problem's own cases are among these.
fn left_out(judge: &Judge<'_>, cases: &[usize]) -> Option<String> {
    let own = (0..judge.cases.len()).filter(|&case| !judge.is_secret(case)).count();
    match own - cases.len() {
        0 => None,
        1 => Some("1 case is too large for it".to_owned()),
        count => Some(format!("{count} cases are too large for it")),
    }
}

fn interrupted() -> (Sanitized, Option<Failure>) {
    let failure =
        Failure { class: FailureClass::Interrupted, message: Fault::Interrupted.to_string() };
    (Sanitized::without("interrupted"), Some(failure))
}

/// The problem's own cases that are worth a slow launch, the cheapest first.
fn small(judge: &Judge<'_>) -> Vec<usize> {
    let fits = |&case: &usize| {
        let sizes = &judge.cases[case];
        bytes_needed(judge.problem, sizes).is_ok_and(|bytes| bytes <= MOST_BYTES)
            && work(judge.problem, sizes).flops.unwrap_or(0.0) <= MOST_FLOPS
    };
    let own = (0..judge.cases.len()).filter(|&case| !judge.is_secret(case));
    let mut cases: Vec<usize> = own.filter(fits).collect();
    cases.sort_by(|&a, &b| judge.cost(a).total_cmp(&judge.cost(b)));
    cases
}

fn launch(judge: &Judge<'_>, session: &mut dyn Session, case: usize) -> Result<(), Fault> {
    let Some(drawn) = judge.drawn(case).first() else {
        return Ok(());
    };
    session.load(&[arguments(&drawn.staged)])?;
    session.launch(Order { first: 0, count: 1, mode: Mode::Hot })?;
    Ok(())
}

/// The sanitizers' finding behind a fault; none when it is something else that went wrong.
fn finding(fault: &Fault, printed: &str, def: &CompileDef) -> Option<String> {
    match fault {
        Fault::Exited { code } if *code == EXIT => report::read(printed, &def.sources),
        Fault::Crashed { .. } => report::read(printed, &def.sources),
        _ => None,
    }
}

fn environment(runtime: &Runtime) -> Vec<(OsString, OsString)> {
    // The judge finds the lines: see [`lines`].
    let common = format!("symbolize=0:exitcode={EXIT}");
    vec![
        ("LD_PRELOAD".into(), runtime.preload.clone().into()),
        (
            "ASAN_OPTIONS".into(),
            format!(
                "{common}:detect_leaks=0:abort_on_error=0:verify_asan_link_order=0:handle_segv=1"
            )
            .into(),
        ),
        ("UBSAN_OPTIONS".into(), format!("{common}:print_stacktrace=1:halt_on_error=1").into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_time_was_up_is_never_the_kernels_fault() {
        let why = unlike_the_plain_one(&Fault::TimedOut, "n=16");
        assert!(why.contains("at n=16") && why.contains("longer `timeout`"), "{why}");
        assert!(!why.contains("the plain one does not") && !why.contains("deadline"), "{why}");
        let why = unlike_the_plain_one(&Fault::Exited { code: 1 }, "n=16");
        assert!(
            why.ends_with("exit code 1 instead of returning, and the plain one does not"),
            "{why}"
        );
    }
}
