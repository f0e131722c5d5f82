//! Comparisons through the program: kernels in pairs, commands in runs, revisions of git.

use serde_json::Value;

use super::kernel::{GOOD, project, source};
use super::support::{Project, Ran};

/// Twice the work of [`GOOD`], in a way that no compiler takes back.
const TWICE: &str = "for (int r = 0; r < 40; r++) { for (int i = 0; i < n; i++) y[i] = 2 * x[i];
  __asm__ volatile(\"\" ::: \"memory\"); }";

/// A metric that a command reads from the kernel: the number behind `cycles`.
const CYCLES: &str = r#"
kernel = "k.txt"
[stages.cycles]
run = "echo run >> $HOME/../ran; cat ${kernel}"
inputs = ["k.txt"]
metric = { name = "cycles", regex = 'cycles: ([0-9.]+)' }
incumbent = "file:old.txt"
"#;

fn cycles(new: &str, old: &str) -> Project {
    Project::new().file("k.txt", new).file("old.txt", old).pipeline(CYCLES)
}

fn comparison(ran: &Ran, stage: &str) -> Value {
    ran.stage(stage)["detail"]["comparison"].clone()
}

#[test]
fn a_deterministic_count_is_decided_in_four_runs() {
    for (new, old, code, reason, gain) in [
        ("cycles: 9000", "cycles: 10000", 0, "faster", 0.1),
        ("cycles: 10000", "cycles: 9000", 3, "slower", 1.0 - 10.0 / 9.0),
        ("cycles: 9999", "cycles: 10000", 0, "faster", 1e-4),
        ("cycles: 10000 # faster", "cycles: 10000", 3, "no_worthwhile_difference", 0.0),
    ] {
        let project = cycles(new, old);
        let ran = project.run_with(["--format", "json"]).code(code);
        let found = comparison(&ran, "cycles");
        assert_eq!(found["reason"], reason, "{new} beside {old}");
        let layouts = &ran.stage("cycles")["detail"]["layouts"];
        assert_eq!(layouts["candidate"]["count"], 1, "a command has one layout");
        assert!((found["gain"].as_f64().unwrap() - gain).abs() < 1e-9, "{found}");
        // One run more of the candidate and one with an empty kernel show what the number is of.
        assert_eq!((&found["launches"], project.ran().len()), (&Value::from(4), 6), "{new}");
        project.args(["replay"]).run().code(code).says("as recorded");
    }
}

#[test]
fn the_same_file_is_run_once_and_not_compared() {
    let project = cycles("cycles: 9000", "cycles: 9000");
    let ran = project.run_with(["--format", "json"]).code(0);
    assert_eq!(ran.stage("cycles")["metrics"]["cycles"], 9000.0);
    assert_eq!(project.ran().len(), 1);
}

#[test]
fn coarse_numbers_are_not_taken_for_deterministic_ones() {
    // Two equal values of 12 milliseconds are chance; the rule needs its looks.
    let project = cycles("cycles: 11", "cycles: 12");
    let ran = project.run_with(["--format", "json"]).code(0);
    let found = comparison(&ran, "cycles");
    assert_eq!((&found["pairs"], &found["confirm_pairs"]), (&Value::from(8), &Value::from(8)));
    let declared = CYCLES.replace("([0-9.]+)' }", "([0-9.]+)', deterministic = true }");
    let project = Project::new().file("k.txt", "cycles: 11").file("old.txt", "cycles: 12");
    let project = project.pipeline(&declared);
    project.run().code(0).says("4 launches").says("the same in each run");
}

#[test]
fn higher_is_better_and_differences_are_compared_as_they_say() {
    let higher = CYCLES.replace("([0-9.]+)' }", "([0-9.]+)', better = 'higher' }");
    let project = Project::new().file("k.txt", "cycles: 11000").file("old.txt", "cycles: 10000");
    let ran = project.pipeline(&higher).run_with(["--format", "json"]).code(0);
    assert_eq!(comparison(&ran, "cycles")["reason"], "faster");
    let difference =
        CYCLES.replace("([0-9.]+)' }", "([0-9.]+)', scale = 'difference', deterministic = true }");
    let project = Project::new().file("k.txt", "cycles: 0").file("old.txt", "cycles: 3");
    let ran = project.pipeline(&difference).run_with(["--format", "json"]).code(0);
    assert_eq!(comparison(&ran, "cycles")["gain"], 3.0);
}

#[test]
fn a_failure_of_either_side_is_told_and_decides_nothing() {
    let project = cycles("no number", "cycles: 10000");
    project.run().code(1).says("matches /cycles");
    let project = cycles("cycles: 10000", "no number");
    project
        .run()
        .code(1)
        .says("the incumbent (old.txt) fails this itself")
        .says("nothing to compare");
}

#[test]
fn a_slower_kernel_is_reverted_and_the_other_way_round_is_kept_and_replayed() {
    let project = project(GOOD).file("slow.c", source(TWICE));
    let ran = project.args(["compare", "k.c", "slow.c", "--format", "json"]).run().code(3);
    let found = comparison(&ran, "candidate");
    assert_eq!((&found["reason"], &found["pairs"]), (&"grossly_slower".into(), &Value::from(2)));
    assert!(found["launches"].as_u64().unwrap() <= 2 * 24, "{found}");
    let ran = project.args(["compare", "slow.c", "k.c", "--format", "json"]).run().code(0);
    let found = comparison(&ran, "candidate");
    assert_eq!(found["reason"], "faster");
    assert!(found["confirm_pairs"].as_u64().unwrap() >= 8, "{found}");
    assert!(found["gain"].as_f64().unwrap() > 0.5, "{found}");
    let layouts = &ran.stage("candidate")["detail"]["layouts"];
    for side in ["candidate", "incumbent"] {
        let (digests, drawn) = (&layouts[side]["digests"], layouts[side]["drawn"].as_array());
        let distinct: std::collections::BTreeSet<_> =
            digests.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!((&layouts[side]["count"], distinct.len()), (&Value::from(8), 8), "{layouts}");
        // A process for each pair, and each layout once before one comes again.
        let drawn: Vec<u64> = drawn.into_iter().flatten().filter_map(Value::as_u64).collect();
        assert_eq!(2 * drawn.len() as u64, found["processes"].as_u64().unwrap(), "{layouts}");
        let first: std::collections::BTreeSet<_> = drawn.iter().take(8).collect();
        assert_eq!(first.len(), 8, "{drawn:?}");
    }
    let looks: Vec<Value> = ran.json().into_iter().filter(|e| e["event"] == "look").collect();
    assert_eq!(looks.last().map(|l| &l["look"]["pairs"]), Some(&found["pairs"]));
    project.args(["replay"]).run().code(0).says("KEEP").says("as recorded");
}

#[test]
fn altered_launches_are_found_out() {
    let project = cycles("cycles: 9000", "cycles: 10000");
    project.run().code(0);
    let path = project.args(["artifact", "path"]).run().code(0).stdout.trim().to_owned();
    let path = project.path(&path);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("9000.0", "8000.0")).unwrap();
    project.args(["replay"]).run().code(1).says("another verdict than its launches give");
}

