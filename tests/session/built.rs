//! A kernel built by hand, and workers with it in them, driven as the judge drives them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(crate) use optloop::backend::cpu::CpuSession;
use optloop::backend::cpu::{SessionOptions, last_core};
use optloop::backend::{Allowance, Argument, Fault, Launched, Mode, Order, Session};
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxMode;

const PRELUDE: &str = "#define _GNU_SOURCE\n#include <stdlib.h>\n#include <stdio.h>\n#include <string.h>\n\
    #include <unistd.h>\n#include <signal.h>\n#include <time.h>\n#include <pthread.h>\n#include <sys/mman.h>\n\
    static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);\n\
    return t.tv_sec * 1000000000L + t.tv_nsec; }\n\
    __attribute__((noinline)) static void spin(long ns) { long end = now() + ns; while (now() < end); }\n";

/// A session ends after so long, come what may: what is to end earlier does so for another reason,
/// and on a busy machine nothing here takes as long.
const PATIENCE: Duration = Duration::from_mins(5);

/// A kernel of `x` (read), `y` (written), both of `n` floats, and `n`.
pub(crate) struct Built {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) library: PathBuf,
    pub(crate) cancel: Cancel,
    pub(crate) deadline: Duration,
    pub(crate) cpu: Option<u32>,
    pub(crate) memory_bytes: Option<u64>,
}

impl Built {
    /// `before` stands outside the function.
    pub(crate) fn with(before: &str, body: &str) -> Self {
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
        let (cancel, deadline) = (Cancel::default(), PATIENCE);
        Self { dir, library, cancel, deadline, cpu: last_core(), memory_bytes: None }
    }

    pub(crate) fn new(body: &str) -> Self {
        Self::with("", body)
    }

    pub(crate) fn start(&self) -> Result<CpuSession, Fault> {
        CpuSession::start(&SessionOptions {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            env: Vec::new(),
            marker: &self.dir.path().display().to_string(),
            library: &self.library,
            cpu: self.cpu,
            allowance: Allowance::new(Some(self.deadline)),
            // The first rung has to hold alone; tests/workers.rs runs with the second.
            sandbox: SandboxMode::Off,
            memory_bytes: self.memory_bytes,
            dir: self.dir.path(),
            cancel: &self.cancel,
        })
    }

    /// Starts and loads `sets` sets of `n` floats; `x[i]` is `i` plus the set's number.
    pub(crate) fn loaded(&self, sets: usize, n: usize) -> CpuSession {
        let mut session = self.start().unwrap();
        load(&mut session, sets, n).unwrap();
        session
    }

    /// The fault that launching and reading one set of 16 floats ends with.
    pub(crate) fn fault(&self) -> Fault {
        let mut session = self.loaded(1, 16);
        first_fault(&mut session, 3)
    }
}

/// The fault that launching and reading the first set so often ends with.
pub(crate) fn first_fault(session: &mut CpuSession, times: u32) -> Fault {
    (0..times)
        .find_map(|_| once(session, 0).and_then(|_| session.outputs(0)).err())
        .expect("a fault")
}

/// `x[i]` of a set is `i` plus the set's number.
pub(crate) fn inputs(sets: usize, n: usize) -> Vec<Vec<u8>> {
    (0..sets).map(|set| (0..n).flat_map(|i| ((i + set) as f32).to_ne_bytes()).collect()).collect()
}

pub(crate) fn load(session: &mut CpuSession, sets: usize, n: usize) -> Result<(), Fault> {
    load_these(session, &inputs(sets, n))
}

pub(crate) fn load_these(session: &mut CpuSession, inputs: &[Vec<u8>]) -> Result<(), Fault> {
    let bytes = inputs.first().map_or(0, Vec::len);
    let count = (bytes as i32 / 4).to_ne_bytes();
    let sets: Vec<Vec<Argument<'_>>> = inputs
        .iter()
        .map(|x| vec![Argument::In(x), Argument::Out(bytes), Argument::Scalar(&count)])
        .collect();
    session.load(&sets)
}

pub(crate) fn once(session: &mut CpuSession, set: u32) -> Result<Launched, Fault> {
    session.launch(Order { first: set, count: 1, mode: Mode::Hot })
}

pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_ne_bytes(b)).collect()
}

/// Launches the first set so often.
pub(crate) fn launches(session: &mut CpuSession, mode: Mode, count: u32) -> Vec<Launched> {
    (0..count).map(|_| session.launch(Order { first: 0, count: 1, mode }).unwrap()).collect()
}
