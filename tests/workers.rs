//! Real kernels through compile, check and bench, in real workers.
//!
//! A test binary of its own: here the library lives in the test process and takes its orphans,
//! which must not happen to programs that other tests start.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests stops at the first surprise, and counts are exact"
)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use optloop::engine::stage::FailureClass::{Cheating, Crashed, TimedOut, Wrong};
use optloop::engine::stage::bench::BenchDef;
use optloop::engine::stage::check::CheckDef;
use optloop::engine::stage::compile::CompileDef;
use optloop::engine::stage::{FailureClass, StageContext, StageOutcome, bench, check, compile};
use optloop::host::Host;
use optloop::pipeline::{
    BenchWork, CacheMode, Clocks, CompileWork, Cores, Incumbent, Limits, Purpose, RuleWork,
    SandboxMode, Target,
};
use optloop::problem::{Arg, ArgKind, Case, Fill, Holdout, Problem, Role, load};
use optloop::process::Cancel;
use optloop::verify::{Dtype, Tolerance};

mod stages;

use stages::ThisMachine;

const PRELUDE: &str = "#include <stdlib.h>\n#include <stdio.h>\n#include <unistd.h>\n#include <signal.h>\n#include <time.h>\n#include <fcntl.h>\n#include <string.h>\n#include <sys/wait.h>\n";
const SIGNATURE: &str = "void scale(const float *x, float *acc, float *y, int n)";
const GOOD: &str = "for (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] = 2 * x[i]; }";

/// `acc += x; y = 2 x` over n elements.
fn problem(cases: &[i64]) -> Problem {
    let buffer = |role, fill| ArgKind::Buffer { shape: vec!["n".into()], role, fill };
    let arg = |name: &str, dtype, kind| Arg { name: name.into(), dtype, kind, is_const: true };
    let normal = Fill::Normal { mean: 0.0, std: 1.0 };
    let case = |&n: &i64| Case { label: format!("n={n}"), sizes: [("n".to_owned(), n)].into() };
    Problem {
        name: "scale".into(),
        entry: "scale".into(),
        cases: cases.iter().map(case).collect(),
        holdout: None,
        args: vec![
            arg("x", Dtype::F32, buffer(Role::In, normal)),
            arg("acc", Dtype::F32, buffer(Role::Inout, normal)),
            arg("y", Dtype::F32, buffer(Role::Out, Fill::Zeros)),
            arg("n", Dtype::I32, ArgKind::Scalar("n".into())),
        ],
        reference: PathBuf::new(),
        tolerance: Tolerance { rtol: 1e-6, atol: 1e-6, equal_nan: false },
        growth: None,
        deterministic: false,
        flops: None,
        bytes: None,
        cuda: None,
    }
}

/// More than a stage takes here on a machine that is slow and busy.
const PATIENCE_MS: u64 = 300_000;

struct World {
    dir: tempfile::TempDir,
    problem: Problem,
    limits: Limits,
    early_stop_us: Option<f64>,
    cancel: Cancel,
}

impl World {
    fn new(cases: &[i64]) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            problem: problem(cases),
            limits: Limits { timeout_ms: PATIENCE_MS, grace_ms: 0, retries: 0 },
            early_stop_us: None,
            cancel: Cancel::default(),
        }
    }

    fn in_context(&self, stage: impl FnOnce(&StageContext<'_>) -> StageOutcome) -> StageOutcome {
        stages::in_context(self.dir.path(), &self.cancel, stage)
    }

    fn compile_work() -> CompileWork {
        stages::compile_work(&["-O1"])
    }

    /// Builds a kernel with this body and gives its path.
    fn build(&self, name: &str, body: &str) -> PathBuf {
        let source = self.dir.path().join(format!("{name}.c"));
        fs::write(&source, format!("{PRELUDE}{SIGNATURE} {{ {body} }}\n")).unwrap();
        let output = self.dir.path().join(format!("{name}.so"));
        let def = CompileDef {
            sources: vec![source],
            entry: "scale".into(),
            problem: self.problem.clone(),
            compile: Self::compile_work(),
            compiler: None,
            arch: None,
            output: output.clone(),
        };
        let outcome = self.in_context(|ctx| compile::run(&def, ctx));
        assert_eq!(outcome.failure, None, "{name}");
        output
    }

    /// The same sources, to be built with sanitizers.
    fn sanitized(&self, name: &str) -> CompileDef {
        CompileDef {
            sources: vec![self.dir.path().join(format!("{name}.c"))],
            entry: "scale".into(),
            problem: self.problem.clone(),
            compile: Self::compile_work(),
            compiler: None,
            arch: None,
            output: PathBuf::new(),
        }
    }

    /// The reference, built once.
    fn reference(&self) -> PathBuf {
        let built = self.dir.path().join("reference.so");
        if built.exists() { built } else { self.build("reference", GOOD) }
    }

    fn check(&self, body: &str) -> StageOutcome {
        let def = self.check_def(body);
        self.in_context(|ctx| check::run(&def, ctx))
    }

    /// Builds kernel and reference for a check.
    fn check_def(&self, body: &str) -> CheckDef {
        CheckDef {
            sandbox: SandboxMode::Auto,
            problem: self.problem.clone(),
            kernel: self.build("kernel", body),
            reference: self.reference(),
            launches: 3,
            endurance: 8,
            sanitize: None,
            watch: false,
            limits: self.limits,
            seed: None,
            target: Target::Cpu(Cores::Picked),
        }
    }

    fn bench(&self, body: &str) -> StageOutcome {
        self.in_context(|ctx| self.bench_in(body, ctx))
    }

    fn bench_in(&self, body: &str, ctx: &StageContext<'_>) -> StageOutcome {
        let work = BenchWork {
            purpose: Purpose::Candidate,
            compile: Self::compile_work(),
            repeats: vec![8, 16, 32],
            warmup: 2,
            early_stop_us: self.early_stop_us,
            precision: None,
            mode: CacheMode::Hot,
            clocks: Clocks::AsIs,
            sandbox: SandboxMode::Auto,
            telemetry: None,
            metric: "median_us".into(),
            incumbent: Incumbent::None,
            rule: RuleWork::default(),
            limits: self.limits,
            cache: true,
        };
        let def = BenchDef {
            problem: self.problem.clone(),
            kernel: self.build("kernel", body),
            reference: self.reference(),
            incumbent: None,
            against: None,
            work,
            build: None,
            seed: Some(7),
            target: Target::Cpu(Cores::Picked),
        };
        bench::run(&def, ctx)
    }
}

