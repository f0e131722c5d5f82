//! Keys, statistics, comparisons and fills: what runs per stage, per look and per output.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use optloop::cache::Kind;
use optloop::digest::Digest;
use optloop::pipeline::{CommandWork, Incumbent, Limits, Purpose, Reuse, RuleWork, Run};
use optloop::plan::key::Walk;
use optloop::plan::{Definition, StoredNode};
use optloop::problem::{Fill, fill};
use optloop::stats::signed_rank::Walsh;
use optloop::stats::{Levels, Rule, Statistic};
use optloop::verify::{Dtype, Tolerance, compare};
use optloop::{stats, verify};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

fn keys(c: &mut Criterion) {
    let node = StoredNode {
        stage: "s".to_owned(),
        dir: String::new(),
        when: None,
        question: None,
        definition: Definition::Command(CommandWork {
            run: Run::Shell("read -r x < in/1 && echo \"$x\" > out/1".to_owned()),
            inputs: vec!["in/1".to_owned()],
            outputs: vec!["out/1".to_owned()],
            env: std::collections::BTreeMap::new(),
            pass_env: Vec::new(),
            depfile: None,
            metric: None,
            limits: Limits { timeout_ms: 0, grace_ms: 2000, retries: 1 },
            cache: Reuse::Yes,
            exclusive: false,
            salt: String::new(),
            incumbent: Incumbent::None,
            repeats: Vec::new(),
            rule: RuleWork::default(),
            purpose: Purpose::Candidate,
            carry: Vec::new(),
            kernel: Vec::new(),
            opponent: None,
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
        let samples = times(n, 0);
        group.bench_with_input(BenchmarkId::from_parameter(n), &samples, |b, samples| {
            b.iter(|| stats::summary(black_box(samples)));
        });
    }
    group.finish();
}

/// Times about 100 us that all differ.
fn times(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| 100.0 + (((i + 31 * seed) * 7919) % 10_007) as f64 / 1e4).collect()
}

fn estimates(c: &mut Criterion) {
    let mut group = c.benchmark_group("estimate");
    let processes = |count: usize, launches: usize| -> Vec<Vec<f64>> {
        (0..count).map(|process| times(launches, process)).collect()
    };
    for (count, launches) in [(1, 32), (4, 8), (8, 4), (64, 16)] {
        let measured = processes(count, launches);
        let name = format!("{count} processes of {launches} launches");
        group.bench_with_input(name, &measured, |b, measured| {
            b.iter(|| Levels::of(black_box(measured)).map(|l| l.estimate(Statistic::Median)));
        });
    }
    let cases = vec![processes(8, 4); 5];
    group.bench_function("5 cases of 8 processes of 4 launches", |b| {
        b.iter(|| stats::combined(black_box(&cases), Statistic::Median));
    });
    for pairs in [64, 128] {
        let ratios: Vec<f64> = times(pairs, 1).into_iter().map(|t| (t / 100.5).ln()).collect();
        group.bench_function(format!("look at {pairs} pairs"), |b| {
            b.iter(|| {
                let walsh = Walsh::of(black_box(&ratios))?;
                Some((walsh.estimate(), walsh.lower(0.001)?, walsh.upper(0.1)?))
            });
        });
    }
    let rule = Rule::with_looks(&Rule::FINAL_LOOKS);
    for pairs in [64, 128] {
        // Noise that proves nothing: every look before this one is needed too.
        let d: Vec<f64> = times(pairs, 1).into_iter().map(|t| (t / 100.496).ln()).collect();
        group.bench_function(format!("decision after {pairs} pairs"), |b| {
            b.iter(|| rule.next(black_box(&d)));
        });
        group.bench_function(format!("whole decision of {pairs} pairs again"), |b| {
            b.iter(|| rule.judge(black_box(&d), &[]));
        });
    }
    group.finish();
}

/// Comparing outputs beside reading the same bytes: what memory allows, in the same run.
fn outputs(c: &mut Criterion) {
    // More than a last-level cache holds.
    const BYTES: usize = 128 << 20;
    let tolerance = Tolerance { rtol: 1e-5, atol: 1e-6, equal_nan: false };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for dtype in [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16, Dtype::I32] {
        let elements = BYTES / dtype.size_bytes();
        let drawn = if dtype.is_float() {
            Fill::Normal { mean: 0.0, std: 1.0 }
        } else {
            Fill::Integers { low: -1000, high: 1000 }
        };
        let want = fill(&drawn, dtype, elements, &mut rng);
        let same = want.clone();
        let mut group = c.benchmark_group(format!("128 MiB of {dtype}"));
        group.throughput(Throughput::Bytes(2 * want.len() as u64));
        group.sample_size(20);
        group.bench_function("read both", |b| b.iter(|| sum(&same).wrapping_add(sum(&want))));
        group
            .bench_function("compare equal", |b| b.iter(|| agree(&same, &want, dtype, &tolerance)));
        if dtype.is_float() {
            let near = rounded_otherwise(same, dtype);
            // A step of f16 and bf16 is more than a tolerance for f32.
            let wide = Tolerance { rtol: 0.02, atol: 1e-6, equal_nan: false };
            group.bench_function("compare near", |b| b.iter(|| agree(&near, &want, dtype, &wide)));
        }
        group.finish();
    }
}

/// The share of memory's speed that a comparison reaches, reading and comparing in turn: what else
/// the machine does then slows both alike.
#[expect(clippy::print_stdout, reason = "criterion has no word for a ratio of two benchmarks")]
fn share_of_memory(_: &mut Criterion) {
    const ROUNDS: usize = 41;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let want = fill(&Fill::Normal { mean: 0.0, std: 1.0 }, Dtype::F32, 1 << 26, &mut rng);
    let near = rounded_otherwise(want.clone(), Dtype::F32);
    let tolerance = Tolerance { rtol: 1e-5, atol: 1e-6, equal_nan: false };
    let seconds = |work: &dyn Fn()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let rounds: Vec<[f64; 2]> = (0..ROUNDS)
        .map(|_| {
            let read = seconds(&|| {
                black_box(sum(&near).wrapping_add(sum(&want)));
            });
            [read, seconds(&|| agree(&near, &want, Dtype::F32, &tolerance))]
        })
        .collect();
    let median = |of: &dyn Fn(&[f64; 2]) -> f64| {
        stats::summary(&rounds.iter().map(of).collect::<Vec<_>>()).map_or(0.0, |s| s.median)
    };
    let gigabytes = 2.0 * want.len() as f64 / 1e9;
    println!(
        "64 Mi f32, in turn, medians of {ROUNDS}: reading {:.1} GB/s, comparing {:.1} GB/s, {:.0} %",
        gigabytes / median(&|r| r[0]),
        gigabytes / median(&|r| r[1]),
        100.0 * median(&|r| r[0] / r[1]),
    );
}

fn agree(got: &[u8], want: &[u8], dtype: Dtype, tolerance: &Tolerance) {
    let found: verify::Comparison = compare(got, want, dtype, tolerance);
    assert!(found.passed(), "{found:?}");
}

/// Adds up the words on every core.
fn sum(bytes: &[u8]) -> u64 {
    let chunk = |bytes: &[u8]| {
        let words = bytes.as_chunks::<8>().0.iter();
        words.fold(0_u64, |sum, &word| sum.wrapping_add(u64::from_ne_bytes(word)))
    };
    black_box(bytes).par_chunks(1 << 18).map(chunk).reduce(|| 0, u64::wrapping_add)
}

/// What another order of additions gives: about half of the values are a step away.
fn rounded_otherwise(mut bytes: Vec<u8>, dtype: Dtype) -> Vec<u8> {
    for (at, element) in bytes.chunks_exact_mut(dtype.size_bytes()).enumerate() {
        // The lowest bit of the first byte, on the little-endian machines that this runs on.
        element[0] ^= u8::from(at * 7919 % 10_007 < 5000);
    }
    bytes
}

fn staging(c: &mut Criterion) {
    const ELEMENTS: usize = 1 << 22;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut group = c.benchmark_group("stage 4 Mi f32");
    group.throughput(Throughput::Bytes(4 * ELEMENTS as u64));
    group.sample_size(20);
    for (name, drawn) in [
        ("zeros", Fill::Zeros),
        ("uniform", Fill::Uniform { low: -1.0, high: 1.0 }),
        ("normal", Fill::Normal { mean: 0.0, std: 1.0 }),
    ] {
        group.bench_function(name, |b| b.iter(|| fill(&drawn, Dtype::F32, ELEMENTS, &mut rng)));
    }
    group.finish();
}

criterion_group!(benches, keys, statistics, estimates, share_of_memory, outputs, staging);
criterion_main!(benches);
