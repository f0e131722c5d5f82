//! `explain` and `--dry-run`: each field of a key by its name, the first cause along the graph,
//! and nothing written.

use serde_json::Value;

use super::support::{Project, Ran};

/// One stage with everything that a command's key is made of.
const COMMAND: &str = r#"
[stages.a]
run = ["./tool", "one"]
inputs = ["in.txt", "more/*.txt"]
outputs = ["out"]
env = { MODE = "fast" }
pass_env = ["LEVEL"]
depfile = "out.d"
salt = "1"
"#;

const TOOL: &str = "#!/bin/sh\ncat in.txt more/*.txt > out\necho 'out: in.txt found.h' > out.d\n";

fn command() -> Project {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new()
        .pipeline(COMMAND)
        .file("in.txt", "one\n")
        .file("more/a.txt", "a\n")
        .file("found.h", "1\n")
        .file("tool", TOOL);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path("tool"), executable).expect("a mode");
    project
}

/// A tiny kernel with everything that its keys are made of.
const KERNEL: &str = r#"
kernel = "k.c"
problem = "problem.toml"
[compile]
flags = ["-O1"]
include_dirs = ["inc"]
[compile.defines]
BLOCK = "4"
[stages.smoke]
[stages.candidate]
incumbent = "none"
needs = ["smoke"]
repeats = [2]
warmup = 1
"#;

const PROBLEM: &str = r#"
name = "copy"
entry = "copy"
cases = [{ n = 64 }]
[[args]]
name = "x"
dtype = "f32"
shape = ["n"]
fill = { uniform = { low = 1.5, high = 9.0 } }
[[args]]
name = "y"
dtype = "f32"
shape = ["n"]
role = "out"
[[args]]
name = "n"
dtype = "i32"
value = "n"
[reference]
source = "reference.c"
[tolerance]
rtol = 1e-5
atol = 1e-6
"#;

const COPY: &str =
    "void copy(const float *x, float *y, int n) { for (int i = 0; i < n; i++) y[i] = x[i]; }\n";

fn kernel() -> Project {
    Project::new()
        .pipeline(KERNEL)
        .file("problem.toml", PROBLEM)
        .file("k.c", format!("#include \"k.h\"\n{COPY}"))
        .file("inc/k.h", "/* one */\n")
        .file("reference.c", COPY)
}

/// What `explain` says of one stage.
fn explain(project: &Project, stage: &str, env: &[(&str, &str)]) -> Value {
    let mut call = project.args(["explain", "pipeline.toml", stage, "--format", "json"]);
    for (name, value) in env {
        call = call.env(name, value);
    }
    let run = call.run().code(0);
    let lines = run.json();
    assert_eq!(lines[0]["event"], "explain_started", "{}", run.all());
    assert_eq!(lines[0]["version"], 1, "{}", run.all());
    let found = lines.iter().find(|l| l["stage"] == stage);
    found.unwrap_or_else(|| panic!("{stage} is not explained\n{}", run.all())).clone()
}

fn fields(explanation: &Value) -> Vec<String> {
    let changes = explanation["changes"].as_array().expect("changes");
    changes.iter().map(|c| c["field"].as_str().expect("a name").to_owned()).collect()
}

/// Changes something in a project that has run, and expects `explain` to name exactly that.
#[track_caller]
fn names(project: &Project, stage: &str, wanted: &[&str], edit: impl FnOnce(&Project)) {
    project.run().code(0);
    let before = explain(project, stage, &[]);
    assert_eq!(before["answer"], "known", "{before}");
    edit(project);
    let after = explain(project, stage, &[]);
    assert_eq!(after["answer"], "runs", "{wanted:?}: {after}");
    assert_eq!(after["why"], "changed", "{after}");
    assert_eq!(fields(&after), wanted, "{after}");
    assert_eq!(after["causes"].as_array().map(Vec::len), Some(0), "{after}");
}

