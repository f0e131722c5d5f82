//! Kernels from source to verdict, through the program.

use serde_json::Value;

use super::support::{Project, Ran, wait_until};

pub(crate) const PROBLEM: &str = r#"
name = "scale"
entry = "scale"
cases = [{ n = 16 }, { n = 100 }]
[[args]]
name = "x"
dtype = "f32"
shape = ["n"]
fill = { normal = { mean = 0.0, std = 1.0 } }
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
rtol = 1e-6
atol = 1e-6
"#;

const PIPELINE: &str = r#"
kernel = "k.c"
problem = "problem.toml"
compile.flags = ["-O1"]
compile.layouts = 1
[stages.smoke]
timeout = "20s"
[stages.candidate]
needs = ["smoke"]
incumbent = "none"
repeats = [4, 8]
warmup = 1
"#;

pub(crate) const GOOD: &str = "for (int i = 0; i < n; i++) y[i] = 2 * x[i];";

pub(crate) fn source(body: &str) -> String {
    format!("#include <stdlib.h>\nvoid scale(const float *x, float *y, int n) {{\n  {body}\n}}\n")
}

/// A kernel that doubles its input, checked and measured.
pub(crate) fn project(body: &str) -> Project {
    Project::new()
        .file("problem.toml", PROBLEM)
        .file("reference.c", source(GOOD))
        .file("k.c", source(body))
        .pipeline(PIPELINE)
}

fn json(project: &Project) -> Ran {
    project.run_with(["--format", "json"])
}

/// The stages that ran, and passed.
fn ran(run: &Ran) -> Vec<String> {
    let outcomes = run.outcomes();
    outcomes.into_iter().filter(|(_, how)| how == "ran").map(|(stage, _)| stage).collect()
}

#[test]
fn a_comment_costs_a_compile_and_no_measurement() {
    let project = project(GOOD);
    let first = json(&project).code(0);
    assert_eq!(ran(&first), ["candidate", "compile", "reference", "smoke"]);
    project.edit("k.c", "for (", "/* nothing new */ for (");
    let edited = json(&project).code(0);
    assert_eq!(ran(&edited), ["compile"], "{}", edited.all());
    assert_eq!(edited.stage("candidate")["metrics"], first.stage("candidate")["metrics"]);
    project.edit("reference.c", "for (", "/* nothing new */ for (");
    let edited = json(&project).code(0);
    assert_eq!(ran(&edited), ["reference"], "{}", edited.all());
}

#[test]
fn going_back_to_an_earlier_version_costs_nothing() {
    let project = project(GOOD);
    let first = json(&project).code(0);
    project.edit("k.c", "2 * x[i]", "x[i] + x[i] + 0 * x[0]");
    let second = json(&project).code(0);
    assert_eq!(ran(&second), ["candidate", "compile", "smoke"], "{}", second.all());
    project.edit("k.c", "x[i] + x[i] + 0 * x[0]", "2 * x[i]");
    let back = json(&project).code(0);
    assert_eq!(ran(&back), [""; 0], "{}", back.all());
    assert_eq!(back.stage("candidate")["metrics"], first.stage("candidate")["metrics"]);
    assert_eq!(json(&project).code(0).outcomes()["compile"], "cached");
}

#[test]
fn a_known_measurement_shows_its_age_and_rerun_measures_again() {
    let project = project(GOOD);
    project.run().code(0).says("measured now");
    project.run().code(0).says("known, just now").says_nothing_of("measured now");
    let again = project.run_with(["--rerun", "--format", "json"]).code(0);
    assert_eq!(ran(&again).len(), 4);
}

#[test]
fn a_wrong_kernel_is_told_with_positions_and_stops_what_follows() {
    let project = project(&format!("{GOOD} y[n - 1] += 1;"));
    let run = json(&project).code(3);
    let smoke = run.stage("smoke");
    assert_eq!(smoke["outcome"]["failure"]["class"], "wrong", "{}", run.all());
    let reports = smoke["detail"].to_string();
    assert!(reports.contains("15") && reports.contains("n=16"), "{reports}");
    assert_eq!(ran(&run), ["compile", "reference"]);
    let human = project.run().code(3).says("WRONG").says("n=16").says("1 of 16");
    assert!(human.stderr.contains("[15]") || human.stderr.contains("15"), "{}", human.all());
}

