//! optloop as a library: the example that uses it without its command line.
#![expect(clippy::disallowed_methods, reason = "the example is built as a user builds it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use super::kernel::{GOOD, project, source};

/// The example, built now: a run of these tests alone builds no examples.
fn example() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--example", "embed"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    target.join("debug/examples/embed")
}

#[test]
fn a_program_of_forty_lines_runs_a_pipeline_and_compares_two_kernels() {
    let text = include_str!("../../examples/embed.rs");
    assert!(text.lines().count() <= 40, "the example is longer than 40 lines");
    assert!(!text.contains("optloop::cli"), "the example uses the command line");
    let slow = "for (int r = 0; r < 40; r++) { for (int i = 0; i < n; i++) y[i] = 2 * x[i];
      __asm__ volatile(\"\" ::: \"memory\"); }";
    let project = project(GOOD).file("slow.c", source(slow));
    let run = |said: &str| {
        let call = project.args(["pipeline.toml", "k.c", "slow.c"]).by(example());
        let ran =
            call.run().code(0).says("smoke: passed true").says("candidate: passed true").says(said);
        ran.stdout.lines().last().map(str::to_owned)
    };
    assert_eq!(run(" 0 cached").as_deref(), Some("REVERT"));
    assert_eq!(
        run("0 ran, ").as_deref(),
        Some("REVERT"),
        "the run is cached, the comparison is of now"
    );
}
