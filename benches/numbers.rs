//! Keys, statistics, comparisons and fills: what runs per stage, per look and per output.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use optloop::cache::Kind;
use optloop::digest::Digest;
use optloop::pipeline::{CommandWork, Limits, Run};
use optloop::plan::key::Walk;
use optloop::plan::{Definition, StoredNode};
use optloop::problem::{Fill, fill};
use optloop::verify::{Dtype, Tolerance, compare};
use optloop::{stats, verify};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn keys(c: &mut Criterion) {
    let node = StoredNode {
        stage: "s".to_owned(),
        dir: String::new(),
        when: None,
        definition: Definition::Command(CommandWork {
            run: Run::Shell("read -r x < in/1 && echo \"$x\" > out/1".to_owned()),
            inputs: vec!["in/1".to_owned()],
            outputs: vec!["out/1".to_owned()],
            env: std::collections::BTreeMap::new(),
            pass_env: Vec::new(),
            depfile: None,
            metric: None,
            limits: Limits { timeout_ms: 0, grace_ms: 2000, retries: 1 },
            cache: true,
            exclusive: false,
            salt: String::new(),
        }),
    };
    let digest = Digest::of(b"content");
    c.bench_function("key of a command stage", |b| {
        b.iter(|| {
            let mut walk = Walk::declared(black_box(&node), &["out/1"]);
            walk.entry(Kind::File, "/bin/sh", &digest);
            walk.entry(Kind::File, "in/1", &digest);
            walk.finish()
        });
    });
}

fn statistics(c: &mut Criterion) {
    let mut group = c.benchmark_group("summary of samples");
    for n in [8usize, 64, 4096] {
        let samples: Vec<f64> = (0..n).map(|i| 100.0 + ((i * 7919) % 101) as f64).collect();
        group.bench_with_input(BenchmarkId::from_parameter(n), &samples, |b, samples| {
            b.iter(|| stats::summary(black_box(samples)));
        });
    }
    group.finish();
}

fn outputs(c: &mut Criterion) {
    const ELEMENTS: usize = 1 << 22;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let normal = Fill::Normal { mean: 0.0, std: 1.0 };
    let want = fill(&normal, Dtype::F32, ELEMENTS, &mut rng);
    let tolerance = Tolerance { rtol: 1e-5, atol: 1e-6 };
    let mut group = c.benchmark_group("4 Mi f32");
    group.throughput(Throughput::Bytes(want.len() as u64));
    group.sample_size(20);
    group.bench_function("compare", |b| {
        b.iter(|| {
            let found: verify::Comparison = compare(&want, &want, Dtype::F32, &tolerance);
            assert!(found.passed());
        });
    });
    group.bench_function("fill normal", |b| {
        b.iter(|| fill(&normal, Dtype::F32, ELEMENTS, &mut rng));
    });
    group.finish();
}

criterion_group!(benches, keys, statistics, outputs);
criterion_main!(benches);
