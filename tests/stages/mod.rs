//! What tests and studies need that run stages themselves.
#![expect(clippy::disallowed_methods, reason = "compilers need a PATH")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use optloop::engine::stage::StageContext;
use optloop::host::Host;
use optloop::pipeline::CompileWork;
use optloop::process::Cancel;

/// The disk, the environment and the program under test, on a machine of 8 GiB.
pub(crate) struct ThisMachine;

impl Host for ThisMachine {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn memory_bytes(&self) -> u64 {
        8 << 30
    }

    fn program(&self) -> &Path {
        Path::new(env!("CARGO_BIN_EXE_optloop"))
    }
}

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
        marker: &scratch.path().display().to_string(),
        host: &ThisMachine,
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