#[test]
fn every_field_of_a_commands_key_is_named_when_it_alone_changes() {
    type Edit = fn(&Project);
    let cases: [(&[&str], Edit); 11] = [
        (&["definition.run.Argv"], |p| p.edit("pipeline.toml", "\"one\"", "\"two\"")),
        (&["input:in.txt"], |p| p.write("in.txt", "two\n")),
        (&["input:more/b.txt"], |p| p.write("more/b.txt", "b\n")),
        (&["definition.inputs", "input:in.txt"], |p| {
            p.edit("pipeline.toml", "\"in.txt\", ", "");
        }),
        (&["definition.outputs", "output:log"], |p| {
            p.edit("pipeline.toml", "[\"out\"]", "[\"out\", \"log\"]");
        }),
        (&["definition.env.MODE"], |p| p.edit("pipeline.toml", "fast", "slow")),
        (&["definition.pass_env", "env:OTHER"], |p| {
            p.edit("pipeline.toml", "[\"LEVEL\"]", "[\"LEVEL\", \"OTHER\"]");
        }),
        (&["definition.depfile"], |p| p.edit("pipeline.toml", "out.d", "other.d")),
        (&["definition.salt"], |p| p.edit("pipeline.toml", "salt = \"1\"", "salt = \"2\"")),
        (&["input:tool"], |p| p.edit("tool", "cat", "cat -u")),
        (&["input:found.h"], |p| p.write("found.h", "2\n")),
    ];
    let project = command();
    for (wanted, edit) in cases {
        names(&project, "a", wanted, edit);
        for (path, text) in [("in.txt", "one\n"), ("found.h", "1\n"), ("tool", TOOL)] {
            project.write(path, text);
        }
        drop(std::fs::remove_file(project.path("more/b.txt")));
        project.write_pipeline(COMMAND);
    }
}

#[test]
fn a_removed_input_of_a_pattern_is_named_as_gone() {
    let project = command().file("more/b.txt", "b\n");
    names(&project, "a", &["input:more/b.txt"], |p| p.remove("more/b.txt"));
    let change = &explain(&project, "a", &[])["changes"][0];
    assert!(change["old"].is_string() && change["new"].is_null(), "{change}");
}

#[test]
fn the_folder_of_a_command_is_named_when_the_pipeline_moves() {
    // The same stage below another folder has another state: nothing is known of it there.
    let project = Project::new().pipeline("[stages.a]\ninputs = []\nrun = \"true\"\n");
    project.run().code(0);
    std::fs::create_dir(project.path("sub")).expect("a folder");
    std::fs::copy(project.path("pipeline.toml"), project.path("sub/pipeline.toml"))
        .expect("copied");
    let call = project.args(["explain", "sub/pipeline.toml", "a"]);
    call.run().code(0).says("it has no result yet");
}

#[test]
fn a_variable_is_named_and_its_value_never_shown() {
    let project = command();
    let run = |value: &str| project.args(["pipeline", "pipeline.toml"]).env("LEVEL", value).run();
    run("hunter-one").code(0);
    let after = explain(&project, "a", &[("LEVEL", "hunter-two")]);
    assert_eq!(fields(&after), ["env:LEVEL"]);
    let human = |value: &str| {
        project.args(["explain", "pipeline.toml", "a"]).env("LEVEL", value).run().code(0)
    };
    human("hunter-two").says("env:LEVEL: has another value").says_nothing_of("hunter");
    let unset = project.args(["explain", "pipeline.toml", "a"]).run().code(0);
    unset.says("env:LEVEL: was set, is not set now");
    assert!(!after.to_string().contains("hunter"), "{after}");
}

#[test]
fn every_field_of_a_compiles_key_is_named_when_it_alone_changes() {
    type Edit = fn(&Project);
    let cases: [(&[&str], Edit); 5] = [
        (&["input:k.c"], |p| p.edit("k.c", "int i", "int  i")),
        (&["input:inc/k.h"], |p| p.write("inc/k.h", "/* another */\n")),
        (&["definition.work.flags"], |p| p.edit("pipeline.toml", "-O1", "-O2")),
        (&["definition.work.defines.BLOCK"], |p| p.edit("pipeline.toml", "\"4\"", "\"8\"")),
        (&["definition.work.include_dirs", "definition.include_dirs"], |p| {
            p.write("inc2/other.h", "");
            p.edit("pipeline.toml", "[\"inc\"]", "[\"inc\", \"inc2\"]");
        }),
    ];
    let project = kernel();
    for (wanted, edit) in cases {
        names(&project, "compile", wanted, edit);
    }
}

#[test]
fn the_compiler_is_named_when_it_is_another() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = kernel();
    project.edit("pipeline.toml", "[compile]", "[compile]\ncc = \"./mycc\"");
    project.write("mycc", "#!/bin/sh\nexec cc \"$@\"\n");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path("mycc"), executable).expect("a mode");
    names(&project, "compile", &["tool:mycc"], |p| p.edit("mycc", "exec", "# new\nexec"));
}