/// The class and message of the failed check.
fn failure(body: &str, timeout: &str) -> (String, String, Ran) {
    let project = project(body);
    project.edit(
        "pipeline.toml",
        "timeout = \"20s\"",
        &format!("timeout = \"{timeout}\"\ngrace = \"100ms\""),
    );
    let run = json(&project).code(3);
    let failure = run.stage("smoke")["outcome"]["failure"].clone();
    assert_eq!(run.outcomes().get("candidate").map(String::as_str), None, "{}", run.all());
    project.expect_no_processes();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    (text(&failure["class"]), text(&failure["message"]), run)
}

#[test]
fn a_crashing_kernel_is_told_with_its_signal() {
    let (class, message, run) = failure("*(volatile int *)8 = 1;", "20s");
    assert_eq!(class, "crashed", "{}", run.all());
    // Cases come in an order drawn anew.
    assert!(message.contains("SIGSEGV") && message.contains("case n="), "{message}");
}

/// What a sandboxed check says of a kernel, and whether this compiler has sanitizers.
fn crashed(body: &str) -> (String, bool) {
    let project = project(body);
    project.edit("pipeline.toml", "-O1", "-O2");
    let run = project.run_with(["--format", "json", "smoke"]).code(3);
    let smoke = run.stage("smoke");
    let failure = &smoke["outcome"]["failure"];
    assert_eq!(failure["class"], "crashed", "{}", run.all());
    let message = failure["message"].as_str().unwrap_or_default().to_owned();
    (message, smoke["detail"]["sanitizers"]["ran"] == true)
}

#[test]
fn a_store_to_null_is_a_crash_in_the_kernels_own_function() {
    let (message, sanitized) = crashed(&format!("{GOOD}\n  *(volatile int *)0 = 1;"));
    assert!(message.contains("writing address 0x0, a null pointer, at scale+0x"), "{message}");
    assert!(!sanitized || message.contains("at k.c:4"), "{message}");
}

