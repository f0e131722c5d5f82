//! One problem, kernels against it, and the verdicts of check and bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use optloop::engine::stage::bench::BenchDef;
use optloop::engine::stage::check::CheckDef;
use optloop::engine::stage::compile::CompileDef;
use optloop::engine::stage::{
    Failure, FailureClass, StageContext, StageOutcome, bench, check, compile,
};
use optloop::pipeline::{
    BenchWork, CacheMode, Clocks, Cores, Incumbent, Limits, Purpose, RuleWork, SandboxMode, Target,
};
use optloop::problem::{Arg, ArgKind, Case, Fill, Problem, Role};
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxLevel;
use optloop::verify::{Dtype, Tolerance};
use tempfile::TempDir;

use crate::stages;

/// Kernels call `good` for the honest work, and `real` for a clock that nobody patches.
const PRELUDE: &str = r"#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
static inline void good(const float *x, float *acc, float *y, int n) {
    for (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] = 2 * x[i]; }
}
static inline long real(void) {
    struct timespec t; syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}
static inline void spin(long ns) { long end = real() + ns; while (real() < end); }
";

/// The reference, and the honest way.
pub(crate) const GOOD: &str = "good(x, acc, y, n);";

/// The honest way where `acc` is not updated.
pub(crate) const DOUBLE: &str = "for (int i = 0; i < n; i++) y[i] = 2 * x[i];";

/// More than a stage takes here on a machine that is slow and busy: what hangs has a limit of its own.
const PATIENCE_MS: u64 = 300_000;

/// Rounds in a row that must end alike: one, and in CI as many as `OPTLOOP_TRIALS` says.
pub(crate) fn rounds() -> usize {
    std::env::var("OPTLOOP_TRIALS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// What a stage must say of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// It is not asked: what the kernel does shows in the other stage.
    Unasked,
    /// It passes: the kernel is honest, or what it tried did not help it.
    Passes,
    /// It passes with the truth, or is refused: the kernel lies only when it wins a race.
    PassesOr(FailureClass, &'static str),
    /// It is refused in this class, with this word.
    Refused(FailureClass, &'static str),
    /// It is refused in one of these ways: a race decides what is seen first.
    RefusedAs(&'static [(FailureClass, &'static str)]),
}

/// A kernel of `acc += x; y = 2 x` over `n` elements, and what becomes of it.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// Stands outside the function.
    pub(crate) before: String,
    pub(crate) body: String,
    pub(crate) cases: Vec<i64>,
    pub(crate) fill: Fill,
    /// Without it `acc` is not updated: a table of so many times `n` zeros, which is read.
    pub(crate) table: Option<i64>,
    pub(crate) limit_ms: u64,
    pub(crate) launches: u32,
    pub(crate) endurance: u32,
    pub(crate) repeats: Vec<u32>,
    /// Microseconds that each launch spends besides: shorter ones are measured in loops of up to a
    /// thousand launches, which take their time to stage and to compare.
    pub(crate) busy_us: u32,
    /// What the median of a measurement that passes must be at least.
    pub(crate) truth_us: f64,
    pub(crate) flags: Vec<&'static str>,
    pub(crate) cores: Cores,
    /// Only the second rung refuses it: not tried on machines that have none.
    pub(crate) confined: bool,
    pub(crate) check: Verdict,
    pub(crate) bench: Verdict,
}

impl Kernel {
    pub(crate) fn new(name: &'static str, body: impl Into<String>) -> Self {
        Self {
            name,
            before: String::new(),
            body: body.into(),
            cases: vec![16],
            fill: Fill::Normal { mean: 0.0, std: 1.0 },
            table: None,
            limit_ms: PATIENCE_MS,
            launches: 2,
            endurance: 8,
            repeats: vec![4],
            busy_us: 40,
            truth_us: 0.0,
            flags: vec!["-O1"],
            cores: Cores::Picked,
            confined: false,
            check: Verdict::Unasked,
            bench: Verdict::Unasked,
        }
    }

    pub(crate) fn before(self, text: impl Into<String>) -> Self {
        Self { before: text.into(), ..self }
    }

    pub(crate) fn check(self, class: FailureClass, word: &'static str) -> Self {
        Self { check: Verdict::Refused(class, word), ..self }
    }

    pub(crate) fn bench(self, class: FailureClass, word: &'static str) -> Self {
        Self { bench: Verdict::Refused(class, word), ..self }
    }

    /// By both stages.
    pub(crate) fn refused(self, class: FailureClass, word: &'static str) -> Self {
        self.check(class, word).bench(class, word)
    }