/// What the stage recorded, as people read it.
fn detail(outcome: &StageOutcome) -> serde_json::Value {
    serde_json::to_value(&outcome.detail).expect("encodes")
}

fn class(outcome: &StageOutcome) -> Option<FailureClass> {
    outcome.failure.as_ref().map(|f| f.class)
}

#[test]
fn a_right_kernel_passes_with_every_output_compared() {
    let outcome = World::new(&[1, 16, 1000]).check(GOOD);
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.metrics.get("cases"), Some(3.0));
    assert_eq!(outcome.metrics.get("mismatches"), Some(0.0));
    assert_eq!(detail(&outcome)["cases"][2]["elements"], 2 * 10 * 1000);
}

#[test]
fn a_right_kernel_is_measured() {
    let outcome = World::new(&[1, 16, 1000]).bench(GOOD);
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.metrics.get("launches"), Some(96.0));
    assert_eq!(detail(&outcome)["looks_used"], 3);
    assert_eq!(detail(&outcome)["cases"][0]["processes"].as_array().unwrap().len(), 8);
    let metric = |name: &str| outcome.metrics.get(name).expect("a number");
    assert!(metric("min_us") <= metric("median_us") && metric("median_us") <= metric("p90_us"));
    assert!(metric("median_lower_us") <= metric("median_us"));
}

#[test]
fn each_way_to_fail_has_its_own_class() {
    // 16 floats fill a cache line, so that the buffer ends at its guard page.
    let mut world = World::new(&[16]);
    for (body, expected, words) in [
        ("", Wrong, "elements"),
        (
            "for (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] = 2 * x[i]; } y[n - 1] += 1;",
            Wrong,
            "1 of 16",
        ),
        ("*(volatile int *)8 = 1;", Crashed, "SIGSEGV"),
        ("for (int i = 0; i <= n; i++) y[i] = 2 * x[i];", Crashed, "SIGSEGV"),
        ("y[-1100] = 1;", Crashed, "SIGSEGV"),
        ("((volatile float *)x)[0] = 1;", Crashed, "SIGSEGV"),
        ("abort();", Crashed, "SIGABRT"),
        ("exit(0);", Crashed, "exit code 0"),
        ("_exit(3);", Crashed, "exit code 3"),
        ("kill(getpid(), 9);", Crashed, "SIGKILL"),
        ("int z = n - 16; y[0] = n / z;", Crashed, "SIGFPE"),
        ("for (;;) pause();", TimedOut, "deadline"),
        ("signal(SIGTERM, SIG_IGN); for (;;) {}", TimedOut, "deadline"),
        ("if (!fork()) for (;;) pause(); _exit(5);", Cheating, "`fork`"),
        ("for (int i = 3; i < 1024; i++) close(i);", Cheating, "descriptors"),
        ("for (int i = 3; i < 1024; i++) close(i); for (;;) pause();", Cheating, "went on"),
        (
            "for (int i = 3; i < 1024; i++) write(i, \"forged\", 6); for (;;) pause();",
            Cheating,
            "no message",
        ),
    ] {
        // Who hangs is seen to; all else is noticed long before it is time.
        world.limits.timeout_ms = if expected == TimedOut { 1_000 } else { PATIENCE_MS };
        let outcome = world.check(body);
        assert_eq!(class(&outcome), Some(expected), "{body}: {:?}", outcome.failure);
        let message = &outcome.failure.as_ref().unwrap().message;
        assert!(message.contains(words) && message.contains("n=16"), "{body}: {message}");
    }
}