#[test]
fn every_field_of_a_measurements_key_is_named_when_it_alone_changes() {
    type Edit = fn(&Project);
    let cases: [(&str, &[&str], Edit); 8] = [
        ("candidate", &["definition.work.repeats"], |p| p.edit("pipeline.toml", "[2]", "[2, 3]")),
        ("candidate", &["definition.work.warmup"], |p| {
            p.edit("pipeline.toml", "warmup = 1", "warmup = 2");
        }),
        ("candidate", &["definition.work.early_stop_us"], |p| {
            p.edit("pipeline.toml", "warmup", "early_stop_us = 1e9\nwarmup");
        }),
        ("smoke", &["definition.problem.tolerance.rtol"], |p| {
            p.edit("problem.toml", "1e-5", "1e-4");
        }),
        (
            "smoke",
            &["definition.problem.cases[0].label", "definition.problem.cases[0].sizes.n"],
            |p| {
                p.edit("problem.toml", "n = 64", "n = 65");
            },
        ),
        ("smoke", &["definition.problem.args[0].kind.Buffer.fill.Uniform.low"], |p| {
            p.edit("problem.toml", "1.5", "2.5");
        }),
        ("smoke", &["definition.work.launches"], |p| {
            p.edit("pipeline.toml", "[stages.smoke]", "[stages.smoke]\nlaunches = 3");
        }),
        (
            "smoke",
            &["definition.problem.holdout.ranges.n", "definition.problem.holdout.count"],
            |p| {
                p.edit(
                    "problem.toml",
                    "[[args]]\nname = \"x\"",
                    "[holdout]\nn = \"1..=9\"\ncount = 2\n[[args]]\nname = \"x\"",
                );
            },
        ),
    ];
    let project = kernel();
    for (stage, wanted, edit) in cases {
        names(&project, stage, wanted, edit);
    }
}

#[test]
fn a_parameter_of_a_matrix_is_another_node_and_the_best_of_it_names_its_members() {
    let project = Project::new().pipeline(
        "[stages.try]\ninputs = []\nmatrix.vars.x = [3, 1]\nrun = \"echo score ${x}\"\n\
         metric = { name = \"score\", regex = 'score (\\d+)' }\n",
    );
    project.run().code(0);
    project.edit("pipeline.toml", "[3, 1]", "[3, 1, 2]");
    let new = explain(&project, "try[vars.x=2]", &[]);
    assert_eq!((&new["answer"], &new["why"]), (&"runs".into(), &"never_ran".into()), "{new}");
    let best = explain(&project, "try", &[]);
    assert_eq!(best["answer"], "waits", "{best}");
    assert_eq!(best["causes"][0]["stage"], "try[vars.x=2]", "{best}");
    project.edit("pipeline.toml", "[3, 1, 2]", "[1]");
    let best = explain(&project, "try", &[]);
    assert_eq!(fields(&best), ["member:try[vars.x=3]"], "{best}");
}

/// A chain of three, with a stage beside it.
const CHAIN: &str = r#"
[stages.a]
run = "cat in.txt > a"
inputs = ["in.txt"]
outputs = ["a"]
[stages.b]
needs = ["a"]
run = "cat a > b"
inputs = ["a"]
outputs = ["b"]
[stages.c]
needs = ["b"]
run = "cat b > c"
inputs = ["b"]
outputs = ["c"]
[stages.apart]
run = "true"
inputs = []
[stages.after]
needs = ["a"]
run = "true"
inputs = []
"#;

fn chain() -> Project {
    let project = Project::new().pipeline(CHAIN).file("in.txt", "one\n");
    project.run().code(0);
    project
}

#[test]
fn the_first_cause_is_named_with_the_chain_that_leads_from_it() {
    let project = chain();
    project.write("in.txt", "other\n");
    let c = explain(&project, "c", &[]);
    assert_eq!(c["answer"], "waits", "{c}");
    let cause = &c["causes"][0];
    assert_eq!(cause["stage"], "a", "{c}");
    assert_eq!(cause["changes"][0]["field"], "input:in.txt", "{c}");
    assert_eq!(cause["changes"][0]["old_bytes"], 4, "{c}");
    assert_eq!(cause["changes"][0]["new_bytes"], 6, "{c}");
    assert_eq!(
        cause["chain"],
        serde_json::json!([{"stage": "b", "reads": ["a"]}, {"stage": "c", "reads": ["b"]}])
    );
    let human = project.args(["explain", "pipeline.toml", "c"]).run().code(0);
    human.says("it begins with a").says("→ b (reads a)").says("→ c (reads b)");
    assert_eq!(explain(&project, "apart", &[])["answer"], "known");
    let after = explain(&project, "after", &[]);
    assert_eq!((&after["answer"], &after["provided"][0]), (&"known".into(), &"a".into()));
}

