//! `optloop best` and taking back what was done to it.
#![expect(clippy::disallowed_methods, reason = "looks for git, as a test of it must")]

use super::judged::{FAST, SLOW, commit_all, tune, tuned};
use super::keep::{checkout, committed, events, head, keep, kernel, measured, project, revert};
use super::support::{Project, Ran};

fn best<'a>(project: &Project, args: impl IntoIterator<Item = &'a str>) -> Ran {
    project.args(["best"].into_iter().chain(args)).run()
}

fn set<'a>(project: &'a Project, kernel: &'a str) -> Ran {
    best(project, ["set", kernel, "--pipeline", "pipeline.toml"])
}

#[test]
fn the_best_is_shown_with_its_files_numbers_and_how_it_came_about() {
    let project = project();
    best(&project, []).code(1).says("there is no .optloop/");
    project.run().code(0);
    best(&project, ["ls"]).code(0).says("cycles 1000").says("baseline");
    project.write("k.c", kernel(900));
    project.run().code(0);
    keep(&project).code(0);
    let id = head(&project).0;
    let shown = best(&project, []).code(0);
    for part in ["test by cycles on ", "keep just now, gain 10.00 %: fewer cycles", "k.c", &id] {
        assert!(shown.stdout.contains(part), "{part}\n{}", shown.all());
    }
    shown.says("numbers").says("cycles 900").says("1 step").says_nothing_of("not in this history");
    let json = best(&project, ["show", "test", "--format", "json"]).code(0).json().remove(0);
    assert_eq!((&json["event"], &json["how"]), (&"best".into(), &"keep".into()));
    assert_eq!((&json["files"][0], &json["metrics"]["cycles"]), (&"k.c".into(), &900.0.into()));
    assert_eq!((&json["commit"], &json["steps"]), (&id.into(), &1.into()));
    best(&project, ["show", "other"]).code(1).says("there is no best yet");
    best(&project, ["shwo"]).code(2);
}

#[test]
fn a_keep_is_taken_back_and_git_is_left_alone_unless_it_is_asked_for() {
    let project = measured(900);
    project.args(["keep", "--undo"]).run().code(1).says("there is no keep to take back");
    keep(&project).code(0);
    let (id, _) = head(&project);
    let undone = project.args(["keep", "--undo"]).run().code(0);
    undone.says("UNDONE test by cycles: the last keep").says(&format!("git revert {}", &id[..12]));
    assert_eq!(events(&project), ["baseline", "keep", "undo"]);
    assert_eq!((head(&project).0, project.read("k.c")), (id, kernel(900)));
    best(&project, []).code(0).says("cycles 1000").says("baseline");
    project.args(["keep", "--undo"]).run().code(1).says("there is no keep to take back");
    // What was kept is a candidate again.
    project.run().code(0).says("KEEP");
    keep(&project).code(0).says("which holds k.c already");
    best(&project, []).code(0).says("cycles 900");
    best(&project, ["undo"]).code(0).says("the last keep");
    best(&project, ["undo"]).code(1).says("nothing was done to the best");
}

#[test]
fn a_keep_is_taken_back_with_its_commit() {
    let project = measured(900);
    if std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .all(|folder| !folder.join("git").is_file())
    {
        return;
    }
    // git reverts only with an index that is as the last commit.
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let commit = repository.head().expect("HEAD").peel(git2::ObjectType::Commit).expect("it");
    repository.reset(&commit, git2::ResetType::Mixed, None).expect("reset");
    keep(&project).code(0);
    let kept = head(&project).0;
    let args = ["keep", "--undo", "--git-revert"];
    project.args(args).run().code(0).says("reverts it");
    assert!(head(&project).1.contains(&format!("This reverts commit {kept}")));
    assert_eq!((committed(&project), project.read("k.c")), (vec!["k.c".to_owned()], kernel(1000)));
    assert_eq!(project.read("changed.txt"), "as changed\n");
    assert_eq!(events(&project), ["baseline", "keep", "undo"]);
    project.run().code(0).says("identical");
}