/// What a check says that must refuse the kernel.
fn refused(outcome: &StageOutcome, expected: FailureClass, words: &str, kernel: &str) {
    assert_eq!(class(outcome), Some(expected), "{kernel}: {:?}", outcome.failure);
    let message = &outcome.failure.as_ref().unwrap().message;
    assert!(message.contains(words), "{kernel}: {message}");
}

#[test]
fn kernels_that_remember_are_wrong_on_new_inputs() {
    let world = World::new(&[4096]);
    // Results of the last launch, in an array each.
    let kept = "static float ka[4096], ky[4096]; static const void *kx, *kc; static int full;";
    let recall = "{ for (int i = 0; i < n; i++) { acc[i] = ka[i]; y[i] = ky[i]; } return; }";
    let keep = "for (int i = 0; i < n; i++) { ka[i] = acc[i]; ky[i] = y[i]; }";
    let by_size = format!("{kept} if (full == n) {recall} {GOOD} {keep} full = n;");
    let by_place = format!(
        "{kept} if (kx == x && kc == acc) {recall} {GOOD} {keep} if (!kx) {{ kx = x; kc = acc; }}"
    );
    // A handful of elements stands for all.
    let by_few = format!(
        "static struct {{ float f[8], a[4096], y[4096]; int n; }} memo[32]; static int used;\n\
         float f[8]; for (int i = 0; i < 8; i++) f[i] = x[i * (n / 8)];\n\
         for (int m = 0; m < used; m++) {{ int same = memo[m].n == n;\n\
           for (int i = 0; i < 8; i++) same = same && memo[m].f[i] == f[i];\n\
           if (same) {{ for (int i = 0; i < n; i++) {{ acc[i] = memo[m].a[i]; y[i] = memo[m].y[i]; }} return; }} }}\n\
         {GOOD}\n\
         if (used < 32) {{ for (int i = 0; i < 8; i++) memo[used].f[i] = f[i];\n\
           for (int i = 0; i < n; i++) {{ memo[used].a[i] = acc[i]; memo[used].y[i] = y[i]; }} memo[used++].n = n; }}"
    );
    for (kernel, words) in [
        (by_size, "of 4096 elements"),
        (by_place, "on new inputs in the same buffers"),
        (by_few, "on inputs that differ from earlier ones in a few elements"),
    ] {
        // One seed in 128 changes an element that the last of these looks at.
        let def = CheckDef { seed: Some(1), ..world.check_def(&kernel) };
        let outcome = world.in_context(|ctx| check::run(&def, ctx));
        refused(&outcome, Wrong, words, &kernel);
    }
}

#[test]
fn work_that_goes_on_after_the_launch_has_returned_is_cheating() {
    // The worker's core is not the thread's: it goes on while the judge reads.
    let later = format!(
        "#include <pthread.h>\nstatic struct {{ const float *x; float *acc, *y; int n; }} job;\n\
         static void *work(void *none) {{ usleep(3000); const float *x = job.x; float *acc = job.acc, *y = job.y;\n\
         int n = job.n; {GOOD} return none; }}\n{SIGNATURE} {{ job.x = x; job.acc = acc; job.y = y; job.n = n;\n\
         pthread_t t; pthread_create(&t, 0, work, 0); pthread_detach(t); }}\n"
    );
    let world = World::new(&[16]);
    let source = world.dir.path().join("later.c");
    fs::write(&source, format!("{PRELUDE}{later}")).unwrap();
    let kernel = built(&world, &world.problem, source, &["-O1", "-pthread"]);
    let def = CheckDef { kernel, ..world.check_def("") };
    let outcome = world.in_context(|ctx| check::run(&def, ctx));
    refused(&outcome, Cheating, "finished after the launch had returned", "later");
}

