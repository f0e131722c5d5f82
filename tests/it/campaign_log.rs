//! `optloop loop log`: the records of a campaign, shown, checked, exported and made anew.

use std::fs;
use std::path::PathBuf;

use super::campaign::project;
use super::support::Project;

/// A campaign of three iterations that has ended, and its folder.
fn ended() -> (Project, PathBuf) {
    let project = project();
    project.edit("campaign.toml", "iterations = 20", "iterations = 3");
    project.edit("campaign.toml", "[scope]", "dirty = \"include\"\ntarget = 500.0\n[scope]");
    drop(project.args(["loop", "start"]).run().code(10));
    let mut folders = fs::read_dir(project.path(".optloop/campaigns")).expect("campaigns");
    let folder = folders.next().expect("one").expect("an entry").path();
    (project, folder)
}

#[test]
fn a_campaign_that_ran_lints_clean_and_what_is_wrong_is_named_and_made_anew() {
    let (project, folder) = ended();
    let lint = |code: i32| project.args(["loop", "log", "lint"]).run().code(code);
    drop(lint(0).says("0 errors, 0 warnings"));

    let derived = ["report.md", "experiments.jsonl", "diary.md", "state.json"];
    let text = |name: &str| fs::read_to_string(folder.join(name)).expect("there");
    let before = derived.map(text);
    for name in derived {
        fs::write(folder.join(name), "nonsense\n").expect("written");
    }
    fs::remove_file(folder.join("diary.md")).expect("removed");
    let ran = lint(1).says("diary.md: it is not there: `optloop loop log rebuild`");
    drop(ran.says("report.md: it is not what the log says").says("0 errors, 4 warnings"));
    drop(project.args(["loop", "log", "rebuild"]).run().code(0).says("diary.md"));
    assert_eq!(derived.map(text), before);
    drop(lint(0));

    // What only the log knows cannot be made anew.
    let log = text("events.jsonl");
    let kept = log.lines().find(|line| line.contains("committed")).expect("a commit");
    let commit = kept.split("commit\":\"").nth(1).expect("its id").split('"').next().expect("all");
    let torn = log.replace(commit, "0123456789012345678901234567890123456789") + "{\"versi";
    fs::write(folder.join("events.jsonl"), torn).expect("written");
    fs::remove_file(folder.join("iterations/0002/prompt.md")).expect("removed");
    let ran = lint(1).says("repo: iter/0001: commit 0123456789012345678901234567890123456789");
    let ran = ran.says("iterations/0002/prompt.md: this file is not there");
    drop(ran.says("its last, is torn").says("warning: experiments.jsonl"));
    let lines = project.args(["loop", "log", "lint", "--format", "json"]).run().code(1).json();
    let errors = lines.iter().filter(|line| line["gravity"] == "error").count();
    assert_eq!(errors, 2, "{lines:?}");
    // An iteration is missing.
    let gap: Vec<&str> = log.lines().filter(|line| !line.contains("\"iteration\":2")).collect();
    fs::write(folder.join("events.jsonl"), gap.join("\n") + "\n").expect("written");
    drop(lint(1).says("events.jsonl").says("iteration 3 cannot follow 1"));
}

#[test]
fn iterations_are_shown_in_a_table_and_one_by_one_and_exported_in_two_forms() {
    let (project, _) = ended();
    let show = project.args(["loop", "log", "show"]).run().code(0);
    let show = show.says("iteration").says("+10.00 %");
    let all = show.all();
    let rows = all.lines().filter(|line| line.ends_with("-version"));
    assert_eq!(rows.count(), 3, "{all}");
    let one = project.args(["loop", "log", "show", "-i", "1"]).run().code(0);
    let one = one.says("01-version").says("kept").says("k.c").says("prompt.md");
    drop(one.says("change.patch, ").says("/iterations/0001"));
    drop(project.args(["loop", "log", "show", "-i", "9"]).run().code(1).says("no iteration 9"));
    let args = ["loop", "log", "show", "--iteration", "2", "--format", "json"];
    let lines = project.args(args).run().code(0).json();
    assert_eq!((lines.len(), &lines[0]["status"]), (1, &"reverted".into()));

    let export = |form: &str| project.args(["loop", "log", "export", "--as", form]).run().code(0);
    let advised = export("advised").json();
    assert_eq!((advised.len(), &advised[0]["cycles"]), (3, &900.0.into()));
    let interactive = export("interactive").json();
    assert_eq!((interactive.len(), &interactive[0]["status"]), (4, &"baseline".into()));
    drop(project.args(["loop", "log", "export", "--as", "seed"]).run().code(2).says("interactive"));

    let status = project.args(["loop", "status", "--format", "json"]).run().code(0).json();
    let status = status.last().expect("a line");
    assert_eq!((&status["status"], &status["to_target"]), (&"completed".into(), &400.0.into()));
    let diff = project.args(["loop", "diff", "--format", "json"]).run().code(0).json();
    let patch = diff[0]["patch"].as_str().expect("a patch");
    assert!(patch.contains("+// cycles: 900"), "{patch}");
}
