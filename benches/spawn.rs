//! What starting a command costs, beside the standard library alone.

#![expect(
    clippy::disallowed_methods,
    reason = "what `run` costs is compared with the bare library"
)]

use std::hint::black_box;
use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use optloop::process::jobserver::Tokens;
use optloop::process::{Cancel, CommandSpec, Exit, run};

/// The floor: no pipe, no deadline, no clean-up.
fn plain(criterion: &mut Criterion) {
    criterion.bench_function("spawn/std", |bencher| {
        bencher.iter(|| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", ":"]).env_clear().stdin(Stdio::null());
            assert!(command.status().expect("it starts").success());
        });
    });
}

fn watched(criterion: &mut Criterion) {
    let cancel = Cancel::default();
    let mut spec = CommandSpec::new("/bin/sh", "/", "bench");
    spec.args = vec!["-c".into(), ":".into()];
    criterion.bench_function("spawn/run", |bencher| {
        bencher.iter(|| {
            let finished = run(&spec, &cancel).expect("it starts");
            assert_eq!(finished.exit, Exit::Code(0));
        });
    });
}

/// What a process that starts no command pays for job tokens.
fn tokens(criterion: &mut Criterion) {
    criterion.bench_function("tokens/unused", |bencher| {
        bencher.iter(|| black_box(Tokens::from_env_or_new(Some(8))));
    });
    let tokens = Tokens::from_env_or_new(Some(8));
    let cancel = Cancel::default();
    criterion.bench_function("tokens/acquire", |bencher| {
        bencher.iter(|| tokens.acquire(&cancel).expect("a pipe").is_some());
    });
}

criterion_group!(benches, plain, watched, tokens);
criterion_main!(benches);
