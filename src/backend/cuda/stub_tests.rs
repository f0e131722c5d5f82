//! Libraries of a few lines that tests build, in the place of NVIDIA's.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `code` to `folder/libcuda.so.1`.
pub(super) fn library(folder: &Path, code: &str) -> PathBuf {
    build(folder, "libcuda.so.1", code)
}

/// Builds `code` to `folder/name`.
#[expect(clippy::disallowed_methods, reason = "a test that builds what it needs")]
pub(super) fn build(folder: &Path, name: &str, code: &str) -> PathBuf {
    std::fs::create_dir_all(folder).expect("created");
    let source = folder.join("stub.c");
    std::fs::write(&source, code).expect("written");
    let built = folder.join(name);
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", &format!("-Wl,-soname,{name}"), "-o"])
        .args([&built, &source])
        .status();
    assert!(done.expect("the tests need a C compiler").success(), "{code}");
    built
}
