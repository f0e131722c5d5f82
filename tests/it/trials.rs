//! What times, sizes and luck must not decide, and what a kill, an edit at the wrong moment and a
//! second run must not spoil.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::support::Project;

/// Two stages, the second reading what the first writes.
const TWO: &str = r#"
[stages.a]
run = "echo a >> ../ran; tr a-z A-Z < in.txt > out/a"
inputs = ["in.txt"]
outputs = ["out/a"]
[stages.b]
needs = ["a"]
run = "echo b >> ../ran; sed s/^/b:/ out/a > out/b"
inputs = ["out/a"]
outputs = ["out/b"]
"#;

const NOTHING: [&str; 0] = [];

/// The two stages, run once over `one`.
fn two() -> Project {
    let project = Project::new().pipeline(TWO).file("in.txt", "one\n");
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.read("out/b"), "b:ONE\n");
    assert_eq!(project.pass(), NOTHING);
    project
}

fn modified(project: &Project, path: &str) -> SystemTime {
    fs::metadata(project.path(path)).expect("a file").modified().expect("a time")
}

fn set_modified(project: &Project, path: &str, time: SystemTime) {
    let file = File::options().append(true).open(project.path(path)).expect("a file");
    file.set_times(FileTimes::new().set_modified(time)).expect("times");
}

#[test]
fn an_edit_with_an_older_time_is_an_edit() {
    let project = two();
    project.write("in.txt", "two\n");
    set_modified(&project, "in.txt", SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.read("out/b"), "b:TWO\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn an_edit_of_the_same_size_with_its_time_set_back_is_an_edit() {
    let project = two();
    let before = modified(&project, "in.txt");
    project.write("in.txt", "two\n");
    set_modified(&project, "in.txt", before);
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.read("out/b"), "b:TWO\n");
}

#[test]
fn an_edit_renamed_over_the_old_file_with_its_time_is_an_edit() {
    let project = two();
    let before = modified(&project, "in.txt");
    project.write("new.txt", "two\n");
    set_modified(&project, "new.txt", before);
    fs::rename(project.path("new.txt"), project.path("in.txt")).expect("rename");
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.read("out/b"), "b:TWO\n");
}

