//! Numbers belong to what was asked: to a problem by what it says, a device, its cores, caches and
//! cases; and a best that answers something else is compared with nothing.

use std::fs;

use serde_json::Value;

use super::kernel::{GOOD, PROBLEM, source};
use super::support::{Project, Ran};

/// One stage, which is compared with the best.
const PIPELINE: &str = r#"
kernel = "k.c"
problem = "problem.toml"
compile.flags = ["-O1"]
compile.layouts = 1
[stages.candidate]
repeats = [4]
warmup = 1
"#;

/// A kernel that is measured where it is new.
fn project(body: &str) -> Project {
    Project::new()
        .file("problem.toml", PROBLEM)
        .file("reference.c", source(GOOD))
        .file("k.c", source(body))
        .pipeline(PIPELINE)
}

/// A stage of a run that must pass.
fn candidate<'a>(project: &Project, more: impl IntoIterator<Item = &'a str>) -> Value {
    let ran = project.run_with(["--format", "json"].into_iter().chain(more)).code(0);
    ran.stage("candidate")
}

/// It was measured in this run, alone, with a table of its cases.
#[track_caller]
fn is_measured(stage: &Value) {
    assert_eq!(stage["outcome"]["how"], "ran", "{stage}");
    assert_eq!(stage["detail"]["identical"], Value::Null, "{stage}");
    assert!(stage["detail"]["cases"].as_array().is_some_and(|cases| !cases.is_empty()), "{stage}");
}

/// The folders of bests, each with its `current`.
fn places(project: &Project) -> Vec<String> {
    let all = walkdir::WalkDir::new(project.path(".optloop/best")).into_iter().flatten();
    let current = all.filter(|entry| entry.file_name() == "current");
    let folder = |entry: walkdir::DirEntry| entry.path().parent().map(|p| p.display().to_string());
    current.filter_map(folder).collect()
}

