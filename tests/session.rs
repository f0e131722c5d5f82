//! One worker at a time, driven as the judge drives it: hand-over, clocks, stops, and every way in
//! which a kernel can break them. What is asserted holds on any machine, however slow or busy; how
//! true and how fast the clocks are is `cargo bench --bench trust -- session`.
//!
//! A test binary of its own: here the library lives in the test process and takes its orphans,
//! which must not happen to programs that other tests start.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a helper of tests stops at the first surprise, and compilers need a PATH"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use optloop::backend::cpu::identity::allowed_cores;
use optloop::backend::cpu::last_core;
use optloop::backend::{
    Argument, Fault, LaunchLimit, Launched, Mode, Model, Order, Session, Shelf,
};

#[path = "session/built.rs"]
mod built;

use built::{Built, CpuSession, first_fault, floats, inputs, launches, load, once};

/// How long a kernel that never comes back is waited for.
const HANGS: Duration = Duration::from_millis(500);

/// A launch may take so long, whatever another kernel takes.
fn within(more: Duration) -> LaunchLimit {
    LaunchLimit { model: Model::Reference, takes: Duration::ZERO, times: 1, more }
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

/// What the kernel says by itself, the worker of it, and the judge of both, each around the last.
fn nested(launched: Launched, own_ns: u64) {
    assert!(own_ns <= launched.reported_ns, "{own_ns} ns in {launched:?}");
    assert!(launched.reported_ns <= launched.judged_ns, "{launched:?}");
    assert!(launched.at_least_ns <= launched.judged_ns, "{launched:?}");
}

fn all_nested(launches: Vec<Launched>, own_ns: u64) {
    for launched in launches {
        nested(launched, own_ns);
    }
}

#[test]
fn no_clock_says_less_than_the_one_within_it_from_5_us_to_5_ms() {
    let body = "long t = now(); spin((long)x[0] * 1000); *(long *)y = now() - t;";
    let built = Built::new(body);
    let mut session = built.start().unwrap();
    for (us, count) in [(5, 51), (50, 51), (500, 11), (5_000, 3)] {
        let (x, n) = ((us as f32).to_ne_bytes(), 1i32.to_ne_bytes());
        session.load(&[vec![Argument::In(&x), Argument::Out(8), Argument::Scalar(&n)]]).unwrap();
        let mut beyond = u64::MAX;
        for _ in 0..count {
            let launched = once(&mut session, 0).unwrap();
            let outputs = session.outputs(0).unwrap();
            let own = u64::from_ne_bytes(outputs[0][..8].try_into().unwrap());
            assert!(own >= 1000 * us, "{own} ns");
            nested(launched, own);
            beyond = beyond.min(launched.reported_ns - own);
        }
        // All are the same unit: not one of so many was interrupted for as long as it lasts.
        assert!(beyond < 1000 * us, "{us} us: {beyond} ns beyond");
    }
}

#[test]
fn a_kernel_that_may_use_every_core_has_them_all() {
    let affinity = "cpu_set_t s; sched_getaffinity(0, sizeof s, &s); y[0] = CPU_COUNT(&s);";
    let mut built = Built::with("#include <sched.h>\n", affinity);
    let cores = [(last_core(), 1), (None, allowed_cores().len())];
    for (cpu, count) in cores {
        built.cpu = cpu;
        let mut session = built.loaded(1, 16);
        all_nested(launches(&mut session, Mode::Hot, 3), 0);
        assert_eq!(floats(&session.outputs(0).unwrap()[0])[..1], [count as f32]);
    }
}

#[test]
fn no_launch_of_nothing_is_reported_as_more_than_the_judge_saw() {
    let mut session = Built::new("").loaded(1, 16);
    all_nested(launches(&mut session, Mode::Hot, 101), 0);
    let timer = session.timer();
    assert!(timer.overhead_ns >= 0.0 && timer.handover_ns >= 0.0, "{timer:?}");
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
    let built = Built::new("if (n != 16) for (;;);");
    let mut session = built.loaded(1, 16);
    session.limit(Some(within(Duration::from_secs(10))));
    once(&mut session, 0).unwrap();
    load(&mut session, 1, 8).unwrap();
    let limit = Duration::from_millis(100);
    session.limit(Some(within(limit)));
    let started = Instant::now();
    // The session's own deadline is minutes away.
    assert!(matches!(once(&mut session, 0), Err(Fault::Overlong { .. })));
    assert!(started.elapsed() >= limit, "{:?}", started.elapsed());
    let mut session = built.loaded(1, 16);
    session.limit(Some(within(Duration::from_nanos(1))));
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
    // A judge that was off its core when the lie was told sees the truth that follows.
    let contradicted = (0..200).any(|_| {
        let launched = once(&mut session, 0).unwrap();
        launched.reported_ns == 1000 && launched.at_least_ns > 100_000
    });
    assert!(contradicted);
}

/// A thread that goes on when its process is let go on, and not before.
const THREAD: &str = "static float *late; static volatile sig_atomic_t on; static void go(int s) { on = 1; }\n\
    static void *work(void *n) { while (!on) usleep(100);\n\
    for (long i = 0; i < (long)n; i++) late[i] = 1; return 0; }\n";

#[test]
fn what_a_thread_finishes_later_is_missing_until_it_may_go_on() {
    let body = "pthread_t t; late = y; signal(SIGCONT, go); on = 0;\n\
        pthread_create(&t, 0, work, (void *)(long)n); pthread_detach(t);";
    let built = Built::with(THREAD, body);
    let mut session = built.loaded(1, 64);
    once(&mut session, 0).unwrap();
    let early = session.outputs(0).unwrap();
    assert_ne!(floats(&early[0]), vec![1.0; 64]);
    assert_eq!(session.outputs(0).unwrap(), early, "it went on while it was stopped");
    let whole = |session: &mut CpuSession| {
        let late = session.reread(0, Duration::from_millis(10)).unwrap();
        floats(&late[0]) == vec![1.0; 64]
    };
    assert!((0..1000).any(|_| whole(&mut session)));
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
        let fault = Built::new(body).fault();
        let Fault::Crashed { signal: found, place } = &fault else {
            panic!("{body}: {fault:?}");
        };
        assert_eq!(*found, signal, "{body}");
        assert!(place.contains(words), "{body}: {place}");
    }
}