#[test]
fn honest_kernels_pass_however_odd_they_are() {
    let slow_start = format!(
        "static int ready; if (!ready) {{ struct timespec t = {{ 0, 20000000 }}; nanosleep(&t, 0); ready = 1; }} {GOOD}"
    );
    let aligned = "const float *px = __builtin_assume_aligned(x, 64); float *py = __builtin_assume_aligned(y, 64);\n\
         for (int i = 0; i < n; i++) { acc[i] += px[i]; py[i] = 2 * px[i]; }";
    let scratch = format!(
        "static float *t; if (!t) t = malloc(1 << 22); for (int i = 0; i < n; i++) t[i] = x[i]; {GOOD}"
    );
    let stack = format!("float t[200000]; t[n] = 1; volatile float use = t[n]; (void)use; {GOOD}");
    let tiny = "for (int i = 0; i < n; i++) { float s = x[i] * 1e-40f; acc[i] += x[i] + (s - s); y[i] = 2 * x[i]; }";
    let prints = format!("fprintf(stderr, \"ERROR: AddressSanitizer: none\\n\"); {GOOD}");
    let world = World::new(&[1, 7, 1000]);
    for body in [&slow_start, aligned, &scratch, &stack, tiny, &prints] {
        let def = CheckDef {
            endurance: 16,
            launches: 2,
            sanitize: Some(world.sanitized("kernel")),
            ..world.check_def(body)
        };
        let outcome = world.in_context(|ctx| check::run(&def, ctx));
        assert_eq!(outcome.failure, None, "{body}");
        let sanitizers = detail(&outcome)["sanitizers"].clone();
        assert!(sanitizers["ran"] == true || sanitizers["why"].is_string(), "{sanitizers}");
    }
}

#[test]
fn endurance_finds_what_is_wrong_now_and_then() {
    let world = World::new(&[16, 64]);
    for (when, words) in
        [("calls % 2 == 0", "n="), ("calls > 3", "n="), ("calls >= 40", "in a row in one process")]
    {
        let kernel = format!("static int calls; {GOOD} if (++calls, {when}) y[n - 1] += 1;");
        let def = CheckDef { endurance: 64, ..world.check_def(&kernel) };
        let outcome = world.in_context(|ctx| check::run(&def, ctx));
        refused(&outcome, Wrong, words, &kernel);
    }
    let honest = CheckDef { endurance: 64, ..world.check_def(GOOD) };
    let outcome = world.in_context(|ctx| check::run(&honest, ctx));
    assert_eq!(outcome.failure, None);
    assert_eq!(detail(&outcome)["endurance"]["launches"], 64);
    assert_eq!(detail(&outcome)["endurance"]["case"], "n=16");
}

#[test]
fn a_reference_that_cannot_be_held_against_anything_is_the_problems_mistake() {
    let mut world = World::new(&[1000]);
    for (reference, words) in [
        (
            "for (int i = 0; i < n; i++) acc[i] += x[i]; for (int i = 0; i < 506; i++) y[i] = 2 * x[i];",
            "leaves unwritten 494 of 1000 elements of `y` at case n=1000: what a kernel must leave \
             there nobody can say; write `role = \"inout\"` for `y`",
        ),
        (
            "for (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] = i % 100 ? x[i] : 0.0f / (x[i] - x[i]); }",
            "gives NaN in 10 of 1000 elements of `y` at case n=1000: no kernel can pass",
        ),
        ("abort();", "the reference of problem `scale` crashed"),
    ] {
        let def =
            CheckDef { reference: world.build("partial", reference), ..world.check_def(GOOD) };
        let outcome = world.in_context(|ctx| check::run(&def, ctx));
        refused(&outcome, FailureClass::Problem, words, reference);
    }
    // The same, where NaN is what is asked for.
    let nan = "for (int i = 0; i < n; i++) { acc[i] += x[i]; y[i] = i % 100 ? x[i] : 0.0f / (x[i] - x[i]); }";
    world.problem.tolerance.equal_nan = true;
    let def = CheckDef { reference: world.build("partial", nan), ..world.check_def(nan) };
    assert_eq!(world.in_context(|ctx| check::run(&def, ctx)).failure, None);
}

#[test]
fn a_launch_a_thousand_times_as_long_as_the_references_is_ended_with_both_times() {
    let mut world = World::new(&[16]);
    world.limits.timeout_ms = 60_000;
    let outcome = world.check("for (;;) {}");
    refused(&outcome, TimedOut, "was not back before the deadline of a launch", "loops for ever");
    let message = &outcome.failure.as_ref().unwrap().message;
    assert!(
        message.contains("ended after 2") && message.contains("the reference takes"),
        "{message}"
    );
}

/// The same machine, on which every set counts as large.
struct Large;

impl Host for Large {
    fn var(&self, name: &str) -> Option<OsString> {
        if name == "OPTLOOP_LARGE_BYTES" { Some("1".into()) } else { ThisMachine.var(name) }
    }

    fn program(&self) -> &Path {
        Path::new(env!("CARGO_BIN_EXE_optloop"))
    }
}