fn events(project: &Project) -> Vec<String> {
    let text = fs::read_to_string(project.path(".optloop/ledger.jsonl")).unwrap_or_default();
    let event = |line: &str| serde_json::from_str::<Value>(line).expect("a line")["event"].clone();
    text.lines().map(|line| event(line).as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn one_core_and_all_cores_have_a_best_each() {
    for (first, second) in [("cpu", "cpu:all"), ("cpu:all", "cpu")] {
        let project = project(GOOD);
        is_measured(&candidate(&project, ["--device", first]));
        let stage = candidate(&project, ["--device", second]);
        is_measured(&stage);
        assert_eq!(stage["detail"]["device"], second);
        assert_eq!((places(&project).len(), events(&project).len()), (2, 2), "{first}, {second}");
    }
}

#[test]
fn other_cases_and_other_caches_are_measured_for_themselves() {
    let project = project(GOOD);
    is_measured(&candidate(&project, []));
    project.edit("problem.toml", "n = 16", "n = 17");
    let ran = project.run_with(["--format", "json"]).code(0);
    is_measured(&ran.stage("candidate"));
    ran.says("the problem changed since the best so far was set").says("the old one stays in ");
    project.edit("pipeline.toml", "warmup = 1", "warmup = 1\nmode = \"cold\"");
    let ran = project.run_with(["--format", "json"]).code(0);
    is_measured(&ran.stage("candidate"));
    ran.says("scale by median_us, caches cold: this kernel is the baseline");
    // Alone it is what was measured alone.
    let alone = candidate(&project, ["--incumbent", "none"]);
    assert_eq!(alone["detail"]["identical"], Value::Null, "{alone}");
    assert_eq!(places(&project).len(), 3);
}

#[test]
fn the_best_shows_its_own_table_and_is_measured_when_that_is_asked_for() {
    let project = project(GOOD);
    let first = candidate(&project, []);
    is_measured(&first);
    let shown = candidate(&project, []);
    assert_eq!(shown["outcome"]["how"], "cached", "{shown}");
    assert_eq!(shown["detail"]["identical"]["numbers"], "incumbents", "{shown}");
    for part in ["cases", "value_us"] {
        assert_eq!(shown["detail"][part], first["detail"][part], "{part}");
    }
    assert_eq!(shown["finished_ms"], first["finished_ms"]);
    project.run().code(0).says("the incumbent's, ").says("identical").says("n=100");
    let again = candidate(&project, ["--rerun"]);
    assert_eq!(again["outcome"]["how"], "ran", "{again}");
    assert_eq!(again["detail"]["identical"]["numbers"], "measured", "{again}");
    assert_ne!(again["detail"]["cases"], first["detail"]["cases"]);
    let known = candidate(&project, []);
    assert_eq!(known["outcome"]["how"], "cached", "{known}");
    assert_eq!(known["detail"]["cases"], again["detail"]["cases"]);
    // What had nothing beside it is another result, and still there.
    let alone = candidate(&project, ["--incumbent", "none"]);
    assert_eq!(alone["detail"]["identical"], Value::Null, "{alone}");
    assert_eq!(alone["detail"]["cases"], first["detail"]["cases"]);
}

#[test]
fn what_is_known_becomes_the_baseline_too() {
    let project = project(GOOD);
    is_measured(&candidate(&project, ["--incumbent", "none"]));
    assert_eq!(events(&project), Vec::<String>::new());
    let known = project.run().code(0);
    known.says("everything is up to date").says("scale by median_us: this kernel is the baseline");
    assert_eq!(events(&project), ["baseline"]);
    project.run().code(0).says("everything is up to date").says_nothing_of("baseline");
}

/// A command that another pipeline has measured before.
#[test]
fn a_command_that_is_known_from_elsewhere_becomes_the_baseline_too() {
    let stage = |name: &str, more: &str| {
        format!(
            "name = \"{name}\"\nkernel = \"k.txt\"\n[stages.{name}]\nrun = \"cat ${{kernel}}\"\n\
             inputs = [\"k.txt\"]\nmetric = {{ name = \"cycles\", regex = 'cycles: (\\d+)' }}\n{more}"
        )
    };
    let project = Project::new()
        .file("k.txt", "cycles: 9000")
        .file("one.toml", stage("one", "incumbent = \"best\"\n"))
        .file("two.toml", stage("two", "incumbent = \"best\"\n"));
    project.args(["pipeline", "one.toml"]).run().code(0);
    let known = project.args(["pipeline", "two.toml"]).run().code(0);
    known.says("everything is up to date").says("two by cycles: this kernel is the baseline");
    project.write("k.txt", "cycles: 8000");
    project.args(["pipeline", "two.toml"]).run().code(0).says("KEEP").says("gain 11.11 %");
}

#[test]
fn a_changed_problem_starts_a_new_line_and_a_remark_in_it_does_not() {
    let project = project("for (int i = 0; i < n; i++) y[i] = 2.001f * x[i];");
    project.edit("problem.toml", "rtol = 1e-6", "rtol = 1e-2");
    project.run().code(0).says("scale by median_us: this kernel is the baseline");
    let begins = |ran: Ran| {
        ran.says("the problem changed since the best so far was set (")
            .says("this kernel is the baseline of a new line; the old one stays in .optloop/best/");
    };
    // The best is wrong now, and the kernel is right.
    project.edit("problem.toml", "rtol = 1e-2", "rtol = 1e-6");
    project.write("k.c", source(GOOD));
    begins(project.run().code(0));
    // An argument more: the best could not even be called.
    let more = "[[args]]\nname = \"more\"\ndtype = \"i32\"\nvalue = \"1\"\n[reference]";
    project.edit("problem.toml", "[reference]", more);
    for file in ["k.c", "reference.c"] {
        project.edit(file, "int n)", "int n, int more)");
    }
    begins(project.run().code(0));
    project.edit("reference.c", "void scale", "/* doubles */\nvoid  scale");
    project.edit("problem.toml", "[reference]", "# the judge's own\n[reference]");
    project.run().code(0).says_nothing_of("baseline").says("identical");
    assert_eq!((places(&project).len(), events(&project).len()), (3, 3));
}

#[test]
fn two_problems_of_one_name_share_no_best() {
    let project = project(GOOD);
    project.write("other/problem.toml", PROBLEM.replace("n = 16", "n = 18"));
    project.write("other/reference.c", source(GOOD));
    project.write("other/k.c", source(GOOD));
    project.write("other/p.toml", format!("name = \"test\"\n{PIPELINE}"));
    project.run().code(0).says("this kernel is the baseline");
    let other = project.args(["pipeline", "other/p.toml", "--format", "json"]).run().code(0);
    is_measured(&other.stage("candidate"));
    other.says("scale by median_us: this kernel is the baseline").says_nothing_of("new line");
    assert_eq!(places(&project).len(), 2);
}

#[test]
fn a_best_of_the_former_layout_is_left_alone_and_named() {
    let project = project(GOOD);
    project.run().code(0);
    // As it was filed: by name, device and metric.
    let place = places(&project).remove(0);
    let old = project.path(&format!(
        ".optloop/best/scale/{}/median_us",
        place.rsplit('/').nth(1).expect("a device")
    ));
    fs::create_dir_all(old.parent().expect("a parent")).expect("folders");
    fs::rename(&place, &old).expect("moved");
    for entry in walkdir::WalkDir::new(&old).into_iter().flatten() {
        if entry.file_name() == "about.json" {
            let text = fs::read_to_string(entry.path()).expect("text");
            let mut about: Value = serde_json::from_str(&text).expect("an incumbent");
            let keys = about.as_object_mut().expect("an object");
            for key in ["question", "mode", "key"] {
                assert!(keys.remove(key).is_some(), "{key}");
            }
            fs::write(entry.path(), about.to_string()).expect("written");
        }
    }
    let before = project.state().into_iter().filter(|(path, _)| path.starts_with(&old));
    let before: Vec<_> = before.map(|(path, (bytes, _))| (path, bytes)).collect();
    project.run().code(0).says("the old one stays in .optloop/best/scale/");
    let after = project.state().into_iter().filter(|(path, _)| path.starts_with(&old));
    assert_eq!(after.map(|(path, (bytes, _))| (path, bytes)).collect::<Vec<_>>(), before);
}

#[test]
fn an_incumbent_that_fails_is_said_to_and_not_tried_again_for_ever() {
    let project = project(GOOD).file("bad.c", source("y[0] = 1;"));
    let ran = project.run_with(["--incumbent", "file:bad.c"]).code(1);
    ran.says("the incumbent (bad.c) fails this itself").says("name another incumbent");
}

/// Twice the work, in a way that no compiler takes back.
fn work(times: u32) -> String {
    format!(
        "for (int r = 0; r < {times}; r++) {{ {GOOD}\n  __asm__ volatile(\"\" ::: \"memory\"); }}"
    )
}

/// A kernel that is faster than the incumbent but for the first case, where it is `first` times as
/// slow as it could be.
fn guarded(first: u32) -> Project {
    let body = format!("if (n == 16) {{ {} }} else {{ {GOOD} }}", work(first));
    let project = project(&body).file("slow.c", source(&work(60)));
    let rule = "incumbent = \"file:slow.c\"\nrule = { guard = \"revert\", \
                confirm = false, weights = [0.001, 1] }";
    project.edit("pipeline.toml", "repeats = [4]", &format!("repeats = [8]\n{rule}"));
    project
}

#[test]
fn a_guarded_decision_is_the_same_wherever_it_is_told() {
    let project = guarded(20_000);
    let ran = project.run_with(["--format", "json"]).code(3);
    let found = &ran.stage("candidate")["detail"]["comparison"];
    assert_eq!((&found["decision"], &found["reason"]), (&"REVERT".into(), &"faster".into()));
    assert_eq!(found["cases"][0]["harmed"], true, "{found}");
    project.args(["replay"]).run().code(3).says("REVERT").says("but slower at n=16");
    let json = project.args(["replay", "--format", "json"]).run().code(3).json().remove(0);
    assert_eq!((&json["decision"], &json["harmed"][0]), (&"revert".into(), &"n=16".into()));
    project.args(["keep", "--summary", "x"]).run().code(3).says("the verdict is REVERT");
    // Recorded by who did not know of guards: none, as far as is known.
    let path = project.args(["artifact", "path"]).run().code(0).stdout.trim().to_owned();
    let mut artifact: Value = serde_json::from_str(&project.read(&path)).expect("an artifact");
    let record = artifact["result"]["comparison"]["record"].as_object_mut().expect("a record");
    assert!(record.remove("guard").is_some() && record.remove("harmed").is_some());
    project.write(&path, artifact.to_string());
    project.args(["replay"]).run().code(0).says("KEEP").says("as recorded");
}

#[test]
fn a_guarded_gain_that_harms_nothing_is_told_without_a_but() {
    let project = guarded(1);
    project.run().code(0).says("KEEP").says_nothing_of("but ");
    project.args(["replay"]).run().code(0).says("KEEP").says_nothing_of("but ");
}