#[test]
fn a_renamed_variable_is_identical_code_that_is_measured_alone() {
    let renamed = source(GOOD).replace("int n)", "int count)").replace("< n;", "< count;");
    let project = project(GOOD).file("renamed.c", renamed);
    let ran = project.args(["compare", "k.c", "renamed.c", "--format", "json"]).run().code(0);
    let stage = ran.stage("candidate");
    assert_eq!(stage["detail"]["identical"]["against"], "k.c", "{stage}");
    assert_eq!(stage["detail"]["identical"]["numbers"], "measured", "{stage}");
    assert_eq!(stage["detail"]["comparison"], Value::Null, "{stage}");
    project
        .args(["compare", "k.c", "renamed.c"])
        .run()
        .says("identical code: it was measured alone");
}

#[test]
fn what_cannot_be_compared_says_what_can() {
    let project = Project::new().file("a.c", "int a;").pipeline("[stages.a]\nrun = 'true'\n");
    let compare = |args: &[&str]| {
        let args = ["compare"].iter().chain(args).copied();
        project.args(args.collect::<Vec<_>>()).run().code(1)
    };
    compare(&["a.c", "a.c"]).says("no `problem.toml` beside these").says("--pipeline FILE");
    compare(&["a.c", "none.c", "--pipeline", "pipeline.toml"]).says("`none.c` is no file");
    compare(&["best", "a.c", "--pipeline", "pipeline.toml"]).says("no stage `candidate`");
}

