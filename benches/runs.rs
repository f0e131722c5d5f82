//! Whole runs of the program over a pipeline of 10,000 commands that is known: one in which nothing
//! has changed, and one in which a single input has.

#![expect(clippy::disallowed_methods, reason = "the program is started as a user starts it")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const STAGES: usize = 10_000;

/// Stages that do not depend on each other, each of which copies a file.
fn project(root: &Path) {
    let mut text = String::from("name = \"runs\"\n");
    for folder in ["in", "out"] {
        std::fs::create_dir(root.join(folder)).expect("mkdir");
    }
    for stage in 0..STAGES {
        edit(root, stage, "as it was");
        let _ = writeln!(
            text,
            "[stages.s{stage}]\ninputs = [\"in/{stage}\"]\noutputs = [\"out/{stage}\"]\n\
             run = [\"cp\", \"in/{stage}\", \"out/{stage}\"]"
        );
    }
    std::fs::write(root.join("pipeline.toml"), text).expect("write");
}

fn edit(root: &Path, stage: usize, text: &str) {
    std::fs::write(root.join(format!("in/{stage}")), text).expect("write");
}

fn run(root: &Path) {
    let status = Command::new(env!("CARGO_BIN_EXE_optloop"))
        .args(["pipeline", "pipeline.toml", "--quiet"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("it starts");
    assert!(status.success(), "{status}");
}

fn runs(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path();
    project(root);
    run(root);
    let mut group = c.benchmark_group("run of 10,000 stages");
    group.sample_size(30);
    group.bench_function("nothing changed", |b| b.iter(|| run(root)));
    let mut edits = 0_u32;
    group.bench_function("one leaf changed", |b| {
        let change = || {
            edits += 1;
            edit(root, 7, &format!("edit {edits}"));
        };
        b.iter_batched(
            change,
            |()| {
                run(root);
                let copied = std::fs::read_to_string(root.join("out/7")).expect("read");
                assert!(copied.starts_with("edit"), "{copied}");
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, runs);
criterion_main!(benches);