#[test]
fn memory_without_end_is_refused_to_the_kernel_and_not_to_the_machine() {
    let mut built = Built::new("for (;;) memset(malloc(1 << 26), 1, 1 << 26);");
    built.memory_bytes = Some(1 << 30);
    let fault = built.fault();
    let Fault::Crashed { signal: 11, place } = &fault else { panic!("{fault:?}") };
    assert!(place.contains("writing address 0x0, a null pointer"), "{place}");
}

#[test]
fn a_stack_that_overflows_is_called_so() {
    let deep = "__attribute__((noinline)) static int deep(volatile int *a) { volatile int b[64]; b[0] = a[0] + 1;\n\
        return deep(b) + b[1]; }\n";
    let fault = Built::with(deep, "volatile int a[1] = { n }; y[0] = deep(a);").fault();
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
        // Who hangs is seen to; all else is noticed long before it is time.
        if words == "deadline" {
            built.deadline = HANGS;
        }
        let fault = first_fault(&mut built.loaded(1, 16), 1000);
        assert!(fault.to_string().contains(words), "{body}: {fault}");
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
    let fault = first_fault(&mut session, 1000);
    let Fault::Cheating { what } = &fault else { panic!("{fault:?}") };
    assert!(what.contains("stopped"), "{what}");
}

#[test]
fn nonsense_in_the_control_page_harms_only_the_worker() {
    for value in ["0xff", "0x00", "0x2a"] {
        let mut built = Built::with(CONTROL, &format!("memset((void *)control(), {value}, 1024);"));
        built.deadline = HANGS;
        let mut session = built.loaded(1, 16);
        for _ in 0..20 {
            let done = once(&mut session, 0).and_then(|_| session.outputs(0));
            match done {
                Ok(_) => {}
                Err(Fault::TimedOut | Fault::Cheating { .. } | Fault::Crashed { .. }) => break,
                Err(other) => panic!("{value}: {other:?}"),
            }
        }
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
    assert_eq!(once(&mut session, 0), Err(Fault::Interrupted));
    waiter.join().unwrap();
}

#[test]
fn six_hundred_tiny_sets_share_a_few_mappings() {
    let built = Built::new(DOUBLE);
    let mut session = built.start().unwrap();
    load(&mut session, 600, 4).unwrap();
    session.launch(Order { first: 0, count: 600, mode: Mode::Hot }).unwrap();
    assert_eq!(floats(&session.outputs(599).unwrap()[0]), [1198.0, 1200.0, 1202.0, 1204.0]);
    let process = marked(&built).pop().expect("a process");
    let maps = fs::read_to_string(process.join("maps")).unwrap();
    assert!(maps.lines().count() < 300, "{maps}");
}

#[test]
fn cold_caches_change_no_output() {
    let built = Built::new(DOUBLE);
    let mut session = built.loaded(1, 4096);
    all_nested(launches(&mut session, Mode::Cold, 3), 0);
    assert_eq!(floats(&session.outputs(0).unwrap()[0])[4095..], [8190.0]);
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
fn most_honest_launches_are_not_contradicted_while_both_cores_are_busy() {
    let mut busy: Vec<_> = (0..2)
        .map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
        .collect();
    let mut session = Built::new("spin(50000);").loaded(1, 16);
    let timer = session.timer();
    let launches = launches(&mut session, Mode::Hot, 60);
    for child in &mut busy {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let slack = 2_000.0 + 11.0 * timer.handover_ns;
    let against = launches
        .iter()
        .filter(|l| l.at_least_ns as f64 > 1.02 * l.reported_ns as f64 + slack)
        .count();
    // A worker that lost its core between its clock and its answer is contradicted, and the judge
    // launches once more. That must stay the exception.
    assert!(against < 30, "{timer:?}, {against} of 60: {launches:?}");
}

#[test]
fn where_judge_and_worker_share_a_core_they_take_turns() {
    let before = rustix::thread::sched_getaffinity(None).unwrap();
    let core = last_core().unwrap();
    let mut only = rustix::thread::CpuSet::new();
    only.set(core as usize);
    rustix::thread::sched_setaffinity(None, &only).unwrap();
    let mut session = Built::new("spin(200000);").loaded(1, 16);
    all_nested(launches(&mut session, Mode::Hot, 21), 200_000);
    rustix::thread::sched_setaffinity(None, &before).unwrap();
}

#[test]
fn kernels_that_cannot_be_opened_say_why() {
    let mut built = Built::new("");
    built.library = built.dir.path().join("kernel.c");
    let fault = built.start().map(|_| ()).unwrap_err();
    assert!(matches!(fault, Fault::Unloadable { .. }), "{fault:?}");
}

#[test]
fn one_set_after_the_other_is_answered_for_what_it_holds() {
    let built = Built::new(DOUBLE);
    let mut session = built.start().unwrap();
    for round in 0..50 {
        let inputs = &inputs(2, 4)[round % 2];
        built::load_these(&mut session, std::slice::from_ref(inputs)).unwrap();
        once(&mut session, 0).unwrap();
        let first = 2.0 * (round % 2) as f32;
        assert_eq!(floats(&session.outputs(0).unwrap()[0])[..2], [first, first + 2.0]);
    }
}