#[test]
fn what_is_changed_downstream_is_named_beside_the_first_cause() {
    let project = chain();
    project.write("in.txt", "other\n");
    project.edit("pipeline.toml", "cat b > c", "cat  b > c");
    let c = explain(&project, "c", &[]);
    assert_eq!((&c["answer"], &c["why"]), (&"runs".into(), &"changed".into()), "{c}");
    assert_eq!(fields(&c), ["definition.run.Shell"], "{c}");
    assert_eq!(c["causes"][0]["stage"], "a", "{c}");
}

#[test]
fn going_back_is_explained_as_known_with_its_outputs_put_back() {
    let project = chain();
    project.write("in.txt", "two\n");
    project.run().code(0);
    project.write("in.txt", "one\n");
    for (stage, file) in [("a", "a"), ("b", "b"), ("c", "c")] {
        let explanation = explain(&project, stage, &[]);
        assert_eq!(explanation["answer"], "put_back", "{explanation}");
        assert_eq!(explanation["files"], serde_json::json!([file]), "{explanation}");
        assert_eq!(fields(&explanation).len(), 1, "{explanation}");
    }
    let human = project.args(["explain", "pipeline.toml", "b"]).run().code(0);
    human.says("nothing will run, outputs are put back (b)");
    let run = project.run_with(["--format", "json"]).code(0);
    assert_eq!(run.json().last().expect("a line")["ran"], 0, "{}", run.all());
    assert_eq!(project.read("c"), "one\n");
}

#[test]
fn a_damaged_output_is_put_back_and_one_without_a_copy_is_lost() {
    let project = chain();
    project.write("b", "damaged\n");
    let b = explain(&project, "b", &[]);
    assert_eq!((&b["answer"], &b["files"][0]), (&"put_back".into(), &"b".into()), "{b}");
    assert_eq!(explain(&project, "c", &[])["answer"], "known");
    project.run().code(0);
    project.remove("c");
    let c = explain(&project, "c", &[]);
    assert_eq!((&c["answer"], &c["files"][0]), (&"put_back".into(), &"c".into()), "{c}");
    // The copies lie in one pack, of which only the results are left here.
    let pack = project.path(".optloop/cache/pack.0");
    let mut bytes = std::fs::read(&pack).expect("a pack");
    let at = bytes.windows(4).position(|w| w == b"one\n").expect("the copy");
    bytes[at] = b'X';
    std::fs::write(&pack, bytes).expect("written");
    let c = explain(&project, "c", &[]);
    assert_eq!((&c["why"], &c["file"]), (&"output_lost".into(), &"c".into()), "{c}");
    let run = project.run_with(["--format", "json"]).code(0);
    assert_eq!(run.outcomes()["c"], "ran", "{}", run.all());
}

#[test]
fn what_never_ran_failed_or_always_runs_says_so() {
    let project = Project::new()
        .pipeline("[stages.a]\ninputs = []\nrun = \"test -e ok\"\n[stages.b]\nrun = \"true\"\ncache = false\n");
    assert_eq!(explain(&project, "a", &[])["why"], "never_ran");
    project.run_with(["--keep-going"]).code(1);
    assert_eq!(explain(&project, "a", &[])["why"], "never_ran", "a failure is no result");
    assert_eq!(explain(&project, "b", &[])["why"], "always");
}

#[test]
fn what_a_kill_left_unfinished_is_explained_as_that() {
    let project = Project::new().pipeline(
        "[stages.a]\ninputs = []\nrun = \"touch begun; while ! test -e go; do sleep 0.01; done\"\n",
    );
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    run.kill_all();
    drop(run.wait());
    let a = explain(&project, "a", &[]);
    assert_eq!((&a["answer"], &a["why"]), (&"runs".into(), &"unfinished".into()), "{a}");
    project.write("go", "");
    project.run().code(0);
}