    /// By both stages, and only where calls and files are confined.
    pub(crate) fn confined(self, class: FailureClass, word: &'static str) -> Self {
        Self { confined: true, ..self.refused(class, word) }
    }

    pub(crate) fn passes(self) -> Self {
        Self { check: Verdict::Passes, bench: Verdict::Passes, ..self }
    }

    fn problem(&self) -> Problem {
        let buffer = |role, fill| ArgKind::Buffer { shape: vec!["n".into()], role, fill };
        let acc = match self.table {
            None => buffer(Role::Inout, self.fill),
            Some(columns) => ArgKind::Buffer {
                shape: vec!["n".into(), columns.to_string()],
                role: Role::In,
                fill: Fill::Zeros,
            },
        };
        let arg = |name: &str, dtype, kind| {
            // What is only read may be declared without const; then one signature serves both.
            Arg { name: name.into(), dtype, kind, is_const: name == "x" }
        };
        let case = |&n: &i64| Case { label: format!("n={n}"), sizes: [("n".to_owned(), n)].into() };
        Problem {
            name: "scale".into(),
            entry: "scale".into(),
            cases: self.cases.iter().map(case).collect(),
            holdout: None,
            args: vec![
                arg("x", Dtype::F32, buffer(Role::In, self.fill)),
                arg("acc", Dtype::F32, acc),
                arg("y", Dtype::F32, buffer(Role::Out, Fill::Zeros)),
                arg("n", Dtype::I32, ArgKind::Scalar("n".into())),
            ],
            reference: PathBuf::new(),
            tolerance: Tolerance { rtol: 1e-6, atol: 0.0, equal_nan: false },
            growth: None,
            deterministic: false,
            flops: None,
            bytes: None,
            cuda: None,
        }
    }

    fn limits(&self) -> Limits {
        Limits { timeout_ms: self.limit_ms, grace_ms: 0, retries: 0 }
    }
}

/// The references, built once for all courts that are open at a time.
static REFERENCES: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());

/// A folder where kernels are built and judged, and one with the references.
pub(crate) struct Court {
    dir: TempDir,
    references: Arc<TempDir>,
    cancel: Cancel,
}

impl Court {
    pub(crate) fn new() -> Self {
        let mut known = REFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
        let references = known.upgrade().unwrap_or_else(|| Arc::new(built_references()));
        *known = Arc::downgrade(&references);
        Self { dir: tempfile::tempdir().unwrap(), references, cancel: Cancel::default() }
    }

    /// With references that no other court uses.
    pub(crate) fn apart() -> Self {
        let references = Arc::new(built_references());
        Self { dir: tempfile::tempdir().unwrap(), references, cancel: Cancel::default() }
    }

    /// The answers that a kernel would like to read.
    pub(crate) fn reference(&self) -> PathBuf {
        self.references.path().join("reference.so")
    }

    fn reference_of(&self, kernel: &Kernel) -> PathBuf {
        match kernel.table {
            None => self.reference(),
            Some(_) => self.references.path().join("doubling.so"),
        }
    }

