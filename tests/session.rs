//! One worker at a time, driven as the judge drives it: hand-over, clocks, stops, and every way in
//! which a kernel can break them.
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
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use optloop::backend::cpu::{CpuSession, SessionOptions, last_core};
use optloop::backend::{Argument, Fault, Launched, Mode, Order, Session, Shelf};
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxMode;

const PRELUDE: &str = "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <stdio.h>\n#include <string.h>\n\
    #include <unistd.h>\n#include <signal.h>\n#include <time.h>\n#include <pthread.h>\n#include <sys/mman.h>\n\
    static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);\n\
    return t.tv_sec * 1000000000L + t.tv_nsec; }\n\
    __attribute__((noinline)) static void spin(long ns) { long end = now() + ns; while (now() < end); }\n";

/// A kernel of `x` (read), `y` (written), both of `n` floats, and `n`.
struct Built {
    dir: tempfile::TempDir,
    library: PathBuf,
    cancel: Cancel,
    deadline: Duration,
    cpu: Option<u32>,
    memory_bytes: Option<u64>,
    _turn: Turn,
}

/// Tests that look at the clock run alone, others beside each other.
static TURNS: RwLock<()> = RwLock::new(());

enum Turn {
    Alone { _guard: RwLockWriteGuard<'static, ()> },
    Shared { _guard: RwLockReadGuard<'static, ()> },
}

impl Turn {
    fn alone() -> Self {
        Self::Alone { _guard: TURNS.write().unwrap_or_else(PoisonError::into_inner) }
    }

    fn shared() -> Self {
        Self::Shared { _guard: TURNS.read().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Built {
    /// `before` stands outside the function.
    fn with(before: &str, body: &str) -> Self {
        Self::compile(before, body, Turn::shared())
    }

    fn compile(before: &str, body: &str, turn: Turn) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (source, library) = (dir.path().join("kernel.c"), dir.path().join("kernel.so"));
        let text = format!(
            "{PRELUDE}{before}\nvoid kernel(const float *x, float *y, int n) {{ {body} }}\n\
             __attribute__((visibility(\"default\"))) void optloop_launch(void *const *a)\n\
             {{ kernel(a[0], a[1], *(const int *)a[2]); }}\n"
        );
        fs::write(&source, text).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-fPIC", "-shared", "-fno-optimize-sibling-calls", "-w", "-o"]);
        let done = cc.arg(&library).arg(&source).args(["-lm", "-pthread"]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let (cancel, deadline) = (Cancel::default(), Duration::from_secs(20));
        Self { dir, library, cancel, deadline, cpu: last_core(), memory_bytes: None, _turn: turn }
    }

    fn new(body: &str) -> Self {
        Self::with("", body)
    }

    /// For tests that look at the clock.
    fn alone(body: &str) -> Self {
        Self::compile("", body, Turn::alone())
    }

    fn start(&self) -> Result<CpuSession, Fault> {
        CpuSession::start(&SessionOptions {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            env: Vec::new(),
            marker: &self.dir.path().display().to_string(),
            library: &self.library,
            cpu: self.cpu,
            deadline: Some(Instant::now() + self.deadline),
            // The first rung has to hold alone; tests/workers.rs runs with the second.
            sandbox: SandboxMode::Off,
            memory_bytes: self.memory_bytes,
            dir: self.dir.path(),
            cancel: &self.cancel,
        })
    }

    /// Starts and loads `sets` sets of `n` floats; `x[i]` is `i` plus the set's number.
    fn loaded(&self, sets: usize, n: usize) -> CpuSession {
        let mut session = self.start().unwrap();
        load(&mut session, sets, n).unwrap();
        session
    }

    /// The fault that launching and reading one set of 16 floats ends with, and how long it took.
    fn fault(&self) -> (Fault, Duration) {
        let mut session = self.loaded(1, 16);
        let started = Instant::now();
        let fault = (0..3)
            .find_map(|_| once(&mut session, 0).and_then(|_| session.outputs(0)).err())
            .expect("a fault");
        (fault, started.elapsed())
    }
}

/// `x[i]` of a set is `i` plus the set's number.
fn inputs(sets: usize, n: usize) -> Vec<Vec<u8>> {
    (0..sets).map(|set| (0..n).flat_map(|i| ((i + set) as f32).to_ne_bytes()).collect()).collect()
}

fn load(session: &mut CpuSession, sets: usize, n: usize) -> Result<(), Fault> {
    load_these(session, &inputs(sets, n))
}

fn load_these(session: &mut CpuSession, inputs: &[Vec<u8>]) -> Result<(), Fault> {
    let bytes = inputs.first().map_or(0, Vec::len);
    let count = (bytes as i32 / 4).to_ne_bytes();
    let sets: Vec<Vec<Argument<'_>>> = inputs
        .iter()
        .map(|x| vec![Argument::In(x), Argument::Out(bytes), Argument::Scalar(&count)])
        .collect();
    session.load(&sets)
}

fn once(session: &mut CpuSession, set: u32) -> Result<Launched, Fault> {
    session.launch(Order { first: set, count: 1, mode: Mode::Hot })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_ne_bytes(b)).collect()
}

/// The middle of what `count` launches give.
fn median(session: &mut CpuSession, mode: Mode, count: u32, of: fn(Launched) -> u64) -> u64 {
    let mut values: Vec<u64> = (0..count)
        .map(|_| of(session.launch(Order { first: 0, count: 1, mode }).unwrap()))
        .collect();
    values.sort_unstable();
    values[values.len() / 2]
}

const DOUBLE: &str = "for (int i = 0; i < n; i++) y[i] = 2 * x[i];";

#[test]
fn every_set_has_its_own_inputs_and_outputs() {
    let built = Built::new(DOUBLE);
    let mut session = built.loaded(5, 100);
    session.launch(Order { first: 1, count: 3, mode: Mode::Hot }).unwrap();
    once(&mut session, 0).unwrap();
    for set in 0..4 {
        let outputs = session.outputs(set).unwrap();
        let expected: Vec<f32> = (0..100).map(|i| 2.0 * (i + set) as f32).collect();
        assert_eq!(floats(&outputs[0]), expected, "set {set}");
    }
    // Never launched: what stands there is neither zeros nor anything a kernel could foresee.
    let untouched = session.outputs(4).unwrap();
    assert!(untouched[0].iter().collect::<std::collections::HashSet<_>>().len() > 50);
    assert!(session.outputs(5).is_err());
    assert!(session.launch(Order { first: 4, count: 2, mode: Mode::Hot }).is_err());
}

#[test]
fn a_spin_of_50_us_is_reported_within_a_percent_and_the_judge_agrees() {
    // The kernel says by itself how long it was at it.
    let body = "long t = now(); spin(50000); y[0] = now() - t;";
    let built = Built::alone(body);
    let mut session = built.loaded(1, 16);
    let timer = session.timer();
    let overhead = timer.overhead_ns as i64;
    let (mut off, mut beyond): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let launched = once(&mut session, 0).unwrap();
        let own = floats(&session.outputs(0).unwrap()[0])[0] as i64;
        let reported = launched.reported_ns as i64;
        off.push(reported - overhead - own);
        beyond.push(launched.judged_ns as i64 - reported - timer.handover_ns as i64);
        assert!(launched.at_least_ns <= launched.judged_ns);
    }
    off.sort_unstable();
    beyond.sort_unstable();
    println!(
        "{timer:?}; harness beside the kernel's own clock {} ns; judge beyond {} ns",
        off[25], beyond[25]
    );
    assert!((-250..250).contains(&off[25]), "{off:?}");
    assert!(beyond[25].abs() < 5_000, "{beyond:?}");
}

#[test]
fn times_from_5_us_to_50_ms_are_within_a_percent() {
    let body = "long t = now(); spin((long)x[0] * 1000); *(long *)y = now() - t;";
    let built = Built::alone(body);
    let mut session = built.start().unwrap();
    let overhead = session.timer().overhead_ns;
    for (us, count) in [(5, 101), (50, 51), (500, 21), (5_000, 11), (50_000, 5)] {
        let (x, n) = ((us as f32).to_ne_bytes(), 1i32.to_ne_bytes());
        session.load(&[vec![Argument::In(&x), Argument::Out(8), Argument::Scalar(&n)]]).unwrap();
        let (mut off, mut beyond) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let launched = once(&mut session, 0).unwrap();
            let outputs = session.outputs(0).unwrap();
            let own = i64::from_ne_bytes(outputs[0][..8].try_into().unwrap()) as f64;
            let reported = launched.reported_ns as f64;
            off.push((reported - overhead) / own - 1.0);
            beyond.push((
                launched.judged_ns as f64 / reported,
                launched.at_least_ns as f64 / reported,
            ));
        }
        off.sort_by(f64::total_cmp);
        beyond.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (off, (judged, at_least)) = (off[count / 2] * 100.0, beyond[count / 2]);
        println!("{us} us: reported {off:+.2} %, judge from {at_least:.4} to {judged:.4}");
        // A step of the clock at either end.
        assert!(off.abs() < 1.0 + 4.0 / f64::from(us), "{us} us: {off} %");
        // How late a judge wakes on a busy machine is not bounded; what it says against a kernel is.
        assert!(at_least < 1.02 + 2.0 / f64::from(us), "{us} us: {at_least}");
    }
}

#[test]
fn a_kernel_that_may_use_every_core_has_them_all() {
    let mut built = Built::alone("spin(300000);");
    built.cpu = None;
    let mut session = built.loaded(1, 16);
    let timer = session.timer();
    let middle = median(&mut session, Mode::Hot, 21, |l| l.judged_ns - l.reported_ns);
    println!("all cores: {timer:?}, judge beyond {middle} ns");
    assert!(middle < 10_000_000, "{middle} ns");
}

#[test]
fn a_launch_of_nothing_costs_less_than_100_ns() {
    let built = Built::alone("");
    let mut session = built.loaded(1, 16);
    let overhead = session.timer().overhead_ns as u64;
    let middle = median(&mut session, Mode::Hot, 101, |l| l.reported_ns);
    println!("nothing: {middle} ns with {overhead} ns taken off");
    assert!(middle.saturating_sub(overhead) < 100, "{middle} ns");
}

#[test]
fn sessions_share_inputs_and_none_can_leave_a_word_in_them() {
    // It writes to its own copy and moves the place in its own descriptor, as far as it can.
    let before = "static int inputs(void) { char p[64], to[64]; for (int f = 3; f < 256; f++) {\n\
        snprintf(p, 64, \"/proc/self/fd/%d\", f); ssize_t n = readlink(p, to, 63);\n\
        if (n > 0 && (to[n] = 0, strstr(to, \"optloop-inputs\"))) return f; } return -1; }\n";
    let body = "float *w = (float *)x; y[0] = x[0]; int f = inputs(); y[1] = lseek(f, 0, SEEK_CUR);\n\
        lseek(f, 99, SEEK_SET); y[2] = write(f, y, 4); y[3] = ftruncate(f, 0);\n\
        mprotect((void *)((long)w & -4096L), 4096, PROT_READ | PROT_WRITE); w[0] = 7;";
    let built = Built::with(before, body);
    let mut shelf = Shelf::new(1 << 20);
    for _ in 0..3 {
        let mut session = built.start().unwrap();
        let inputs = inputs(2, 16);
        let n = 16i32.to_ne_bytes();
        let sets = inputs
            .iter()
            .map(|x| vec![Argument::In(x), Argument::Out(x.len()), Argument::Scalar(&n)]);
        session.load_shared(&sets.collect::<Vec<_>>(), 5, &mut shelf).unwrap();
        once(&mut session, 1).unwrap();
        let found = floats(&session.outputs(1).unwrap()[0]);
        assert_eq!(found[..4], [1.0, 0.0, -1.0, -1.0]);
    }
}

/// Processor time that a session's only process has had, in ticks of the system.
fn ticks(built: &Built) -> u64 {
    let process = marked(built).pop().expect("a process");
    let stat = fs::read_to_string(process.join("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_session_that_pauses_stands_still_until_its_next_order() {
    // A thread of its own would go on for ever.
    let before = "static void *work(void *a) { for (volatile long i = 0;; i++); return 0; }\n";
    let body =
        "static int once; pthread_t t; if (!once++) pthread_create(&t, 0, work, 0); y[0] = x[0];";
    let built = Built::with(before, body);
    let mut session = built.loaded(2, 16);
    session.pause().unwrap();
    once(&mut session, 0).unwrap();
    for set in [1, 0] {
        session.pause().unwrap();
        session.pause().unwrap();
        let then = ticks(&built);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(ticks(&built), then);
        once(&mut session, set).unwrap();
        assert_eq!(session.outputs(set).unwrap()[0][..4], (set as f32).to_ne_bytes());
    }
    session.pause().unwrap();
    load(&mut session, 3, 8).unwrap();
    once(&mut session, 2).unwrap();
    session.pause().unwrap();
    session.finish();
    assert_eq!(marked(&built), Vec::<PathBuf>::new());
}

#[test]
fn a_launch_beyond_its_limit_is_ended_and_one_within_is_not() {
    let built = Built::new("spin(n == 16 ? 20000000 : 2000000000);");
    let mut session = built.loaded(1, 16);
    session.limit(Some(Duration::from_millis(400)));
    once(&mut session, 0).unwrap();
    load(&mut session, 1, 8).unwrap();
    let started = Instant::now();
    assert_eq!(once(&mut session, 0), Err(Fault::TimedOut));
    let took = started.elapsed();
    assert!((400..1500).contains(&took.as_millis()), "{took:?}");
    let mut session = built.loaded(1, 16);
    session.limit(Some(Duration::from_millis(1)));
    session.limit(None);
    once(&mut session, 0).unwrap();
}

/// Where the worker's control page is, and what stands in it.
const CONTROL: &str = "static volatile unsigned char *control(void) { FILE *f = fopen(\"/proc/self/maps\", \"r\");\n\
    char line[512]; unsigned long at = 0;\n\
    while (fgets(line, sizeof line, f)) if (strstr(line, \"optloop-control\")) sscanf(line, \"%lx\", &at);\n\
    fclose(f); return (void *)at; }\n";

#[test]
fn a_duration_that_is_written_over_is_contradicted_by_the_judge() {
    // The kernel answers for the worker, with a duration of its own, and returns later.
    let body = "static volatile unsigned char *c; if (!c) c = control(); spin(200000);\n\
        *(volatile long *)(c + 136) = 1000; *(volatile int *)(c + 128) = *(volatile int *)c; spin(2000000);";
    let built = Built::with(CONTROL, body);
    let mut session = built.loaded(1, 16);
    let mut contradicted = 0;
    for _ in 0..10 {
        // A judge that was off its core when the lie was told sees the truth that follows.
        let launched = once(&mut session, 0).unwrap();
        contradicted += u32::from(launched.reported_ns == 1000 && launched.at_least_ns > 100_000);
    }
    assert!(contradicted > 5, "{contradicted} of 10");
}

const THREAD: &str = "static float *late; static void *work(void *n) { usleep(20000);\n\
    for (long i = 0; i < (long)n; i++) late[i] = 1; return 0; }\n";

#[test]
fn what_a_thread_finishes_later_is_missing_until_it_may_go_on() {
    let body =
        "pthread_t t; late = y; pthread_create(&t, 0, work, (void *)(long)n); pthread_detach(t);";
    let built = Built::with(THREAD, body);
    let mut session = built.loaded(1, 64);
    once(&mut session, 0).unwrap();
    let early = session.outputs(0).unwrap();
    assert_ne!(floats(&early[0]), vec![1.0; 64]);
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(session.outputs(0).unwrap(), early, "it went on while it was stopped");
    let late = session.reread(0, Duration::from_millis(80)).unwrap();
    assert_eq!(floats(&late[0]), vec![1.0; 64]);
}

#[test]
fn threads_that_never_end_stand_still_while_outputs_are_read() {
    let before =
        "static volatile float *out; static void *work(void *a) { for (;;) out[0]++; return 0; }\n";
    let body = "pthread_t t; out = y; y[0] = 0; pthread_create(&t, 0, work, 0); spin(100000);";
    let built = Built::with(before, body);
    let mut session = built.loaded(1, 64);
    for _ in 0..3 {
        once(&mut session, 0).unwrap();
        let first = session.outputs(0).unwrap();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(session.outputs(0).unwrap(), first);
    }
}

#[test]
fn one_element_too_many_is_found_on_either_side() {
    for (body, words) in [
        ("for (int i = 0; i <= n; i++) y[i] = x[0];", "behind argument 2 in launch set 0"),
        ("y[-1] = 1;", "before argument 2 in launch set 0"),
        ("y[n + 2] = 1;", "behind argument 2 in launch set 0, "),
    ] {
        let built = Built::new(body);
        // Many sets share pages.
        for sets in [2, 100] {
            let mut session = built.loaded(sets, 10);
            once(&mut session, 0).unwrap();
            match session.outputs(0) {
                // A random byte may happen to be what was written.
                Err(Fault::Stray { what }) => assert!(what.contains(words), "{body}: {what}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_crash_says_where_it_was() {
    for (body, signal, words) in [
        ("y[n] = 1;", 11, "writing just behind argument 2 in launch set 0, at kernel+0x"),
        ("y[0] = x[n + 1];", 11, "reading 4 bytes behind argument 1 in launch set 0"),
        ("((volatile float *)x)[1] = 1;", 11, "writing byte 4 of argument 1, which is only read"),
        ("*(volatile int *)8 = 1;", 11, "writing address 0x8, a null pointer"),
        ("((void (*)(void))16)();", 11, "jumping to address 0x10"),
        ("volatile int z = 0; y[0] = n / z;", 8, "at kernel+0x"),
        ("__builtin_trap();", 4, "of the kernel"),
        ("abort();", 6, ""),
        ("raise(9);", 9, ""),
    ] {
        let (fault, took) = Built::new(body).fault();
        let Fault::Crashed { signal: found, place } = &fault else {
            panic!("{body}: {fault:?}");
        };
        assert_eq!(*found, signal, "{body}");
        assert!(place.contains(words), "{body}: {place}");
        assert!(took < Duration::from_secs(5), "{body}: {took:?}");
    }
}

#[test]
fn memory_without_end_is_refused_to_the_kernel_and_not_to_the_machine() {
    let mut built = Built::new("for (;;) memset(malloc(1 << 26), 1, 1 << 26);");
    built.memory_bytes = Some(1 << 30);
    let (fault, took) = built.fault();
    let Fault::Crashed { signal: 11, place } = &fault else { panic!("{fault:?}") };
    assert!(place.contains("writing address 0x0, a null pointer"), "{place}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_stack_that_overflows_is_called_so() {
    let deep = "__attribute__((noinline)) static int deep(volatile int *a) { volatile int b[64]; b[0] = a[0] + 1;\n\
        return deep(b) + b[1]; }\n";
    let (fault, _) = Built::with(deep, "volatile int a[1] = { n }; y[0] = deep(a);").fault();
    let Fault::Crashed { signal: 11, place } = &fault else { panic!("{fault:?}") };
    assert!(place.contains("stack overflow"), "{place}");
}

#[test]
fn each_way_to_leave_or_to_tamper_ends_in_time_and_is_named() {
    let unmap = "munmap((void *)control(), 4096);";
    for (body, words) in [
        ("exit(3);", "exit code 3"),
        ("_exit(0);", "exit code 0"),
        ("for (;;) pause();", "deadline"),
        ("for (;;);", "deadline"),
        ("signal(SIGSEGV, SIG_IGN); *(volatile int *)8 = 1;", "SIGSEGV"),
        ("for (int i = 3; i < 1024; i++) close(i);", "descriptors"),
        ("for (int i = 3; i < 1024; i++) close(i); for (;;) pause();", "went on"),
        ("for (int i = 3; i < 1024; i++) write(i, \"x\", 1);", "no message"),
        ("if (!fork()) for (;;) pause();", "still there"),
        ("raise(SIGSTOP);", "deadline"),
        (unmap, "SIGSEGV"),
    ] {
        let mut built = Built::with(CONTROL, body);
        built.deadline = Duration::from_millis(700);
        let mut session = built.loaded(1, 16);
        let started = Instant::now();
        let fault = (0..1000)
            .find_map(|_| once(&mut session, 0).and_then(|_| session.outputs(0)).err())
            .expect("a fault");
        assert!(fault.to_string().contains(words), "{body}: {fault}");
        assert!(started.elapsed() < Duration::from_secs(3), "{body}: {:?}", started.elapsed());
    }
}

#[test]
fn a_process_that_starts_itself_again_while_it_is_stopped_is_caught() {
    let timer = "struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT }; timer_t t;\n\
        timer_create(CLOCK_MONOTONIC, &e, &t); struct itimerspec s = { { 0, 1000000 }, { 0, 1000000 } };\n\
        timer_settime(t, 0, &s, 0);";
    let built = Built::new(timer);
    // Reading so much takes longer than the timer does.
    let mut session = built.loaded(1, 1 << 20);
    let fault = (0..100)
        .find_map(|_| once(&mut session, 0).and_then(|_| session.outputs(0)).err())
        .expect("a fault");
    let Fault::Cheating { what } = &fault else { panic!("{fault:?}") };
    assert!(what.contains("stopped"), "{what}");
}

#[test]
fn nonsense_in_the_control_page_harms_only_the_worker() {
    for value in ["0xff", "0x00", "0x2a"] {
        let mut built = Built::with(CONTROL, &format!("memset((void *)control(), {value}, 1024);"));
        built.deadline = Duration::from_millis(500);
        let mut session = built.loaded(1, 16);
        let started = Instant::now();
        for _ in 0..20 {
            let done = once(&mut session, 0).and_then(|_| session.outputs(0));
            match done {
                Ok(_) => {}
                Err(Fault::TimedOut | Fault::Cheating { .. } | Fault::Crashed { .. }) => break,
                Err(other) => panic!("{value}: {other:?}"),
            }
        }
        drop(session);
        assert!(started.elapsed() < Duration::from_secs(3), "{value}: {:?}", started.elapsed());
    }
}

#[test]
fn a_stop_is_heard_during_a_launch() {
    let built = Built::new("for (;;);");
    let mut session = built.loaded(1, 16);
    let cancel = built.cancel.clone();
    let waiter = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.request();
    });
    let started = Instant::now();
    assert_eq!(once(&mut session, 0), Err(Fault::Interrupted));
    assert!(started.elapsed() < Duration::from_secs(2));
    waiter.join().unwrap();
}

#[test]
fn six_hundred_tiny_sets_load_in_no_time() {
    let built = Built::alone(DOUBLE);
    let mut session = built.start().unwrap();
    let started = Instant::now();
    load(&mut session, 600, 4).unwrap();
    let took = started.elapsed();
    session.launch(Order { first: 0, count: 600, mode: Mode::Hot }).unwrap();
    assert_eq!(floats(&session.outputs(599).unwrap()[0]), [1198.0, 1200.0, 1202.0, 1204.0]);
    println!("600 sets in {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let inputs = inputs(3, 1 << 20);
    let started = Instant::now();
    load_these(&mut session, &inputs).unwrap();
    println!("3 sets of 4 MiB in {:?}", started.elapsed());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn cold_caches_are_cold() {
    let body = "float s = 0; for (int i = 0; i < n; i += 16) s += x[i]; y[0] = s;";
    let built = Built::alone(body);
    let mut session = built.loaded(1, 4096);
    let hot = median(&mut session, Mode::Hot, 51, |l| l.reported_ns);
    let cold = median(&mut session, Mode::Cold, 51, |l| l.reported_ns);
    println!("16 KiB: hot {hot} ns, cold {cold} ns");
    assert!(cold as f64 > 1.5 * hot as f64, "hot {hot} ns, cold {cold} ns");
}

#[test]
fn nothing_stays_behind_a_session_that_is_dropped_while_stopped() {
    let built = Built::new(DOUBLE);
    let mut session = built.loaded(1, 16);
    once(&mut session, 0).unwrap();
    session.outputs(0).unwrap();
    assert_eq!(marked(&built).len(), 1);
    drop(session);
    assert_eq!(marked(&built), Vec::<PathBuf>::new());
}

/// Processes that carry the marker of a session.
fn marked(built: &Built) -> Vec<PathBuf> {
    let marker = format!("OPTLOOP_STAGE={}", built.dir.path().display());
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|path| {
            let environment = fs::read(path.join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&marker)
        })
        .collect()
}

#[test]
fn what_a_kernel_prints_comes_back_and_inout_starts_anew() {
    let built = Built::new("y[0] += x[0]; puts(\"hello\"); fflush(stdout);");
    let mut session = built.start().unwrap();
    let (x, y, n) = (1f32.to_ne_bytes(), 5f32.to_ne_bytes(), 1i32.to_ne_bytes());
    session.load(&[vec![Argument::In(&x), Argument::Inout(&y), Argument::Scalar(&n)]]).unwrap();
    for _ in 0..3 {
        once(&mut session, 0).unwrap();
        assert_eq!(floats(&session.outputs(0).unwrap()[0]), [6.0]);
    }
    assert_eq!(session.finish(), b"hello\nhello\nhello\n");
}

#[test]
fn honest_launches_are_not_contradicted_while_both_cores_are_busy() {
    let mut busy: Vec<_> = (0..2)
        .map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
        .collect();
    let built = Built::alone("spin(50000);");
    let mut session = built.loaded(1, 16);
    let timer = session.timer();
    let launches: Vec<Launched> = (0..60).map(|_| once(&mut session, 0).unwrap()).collect();
    for child in &mut busy {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let slack = 2_000.0 + 11.0 * timer.handover_ns;
    let against = launches
        .iter()
        .filter(|l| l.at_least_ns as f64 > 1.02 * l.reported_ns as f64 + slack)
        .count();
    println!("{timer:?}, {against} of 60 contradicted");
    assert!(against < 4, "{against} of 60: {launches:?}");
}

#[test]
fn where_judge_and_worker_share_a_core_they_take_turns() {
    let before = rustix::thread::sched_getaffinity(None).unwrap();
    let core = last_core().unwrap();
    let mut only = rustix::thread::CpuSet::new();
    only.set(core as usize);
    rustix::thread::sched_setaffinity(None, &only).unwrap();
    let built = Built::alone("spin(200000);");
    let mut session = built.loaded(1, 16);
    let timer = session.timer();
    let middle = median(&mut session, Mode::Hot, 21, |l| l.judged_ns - l.reported_ns);
    rustix::thread::sched_setaffinity(None, &before).unwrap();
    println!("one core: {timer:?}, judge beyond {middle} ns");
    assert!(middle < 10_000_000, "{middle} ns");
}

#[test]
fn a_start_takes_milliseconds() {
    let built = Built::alone("");
    let mut times: Vec<(Duration, Duration)> = (0..9)
        .map(|_| {
            let started = Instant::now();
            let mut session = built.start().unwrap();
            let there = Instant::now();
            session.finish();
            (there - started, there.elapsed())
        })
        .collect();
    times.sort_unstable();
    println!("started in {:?}, gone in {:?}", times[4].0, times[4].1);
    assert!(times[4].0 < Duration::from_secs(1), "{times:?}");
}

#[test]
fn kernels_that_cannot_be_opened_say_why() {
    let mut built = Built::new("");
    built.library = built.dir.path().join("kernel.c");
    let fault = built.start().map(|_| ()).unwrap_err();
    assert!(matches!(fault, Fault::Unloadable { .. }), "{fault:?}");
}

#[test]
fn one_set_after_the_other_is_answered_quickly() {
    let built = Built::alone(DOUBLE);
    let mut session = built.start().unwrap();
    let mut times = [Duration::ZERO; 3];
    for _ in 0..300 {
        let started = Instant::now();
        load(&mut session, 1, 4).unwrap();
        let loaded = Instant::now();
        once(&mut session, 0).unwrap();
        let launched = Instant::now();
        assert_eq!(floats(&session.outputs(0).unwrap()[0]), [0.0, 2.0, 4.0, 6.0]);
        times[0] += loaded - started;
        times[1] += launched - loaded;
        times[2] += launched.elapsed();
    }
    let [load, launch, outputs] = times.map(|time| time / 300);
    println!("load {load:?}, launch {launch:?}, outputs {outputs:?}");
    assert!(load + launch + outputs < Duration::from_millis(20));
}
