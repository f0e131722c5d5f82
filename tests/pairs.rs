//! Two kernels in real workers, compared pair by pair.
//!
//! A test binary of its own: here the library lives in the test process and takes its orphans,
//! which must not happen to programs that other tests start.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a helper of tests stops at the first surprise, and compilers need a PATH"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use optloop::backend::cpu::{CpuSession, SessionOptions, last_core};
use optloop::backend::{Allowance, Argument, Fault, Session, Shelf};
use optloop::measure::Halt;
use optloop::measure::pairs::{
    Comparison, Contest, KernelPairs, Scoring, Side, SlotPlan, Spent, Stop, Terms, decide,
};
use optloop::pipeline::Guard;
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxMode;
use optloop::stats::{Reason, Rule};

const PRELUDE: &str = "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <time.h>\n#include <pthread.h>\n\
    static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);\n\
    return t.tv_sec * 1000000000L + t.tv_nsec; }\n\
    __attribute__((noinline)) static void spin(long us) { long end = now() + 1000 * us; while (now() < end); }\n\
    static void twice(const float *x, float *y) { for (int i = 0; i < 16; i++) y[i] = 2 * x[i]; }\n";

/// What a session may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Comparisons look at the clock: one at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Kernels of 16 floats, `y = 2 x`, in fresh workers.
struct Match {
    dir: tempfile::TempDir,
    libraries: [PathBuf; 2],
    /// Inputs by their set.
    inputs: Vec<Vec<u8>>,
    shelf: Shelf,
    cancel: Cancel,
    _turn: MutexGuard<'static, ()>,
}

impl Match {
    fn new(incumbent: &str, candidate: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let build = |name: &str, body: &str| {
            let library = dir.path().join(format!("{name}.so"));
            let source = dir.path().join(format!("{name}.c"));
            let text = format!(
                "{PRELUDE}__attribute__((visibility(\"default\"))) void optloop_launch(void *const *a)\n\
                 {{ const float *x = a[0]; float *y = a[1]; {body} }}\n"
            );
            fs::write(&source, text).unwrap();
            let mut cc = Command::new("cc");
            cc.args(["-O1", "-fPIC", "-shared", "-w", "-pthread", "-o"]);
            let done = cc.arg(&library).arg(&source).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            library
        };
        let libraries = [build("incumbent", incumbent), build("candidate", candidate)];
        let input = |set: u32| (0..16u32).flat_map(move |i| ((i + set) as f32).to_ne_bytes());
        let inputs = (0..2048).map(|set| input(set).collect()).collect();
        let shelf = Shelf::new(1 << 24);
        Self { dir, libraries, inputs, shelf, cancel: Cancel::default(), _turn: turn }
    }

    fn compare(&mut self, seed: u64) -> Result<Comparison, Stop> {
        let mut pairs = KernelPairs::new(self, SlotPlan::default());
        let (rule, scoring) = (Rule::default(), Scoring::default());
        let terms = Terms { rule, scoring, seed, budget: None, guard: Guard::Off };
        let began = Instant::now();
        decide(&terms, &mut pairs, &|| began.elapsed(), &|_| {})
    }
}

impl Contest for Match {
    fn labels(&self) -> Vec<String> {
        vec!["n=16".into()]
    }
    fn renew(&mut self) {}
    fn start(&mut self, side: Side) -> Result<Box<dyn Session>, Fault> {
        let session = CpuSession::start(&SessionOptions {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            env: Vec::new(),
            marker: &self.dir.path().display().to_string(),
            library: &self.libraries[usize::from(side == Side::Candidate)],
            cpu: last_core(),
            allowance: Allowance::new(Some(PATIENCE)),
            sandbox: SandboxMode::Auto,
            memory_bytes: None,
            dir: self.dir.path(),
            cancel: &self.cancel,
        })?;
        Ok(Box::new(session))
    }
    fn load(
        &mut self,
        _side: Side,
        session: &mut dyn Session,
        case: usize,
        wanted: u32,
    ) -> Result<u32, Fault> {
        let inputs = self.inputs.iter().take(wanted as usize);
        let sets: Vec<_> = inputs.map(|x| vec![Argument::In(x), Argument::Out(x.len())]).collect();
        session.load_shared(&sets, case as u64, &mut self.shelf)?;
        Ok(sets.len() as u32)
    }
    fn compare(&mut self, _: Side, _: usize, set: u32, outputs: &[Vec<u8>]) -> Result<(), String> {
        let floats = |bytes: &[u8]| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_ne_bytes(b)).collect()
        };
        let want: Vec<f32> = floats(&self.inputs[set as usize]).iter().map(|x| 2.0 * x).collect();
        let got = floats(&outputs[0]);
        if got == want { Ok(()) } else { Err(format!("set {set}: {got:?}")) }
    }
    fn finish(&mut self, _: Side, mut session: Box<dyn Session>) {
        session.finish();
    }
}