impl World {
    fn in_large_context(
        &self,
        stage: impl FnOnce(&StageContext<'_>) -> StageOutcome,
    ) -> StageOutcome {
        self.in_context(|ctx| stage(&StageContext { host: &Large, ..*ctx }))
    }
}

#[test]
fn large_sets_are_drawn_once_where_they_lie_and_judged_as_strictly() {
    let mut world = World::new(&[500, 1000]);
    world.problem.holdout =
        Some(Holdout { ranges: [("n".to_owned(), (100, 900))].into(), count: 1 });
    let remember = "static float y0[1000], a0[1000]; static int full;";
    let from_memory =
        "if (full == n) { for (int i = 0; i < n; i++) { acc[i] = a0[i]; y[i] = y0[i]; } return; }";
    let keep = "for (int i = 0; i < n; i++) { a0[i] = acc[i]; y0[i] = y[i]; } full = n;";
    let remembering = format!("{remember} {from_memory} {GOOD} {keep}");
    let late = format!("{GOOD} y[n - 1] += 1;");
    let counting = format!("static int calls; {GOOD} if (++calls > 6) y[n - 1] += 1;");
    for (kernel, expected) in [
        (GOOD, None),
        (late.as_str(), Some(Wrong)),
        (remembering.as_str(), Some(Wrong)),
        (counting.as_str(), Some(Wrong)),
        ("", Some(Wrong)),
        ("for (int i = 0; i <= n + 1100; i++) y[i] = x[i];", Some(Crashed)),
    ] {
        let def = world.check_def(kernel);
        let outcome = world.in_large_context(|ctx| check::run(&def, ctx));
        assert_eq!(class(&outcome), expected, "{kernel}: {:?}", outcome.failure);
        if expected.is_none() {
            // Two fresh sets, a near twin and the first again twice, of two outputs.
            assert_eq!(detail(&outcome)["cases"][1]["elements"], 2 * 5 * 1000);
            assert_eq!(detail(&outcome)["deterministic"], true);
            assert_eq!(detail(&outcome)["holdout"]["passed"], 1);
            assert_eq!(detail(&outcome)["endurance"]["launches"], 8);
        }
    }
    let partial =
        "for (int i = 0; i < n; i++) acc[i] += x[i]; for (int i = 0; i < 6; i++) y[i] = x[i];";
    let def = CheckDef { reference: world.build("partial", partial), ..world.check_def(GOOD) };
    let outcome = world.in_large_context(|ctx| check::run(&def, ctx));
    refused(&outcome, FailureClass::Problem, "leaves unwritten 4", partial);
}

#[test]
fn large_sets_are_measured_one_launch_a_process() {
    let world = World::new(&[1000]);
    let heard = Mutex::new(BTreeSet::new());
    let outcome = world.in_large_context(|ctx| {
        let progress = |_: f32, words: &str| {
            let words = words.split(',').next().unwrap_or_default().to_owned();
            heard.lock().unwrap().insert(words);
        };
        world.bench_in(GOOD, &StageContext { progress: &progress, ..*ctx })
    });
    assert_eq!(outcome.failure, None);
    let case = detail(&outcome)["cases"][0].clone();
    assert_eq!(
        (&case["staged_sets"], &case["loop"]),
        (&serde_json::json!(2), &serde_json::json!(1)),
        "{case}"
    );
    assert_eq!(detail(&outcome)["processes"], detail(&outcome)["launches"]);
    let heard = heard.into_inner().unwrap();
    for words in ["drawing inputs", "staging inputs", "reference", "comparing"] {
        assert!(heard.contains(words), "{words}: {heard:?}");
    }
    let wrong = format!("static int calls; {GOOD} if (++calls > 3) y[n - 1] += 1;");
    let outcome = world.in_large_context(|ctx| world.bench_in(&wrong, ctx));
    assert_eq!(class(&outcome), Some(Wrong), "{:?}", outcome.failure);
}

#[test]
fn what_the_judge_takes_for_itself_is_not_held_against_the_kernel() {
    let mut world = World::new(&[1 << 20]);
    world.limits.timeout_ms = 1_000;
    for arg in &mut world.problem.args {
        if let ArgKind::Buffer { fill, .. } = &mut arg.kind {
            *fill = Fill::Adversarial;
        }
    }
    let started = Instant::now();
    let outcome = world.check(GOOD);
    // Drawing takes longer than the limit, at least in a build without optimisation.
    assert_eq!(outcome.failure, None, "after {:?}", started.elapsed());
}

#[test]
fn a_problem_that_takes_any_answer_is_refused() {
    let mut world = World::new(&[16, 64]);
    world.problem.tolerance = Tolerance { rtol: 0.0, atol: 1e3, equal_nan: false };
    let outcome = world.check(GOOD);
    refused(&outcome, FailureClass::Problem, "every wanted value is below atol", "loose");
    let message = &outcome.failure.as_ref().unwrap().message;
    assert!(
        message.contains("control: zero; `acc`, `y`") && message.contains("atol 1e3"),
        "{message}"
    );
    world.problem.tolerance = Tolerance { rtol: 1e-6, atol: 1e-6, equal_nan: false };
    for arg in &mut world.problem.args {
        if let ArgKind::Buffer { fill, .. } = &mut arg.kind {
            *fill = Fill::Iota;
        }
    }
    refused(&world.check(GOOD), FailureClass::Problem, "the fills are not random", "iota");
}

#[test]
fn other_bits_on_the_same_inputs_are_noted_and_refused_on_request() {
    let mut world = World::new(&[16, 64]);
    // Within the tolerance, and another sum each time.
    let kernel = format!("static int calls; {GOOD} y[0] *= 1 + 5e-7f * (calls++ % 2);");
    let def = CheckDef { launches: 2, ..world.check_def(&kernel) };
    let outcome = world.in_context(|ctx| check::run(&def, ctx));
    assert_eq!(outcome.failure, None);
    assert_eq!(detail(&outcome)["deterministic"], false);
    assert_eq!(detail(&outcome)["unsteady"][0]["outputs"][0], "y");
    world.problem.deterministic = true;
    refused(&world.check(&kernel), Wrong, "the same inputs gave other bits in `y`", &kernel);
    let outcome = world.check(GOOD);
    assert_eq!(outcome.failure, None);
    assert_eq!(detail(&outcome)["deterministic"], true);
}

#[test]
fn rounding_errors_that_grow_too_fast_are_refused() {
    let mut world = World::new(&[64, 1024, 16384]);
    world.problem.growth = Some(0.6);
    world.problem.tolerance = Tolerance { rtol: 1e-1, atol: 1e-1, equal_nan: false };
    let scaled =
        |power: &str| format!("{GOOD} for (int i = 0; i < n; i++) y[i] *= 1 + 1e-6f * {power};");
    let outcome = world.check(&scaled("n"));
    refused(&outcome, Wrong, "y: the error grows like size^1.0", "linear");
    let outcome = world.check(&scaled("__builtin_sqrtf(n)"));
    assert_eq!(outcome.failure, None);
    let growth = detail(&outcome)["growth"].as_array().unwrap().clone();
    let of = |name: &str| growth.iter().find(|g| g["output"] == name).unwrap()["exponent"].as_f64();
    assert!((of("y").unwrap() - 0.5).abs() < 0.05, "{growth:?}");
    assert_eq!(world.check(GOOD).failure, None);
}

#[test]
fn the_hold_out_is_checked_and_its_sizes_stay_secret() {
    let mut world = World::new(&[16, 64]);
    world.problem.holdout =
        Some(Holdout { ranges: [("n".to_owned(), (700, 799))].into(), count: 2 });
    let outcome = world.check(GOOD);
    assert_eq!(outcome.failure, None);
    assert_eq!(detail(&outcome)["holdout"], serde_json::json!({ "cases": 2, "passed": 2 }));
    assert_eq!(detail(&outcome)["cases"].as_array().unwrap().len(), 2);
    // Whatever it does at other sizes, nothing that is kept tells them.
    for (deed, expected, words) in [
        ("y[n - 1] += 1;", Wrong, "less than a hundredth of the elements differ"),
        ("printf(\"size=%d\\n\", n); fflush(stdout); exit(n % 251);", Crashed, "ended its process"),
        ("*(volatile int *)8 = n;", Crashed, "crashed"),
    ] {
        let kernel = format!("{GOOD} if (n != 16 && n != 64) {{ {deed} }}");
        let outcome = world.check(&kernel);
        refused(&outcome, expected, words, &kernel);
        let kept = format!("{outcome:?}");
        let message = &outcome.failure.as_ref().unwrap().message;
        assert!(message.starts_with("hold-out 1 (sizes are withheld): "), "{message}");
        for size in 700..800 {
            assert!(!message.contains(&size.to_string()), "{message}");
            assert!(!kept.contains(&format!("size={size}")), "{kept}");
        }
    }
}

#[test]
fn a_kernel_that_knows_inputs_by_their_content_is_cheating() {
    let world = World::new(&[4096]);
    // Slow work that a full comparison of the inputs spares.
    let slow = "volatile float s = 0; for (int r = 0; r < 100; r++) for (int i = 0; i < n; i++) s += x[i];";
    let memo = format!(
        "static struct {{ float x[4096], c[4096], a[4096], y[4096]; }} memo[64]; static int used;\n\
         for (int m = 0; m < used; m++)\n\
           if (!memcmp(memo[m].x, x, 4 * n) && !memcmp(memo[m].c, acc, 4 * n)) {{\n\
             memcpy(acc, memo[m].a, 4 * n); memcpy(y, memo[m].y, 4 * n); return; }}\n\
         if (used < 64) {{ memcpy(memo[used].x, x, 4 * n); memcpy(memo[used].c, acc, 4 * n); }}\n\
         {slow} {GOOD}\n\
         if (used < 64) {{ memcpy(memo[used].a, acc, 4 * n); memcpy(memo[used++].y, y, 4 * n); }}"
    );
    refused(&world.check(&memo), Cheating, "remembers results by content", &memo);
    let honest = world.check(&format!("{slow} {GOOD}"));
    assert_eq!(honest.failure, None);
    let memory = detail(&honest)["memory"].clone();
    assert_eq!(memory["attempts"], 1, "{memory}");
}

#[test]
fn sanitizers_find_what_happens_to_work() {
    let world = World::new(&[16, 64]);
    let check = |body: &str| {
        let def = CheckDef { sanitize: Some(world.sanitized("kernel")), ..world.check_def(body) };
        world.in_context(|ctx| check::run(&def, ctx))
    };
    let outcome = check(GOOD);
    assert_eq!(outcome.failure, None);
    let report = detail(&outcome)["sanitizers"].clone();
    if report["ran"] == false {
        // A compiler without the libraries is no fault of the kernel's, and is told.
        assert!(report["why"].is_string(), "{report}");
        return;
    }
    assert_eq!(report["cases"], 2, "{report}");
    for (body, words) in [
        (
            "\nfloat *t = malloc(4 * n); for (int i = 0; i < n; i++) t[i] = x[i];\n\
             volatile float over = t[n]; (void)over; free(t);",
            "heap-buffer-overflow: READ of size 4 at kernel.c:11",
        ),
        ("\n\nvolatile int m = 2147483647; m += n;", "signed integer overflow"),
    ] {
        let outcome = check(&format!("{GOOD}{body}"));
        refused(&outcome, Crashed, words, body);
    }
    let outcome = check("\n*(volatile int *)8 = 1;");
    refused(&outcome, Crashed, "a sanitizer says: SEGV: WRITE at kernel.c:10", "crash");
}

#[test]
fn measuring_finds_what_only_later_launches_do_wrong() {
    let world = World::new(&[16, 64]);
    let late = format!("static int calls; {GOOD} if (++calls > 12) y[0] += 1;");
    let outcome = world.bench(&late);
    assert_eq!(class(&outcome), Some(Wrong), "{:?}", outcome.failure);
    let crash = format!("static int calls; {GOOD} if (++calls > 12) abort();");
    assert_eq!(class(&world.bench(&crash)), Some(Crashed));
}

#[test]
fn twice_slower_than_the_limit_is_given_up_after_the_first_process() {
    let world = World { early_stop_us: Some(1_000.0), ..World::new(&[16]) };
    let spin = format!(
        "struct timespec a, b; clock_gettime(CLOCK_MONOTONIC, &a); {GOOD} do clock_gettime(CLOCK_MONOTONIC, &b); \
         while ((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec < 2000000L);"
    );
    let outcome = world.bench(&spin);
    assert_eq!(class(&outcome), Some(FailureClass::TooSlow), "{:?}", outcome.failure);
    assert_eq!(outcome.metrics.get("launches"), Some(4.0));
    assert_eq!(detail(&outcome)["stopped_early"], true);
}

#[test]
fn what_a_kernel_prints_is_kept_and_believed_by_nobody() {
    let outcome = World::new(&[16]).check("puts(\"PASS mismatches: 0\"); fflush(stdout);");
    assert_eq!(class(&outcome), Some(Wrong));
    let log = String::from_utf8(outcome.log).unwrap();
    assert_eq!(log.matches("PASS mismatches: 0").count(), 1, "{log}");
}

#[test]
fn a_stop_ends_a_hanging_kernel() {
    let world = World::new(&[16]);
    let def = world.check_def("for (;;) pause();");
    let cancel = world.cancel.clone();
    let waiter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        cancel.request();
    });
    let outcome = world.in_context(|ctx| check::run(&def, ctx));
    waiter.join().unwrap();
    assert_eq!(class(&outcome), Some(FailureClass::Interrupted), "{:?}", outcome.failure);
}