    fn in_context(&self, stage: impl FnOnce(&StageContext<'_>) -> StageOutcome) -> StageOutcome {
        stages::in_context(self.dir.path(), &self.cancel, stage)
    }

    fn build(&self, kernel: &Kernel) -> PathBuf {
        build(self.dir.path(), kernel, "kernel")
    }

    fn check(&self, kernel: &Kernel, library: &Path) -> StageOutcome {
        let def = CheckDef {
            problem: kernel.problem(),
            kernel: library.to_owned(),
            reference: self.reference_of(kernel),
            launches: kernel.launches,
            endurance: kernel.endurance,
            sanitize: None,
            watch: false,
            sandbox: SandboxMode::Auto,
            limits: kernel.limits(),
            seed: None,
            target: Target::Cpu(kernel.cores),
        };
        self.in_context(|ctx| check::run(&def, ctx))
    }

    fn bench(&self, kernel: &Kernel, library: &Path) -> StageOutcome {
        let work = BenchWork {
            purpose: Purpose::Candidate,
            compile: stages::compile_work(&kernel.flags),
            repeats: kernel.repeats.clone(),
            warmup: 2,
            early_stop_us: None,
            precision: None,
            mode: CacheMode::Hot,
            clocks: Clocks::AsIs,
            sandbox: SandboxMode::Auto,
            telemetry: None,
            metric: "median_us".into(),
            incumbent: Incumbent::None,
            rule: RuleWork::default(),
            limits: kernel.limits(),
            cache: true,
        };
        let def = BenchDef {
            problem: kernel.problem(),
            kernel: library.to_owned(),
            reference: self.reference_of(kernel),
            incumbent: None,
            against: None,
            work,
            build: None,
            seed: None,
            target: Target::Cpu(kernel.cores),
        };
        self.in_context(|ctx| bench::run(&def, ctx))
    }

    /// Builds each kernel once and has both stages judge it [`rounds`] times, on fresh inputs each time.
    /// All that goes otherwise than it must is told at the end.
    pub(crate) fn judges(&self, kernels: &[Kernel]) {
        self.judges_times(kernels, rounds());
    }

    /// [`Self::judges`], so many times in a row.
    pub(crate) fn judges_times(&self, kernels: &[Kernel], rounds: usize) {
        let full = SandboxLevel::available().is_full();
        let mut surprises = Vec::new();
        for kernel in kernels {
            if kernel.confined && !full {
                println!("{}: this machine cannot confine it", kernel.name);
                continue;
            }
            let library = self.build(kernel);
            for round in 1..=rounds {
                let check = |k: &Kernel| self.check(k, &library);
                let bench = |k: &Kernel| self.bench(k, &library);
                surprises.extend(held(kernel, ("check", round), kernel.check, check));
                surprises.extend(held(kernel, ("bench", round), kernel.bench, bench));
            }
        }
        assert!(surprises.is_empty(), "\n{}", surprises.join("\n"));
    }
}

fn built_references() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let reference = |body| Kernel { busy_us: 0, ..Kernel::new("reference", body) };
    build(dir.path(), &reference(GOOD), "reference");
    build(dir.path(), &Kernel { table: Some(1), ..reference(DOUBLE) }, "doubling");
    dir
}

/// Builds a kernel in a folder, under a name.
fn build(dir: &Path, kernel: &Kernel, file: &str) -> PathBuf {
    let source = dir.join(format!("{file}.c"));
    let (before, body) = (&kernel.before, &kernel.body);
    let busy = match kernel.busy_us {
        0 => String::new(),
        us => format!("spin({us} * 1000L);\n"),
    };
    let text = format!(
        "{PRELUDE}{before}\nvoid scale(const float *x, float *acc, float *y, int n) {{\n{busy}{body}\n}}\n"
    );
    fs::write(&source, text).unwrap();
    let output = dir.join(format!("{file}.so"));
    let def = CompileDef {
        sources: vec![source],
        entry: "scale".into(),
        problem: kernel.problem(),
        compile: stages::compile_work(&kernel.flags),
        compiler: None,
        arch: None,
        output: output.clone(),
    };
    let outcome = stages::in_context(dir, &Cancel::default(), |ctx| compile::run(&def, ctx));
    let log = String::from_utf8_lossy(&outcome.log);
    assert_eq!(outcome.failure, None, "{}: {log}", kernel.name);
    output
}

/// Runs a stage unless it is not asked, and holds what it says against the verdict.
fn held(
    kernel: &Kernel,
    (stage, round): (&str, usize),
    verdict: Verdict,
    run: impl FnOnce(&Kernel) -> StageOutcome,
) -> Option<String> {
    if verdict == Verdict::Unasked {
        return None;
    }
    let started = Instant::now();
    let outcome = run(kernel);
    let took = started.elapsed();
    println!("{took:8.1?} {stage} {round}: {}: {}", kernel.name, told(outcome.failure.as_ref()));
    let as_expected = match (verdict, &outcome.failure) {
        (Verdict::Refused(class, word) | Verdict::PassesOr(class, word), Some(failure)) => {
            failure.class == class && failure.message.contains(word)
        }
        (Verdict::RefusedAs(ways), Some(failure)) => ways
            .iter()
            .any(|(class, word)| failure.class == *class && failure.message.contains(word)),
        (Verdict::Passes | Verdict::PassesOr(..), None) => {
            outcome.metrics.get("median_us").is_none_or(|us| us >= kernel.truth_us)
        }
        _ => false,
    };
    let surprise = || {
        let found = told(outcome.failure.as_ref());
        let numbers = &outcome.metrics;
        format!(
            "{}: {stage} {round}, {took:.1?}: {found}, not {verdict:?}; {numbers:?}",
            kernel.name
        )
    };
    (!as_expected).then(surprise)
}

fn told(failure: Option<&Failure>) -> String {
    failure.map_or("passes".into(), |f| format!("{:?}: {}", f.class, f.message.replace('\n', " ")))
}