#[test]
fn far_slower_is_reverted_after_20_launches_and_far_faster_is_kept() {
    let mut slower = Match::new("spin(20); twice(x, y);", "spin(2000); twice(x, y);");
    let found = slower.compare(1).unwrap();
    assert_eq!(found.verdict.reason, Reason::GrosslySlower);
    assert_eq!(found.spent, Spent { launches: 20, processes: 2, discarded_throttled: 0 });
    drop(slower);
    let found = Match::new("spin(2000); twice(x, y);", "spin(20); twice(x, y);").compare(1);
    let found = found.unwrap();
    assert!(found.verdict.is_keep(), "{:?}", found.verdict);
    assert!(found.verdict.estimate().unwrap() > 0.0, "{:?}", found.verdict);
    assert!(found.holds(&found.again().unwrap()));
}

#[test]
fn the_same_kernel_is_decided_by_the_rules_pairs_and_again_from_its_record() {
    let mut fight = Match::new("spin(50); twice(x, y);", "spin(50); twice(x, y);");
    let found = fight.compare(1).unwrap();
    // 64 at the last look, and at most as many new ones to confirm a gain.
    assert!((4..=128).contains(&found.verdict.all_pairs()), "{:?}", found.verdict);
    assert!(found.holds(&found.again().unwrap()));
}

const WORK: &str = "for (volatile long i = 0; i < 100000; i++); twice(x, y);";

/// What the incumbent's own work takes beside this candidate, us.
fn beside(candidate: &str) -> f64 {
    let (rule, scoring) = (Rule::with_looks(&[4]), Scoring::default());
    let terms = Terms { rule, scoring, seed: 3, budget: None, guard: Guard::Off };
    let mut fight = Match::new(WORK, candidate);
    let mut pairs = KernelPairs::new(&mut fight, SlotPlan::default());
    let began = Instant::now();
    decide(&terms, &mut pairs, &|| began.elapsed(), &|_| {}).unwrap();
    pairs.measurement(Side::Incumbent).unwrap().metric.interval.value
}

#[test]
fn threads_of_one_side_take_no_time_from_the_other() {
    // From before its first launch on, on the core of both.
    let threads = "static int once; pthread_t t; if (!once++) for (int i = 0; i < 4; i++)\n\
        pthread_create(&t, 0, (void *)spin, (void *)(1L << 40)); spin(300); twice(x, y);";
    // Four threads would make it five times as long, each time; other work on this machine comes and
    // goes.
    let undisturbed = |_| beside(threads) < 2.0 * beside(WORK);
    assert!((0..5).any(undisturbed));
}

#[test]
fn whoever_fails_is_named() {
    let good = "spin(20); twice(x, y);";
    let crashes = "static int n; if (n++ == 5) *(volatile int *)8 = 1; spin(20); twice(x, y);";
    let wrong = "static int n; spin(20); twice(x, y); if (n++ > 5) y[3] = 0.5;";
    for (bad, said) in [(crashes, "SIGSEGV"), (wrong, "0.5")] {
        for side in Side::BOTH {
            let ours = |of| if of == side { bad } else { good };
            let mut fight = Match::new(ours(Side::Incumbent), ours(Side::Candidate));
            let stop = fight.compare(1).unwrap_err();
            assert_eq!(stop.side, Some(side), "{stop:?}");
            let words = match &stop.halt {
                Halt::Fault { fault, .. } => fault.to_string(),
                Halt::Wrong { report, .. } => report.clone(),
            };
            assert!(words.contains(said), "{words}");
        }
    }
}

#[test]
fn a_candidate_that_hangs_costs_a_launch_and_not_the_whole_time() {
    let hangs = "static int n; if (n++ == 4) for (;;); twice(x, y);";
    let mut fight = Match::new("spin(100); twice(x, y);", hangs);
    let began = Instant::now();
    let stop = fight.compare(1).unwrap_err();
    assert_eq!(stop.side, Some(Side::Candidate));
    let Halt::Fault { case: 0, fault: Fault::Overlong { .. } } = stop.halt else {
        panic!("{stop:?}")
    };
    // Not the whole of what the session may take.
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[test]
fn work_that_is_left_to_the_last_launch_of_a_slot_is_missed() {
    // After two that warm up: one that does not count, and of three the last does the work of all.
    let lazy = "static int n; static const float *xs[2]; static float *ys[2]; int k = n++ - 2;\n\
        if (k < 0 || k % 4 == 0) { spin(60); twice(x, y); }\n\
        else if (k % 4 < 3) { xs[k % 4 - 1] = x; ys[k % 4 - 1] = y; }\n\
        else { spin(60); twice(x, y); for (int i = 0; i < 2; i++) twice(xs[i], ys[i]); }";
    let mut fight = Match::new("spin(60); twice(x, y);", lazy);
    let stop = fight.compare(1).unwrap_err();
    assert_eq!(stop.side, Some(Side::Candidate));
    assert!(matches!(stop.halt, Halt::Wrong { .. }), "{stop:?}");
}
