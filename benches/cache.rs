//! The null run: reading the index and asking the kernel for every entry, at 10,000 stages; and
//! hashing one file.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use optloop::cache::index::Node;
use optloop::cache::{EntryId, Index, Kind, entry};
use optloop::host::MemoryHost;
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};

const STAGES: usize = 10_000;

/// Two files a stage, all known.
fn known(dir: &Path) -> Index {
    let root = rustix::fs::open(dir, OFlags::PATH, Mode::empty()).expect("folder");
    let mut index = Index::default();
    for folder in ["in", "out"] {
        std::fs::create_dir(dir.join(folder)).expect("mkdir");
        for stage in 0..STAGES {
            let name = format!("{folder}/{stage:05}");
            std::fs::write(dir.join(&name), format!("stage {stage}\n")).expect("write");
            let id = index.add_entry(Kind::File, &name);
            let (stat, digest) =
                entry::measure(root.as_fd(), Kind::File, &name, &MemoryHost::default())
                    .expect("measure");
            index.see(id, stat, digest, i64::MAX).expect("entry");
        }
    }
    for stage in 0..STAGES {
        let name = index.add_text(&format!("s{stage}"));
        let inputs = index.add_entries(&[EntryId::at(stage)]);
        let outputs = index.add_entries(&[EntryId::at(stage + STAGES)]);
        index.nodes.push(Node { name, inputs, outputs, status: 1, ..Node::default() });
    }
    index
}

fn null_run(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("index");
    known(dir.path()).write(&path).expect("write");
    let mut group = c.benchmark_group("null run of 10,000 stages");
    group.sample_size(30);
    group.bench_function("read the index", |b| {
        b.iter(|| Index::read(black_box(&path)).expect("read").expect("index"));
    });
    let index = Index::read(&path).expect("read").expect("index");
    let root = rustix::fs::open(dir.path(), OFlags::PATH, Mode::empty()).expect("folder");
    group.bench_function("stat 20,000 entries", |b| {
        b.iter(|| {
            let doubtful = entry::doubtful(root.as_fd(), &index.entries, &index.text);
            assert!(doubtful.is_empty());
        });
    });
    group.finish();
}

fn hashing(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = rustix::fs::open(dir.path(), OFlags::PATH, Mode::empty()).expect("folder");
    for (name, size) in [("small", 30usize), ("large", 4 << 20)] {
        std::fs::write(dir.path().join(name), vec![7; size]).expect("write");
        c.bench_function(&format!("hash a file of {size} bytes"), |b| {
            b.iter(|| {
                entry::measure(root.as_fd(), Kind::File, name, &MemoryHost::default())
                    .expect("measure")
            });
        });
    }
}

criterion_group!(benches, null_run, hashing);
criterion_main!(benches);
