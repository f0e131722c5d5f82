//! `cache stats|gc|verify`.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use super::support::Project;

/// A small output with recorded output, and one too large for the pack.
const STAGES: &str = r#"
[stages.small]
run = "echo said; cat in.txt > small"
inputs = ["in.txt"]
outputs = ["small"]
[stages.large]
run = "head -c 200000 /dev/zero > large; cat in.txt >> large"
inputs = ["in.txt"]
outputs = ["large"]
"#;

fn project() -> Project {
    let project = Project::new().pipeline(STAGES).file("in.txt", "one\n");
    project.run().code(0);
    project
}

fn stats(project: &Project) -> serde_json::Value {
    let run = project.args(["cache", "stats", "--format", "json"]).run().code(0);
    let line = run.json().remove(0);
    assert_eq!(line["version"], 1);
    line
}

/// Files of the state whose path holds `part`.
fn files(project: &Project, part: &str) -> Vec<PathBuf> {
    let held = |p: &PathBuf| p.is_file() && p.to_string_lossy().contains(part);
    project.state().into_keys().filter(held).collect()
}

#[test]
fn statistics_count_what_is_kept() {
    let project = project();
    let before = stats(&project);
    assert_eq!((&before["results"], &before["blobs"]), (&2.into(), &3.into()), "{before}");
    assert_eq!((&before["states"], &before["runs"]), (&1.into(), &1.into()), "{before}");
    assert!(before["bytes"].as_u64() > Some(200_000), "{before}");
    assert!(before["oldest_ms"].as_i64() <= before["newest_ms"].as_i64(), "{before}");
    project.write("in.txt", "two\n");
    project.run().code(0);
    let after = stats(&project);
    assert_eq!((&after["results"], &after["runs"]), (&4.into(), &2.into()), "{after}");
    project.args(["cache", "stats"]).run().code(0).says("results    4");
}

#[test]
fn a_whole_store_verifies_clean() {
    let project = project();
    project.args(["cache", "verify"]).run().code(0).says("2 results, 3 contents and 1 states");
}

#[test]
fn any_damage_is_found_and_ends_with_75_and_the_next_run_mends_it() {
    let overwrite = |path: &PathBuf, at: u64, bytes: &[u8]| {
        let mut permissions = fs::metadata(path).expect("there").permissions();
        #[expect(clippy::permissions_set_readonly_false, reason = "kept files are read-only")]
        permissions.set_readonly(false);
        fs::set_permissions(path, permissions).expect("writable");
        let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
        file.write_all_at(bytes, at).expect("written");
    };
    let cases: [(&str, &str, u64); 5] = [
        ("cache/pack.0", "are not those that were kept", 3),
        ("cache/index.0", "records of its index do not hold", 5),
        ("cache/blobs", "its content has the digest", 1000),
        ("/index", "it is damaged", 100),
        ("/journal", "a record in it is damaged", 30),
    ];
    for (part, words, at) in cases {
        let project = project();
        let path = if part == "/index" {
            files(&project, "state/").into_iter().find(|p| p.ends_with("index")).expect("an index")
        } else {
            files(&project, part).into_iter().next().expect("such a file")
        };
        let old = fs::read(&path).expect("a file")[at as usize];
        overwrite(&path, at, &[old ^ 0x55]);
        project.args(["cache", "verify"]).run().code(75).says(words);
        let json = project.args(["cache", "verify", "--format", "json"]).run().code(75);
        assert_ne!(json.json()[0]["findings"].as_array().map(Vec::len), Some(0), "{}", json.all());
        project.remove("small");
        project.remove("large");
        project.run().code(0);
        assert_eq!(project.read("small"), "one\n", "after damage to {part}");
        assert_eq!(fs::metadata(project.path("large")).expect("made").len(), 200_004);
    }
}

#[test]
fn a_missing_content_is_told_with_the_result_that_needs_it() {
    let project = project();
    fs::remove_file(&files(&project, "cache/blobs")[0]).expect("removed");
    let run = project.args(["cache", "verify"]).run().code(75);
    run.says("of large: the content of large is missing or damaged");
}

#[test]
fn what_a_kill_leaves_is_no_damage() {
    let project = project();
    for path in [files(&project, "journal"), files(&project, "cache/index.0")].concat() {
        let mut bytes = fs::read(&path).expect("a file");
        bytes.extend_from_slice(&[9, 0, 0]);
        fs::write(&path, bytes).expect("written");
    }
    project.write(".optloop/tmp/123.4", "half");
    project.write(".optloop/cache/index.new", "half");
    project.args(["cache", "verify"]).run().code(0);
    project.run().code(0);
    project.args(["cache", "verify"]).run().code(0);
}

#[test]
fn collecting_keeps_what_is_young_and_a_run_after_it_is_known() {
    let project = project();
    project.write("in.txt", "two\n");
    project.run().code(0);
    project.args(["cache", "gc"]).run().code(0);
    assert_eq!(stats(&project)["results"], 4, "all are younger than an hour");
    project.args(["cache", "verify"]).run().code(0);
    project.run().code(0).says("2 known");
    project.write("in.txt", "one\n");
    project.run().code(0).says_nothing_of("ran ");
}

#[test]
fn collecting_all_leaves_the_records_of_runs_and_nothing_known() {
    let project = project();
    let run = project.args(["cache", "gc", "--all"]).run().code(0);
    run.says("removed 2 results, 3 contents, 1 states of pipelines");
    let after = stats(&project);
    assert_eq!(
        (&after["results"], &after["states"], &after["runs"]),
        (&0.into(), &0.into(), &1.into())
    );
    project.args(["cache", "verify"]).run().code(0);
    project.run().code(0).says("2 ran");
}

#[test]
fn collecting_waits_for_a_run() {
    let project = Project::new()
        .pipeline("[stages.a]\nrun = \"touch begun; while ! test -e go; do sleep 0.01; done\"\n");
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    let gc = project.args(["cache", "gc", "--all"]).start();
    gc.wait_until_it_says("waiting for");
    project.write("go", "");
    run.wait().code(0);
    gc.wait().code(0).says("removed 1 results");
}

#[test]
fn the_state_is_found_from_a_folder_below_and_its_absence_is_told() {
    let project = project();
    fs::create_dir_all(project.path("deep/er")).expect("folders");
    let below = project.path("deep/er");
    project.args(["cache", "stats"]).in_folder(&below).run().code(0).says("results    2");
    let none = Project::new();
    for command in [&["cache", "stats"], &["artifact", "ls"]] {
        none.args(command.iter().copied()).run().code(1).says("there is no .optloop/");
    }
}
