//! The stand-in driver library and NVML for tests, built from the C files beside this one. What a
//! script may say stands at the top of `script.h`.
//!
//! It tests how the judge handles a driver. Nothing it says is a measurement.
#![allow(dead_code, reason = "each test binary takes what it needs")]
#![allow(clippy::disallowed_methods, reason = "a compiler of the stand-in needs a PATH")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const DRIVER: &str = include_str!("driver.c");
const NVML: &str = include_str!("nvml.c");
const SCRIPT: &str = include_str!("script.h");
/// The source of the judge's own kernels.
pub(crate) const HELPERS: &str = include_str!("../../src/backend/cuda/helpers.cu");
/// The text that the program carries of them.
pub(crate) const HELPERS_PTX: &str = include_str!("../../src/backend/cuda/helpers.ptx");

/// Without warnings, or it is not built. As little optimisation as compiles fast. A fused
/// multiply-add would judge differently at the edge.
const FLAGS: &[&str] = &[
    "-std=c11",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-shared",
    "-fPIC",
    "-pthread",
];

/// The built libraries.
#[derive(Debug, Clone)]
pub(crate) struct StandIn {
    built: PathBuf,
}

/// A stand-in with its script and log, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl StandIn {
    /// Builds the libraries, once for all test processes: they are kept by their content.
    pub(crate) fn build() -> Self {
        static BUILT: OnceLock<StandIn> = OnceLock::new();
        BUILT.get_or_init(Self::built_anew).clone()
    }

    fn built_anew() -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let digest = [DRIVER, NVML, SCRIPT, HELPERS, &FLAGS.concat()].join("\0");
        let digest = blake3::hash(digest.as_bytes()).to_hex();
        let built = root.join(format!("cuda-stand-in-{}", &digest[..16]));
        if built.is_dir() {
            return Self { built };
        }
        fs::create_dir_all(root).expect("target/tmp");
        let fresh = tempfile::tempdir_in(root).expect("a folder to build in").keep();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cuda");
        let helpers = sources.join("../../src/backend/cuda/helpers.cu");
        let helpers = format!("-DHELPERS=\"{}\"", helpers.display());
        let driver = sources.join("driver.c");
        let soname = "-Wl,-soname,libcuda.so.1";
        compile(&fresh.join("libcuda.so.1"), &driver, &[&helpers, soname]);
        compile(&fresh.join("old.so"), &driver, &[&helpers, soname, "-DTOO_OLD"]);
        let soname = "-Wl,-soname,libnvidia-ml.so.1";
        compile(&fresh.join("libnvidia-ml.so.1"), &sources.join("nvml.c"), &[soname]);
        // When another test process was faster, its folder stays.
        if fs::rename(&fresh, &built).is_err() {
            assert!(built.is_dir(), "{} cannot be made", built.display());
            fs::remove_dir_all(&fresh).expect("removed");
        }
        Self { built }
    }

    /// Puts driver, NVML and script into `dir`, which is made; the log begins anew.
    pub(crate) fn at(&self, dir: &Path, script: &str) -> Folder {
        self.put(dir, script, "libcuda.so.1")
    }

    /// [`Self::at`] with a driver of CUDA 11.0, which lacks `cuGraphInstantiateWithFlags`.
    pub(crate) fn too_old_at(&self, dir: &Path, script: &str) -> Folder {
        self.put(dir, script, "old.so")
    }

    fn put(&self, dir: &Path, script: &str, driver: &str) -> Folder {
        fs::create_dir_all(dir).expect("a folder for the stand-in");
        fs::write(dir.join("script"), script).expect("script");
        fs::write(dir.join("log"), "").expect("log");
        // Copies: a library that is opened twice by one process is one library.
        for (from, to) in [(driver, "libcuda"), ("libnvidia-ml.so.1", "libnvidia-ml")] {
            let file = dir.join(format!("{to}.so.1"));
            let _absent = fs::remove_file(&file);
            fs::copy(self.built.join(from), &file).expect("copied");
            // Also by the name that is looked for first: a real driver must never be found.
            let link = dir.join(format!("{to}.so"));
            let _absent = fs::remove_file(&link);
            std::os::unix::fs::symlink(format!("{to}.so.1"), link).expect("linked");
        }
        Folder { path: dir.to_owned() }
    }
}