#[test]
fn cpp_and_threaded_kernels_run_like_any_other() {
    let world = World::new(&[16, 1000]);
    let reference = world.build("reference", GOOD);
    let cpp = "#include <vector>\nnamespace { template <class T> T twice(T x) { return 2 * x; } }\n\
        extern \"C\" void scale(const float *x, float *acc, float *y, int n) {\n\
        std::vector<float> sum(acc, acc + n);\n\
        for (int i = 0; i < n; i++) { sum[i] += x[i]; y[i] = twice(x[i]); }\n\
        for (int i = 0; i < n; i++) acc[i] = sum[i]; }\n";
    let omp = format!("{SIGNATURE} {{\n#pragma omp parallel for\n{GOOD}\n}}\n");
    for (name, text, flags) in
        [("cpp.cc", cpp, &["-O2"][..]), ("omp.c", &omp, &["-O2", "-fopenmp"])]
    {
        let source = world.dir.path().join(name);
        fs::write(&source, text).unwrap();
        let def = CheckDef {
            kernel: built(&world, &world.problem, source, flags),
            reference: reference.clone(),
            ..world.check_def("")
        };
        let outcome = world.in_context(|ctx| check::run(&def, ctx));
        assert_eq!(outcome.failure, None, "{name}");
    }
}

