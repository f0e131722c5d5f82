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
use std::time::{Duration, Instant};

use optloop::backend::cpu::{CpuSession, SessionOptions, last_core};
use optloop::backend::{Argument, Fault, Launched, Mode, Order, Session};
use optloop::process::Cancel;

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
}

impl Built {
    /// `before` stands outside the function.
    fn with(before: &str, body: &str) -> Self {
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
        Self { dir, library, cancel, deadline, cpu: last_core() }
    }

    fn new(body: &str) -> Self {
        Self::with("", body)
    }

    fn start(&self) -> Result<CpuSession, Fault> {
        CpuSession::start(&SessionOptions {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            env: Vec::new(),
            marker: &self.dir.path().display().to_string(),
            library: &self.library,
            cpu: self.cpu,
            deadline: Some(Instant::now() + self.deadline),
            memory_bytes: None,
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

fn load(session: &mut CpuSession, sets: usize, n: usize) -> Result<(), Fault> {
    let inputs: Vec<Vec<u8>> = (0..sets)
        .map(|set| (0..n).flat_map(|i| ((i + set) as f32).to_ne_bytes()).collect())
        .collect();
    let count = (n as i32).to_ne_bytes();
    let sets: Vec<Vec<Argument<'_>>> = inputs
        .iter()
        .map(|x| vec![Argument::In(x), Argument::Out(4 * n), Argument::Scalar(&count)])
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
    let mut session = Built::new(DOUBLE).loaded(5, 100);
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