impl Folder {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The variable by which a process finds the stand-in.
    pub(crate) fn env(&self) -> (OsString, OsString) {
        ("LD_LIBRARY_PATH".into(), self.path.clone().into())
    }

    /// The driver library, to be opened by its path.
    pub(crate) fn driver(&self) -> PathBuf {
        self.path.join("libcuda.so.1")
    }

    /// The management library.
    pub(crate) fn nvml(&self) -> PathBuf {
        self.path.join("libnvidia-ml.so.1")
    }

    /// As a machine without the management library.
    pub(crate) fn without_nvml(self) -> Self {
        for name in ["libnvidia-ml.so.1", "libnvidia-ml.so"] {
            fs::remove_file(self.path.join(name)).expect("removed");
        }
        self
    }

    /// Another script for the processes to come; the log stays.
    pub(crate) fn script(&self, script: &str) {
        fs::write(self.path.join("script"), script).expect("script");
    }

    /// Builds a library of C code for `kernel NAME FILE SYMBOL` lines, as `file` in the folder.
    pub(crate) fn library(&self, file: &str, code: &str) {
        let source = self.path.join(format!("{file}.c"));
        fs::write(&source, code).expect("source");
        compile(&self.path.join(file), &source, &["-fvisibility=default"]);
    }

    /// What was logged, line by line.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path.join("log")).expect("log");
        text.lines().map(str::to_owned).collect()
    }

    /// How often a line was logged that is `line` or begins with it and a space.
    pub(crate) fn count(&self, line: &str) -> usize {
        let begins = |logged: &&String| {
            logged.strip_prefix(line).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        self.log().iter().filter(begins).count()
    }

    /// What was taken and not given back, of every process that used the folder.
    pub(crate) fn leaks(&self) -> Vec<String> {
        leaks(&self.log())
    }
}

/// What the log says was taken and not given back: `what: how many` for things that are counted,
/// `alloc BYTES ADDR` for memory. An end of the context takes memory along, but that is no order.
pub(crate) fn leaks(log: &[String]) -> Vec<String> {
    let mut memory: BTreeMap<&str, &str> = BTreeMap::new();
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    let mut left = Vec::new();
    for line in log {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["alloc", _, address] => {
                // A later process may be given an address that an earlier one leaked.
                left.extend(memory.insert(address, line).map(str::to_owned));
            }
            ["free", address] => assert!(memory.remove(address).is_some(), "{line}: not taken"),
            [what, "+"] => *counts.entry(what).or_default() += 1,
            [what, "-"] => *counts.entry(what).or_default() -= 1,
            ["lock", ..] => *counts.entry("lock").or_default() = 1,
            ["unlock"] => *counts.entry("lock").or_default() = 0,
            _ => {}
        }
    }
    left.extend(memory.into_values().map(str::to_owned));
    let counted = counts.into_iter().filter(|(_, count)| *count != 0);
    left.extend(counted.map(|(what, count)| format!("{what}: {count}")));
    left
}

/// Where a tool is; `None`, said aloud, when it is missing and `OPTLOOP_REQUIRE` does not name it.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|r| r == name), "OPTLOOP_REQUIRE: there is no {name}");
        println!("skipped: no {name}");
    }
    found
}

fn compile(to: &Path, source: &Path, more: &[&str]) {
    let mut command = Command::new("cc");
    command.args(FLAGS).args(more).arg(source).arg("-o").arg(to).arg("-ldl");
    let out = command.output().expect("a C compiler");
    let said = String::from_utf8_lossy(&out.stderr);
    let name = source.file_name().unwrap_or(OsStr::new("")).display();
    assert!(out.status.success(), "{name}: {said}");
}
