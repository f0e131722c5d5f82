//! The copies of a project that commands are compared in, at 10,000 files: the first one, one that
//! is brought up to date when nothing has changed, and one after an edit.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use optloop::tree::{Changes, Listing, Tree};

const FILES: usize = 10_000;
const FOLDERS: usize = 200;
const BYTES: usize = 4096;

fn project(root: &Path) {
    for folder in 0..FOLDERS {
        std::fs::create_dir_all(root.join(format!("{folder:03}"))).expect("mkdir");
    }
    for file in 0..FILES {
        std::fs::write(place(root, file), vec![file as u8; BYTES]).expect("write");
    }
}

fn place(root: &Path, file: usize) -> PathBuf {
    root.join(format!("{:03}/{file:05}.c", file % FOLDERS))
}

fn update(root: &Path, home: &Path) -> Changes {
    let listing = Listing::of(root, &[]).expect("a listing");
    let mut tree = Tree::open(home.join("a"), home.join("a.list")).expect("a tree");
    tree.update(&listing, &|| false).expect("an update")
}

fn trees(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("tempdir");
    let (root, home) = (dir.path().join("root"), dir.path().join("home"));
    project(&root);
    std::fs::create_dir(&home).expect("mkdir");
    let mut group = c.benchmark_group("tree of 10,000 files");
    group.sample_size(10);
    group.bench_function("first copy", |b| {
        let anew = || {
            for name in ["a", "a.list"] {
                let path = home.join(name);
                drop(std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path)));
            }
        };
        b.iter_batched(anew, |()| update(&root, &home), BatchSize::PerIteration);
    });
    group.bench_function("nothing changed", |b| {
        b.iter(|| assert_eq!(black_box(update(&root, &home)).copied, 0));
    });
    let mut edits = 0_u32;
    group.bench_function("one file changed", |b| {
        let edit = || {
            edits += 1;
            std::fs::write(place(&root, 7), edits.to_string()).expect("write");
        };
        b.iter_batched(
            edit,
            |()| assert_eq!(update(&root, &home).copied, 1),
            BatchSize::PerIteration,
        );
    });
    let listing = Listing::of(&root, &[]).expect("a listing");
    let mut tree = Tree::open(home.join("a"), home.join("a.list")).expect("a tree");
    tree.update(&listing, &|| false).expect("an update");
    group.bench_function("between two runs of a command", |b| {
        b.iter(|| tree.update(&listing, &|| false).expect("an update"));
    });
    group.finish();
}

criterion_group!(benches, trees);
criterion_main!(benches);