#[test]
fn revisions_are_compared_by_what_they_hold() {
    let project = cycles("cycles: 10000", "x");
    project
        .write_pipeline(&CYCLES.replace("incumbent = \"file:old.txt\"", "incumbent = 'git:HEAD'"));
    let repository = git2::Repository::init(project.root()).unwrap();
    let who = git2::Signature::now("t", "t@example.org").unwrap();
    let mut index = repository.index().unwrap();
    index.add_path(std::path::Path::new("k.txt")).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    repository.commit(Some("HEAD"), &who, &who, "one", &tree, &[]).unwrap();
    project.write("k.txt", "cycles: 9000");
    let ran = project.run_with(["--format", "json"]).code(0);
    let found = comparison(&ran, "cycles");
    assert_eq!((&found["against"], &found["reason"]), (&"git:HEAD".into(), &"faster".into()));
    // What is checked out now is what the revision is made to be: no difference is left.
    index.add_path(std::path::Path::new("k.txt")).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let parent = repository.head().unwrap().peel_to_commit().unwrap();
    repository.commit(Some("HEAD"), &who, &who, "two", &tree, &[&parent]).unwrap();
    let ran = project.run_with(["--format", "json"]).code(0);
    assert_eq!(ran.stage("cycles")["detail"]["identical"]["against"], "git:HEAD");
    project.write_pipeline(&CYCLES.replace("file:old.txt", "git:nowhere"));
    project.run().code(1).says("there is no revision `nowhere`");
}

#[test]
fn two_revisions_are_compared_with_the_headers_of_each() {
    let project = super::judged::tuned("include", super::judged::SLOW);
    // What is not asked for need not be there.
    let other = "[stages.other]\nrun = [\"no-such-program\"]\n";
    let pipeline = project.read("pipeline.toml");
    project.write("pipeline.toml", format!("{pipeline}{other}"));
    super::keep::checkout(&project);
    super::judged::tune(&project, "include", super::judged::FAST);
    super::judged::commit_all(&project.root());
    let compare = |a: &str, b: &str, code: i32| {
        let args = ["compare", a, b, "--pipeline", "pipeline.toml", "--format", "json"];
        let ran = project.args(args).run().code(code);
        comparison(&ran, "candidate")["reason"].clone()
    };
    assert_eq!(compare("HEAD~1", "HEAD", 0), "faster");
    assert_eq!(compare("HEAD", "HEAD~1", 3), "grossly_slower");
    super::judged::tune(&project, "include", 8 * super::judged::SLOW);
    assert_eq!(compare("HEAD~1", "k.c", 3), "grossly_slower");
    // A file of another name beside the kernel that the pipeline names.
    project.write("new.c", project.read("k.c").replace("tune.h", "fast.h"));
    project.write("fast.h", format!("#define SPIN {}\n", super::judged::FAST));
    assert_eq!(compare("HEAD~1", "new.c", 0), "faster");
    assert_eq!(compare("new.c", "HEAD~1", 3), "grossly_slower");
}

#[test]
fn revisions_of_a_kernel_of_several_files_are_compared() {
    let project = super::judged::tuned("", super::judged::SLOW);
    project.edit("pipeline.toml", "kernel = \"k.c\"", "kernel = [\"k.c\", \"more.c\"]");
    project.write("more.c", "int more;\n");
    super::keep::checkout(&project);
    super::judged::tune(&project, "", super::judged::FAST);
    super::judged::commit_all(&project.root());
    let compare = ["compare", "HEAD~1", "HEAD", "--pipeline", "pipeline.toml"];
    project.args(compare).run().code(0).says("KEEP");
}
