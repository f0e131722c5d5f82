//! What the judge does to large buffers, per byte: drawing, staging, poisoning, comparing; and what a
//! launch of `out = a + b` costs between. For the whole of it: `optloop pipeline` on such a problem.
#![expect(clippy::disallowed_methods, reason = "a compiler needs a PATH")]

use std::path::{Path, PathBuf};
use std::process::Command;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use optloop::backend::cpu::{CpuSession, SessionOptions, last_core};
use optloop::backend::{Allowance, Argument, Draw, Mode, Order, Session, Shelf};
use optloop::problem::{Fill, fill_into};
use optloop::process::Cancel;
use optloop::process::sandbox::SandboxMode;
use optloop::verify::{Comparison, Dtype, Part, Tolerance, compare_part};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Bytes of each buffer.
const BYTES: usize = 128 << 20;
/// Bytes that are read and compared at a time.
const PART: usize = 128 * 1024;

const NORMAL: Fill = Fill::Normal { mean: 0.0, std: 1.0 };

/// An input from a seed.
#[derive(Debug)]
struct Input(u64);

impl Draw for Input {
    fn bytes(&self) -> usize {
        BYTES
    }

    fn draw(&self, into: &mut [u8]) {
        fill_into(&NORMAL, Dtype::F32, into, &mut ChaCha8Rng::seed_from_u64(self.0));
    }
}

/// A built `out = a + b`.
struct Sum {
    dir: tempfile::TempDir,
    library: PathBuf,
    cancel: Cancel,
}

impl Sum {
    fn build() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, library) = (dir.path().join("sum.c"), dir.path().join("sum.so"));
        let text = "__attribute__((visibility(\"default\"))) void optloop_launch(void *const *p) {\n\
                    const float *a = p[0], *b = p[1]; float *out = p[2]; int n = *(const int *)p[3];\n\
                    for (int i = 0; i < n; i++) out[i] = a[i] + b[i]; }\n";
        std::fs::write(&source, text).expect("written");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-fPIC", "-shared", "-o"]).arg(&library).arg(&source);
        assert!(cc.status().expect("a C compiler").success());
        Self { dir, library, cancel: Cancel::default() }
    }

    fn start(&self) -> CpuSession {
        CpuSession::start(&SessionOptions {
            program: Path::new(env!("CARGO_BIN_EXE_optloop")),
            env: Vec::new(),
            marker: &self.dir.path().display().to_string(),
            library: &self.library,
            cpu: last_core(),
            allowance: Allowance::default(),
            sandbox: SandboxMode::Auto,
            memory_bytes: None,
            dir: self.dir.path(),
            cancel: &self.cancel,
        })
        .expect("a worker")
    }
}

fn drawing(c: &mut Criterion) {
    let mut group = c.benchmark_group("draw in place");
    group.throughput(Throughput::Bytes(BYTES as u64)).sample_size(10);
    let mut into = vec![0; BYTES];
    for (name, fill) in [
        ("normal", NORMAL),
        ("uniform", Fill::Uniform { low: 0.0, high: 1.0 }),
        ("adversarial", Fill::Adversarial),
        ("ones", Fill::Ones),
    ] {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        group.bench_function(name, |b| {
            b.iter(|| fill_into(&fill, Dtype::F32, &mut into, &mut rng));
        });
    }
    group.finish();
}

fn sessions(c: &mut Criterion) {
    let sum = Sum::build();
    let n = i32::try_from(BYTES / 4).expect("it fits").to_ne_bytes();
    let mut group = c.benchmark_group("one set in a worker");
    group.throughput(Throughput::Bytes(3 * BYTES as u64)).sample_size(10);
    let (a, b) = (Input(1), Input(2));
    let set = || {
        vec![Argument::Drawn(&a), Argument::Drawn(&b), Argument::Out(BYTES), Argument::Scalar(&n)]
    };
    let mut session = sum.start();
    let mut shelf = Shelf::new(u64::MAX);
    group.bench_function("load what is staged already (poison, map)", |b| {
        b.iter(|| session.load_shared(&[set()], 0, &mut shelf).expect("loaded"));
    });
    let mut number = 0;
    group.bench_function("load others in the same memory (draw, poison, map)", |b| {
        b.iter(|| {
            number += 1;
            session.load_shared(&[set()], number, &mut shelf).expect("loaded");
        });
    });
    group.bench_function("a fresh process (start, poison, map)", |b| {
        b.iter(|| sum.start().load_shared(&[set()], number, &mut shelf).expect("loaded"));
    });
    let order = Order { first: 0, count: 1, mode: Mode::Hot };
    group.bench_function("launch (touch, run)", |b| {
        b.iter(|| session.launch(order).expect("launched"));
    });
    let want = session.outputs(0).expect("read").remove(0);
    group.bench_function("compare where it lies", |b| b.iter(|| compare(&mut session, &want)));
    group.finish();
    session.finish();
}

fn compare(session: &mut CpuSession, want: &[u8]) {
    let tolerance = Tolerance { rtol: 1e-6, atol: 1e-6, equal_nan: false };
    let look = |_: usize, start: usize, got: &[u8]| {
        let want = &want[start..start + got.len()];
        let found: Comparison = compare_part(Part { got, want, start: 0 }, Dtype::F32, &tolerance);
        assert!(found.passed(), "{found:?}");
    };
    session.outputs_in_parts(0, PART, &look).expect("read");
}

criterion_group!(benches, drawing, sessions);
criterion_main!(benches);