/// A condition over a result.
const WHEN: &str = r#"
[stages.a]
run = "cat in.txt"
inputs = ["in.txt"]
metric = { name = "n", regex = '(\d+)' }
[stages.b]
needs = ["a"]
when = "a.n > 1"
run = "true"
inputs = []
[stages.c]
needs = ["b"]
run = "true"
inputs = []
"#;

#[test]
fn a_condition_is_explained_as_not_holding_or_as_not_known_yet() {
    let project = Project::new().pipeline(WHEN).file("in.txt", "1\n");
    let b = explain(&project, "b", &[]);
    assert_eq!((&b["answer"], &b["condition"]), (&"waits".into(), &"a.n > 1".into()), "{b}");
    project.run().code(0);
    let b = explain(&project, "b", &[]);
    assert_eq!((&b["answer"], &b["because"]), (&"skipped".into(), &"a.n > 1".into()), "{b}");
    let c = explain(&project, "c", &[]);
    assert_eq!((&c["answer"], &c["because"]), (&"skipped".into(), &"b".into()), "{c}");
}

/// What a dry run says of each stage that is not simply known.
fn dry(run: &Ran) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let lines = run.json();
    let told = lines.iter().filter(|l| l["event"] == "would");
    told.map(|l| (text(&l["stage"]), text(&l["answer"]))).collect()
}

#[test]
fn a_dry_run_says_what_a_run_then_does() {
    let project = chain();
    let run = || project.run_with(["--dry-run", "--format", "json"]).code(0);
    assert_eq!(dry(&run()), []);
    project.run_with(["--dry-run"]).code(0).says("5 known");
    project.write("in.txt", "other\n");
    let pair = |stage: &str, answer: &str| (stage.to_owned(), answer.to_owned());
    assert_eq!(dry(&run()), [pair("a", "runs"), pair("b", "waits"), pair("c", "waits")]);
    let last = run().json().pop().expect("a line");
    assert_eq!((&last["run"], &last["may_run"], &last["known"]), (&1.into(), &2.into(), &2.into()));
    let human = project.run_with(["--dry-run"]).code(0);
    human.says("run       a: input:in.txt changed").says("1 would run, 2 may run, 2 known");
    let some = project.run_with(["--dry-run", "--format", "json", "apart"]).code(0);
    assert_eq!(dry(&some), []);
    let all = project.run_with(["--format", "json"]).code(0);
    assert_eq!(all.json().last().expect("a line")["ran"], 3, "{}", all.all());
}

#[test]
fn read_only_commands_leave_every_byte_and_time_as_it_is() {
    let commands: [&[&str]; 11] = [
        &["explain", "pipeline.toml"],
        &["explain", "pipeline.toml", "c"],
        &["graph", "pipeline.toml"],
        &["pipeline", "pipeline.toml", "--dry-run"],
        &["artifact", "ls"],
        &["artifact", "show"],
        &["artifact", "path"],
        &["cache", "stats"],
        &["cache", "verify"],
        &["schema"],
        &["devices"],
    ];
    let edits: [fn(&Project); 4] = [
        |_| {},
        |p| p.write("in.txt", "other\n"),
        |p| p.write("b", "damaged\n"),
        |p| p.edit("pipeline.toml", "cat b > c", "cat  b > c"),
    ];
    let project = chain();
    for edit in edits {
        edit(&project);
        let before = project.state();
        for command in commands {
            drop(project.args(command.iter().copied()).run());
            assert!(project.state() == before, "{command:?} wrote to the state");
        }
    }
}

#[test]
fn a_load_that_fails_leaves_the_state_as_it_is_and_makes_none() {
    let project = chain();
    project.edit("pipeline.toml", "needs = [\"a\"]", "needs = [\"nobody\"]");
    let content = |p: &Project| -> Vec<_> {
        p.state().into_iter().map(|(path, (bytes, _))| (path, bytes)).collect()
    };
    let before = content(&project);
    for command in ["pipeline", "explain", "graph"] {
        project.args([command, "pipeline.toml"]).run().code(1).says("nobody");
        assert!(content(&project) == before, "{command} wrote to the state");
    }
    let fresh = Project::new().pipeline("[stages.a]\nrun = 1\n");
    for command in ["pipeline", "explain", "graph"] {
        fresh.args([command, "pipeline.toml"]).run().code(1);
        assert!(!fresh.path(".optloop").exists(), "{command} made a state folder");
    }
}

#[test]
fn a_stage_that_is_not_there_is_refused_with_the_nearest_name() {
    chain().args(["explain", "pipeline.toml", "aftre"]).run().code(1).says("after");
}