#[test]
fn a_reset_begins_anew_and_is_taken_back() {
    let project = measured(900);
    keep(&project).code(0);
    let reset = best(&project, ["reset", "--pipeline", "pipeline.toml"]).code(0);
    reset.says("the next run sets the baseline").says("optloop best undo");
    best(&project, []).code(0).says("none since a reset");
    best(&project, ["reset"]).code(1).says("there is no best of test by cycles");
    project.write("k.c", kernel(1200));
    project.run().code(0).says("this kernel is the baseline");
    best(&project, ["undo"]).code(0).says("the last baseline");
    best(&project, ["undo"]).code(0).says("the last reset");
    best(&project, ["ls"]).code(0).says("cycles 900");
    assert_eq!(events(&project), ["baseline", "keep", "reset", "baseline", "undo", "undo"]);
    project.run().code(3).says("REVERT");
    revert(&project).code(0);
    assert_eq!(project.read("k.c"), kernel(900));
    let json = best(&project, ["reset", "--format", "json"]).code(0).json().remove(0);
    assert_eq!((&json["event"], &json["best"]), (&"best_reset".into(), &serde_json::Value::Null));
}

#[test]
fn a_best_that_is_not_in_this_history_is_told_and_is_not_put_back() {
    let project = measured(900);
    keep(&project).code(0);
    let kept = head(&project).0;
    // As `git revert` does it.
    project.write("k.c", kernel(1000));
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let mut index = repository.index().expect("an index");
    index.add_path("k.c".as_ref()).expect("added");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("a tree");
    index.write().expect("written");
    let who = git2::Signature::now("Tess Ter", "tess@example.org").expect("a name");
    let tip = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
    let message = format!("Revert\n\nThis reverts commit {kept}.\n");
    repository.commit(Some("HEAD"), &who, &who, &message, &tree, &[&tip]).expect("a commit");
    let told = project.run().code(3);
    told.says("is not in this history").says("was undone by").says("optloop best set HEAD");
    best(&project, []).code(0).says("not in this history");
    let refused = revert(&project).code(1);
    refused.says("not put back").says("optloop best set HEAD --pipeline pipeline.toml");
    assert_eq!(project.read("k.c"), kernel(1000));
    set(&project, "HEAD").code(0).says("SET test by cycles: HEAD is the best from now on");
    project.run().code(0).says("identical").says_nothing_of("not in this history");
    assert_eq!(events(&project), ["baseline", "keep", "set"]);
}

#[test]
fn the_best_is_set_to_a_revision_or_a_file_that_passes() {
    let project = tuned("include", SLOW);
    checkout(&project);
    tune(&project, "include", FAST);
    commit_all(&project.root());
    let slow = head(&project).0;
    set(&project, "HEAD~1").code(0).says("HEAD~1 is the best from now on");
    let line = super::keep::ledger(&project).remove(0);
    assert_eq!((&line["event"], &line["sources"][0]["path"]), (&"set".into(), &"k.c".into()));
    assert_eq!(line["headers"][0]["path"], "include/tune.h");
    assert_ne!(line["commit"].as_str(), Some(slow.as_str()));
    project.run().code(0).says("KEEP");
    // What does not pass its check is not set.
    project.write("wrong.c", super::kernel::source("(void)x; y[n - 1] = 1;"));
    set(&project, "wrong.c").code(3).says("is not set");
    // One under another name is the kernel's from then on.
    project.write("other.c", project.read("k.c"));
    let json =
        best(&project, ["set", "other.c", "--pipeline", "pipeline.toml", "--format", "json"]);
    let json = json.code(0).json().pop().expect("a line");
    assert_eq!((&json["event"], &json["files"][0]), (&"best_set".into(), &"k.c".into()));
    project.run().code(0).says("identical");
    let shown = best(&project, []).code(0);
    shown.says("k.c, include/tune.h").says("n=100:").says("-O1");
    best(&project, ["undo"]).code(0).says("the last set");
    tune(&project, "include", 8 * SLOW);
    project.run().code(3).says("REVERT");
    revert(&project).code(0).says("put back   include/tune.h");
    assert!(project.read("include/tune.h").contains(&format!("SPIN {SLOW}\n")));
}