#[test]
fn what_a_sanitizer_finds_has_a_file_and_a_line_also_in_the_sandbox() {
    let over =
        format!("float *t = malloc(4 * n); volatile float z = t[n]; (void)z; free(t);\n{GOOD}");
    let project = project(&over);
    let run = project.run_with(["--format", "json", "smoke"]);
    let smoke = run.stage("smoke");
    if smoke["detail"]["sanitizers"]["ran"] == false {
        return;
    }
    let message = run.code(3).stage("smoke")["outcome"]["failure"]["message"].to_string();
    let expected = "heap-buffer-overflow: READ of size 4 at k.c:3";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_hanging_kernel_is_ended_in_time() {
    let (class, message, run) = failure("for (;;) { volatile int z = 1; (void)z; }", "500ms");
    assert_eq!(class, "timed_out", "{}", run.all());
    assert!(message.contains("case n="), "{message}");
}

/// Hangs after it has said so.
const HANG: &str = "{ fputs(\"begun\", stderr); for (;;) { volatile int z = 1; (void)z; } }";

/// Waits for a process of optloop's own below the run.
fn wait_for_worker(project: &Project) {
    let worker = |line: &String| line.contains("__worker");
    wait_until("a worker", || project.processes().iter().any(worker));
}

#[test]
fn a_worker_ends_with_the_program_however_it_ends() {
    use rustix::process::Signal;
    for (signal, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let project = project(HANG);
        project.edit("k.c", "<stdlib.h>", "<stdio.h>");
        let run = project.args(["pipeline", "pipeline.toml"]).start();
        wait_for_worker(&project);
        run.signal(signal);
        let run = run.wait();
        project.expect_no_processes();
        if let Some(code) = code {
            drop(run.code(code));
        }
        project.write("k.c", source(GOOD));
        json(&project).code(0);
    }
}

#[test]
fn two_projects_do_not_time_at_once() {
    let first = project(&format!("{GOOD} static int calls; if (++calls > 200) {HANG}"));
    first.edit("k.c", "<stdlib.h>", "<stdio.h>");
    first.edit("pipeline.toml", "warmup = 1", "warmup = 1\ntimeout = \"10m\"\ngrace = \"100ms\"");
    let second = project(GOOD);
    second.run_with(["smoke"]).code(0);
    // As on a machine, where all share one folder for their leases.
    let leases = first.path("..").join("tmp");
    let shared = leases.to_string_lossy();
    let started = |project: &Project, flags: &[&str]| {
        let args = ["pipeline", "pipeline.toml"].iter().chain(flags).copied();
        project.args(args).env("OPTLOOP_LEASE_DIR", &shared).start()
    };
    let holder = started(&first, &[]);
    let lock = "../tmp/optloop-cpu.lock";
    first.wait_for(lock, &format!("pid {}", holder.id()));
    let who = format!("in use by pid {}", holder.id());
    started(&second, &["--no-wait"]).wait().code(75).says(&who);
    let waiting = started(&second, &[]);
    waiting.wait_until_it_says(&who);
    holder.signal(rustix::process::Signal::INT);
    holder.wait().code(130);
    waiting.wait().code(0);
}

#[test]
fn a_kernel_that_exits_has_crashed() {
    let (class, message, run) = failure("exit(0);", "20s");
    assert_eq!(class, "crashed", "{}", run.all());
    assert!(message.contains("exit code 0"), "{message}");
}

#[test]
fn a_failed_check_is_not_remembered_as_passed_and_not_tried_again() {
    let project = project("exit(0);");
    let run = json(&project).code(3).says_nothing_of("retrying");
    assert_eq!(ran(&run), ["compile", "reference"]);
    json(&project).code(3);
    project.write("k.c", source(GOOD));
    json(&project).code(0);
}

#[test]
fn a_kernel_that_does_not_compile_is_told_with_its_own_line() {
    for (text, words) in [
        (
            "void scale(const float *x, float *y, int n) {\n  y[0] = z;\n}\n".to_owned(),
            ["k.c:2", "'z' undeclared"],
        ),
        ("\n\nvoid scale(const double *x, float *y, int n) {}\n".to_owned(), ["k.c:3", "scale"]),
        (
            "\n\n\nint scale(const float *x, float *y, int n) { return 0; }\n".to_owned(),
            ["k.c:4", "scale"],
        ),
        ("void other(void) {}\n".to_owned(), ["scale", "k.c"]),
    ] {
        let project = project(GOOD);
        project.write("k.c", &text);
        let run = project.run().code(3).says(words[0]).says(words[1]);
        assert!(!run.stderr.contains(".optloop/tmp"), "{}", run.all());
        project.write("k.c", source(GOOD));
        project.run().code(0);
    }
}

#[test]
fn a_kernel_twice_slower_than_the_limit_is_given_up_after_the_first_look() {
    let spin = "struct timespec a, b; clock_gettime(CLOCK_MONOTONIC, &a); \
        do clock_gettime(CLOCK_MONOTONIC, &b); \
        while ((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec < 2000000L);";
    let project = project(&format!("{spin} {GOOD}"));
    project.edit(
        "k.c",
        "#include <stdlib.h>",
        "#define _POSIX_C_SOURCE 200809L\n#include <time.h>",
    );
    project.edit(
        "pipeline.toml",
        "repeats = [4, 8]",
        "repeats = [8, 16, 32]\nearly_stop_us = 1000.0",
    );
    let run = json(&project).code(3);
    let stage = run.stage("candidate");
    assert_eq!(stage["outcome"]["failure"]["class"], "too_slow", "{}", run.all());
    assert_eq!(stage["detail"]["looks_used"], 1, "{stage}");
    assert_eq!(stage["detail"]["stopped_early"], true);
    // The limit counts in the key; a result under another limit is another result.
    let run = project.run_with(["--format", "json", "--early-stop-us", "1000000"]).code(0);
    assert_eq!(run.stage("candidate")["detail"]["looks_used"], 3);
    project.run().code(3).says("TOO SLOW");
}

#[test]
fn flags_of_the_command_line_change_the_measurement() {
    let project = project(GOOD);
    for (flags, launches) in [
        (&[][..], 16.0),
        (&["--repeats", "3"], 6.0),
        (&["--stage-repeats", "2,5"], 10.0),
        (&["--set", "stages.candidate.repeats=7"], 14.0),
    ] {
        let flags = ["--format", "json"].into_iter().chain(flags.iter().copied());
        let run = project.run_with(flags).code(0);
        assert_eq!(run.stage("candidate")["metrics"]["launches"], launches, "{}", run.all());
    }
    project.run_with(["--repeats", "3", "--stage-repeats", "1"]).code(2);
    project.write("k.c", source("for (;;) { volatile int z = 1; (void)z; }"));
    let slow = project.run_with(["--timeout-seconds", "0.5"]).code(3);
    slow.says("TIMED OUT");
}

#[test]
fn an_edited_header_compiles_again() {
    let project = project("for (int i = 0; i < n; i++) y[i] = FACTOR * x[i];");
    project.edit("k.c", "#include <stdlib.h>", "#include \"inc/outer.h\"");
    project.write("inc/outer.h", "#include \"inner.h\"\n");
    project.write("inc/inner.h", "#define FACTOR 2\n");
    json(&project).code(0);
    assert_eq!(ran(&json(&project).code(0)), [""; 0]);
    project.write("inc/inner.h", "#define FACTOR 2 // as before\n");
    assert_eq!(ran(&json(&project).code(0)), ["compile"]);
    project.write("inc/inner.h", "#define FACTOR 3\n");
    let wrong = json(&project).code(3);
    assert_eq!(wrong.stage("smoke")["outcome"]["failure"]["class"], "wrong", "{}", wrong.all());
    project.remove("inc/inner.h");
    project.run().code(3).says("inner.h");
    project.write("inc/inner.h", "#define FACTOR 2\n");
    assert_eq!(ran(&json(&project).code(0)), [""; 0], "it is what it was");
}

#[test]
fn a_new_header_that_hides_another_compiles_again() {
    let project = project("for (int i = 0; i < n; i++) y[i] = FACTOR * x[i];");
    project.edit("k.c", "#include <stdlib.h>", "#include \"factor.h\"");
    project.edit(
        "pipeline.toml",
        "compile.flags",
        "compile.include_dirs = [\"near\", \"far\"]\ncompile.flags",
    );
    project.write("near/other.h", "");
    project.write("far/factor.h", "#define FACTOR 2\n");
    json(&project).code(0);
    project.write("near/factor.h", "#define FACTOR 3\n");
    let wrong = json(&project).code(3);
    assert_eq!(wrong.stage("smoke")["outcome"]["failure"]["class"], "wrong", "{}", wrong.all());
    project.remove("near/factor.h");
    assert_eq!(ran(&json(&project).code(0)), [""; 0], "it is what it was");
}

#[test]
fn an_edit_of_the_kernel_while_it_is_compiled_is_told() {
    let project = project(GOOD);
    project.write("slow-cc", "#!/bin/sh\ncase \"$*\" in *-MF*kernel*|*-c*) cd ${0%/*}; touch begun; while test -e wait; do sleep 0.01; done;; esac\nexec cc \"$@\"\n");
    let tool = project.path("slow-cc");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("mode");
    project.edit("pipeline.toml", "compile.flags", "compile.cc = \"./slow-cc\"\ncompile.flags");
    project.write("wait", "");
    let run = project.args(["pipeline", "pipeline.toml"]).start();
    project.wait_for("begun", "");
    project.write("k.c", source("y[0] = 1;"));
    project.remove("wait");
    drop(run.wait().says("k.c changed while it ran"));
    let wrong = json(&project).code(3);
    assert_eq!(wrong.stage("smoke")["outcome"]["failure"]["class"], "wrong", "{}", wrong.all());
    project.write("k.c", source(GOOD));
    json(&project).code(0);
}

#[test]
fn a_tolerance_or_case_of_the_problem_checks_again_without_compiling() {
    let project = project(GOOD);
    json(&project).code(0);
    project.edit("problem.toml", "rtol = 1e-6", "rtol = 1e-5");
    let run = json(&project).code(0);
    assert!(ran(&run).contains(&"smoke".to_owned()), "{}", run.all());
    assert!(!ran(&run).contains(&"compile".to_owned()), "{}", run.all());
}

#[test]
fn two_pipelines_share_what_they_measure() {
    let project = project(GOOD);
    json(&project).code(0);
    project.write(
        "other.toml",
        project.read("pipeline.toml").replace("name = \"test\"", "name = \"other\""),
    );
    let run = project.args(["pipeline", "other.toml", "--format", "json"]).run().code(0);
    assert_eq!(ran(&run), [""; 0], "{}", run.all());
}

fn commit_all(project: &Project) -> String {
    let repository = git2::Repository::init(project.root()).expect("a repository");
    let mut index = repository.index().expect("an index");
    index.add_path(std::path::Path::new("k.c")).expect("added");
    let tree = index.write_tree().expect("a tree");
    let tree = repository.find_tree(tree).expect("a tree");
    let who = git2::Signature::now("someone", "someone@example.com").expect("a name");
    let id = repository.commit(Some("HEAD"), &who, &who, "first", &tree, &[]).expect("a commit");
    index.write().expect("an index");
    id.to_string()
}

#[test]
fn an_artifact_holds_all_that_is_needed_to_judge_it() {
    let project = project("for (int i = 0; i < n; i++) y[i] = x[i];");
    let commit = commit_all(&project);
    project.edit("k.c", "y[i] = x[i];", "y[i] = 2 * x[i];");
    let run = project.run_with(["--artifact-only"]).code(0);
    let path = run.stdout.trim_end();
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let artifact: Value = serde_json::from_str(&text).expect("JSON");
    let from = &artifact["provenance"];
    assert_eq!(artifact["version"], 2);
    assert_eq!(
        (&artifact["stage"], &artifact["kind"], &artifact["status"]),
        (&"candidate".into(), &"bench".into(), &"passed".into())
    );
    assert_eq!(from["commit"], commit.as_str());
    let diff = from["kernel_diff"].as_str().expect("a diff");
    assert!(diff.contains("+  for (int i = 0; i < n; i++) y[i] = 2 * x[i];"), "{diff}");
    assert_eq!(
        (&from["pipeline"], &from["problem"], &from["kernel"]),
        (&"pipeline.toml".into(), &"problem.toml".into(), &serde_json::json!(["k.c"]))
    );
    assert!(!from["device_identity"].as_str().expect("a device").is_empty());
    let command = from["command"].to_string();
    assert!(command.contains("pipeline.toml") && command.contains("--artifact-only"), "{command}");
    assert!(artifact["output"].is_string());
    assert!(artifact["metrics"]["median_us"].is_number() && artifact["seconds"].is_number());
    let cases = artifact["result"]["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 2);
    // Two fresh processes of four launches each.
    let processes = cases[0]["processes"].as_array().expect("processes");
    let launches: Vec<_> = processes.iter().filter_map(|p| Some(p.as_array()?.len())).collect();
    assert_eq!(launches, [4, 4], "{}", cases[0]);
    assert!(artifact["key_fields"].as_array().is_some_and(|f| f.len() > 5), "{text}");
}

#[test]
fn what_a_kernel_prints_is_in_its_artifact() {
    let project = project(&format!("puts(\"seen\"); {GOOD}"));
    project.edit("k.c", "#include <stdlib.h>", "#include <stdio.h>");
    let run = project.run_with(["--format", "json", "smoke"]).code(0);
    let path = run.stage("smoke")["artifact"].as_str().expect("a path").to_owned();
    let artifact: Value =
        serde_json::from_str(&project.read(&format!(".optloop/{path}"))).expect("JSON");
    assert!(artifact["output"].as_str().expect("text").contains("seen"), "{artifact}");
}

#[test]
fn a_missing_compiler_is_told_before_anything_runs() {
    let project = project(GOOD);
    project.edit("pipeline.toml", "compile.flags", "compile.cc = \"no-such-cc\"\ncompile.flags");
    project.run().code(1).says("no-such-cc").says("pipeline.toml:");
    project.edit("pipeline.toml", "compile.cc = \"no-such-cc\"\n", "");
    let bare = project.args(["pipeline", "pipeline.toml"]).env("PATH", "/nonexistent").run();
    assert!(bare.stderr.contains("cc"), "{}", bare.all());
    bare.code(1);
    project.run().code(0);
}

#[test]
fn a_cpp_kernel_runs_like_any_other() {
    let project = project(GOOD);
    project.write(
        "k.cpp",
        "#include <algorithm>\nextern \"C\" void scale(const float *x, float *y, int n) {\n\
        std::transform(x, x + n, y, [](float v) { return 2 * v; });\n}\n",
    );
    let run = project.run_with(["--kernel", "k.cpp", "--format", "json"]).code(0);
    assert_eq!(ran(&run).len(), 4);
    project.edit("pipeline.toml", "\"k.c\"", "\"k.cpp\"");
    let own = json(&project).code(0);
    assert!(!ran(&own).contains(&"candidate".to_owned()), "the same binary\n{}", own.all());
}

#[test]
fn another_kernel_is_measured_in_the_place_of_the_pipelines() {
    let project = Project::new().kernels();
    let fast = "kernels/vector_add/vector_add_fast.c";
    project.args(["pipeline", "smoke", "--kernel", fast]).run().code(0).says("correct");
    project.args(["pipeline", "smoke", "--kernel", "kernels/none.c"]).run().code(1).says("none.c");
    let inside = project.path("kernels/vector_add");
    let known = project
        .args(["pipeline", "../../pipelines/smoke.toml", "--kernel", "vector_add_fast.c"])
        .in_folder(&inside)
        .run()
        .code(0);
    drop(known.says("everything is up to date"));
}

/// A shipped pipeline runs, with one look at a few launches, and is known then; whole it is run by the
/// pages.
fn shipped(name: &str) {
    let project = Project::new().kernels();
    let run = || project.args(["pipeline", name, "--repeats", "8"]).run().code(0);
    let text = run();
    assert!(!text.stdout.contains("up to date"), "{}", text.all());
    run().says("everything is up to date");
}

/// The shipped pipelines; each has a test of its own here.
const SHIPPED: [&str; 6] = ["candidate", "final", "leaderboard", "profile", "smoke", "sweep"];

#[test]
fn every_shipped_pipeline_has_its_test() {
    let project = Project::new().kernels();
    let files = std::fs::read_dir(project.path("pipelines")).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("text"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names, SHIPPED.map(|name| format!("{name}.toml")));
}

#[test]
fn the_shipped_candidate_runs_and_is_known_then() {
    shipped(SHIPPED[0]);
}

#[test]
fn the_shipped_final_runs_and_is_known_then() {
    shipped(SHIPPED[1]);
}

#[test]
fn the_shipped_leaderboard_runs_and_is_known_then() {
    shipped(SHIPPED[2]);
}

#[test]
fn the_shipped_profile_runs_and_is_known_then() {
    shipped(SHIPPED[3]);
}

#[test]
fn the_shipped_smoke_runs_and_is_known_then() {
    shipped(SHIPPED[4]);
}

#[test]
fn the_shipped_sweep_runs_and_is_known_then() {
    shipped(SHIPPED[5]);
}