#[test]
fn every_element_type_arrives_as_itself() {
    for dtype in Dtype::ALL {
        let mut world = World::new(&[33]);
        world.problem.args = vec![
            Arg {
                name: "x".into(),
                is_const: true,
                dtype,
                kind: ArgKind::Buffer {
                    shape: vec!["n".into()],
                    role: Role::In,
                    fill: Fill::Integers { low: 0, high: 1 },
                },
            },
            Arg {
                name: "y".into(),
                is_const: true,
                dtype,
                kind: ArgKind::Buffer {
                    shape: vec!["n".into()],
                    role: Role::Out,
                    fill: Fill::Zeros,
                },
            },
            Arg { name: "last".into(), dtype, kind: ArgKind::Scalar("1".into()), is_const: true },
        ];
        let c = dtype.c_name();
        let text = format!(
            "#include <stdbool.h>\n#include <stdint.h>\nvoid scale(const {c} *x, {c} *y, {c} last) \
             {{ for (int i = 0; i < 32; i++) y[i] = x[i]; y[32] = last; }}\n"
        );
        let source = world.dir.path().join("copy.c");
        fs::write(&source, text).unwrap();
        let kernel = built(&world, &world.problem, source, &["-O1"]);
        let scratch_def = CheckDef {
            sandbox: SandboxMode::Auto,
            problem: world.problem.clone(),
            reference: kernel.clone(),
            kernel,
            launches: 1,
            endurance: 8,
            sanitize: None,
            watch: false,
            limits: world.limits,
            seed: Some(1),
            target: Target::Cpu(Cores::Picked),
        };
        let outcome = world.in_context(|ctx| check::run(&scratch_def, ctx));
        assert_eq!(outcome.failure, None, "{dtype:?}");
        assert_eq!(detail(&outcome)["cases"][0]["elements"], 6 * 33, "{dtype:?}");
    }
}