#[test]
fn a_touch_is_not_an_edit() {
    let project = two();
    set_modified(&project, "in.txt", SystemTime::now() + Duration::from_hours(1));
    assert_eq!(project.pass(), NOTHING);
    set_modified(&project, "out/a", SystemTime::UNIX_EPOCH);
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn edits_of_the_same_size_within_a_clock_tick_of_the_run_are_seen() {
    let project = Project::new().pipeline(TWO);
    for round in 10..30 {
        // No pause anywhere: the edit may share its time with the run before it.
        project.write("in.txt", format!("x{round}\n"));
        project.run().code(0);
        assert_eq!(project.read("out/b"), format!("b:X{round}\n"));
    }
    assert_eq!(project.ran().len(), 40);
}

#[test]
fn edits_of_the_same_size_while_the_run_ends_are_seen() {
    // The edit comes from the last command itself, after everything has been read.
    let project = Project::new().file("in.txt", "one\n").pipeline(
        r#"
[stages.a]
run = "tr a-z A-Z < in.txt > out/a"
inputs = ["in.txt"]
outputs = ["out/a"]
[stages.edit]
needs = ["a"]
run = "test -e done || printf 'two\n' > in.txt; touch done"
"#,
    );
    project.run().code(0);
    project.run().code(0);
    assert_eq!(project.read("out/a"), "TWO\n");
}

#[test]
fn a_changed_command_runs_again() {
    let project = two();
    project.edit("pipeline.toml", "s/^/b:/", "s/^/c:/");
    assert_eq!(project.pass(), ["b"]);
    assert_eq!(project.read("out/b"), "c:ONE\n");
}

#[test]
fn a_comment_in_the_pipeline_runs_nothing() {
    let project = two();
    project.edit("pipeline.toml", "[stages.b]", "# as before\n[stages.b]");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_changed_environment_of_a_stage_runs_it_again() {
    let stage = |value: &str| {
        format!(
            "[stages.a]\nrun = 'echo a >> ../ran; echo \"$MODE\" > out'\ninputs = []\noutputs = [\"out\"]\nenv = {value}\n"
        )
    };
    let project = Project::new().pipeline(&stage("{ MODE = \"fast\" }"));
    assert_eq!(project.pass(), ["a"]);
    project.write_pipeline(&stage("{ MODE = \"slow\" }"));
    assert_eq!(project.pass(), ["a"]);
    assert_eq!(project.read("out"), "slow\n");
    project.write_pipeline(&stage("{ MODE = \"fast\" }"));
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out"), "fast\n");
}

#[test]
fn a_variable_passed_on_counts_set_unset_and_empty_and_others_do_not() {
    let project = Project::new().pipeline(
        "[stages.a]\nrun = 'echo a >> ../ran; echo \"${MODE-none}\" > out'\n"
            .replace("${", "$${")
            .as_str(),
    );
    let text =
        project.read("pipeline.toml") + "inputs = []\noutputs = [\"out\"]\npass_env = [\"MODE\"]\n";
    project.write("pipeline.toml", text);
    let run = |mode: Option<&str>, other: &str| {
        let call = project.args(["pipeline", "pipeline.toml"]).env("OTHER", other);
        let call = match mode {
            Some(mode) => call.env("MODE", mode),
            None => call,
        };
        call.run().code(0);
        (project.ran().len(), project.read("out"))
    };
    for (mode, other, ran, out) in [
        (Some("x"), "1", 1, "x\n"),
        (Some("x"), "2", 0, "x\n"),
        (Some("y"), "2", 1, "y\n"),
        (None, "2", 1, "none\n"),
        (Some(""), "2", 1, "\n"),
        (None, "2", 0, "none\n"),
        (Some("x"), "2", 0, "x\n"),
    ] {
        assert_eq!(run(mode, other), (ran, out.to_owned()), "MODE={mode:?} OTHER={other}");
    }
}

#[test]
fn a_variable_that_is_not_named_does_not_reach_a_command() {
    let project = Project::new().pipeline("[stages.a]\nrun = \"env > out\"\noutputs = [\"out\"]\n");
    project.args(["pipeline", "pipeline.toml"]).env("SECRET", "42").run().code(0);
    assert!(!project.read("out").contains("SECRET"), "{}", project.read("out"));
}

/// A stage over a pattern.
const GLOB: &str = r#"
[stages.all]
run = "echo all >> ../ran; cat parts/*.txt > out"
inputs = ["parts/*.txt"]
outputs = ["out"]
"#;

fn glob() -> Project {
    let project = Project::new().pipeline(GLOB).file("parts/1.txt", "1").file("parts/2.txt", "2");
    assert_eq!(project.pass(), ["all"]);
    assert_eq!(project.read("out"), "12");
    assert_eq!(project.pass(), NOTHING);
    project
}

#[test]
fn a_removed_input_of_a_pattern_runs_again() {
    let project = glob();
    project.remove("parts/1.txt");
    assert_eq!(project.pass(), ["all"]);
    assert_eq!(project.read("out"), "2");
}

#[test]
fn an_added_input_of_a_pattern_runs_again() {
    let project = glob();
    project.write("parts/0.txt", "0");
    assert_eq!(project.pass(), ["all"]);
    assert_eq!(project.read("out"), "012");
    project.write("parts/unmatched.md", "x");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_renamed_input_of_a_pattern_runs_again() {
    let project = glob();
    fs::rename(project.path("parts/1.txt"), project.path("parts/3.txt")).expect("rename");
    assert_eq!(project.pass(), ["all"]);
    assert_eq!(project.read("out"), "21");
}

#[test]
fn an_input_that_is_gone_is_refused_by_name_and_taken_back() {
    let project = two();
    project.remove("in.txt");
    project.run().code(1).says("in.txt");
    project.write("in.txt", "one\n");
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out/b"), "b:ONE\n");
    project.remove("in.txt");
    project.run().code(1).says("pipeline.toml:").says("in.txt");
}

#[test]
fn a_damaged_output_is_put_back() {
    for output in ["out/a", "out/b"] {
        let project = two();
        project.write(output, "BAD\n");
        project.run().code(0).says("restored").says(output);
        assert_eq!(project.ran(), NOTHING);
        assert_eq!(project.read("out/a") + &project.read("out/b"), "ONE\nb:ONE\n");
        assert_eq!(project.pass(), NOTHING);
    }
}

#[test]
fn output_damaged_with_the_same_size_and_time_is_put_back() {
    let project = two();
    let before = modified(&project, "out/a");
    project.write("out/a", "ENO\n");
    set_modified(&project, "out/a", before);
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out/a"), "ONE\n");
}

#[test]
fn a_deleted_middle_output_is_put_back() {
    let project = two();
    project.remove("out/a");
    project.run().code(0).says("out/a");
    assert_eq!(project.ran(), NOTHING);
    assert_eq!(project.read("out/a"), "ONE\n");
    fs::remove_dir_all(project.path("out")).expect("a folder");
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out/b"), "b:ONE\n");
}

#[test]
fn a_deleted_output_whose_copy_is_gone_is_made_again() {
    let project = two();
    project.remove("out/a");
    fs::remove_dir_all(project.path(".optloop/cache")).expect("the cache");
    // The second too: what it read had gone, and its own result is not kept any more.
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.read("out/a") + &project.read("out/b"), "ONE\nb:ONE\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn an_output_keeps_its_permission_to_execute_when_put_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new().pipeline(
        "[stages.a]\nrun = \"printf '#!/bin/sh\\necho hi\\n' > tool; chmod 755 tool\"\noutputs = [\"tool\"]\n"
            .replace('\\', "\\\\")
            .as_str(),
    );
    project.run().code(0);
    project.remove("tool");
    project.run().code(0);
    let mode = fs::metadata(project.path("tool")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{mode:o}");
}

#[test]
fn an_undeclared_read_is_found_by_an_audit() {
    let project = Project::new().file("in.txt", "1").file("secret.txt", "2").pipeline(
        r#"
[stages.honest]
run = "cat in.txt > honest"
inputs = ["in.txt"]
outputs = ["honest"]
[stages.careless]
run = "cat in.txt secret.txt > careless"
inputs = ["in.txt"]
outputs = ["careless"]
"#,
    );
    project.run().code(0);
    let audit = project.run_with(["--audit", "--keep-going", "--format", "json"]).code(1);
    assert_eq!(audit.outcomes()["honest"], "ran", "{}", audit.all());
    let failed = audit.stage("careless")["outcome"].to_string();
    assert!(failed.contains("secret.txt") && !failed.contains("in.txt"), "{failed}");
    project.edit(
        "pipeline.toml",
        "inputs = [\"in.txt\"]\noutputs = [\"careless\"]",
        "inputs = [\"in.txt\", \"secret.txt\"]\noutputs = [\"careless\"]",
    );
    project.run_with(["--audit"]).code(0);
}

#[test]
fn an_undeclared_write_is_found_by_an_audit() {
    let project = Project::new()
        .pipeline("[stages.a]\nrun = \"echo 1 > told; echo 2 > untold\"\noutputs = [\"told\"]\n");
    project.run_with(["--audit"]).code(1).says("untold");
}

#[test]
fn a_stage_that_failed_half_way_runs_again() {
    let project = Project::new().file("in.txt", "whole\n").pipeline(
        r#"
[stages.a]
run = "echo a >> ../ran; printf wh > out; test -e ok || exit 1; cat in.txt > out"
inputs = ["in.txt"]
outputs = ["out"]
[stages.b]
needs = ["a"]
run = "echo b >> ../ran; cat out > b"
inputs = ["out"]
outputs = ["b"]
"#,
    );
    project.run().code(1).says("it exited with 1");
    assert_eq!(project.ran(), ["a"]);
    project.run().code(1);
    assert_eq!(project.ran(), ["a"], "a failure is not a result");
    project.write("ok", "");
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.read("b"), "whole\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_failure_after_a_success_does_not_pass_for_it() {
    let project = two();
    project.edit("pipeline.toml", "> out/b", "> out/b; exit 1");
    project.run().code(1);
    assert_eq!(project.ran(), ["b"]);
    project.write("out/b", "half");
    project.edit("pipeline.toml", "; exit 1", "");
    assert_eq!(project.pass(), NOTHING, "the first result is still known");
    assert_eq!(project.read("out/b"), "b:ONE\n");
}

#[test]
fn a_declared_output_that_is_not_written_is_a_failure() {
    let project = Project::new().pipeline("[stages.a]\nrun = \"true\"\noutputs = [\"out\"]\n");
    project.run().code(1).says("did not write its declared output out");
}

#[test]
fn an_edit_while_the_command_runs_is_told_and_its_result_not_kept() {
    let project = Project::new().file("in.txt", "one\n").pipeline(
        r#"
[stages.a]
run = "echo a >> ../ran; cat in.txt > out; touch begun; while ! test -e go; do sleep 0.01; done"
inputs = ["in.txt"]
outputs = ["out"]
"#,
    );
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    project.write("in.txt", "two\n");
    project.write("go", "");
    run.wait().code(0).says("in.txt changed while it ran").says("not kept");
    assert_eq!(project.ran(), ["a"]);
    assert_eq!(project.pass(), ["a"]);
    assert_eq!(project.read("out"), "two\n");
    assert_eq!(project.pass(), NOTHING);
    // Nothing of the first run passes for the first content either.
    project.write("in.txt", "one\n");
    assert_eq!(project.pass(), ["a"]);
    assert_eq!(project.read("out"), "one\n");
}

#[test]
fn an_edit_that_is_taken_back_while_the_command_runs_is_told_too() {
    let project = Project::new().file("in.txt", "one\n").pipeline(
        r#"
[stages.a]
run = "echo a >> ../ran; touch begun; while ! test -e go; do sleep 0.01; done; cat in.txt > out; touch read; while ! test -e on; do sleep 0.01; done"
inputs = ["in.txt"]
outputs = ["out"]
"#,
    );
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    project.write("in.txt", "two\n");
    project.write("go", "");
    project.wait_for("read", "");
    project.write("in.txt", "one\n");
    project.write("on", "");
    run.wait().code(0);
    assert_eq!(project.read("out"), "two\n");
    project.run().code(0);
    assert_eq!(project.read("out"), "one\n", "the content read in between must not stay");
}

#[test]
fn going_back_to_an_earlier_content_runs_nothing_and_gives_its_outputs() {
    let project = two();
    project.write("in.txt", "two\n");
    assert_eq!(project.pass(), ["a", "b"]);
    project.write("in.txt", "one\n");
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out/a") + &project.read("out/b"), "ONE\nb:ONE\n");
    project.write("in.txt", "two\n");
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out/a") + &project.read("out/b"), "TWO\nb:TWO\n");
}

#[test]
fn a_stage_that_comes_back_to_the_pipeline_is_still_known() {
    let project = two();
    let whole = project.read("pipeline.toml");
    let first = whole.split("[stages.b]").next().expect("a part").to_owned();
    project.write("pipeline.toml", first);
    assert_eq!(project.pass(), NOTHING);
    project.write("pipeline.toml", whole);
    assert_eq!(project.pass(), NOTHING);
}

/// A stage that waits half-way when `wait` is there.
const SLOW: &str = r#"
[stages.a]
run = "echo a >> ../ran; cat in.txt > out/a"
inputs = ["in.txt"]
outputs = ["out/a"]
[stages.slow]
needs = ["a"]
run = "echo slow >> ../ran; printf half > out/slow; touch begun; while test -e wait; do sleep 0.01; done; cat out/a > out/slow"
inputs = ["out/a"]
outputs = ["out/slow"]
[stages.b]
needs = ["slow"]
run = "echo b >> ../ran; cat out/slow > out/b"
inputs = ["out/slow"]
outputs = ["out/b"]
"#;

fn killed_in_the_middle(project: &Project) {
    project.write("wait", "");
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    run.kill_all();
    drop(run.wait());
    project.expect_no_processes();
    assert_eq!(project.ran(), ["a", "slow"]);
    project.remove("wait");
    project.remove("begun");
}

#[test]
fn a_first_run_that_is_killed_is_carried_on() {
    let project = Project::new().pipeline(SLOW).file("in.txt", "one\n");
    killed_in_the_middle(&project);
    assert_eq!(project.pass(), ["b", "slow"]);
    assert_eq!(project.read("out/b"), "one\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_later_run_that_is_killed_is_carried_on() {
    let project = Project::new().pipeline(SLOW).file("in.txt", "one\n");
    project.run().code(0);
    project.remove("begun");
    project.ran();
    project.write("in.txt", "two\n");
    killed_in_the_middle(&project);
    assert_eq!(project.pass(), ["b", "slow"]);
    assert_eq!(project.read("out/b"), "two\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_killed_run_leaves_nothing_half_written_when_the_edit_is_taken_back() {
    let project = Project::new().pipeline(SLOW).file("in.txt", "one\n");
    project.run().code(0);
    project.remove("begun");
    project.ran();
    project.write("in.txt", "two\n");
    killed_in_the_middle(&project);
    project.write("in.txt", "one\n");
    assert_eq!(project.pass(), NOTHING);
    assert_eq!(project.read("out/slow") + &project.read("out/b"), "one\none\n");
}

#[test]
fn what_a_killed_run_left_running_is_ended_by_the_next() {
    // The shell ends with its run; what it started in another session does not.
    let project = Project::new().file("in.txt", "one\n").file("wait", "").pipeline(
        r#"
[stages.a]
run = """
echo a >> ../ran
test -e wait && setsid sh -c 'touch begun; while ! test -e late; do sleep 0.01; done; echo BAD > out' &
while test -e wait; do sleep 0.01; done
cat in.txt > out
"""
inputs = ["in.txt"]
outputs = ["out"]
"#,
    );
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    run.signal(Signal::KILL);
    drop(run.wait());
    assert_ne!(project.processes(), NOTHING, "nothing is left that could do harm");
    project.remove("wait");
    project.run().code(0);
    project.write("late", "");
    project.expect_no_processes();
    assert_eq!(project.read("out"), "one\n");
    assert_eq!(project.ran(), ["a", "a"]);
}

#[test]
fn a_second_run_waits_for_the_first_and_says_for_whom() {
    let project = Project::new().pipeline(SLOW).file("in.txt", "one\n").file("wait", "");
    let first = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    let second = project.args(["pipeline", "pipeline.toml"]).start();
    let holder = format!("pid {}", first.id());
    project.run_with(["--no-wait"]).code(75).says(&holder);
    second.wait_until_it_says("waiting for");
    second.wait_until_it_says(&holder);
    project.remove("wait");
    first.wait().code(0);
    second.wait().code(0);
    assert_eq!(project.ran(), ["a", "b", "slow"]);
    assert_eq!(project.read("out/b"), "one\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn many_runs_at_once_run_everything_once() {
    let project = Project::new().pipeline(TWO).file("in.txt", "one\n");
    let runs: Vec<_> =
        (0..6).map(|_| project.args(["pipeline", "pipeline.toml"]).start()).collect();
    for run in runs {
        run.wait().code(0);
    }
    assert_eq!(project.ran(), ["a", "b"]);
    assert_eq!(project.read("out/b"), "b:ONE\n");
}

#[test]
fn a_damaged_state_is_told_or_mended_and_never_believed() {
    for name in ["index", "journal", "defs"] {
        let project = two();
        let state = fs::read_dir(project.path(".optloop/state")).expect("state");
        let path = state.flatten().next().expect("one").path().join(name);
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 0xff;
        }
        fs::write(&path, bytes).expect("written");
        project.write("in.txt", format!("{name}\n"));
        if name == "defs" {
            project.run().code(75).says("damaged").says("run again");
        }
        project.run().code(0);
        assert_eq!(project.read("out/b"), format!("b:{}\n", name.to_uppercase()), "{name}");
        project.ran();
        assert_eq!(project.pass(), NOTHING, "{name}");
        project.write("in.txt", "one\n");
        assert_eq!(project.pass(), NOTHING, "{name}: results are kept apart from the state");
    }
}

#[test]
fn a_damaged_copy_is_not_put_back() {
    // Small contents and large ones are kept in different ways.
    for text in ["one\n".to_owned(), "one\n".repeat(50_000)] {
        let project = Project::new().pipeline(TWO).file("in.txt", &text);
        assert_eq!(project.pass(), ["a", "b"]);
        let mut damaged = 0;
        for entry in walkdir::WalkDir::new(project.path(".optloop/cache")) {
            let path = entry.expect("an entry").into_path();
            if path.is_file() {
                let mut bytes = fs::read(&path).expect("a file");
                bytes.iter_mut().skip(40).step_by(64).for_each(|b| *b ^= 0xff);
                fs::remove_file(&path).expect("removed");
                fs::write(&path, bytes).expect("written");
                damaged += 1;
            }
        }
        assert!(damaged > 0);
        project.remove("out/a");
        project.remove("out/b");
        assert_eq!(project.pass(), ["a", "b"]);
        assert_eq!(project.read("out/b"), text.replace("one", "b:ONE"));
        assert_eq!(project.pass(), NOTHING);
        project.remove("out/a");
        assert_eq!(project.pass(), NOTHING, "the new copy is good");
        assert_eq!(project.read("out/a"), text.replace("one", "ONE"));
    }
}
