//! What tests and studies need that run stages themselves.
#![expect(clippy::disallowed_methods, reason = "compilers need a PATH")]

use std::collections::BTreeMap;
use std::path::Path;

use optloop::engine::stage::StageContext;
use optloop::pipeline::CompileWork;
use optloop::process::Cancel;

/// Gives a stage in `dir` what it needs.
pub(crate) fn in_context<T>(
    dir: &Path,
    cancel: &Cancel,
    stage: impl FnOnce(&StageContext<'_>) -> T,
) -> T {
    let scratch = tempfile::tempdir().expect("a temporary folder");
    stage(&StageContext {
        name: "stage",
        dir,
        scratch: scratch.path(),
        state: dir,
        program: Path::new(env!("CARGO_BIN_EXE_optloop")),
        marker: &scratch.path().display().to_string(),
        env: &|name| std::env::var_os(name),
        cancel,
        progress: &|_, _| {},
        looked: &|_| {},
    })
}

/// C with these flags.
pub(crate) fn compile_work(flags: &[&str]) -> CompileWork {
    CompileWork {
        cc: String::new(),
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        defines: BTreeMap::new(),
        include_dirs: Vec::new(),
        arch: String::new(),
        host: false,
        layouts: 1,
        timeout_ms: 60_000,
    }
}