fn built(world: &World, problem: &Problem, source: PathBuf, flags: &[&str]) -> PathBuf {
    let name = source.file_stem().unwrap().to_string_lossy().into_owned();
    let output = world.dir.path().join(format!("{name}.so"));
    let mut compile = World::compile_work();
    compile.flags = flags.iter().map(|&f| f.to_owned()).collect();
    let def = CompileDef {
        sources: vec![source],
        entry: problem.entry.clone(),
        problem: problem.clone(),
        compile,
        compiler: None,
        arch: None,
        output: output.clone(),
    };
    let outcome = world.in_context(|ctx| compile::run(&def, ctx));
    assert_eq!(outcome.failure, None, "{name}");
    output
}

/// Both C versions of a shipped kernel against its reference, at its own sizes.
fn shipped(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(name);
    let loaded = load(&folder.join("problem.toml"), &ThisMachine);
    let problem = loaded.problem.expect("a shipped problem is valid");
    let world = World::new(&[]);
    let exact = ["-O2", "-ffp-contract=off"];
    let reference = built(&world, &problem, problem.reference.clone(), &exact);
    for kernel in [format!("{name}.c"), format!("{name}_fast.c")] {
        let def = CheckDef {
            sandbox: SandboxMode::Auto,
            problem: problem.clone(),
            kernel: built(&world, &problem, folder.join(&kernel), &["-O3", "-march=native"]),
            reference: reference.clone(),
            launches: 1,
            endurance: 2,
            sanitize: None,
            watch: false,
            limits: world.limits,
            seed: None,
            target: Target::Cpu(Cores::Picked),
        };
        let outcome = world.in_context(|ctx| check::run(&def, ctx));
        assert_eq!(outcome.failure, None, "{kernel}");
    }
}

/// The kernels that a folder below `kernels/` holds; each has a test of its own here.
const SHIPPED: [&str; 5] = ["reduce_sum", "sgemm", "softmax", "stencil2d", "vector_add"];

#[test]
fn every_shipped_kernel_has_its_test() {
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")).unwrap();
    let folders = folders.map(|entry| entry.unwrap()).filter(|e| e.path().is_dir());
    let mut names: Vec<String> =
        folders.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != ".optloop");
    names.sort();
    assert_eq!(names, SHIPPED);
}

#[test]
fn the_shipped_reduce_sum_is_right() {
    shipped(SHIPPED[0]);
}

#[test]
fn the_shipped_sgemm_is_right() {
    shipped(SHIPPED[1]);
}

#[test]
fn the_shipped_softmax_is_right() {
    shipped(SHIPPED[2]);
}

#[test]
fn the_shipped_stencil2d_is_right() {
    shipped(SHIPPED[3]);
}

#[test]
fn the_shipped_vector_add_is_right() {
    shipped(SHIPPED[4]);
}
