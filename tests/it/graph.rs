//! What runs, in what order, what a failure stops, and how a run ends.

use std::fmt::Write as _;
use std::fs;

use rustix::process::Signal;

use super::support::Project;

const NOTHING: [&str; 0] = [];

/// A stage that reports, then does something.
fn stage(name: &str, rest: &str, then: &str) -> String {
    let inputs = if rest.contains("inputs") { "" } else { "inputs = []\n" };
    format!("[stages.{name}]\n{inputs}{rest}\nrun = '''echo {name} >> ../ran; {then}'''\n")
}

#[test]
fn stages_run_after_what_they_need() {
    let mut text = stage("last", "needs = [\"left\", \"right\"]", "");
    text += &stage("right", "needs = [\"first\"]", "");
    text += &stage("left", "needs = [\"first\"]", "");
    text += &stage("first", "", "");
    let project = Project::new().pipeline(&text);
    project.run().code(0);
    let order = project.ran_in_order();
    assert_eq!((order[0].as_str(), order[3].as_str()), ("first", "last"), "{order:?}");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn only_the_stages_asked_for_and_what_they_need_run() {
    let text = stage("a", "", "") + &stage("b", "needs = [\"a\"]", "") + &stage("c", "", "");
    let project = Project::new().pipeline(&text);
    project.run_with(["b"]).code(0);
    assert_eq!(project.ran(), ["a", "b"]);
    assert_eq!(project.pass(), ["c"]);
    project.run_with(["d"]).code(1).says("`d`");
}

/// `bad` fails while `good` runs; each has one that needs it, and `free` needs nothing.
fn with_a_failure() -> Project {
    let wait = |file: &str| format!("while ! test -e {file}; do sleep 0.01; done");
    let mut text = stage("bad", "", &format!("{}; rm -f began; exit 3", wait("began")));
    text += &stage("good", "", "touch began; while test -e began; do sleep 0.01; done; sleep 0.05");
    text += &stage("after-bad", "needs = [\"bad\"]", "");
    text += &stage("after-good", "needs = [\"good\"]", "");
    text += &stage("free", "", "");
    Project::new().pipeline(&text)
}

#[test]
fn a_failure_ends_starts_and_lets_finish_what_runs() {
    let project = with_a_failure();
    let run = project.run_with(["--jobs", "2", "--format", "json"]).code(1);
    assert_eq!(project.ran(), ["bad", "good"], "{}", run.all());
    let outcomes = run.outcomes();
    assert_eq!((outcomes["bad"].as_str(), outcomes["good"].as_str()), ("failed", "ran"));
    let last = run.json().pop().expect("a line");
    assert_eq!((&last["event"], &last["blocked"]), (&"run_finished".into(), &3.into()));
}

#[test]
fn a_failure_among_many_ready_stages_starts_nothing_more() {
    let mut text = stage("s00", "", "exit 1");
    for i in 1..40 {
        text += &stage(&format!("s{i:02}"), "", "");
    }
    let project = Project::new().pipeline(&text);
    let run = project.run_with(["--jobs", "1", "--format", "json"]).code(1);
    assert_eq!(project.ran(), ["s00"], "{}", run.all());
    let last = run.json().pop().expect("a line");
    assert_eq!((&last["failed"], &last["blocked"]), (&1.into(), &39.into()));
}

#[test]
fn keep_going_runs_all_that_does_not_depend_on_the_failure() {
    let project = with_a_failure();
    let run = project.run_with(["--jobs", "2", "--keep-going", "--format", "json"]).code(1);
    assert_eq!(project.ran(), ["after-good", "bad", "free", "good"], "{}", run.all());
    assert_eq!(run.outcomes()["after-bad"], "blocked");
}

#[test]
fn a_failure_is_told_with_its_output_at_the_end() {
    let project = Project::new().pipeline(&stage("a", "", "echo oh no; exit 7"));
    project.run().code(1).says("it exited with 7").says("oh no").says("failed: a");
    let quiet = project.run_with(["--quiet"]).code(1).says("oh no");
    assert!(!quiet.stdout.contains("up to date"), "{}", quiet.all());
}

#[test]
fn a_condition_decides_and_decides_again_when_results_change() {
    let mut text =
        stage("ask", "inputs = [\"in\"]\nmetric = { name = \"n\", regex = 'n=(\\d+)' }", "cat in");
    text += &stage("many", "needs = [\"ask\"]\nwhen = \"ask.n > 5\"", "");
    text += &stage("follows", "needs = [\"many\"]", "");
    text += &stage("few", "needs = [\"ask\"]\nwhen = \"ask.n <= 5\"", "");
    let project = Project::new().pipeline(&text).file("in", "n=9");
    assert_eq!(project.pass(), ["ask", "follows", "many"]);
    assert_eq!(project.pass(), NOTHING);
    project.write("in", "n=2");
    let run = project.run_with(["--format", "json"]).code(0);
    assert_eq!(project.ran(), ["ask", "few"], "{}", run.all());
    let outcomes = run.outcomes();
    assert_eq!((outcomes["many"].as_str(), outcomes["follows"].as_str()), ("skipped", "skipped"));
    let again = project.run_with(["--format", "json"]).code(0);
    assert_eq!(again.outcomes()["many"], "skipped", "{}", again.all());
    assert_eq!(project.ran(), NOTHING);
    project.write("in", "n=9");
    let back = project.run_with(["--format", "json"]).code(0);
    assert_eq!(project.ran(), NOTHING);
    assert_eq!(back.outcomes()["few"], "skipped", "{}", back.all());
    assert_eq!(back.outcomes()["many"], "cached", "{}", back.all());
}

/// Three variants whose number is their value.
const MATRIX: &str = r#"
[stages.try]
matrix.vars.x = [3, 1, 2]
run = "echo ${x} >> ../ran; echo score ${x}"
inputs = []
metric = { name = "score", regex = 'score (\d+)' }
[stages.next]
needs = ["try"]
when = "try.score < 2"
run = "echo next >> ../ran"
inputs = []
"#;

#[test]
fn the_best_of_a_matrix_is_its_result() {
    let project = Project::new().pipeline(MATRIX);
    let run = project.run_with(["--format", "json"]).code(0);
    assert_eq!(project.ran(), ["1", "2", "3", "next"]);
    let best = run.stage("try");
    assert_eq!(best["metrics"]["score"], 1.0, "{best}");
    assert!(best["detail"]["best"].to_string().contains("x=1"), "{best}");
    assert_eq!(project.pass(), NOTHING);
    project.edit("pipeline.toml", "[3, 1, 2]", "[3, 1, 2, 0]");
    let run = project.run_with(["--format", "json"]).code(0);
    assert_eq!(project.ran(), ["0"]);
    assert_eq!(run.stage("try")["metrics"]["score"], 0.0);
    project.edit(
        "pipeline.toml",
        "regex = 'score (\\d+)'",
        "regex = 'score (\\d+)', better = \"higher\"",
    );
    let run = project.run_with(["--format", "json"]).code(0);
    assert_eq!(run.stage("try")["metrics"]["score"], 3.0);
    assert_eq!(run.outcomes()["next"], "skipped");
}

#[test]
fn a_matrix_with_a_failing_variant_has_the_best_of_the_others() {
    let project = Project::new().pipeline(MATRIX);
    project.edit("pipeline.toml", "echo score", "test ${x} != 1 && echo score");
    let run = project.run_with(["--keep-going", "--format", "json"]).code(1);
    assert_eq!(run.stage("try")["metrics"]["score"], 2.0, "{}", run.all());
}

/// Stages that fail when another one runs at the same time.
fn jealous(count: usize) -> String {
    let body = "mkdir lock || exit 9; sleep 0.01; rmdir lock";
    (0..count).map(|i| stage(&format!("s{i}"), "", body)).collect()
}

#[test]
fn one_job_means_one_at_a_time() {
    let project = Project::new().pipeline(&jealous(6));
    project.run_with(["--jobs", "1"]).code(0);
    assert_eq!(project.ran().len(), 6);
}

#[test]
fn an_exclusive_stage_runs_alone() {
    let mut text = String::new();
    for i in 0..4 {
        text += &stage(&format!("busy{i}"), "", "sleep 0.02; test -e lock && exit 9; true");
        text +=
            &stage(&format!("alone{i}"), "exclusive = true", "mkdir lock; sleep 0.02; rmdir lock");
    }
    let project = Project::new().pipeline(&text);
    project.run_with(["--jobs", "4"]).code(0);
    assert_eq!(project.ran().len(), 8);
}

#[test]
fn two_jobs_run_at_the_same_time() {
    let meet = |mine: &str, other: &str| {
        format!("touch {mine}; while ! test -e {other}; do sleep 0.01; done")
    };
    let text = stage("a", "timeout = \"20s\"", &meet("x", "y"))
        + &stage("b", "timeout = \"20s\"", &meet("y", "x"));
    Project::new().pipeline(&text).run_with(["--jobs", "2"]).code(0);
}

/// Ten layers of ten stages, each reading its own input and two outputs of the layer above; what
/// it writes depends on its own input alone.
fn layered() -> Project {
    let mut project = Project::new();
    let mut text = String::new();
    for i in 0..100usize {
        let above =
            if i < 10 { Vec::new() } else { vec![i - 10, i - 10 - i % 10 + (i % 10 + 1) % 10] };
        let needs: Vec<String> = above.iter().map(|u| format!("\"s{u:03}\"")).collect();
        let reads: Vec<String> = above.iter().map(|u| format!("out/{u:03}")).collect();
        let inputs: Vec<String> = reads.iter().map(|r| format!(", \"{r}\"")).collect();
        let _ = writeln!(
            text,
            "[stages.s{i:03}]\nneeds = [{}]\ninputs = [\"in/{i:03}\"{}]\noutputs = [\"out/{i:03}\"]\n\
             run = \"echo s{i:03} >> ../ran; cat in/{i:03} {} >/dev/null; cp in/{i:03} out/{i:03}\"",
            needs.join(", "),
            inputs.concat(),
            reads.join(" "),
        );
        project = project.file(&format!("in/{i:03}"), format!("stage {i}\n"));
    }
    project.pipeline(&text)
}

#[test]
fn a_leaf_of_a_layered_graph_with_the_same_content_reruns_nothing_and_with_another_three() {
    let project = layered();
    assert_eq!(project.pass().len(), 100);
    assert_eq!(project.pass(), NOTHING);
    project.write("in/000", "stage 0\n");
    assert_eq!(project.pass(), NOTHING);
    project.write("in/000", "stage zero\n");
    assert_eq!(project.pass(), ["s000", "s010", "s019"]);
    assert_eq!(project.read("out/000"), "stage zero\n");
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn rerun_runs_what_is_known() {
    let text = stage("a", "", "") + &stage("b", "", "");
    let project = Project::new().pipeline(&text);
    project.run().code(0);
    assert_eq!(project.ran(), ["a", "b"]);
    project.run_with(["--rerun"]).code(0);
    assert_eq!(project.ran(), ["a", "b"]);
    project.run_with(["--rerun", "a"]).code(0);
    assert_eq!(project.ran(), ["a"]);
    assert_eq!(project.pass(), NOTHING);
}

#[test]
fn a_stage_that_is_never_known_runs_every_time() {
    let text = stage("a", "cache = false\noutputs = [\"out\"]", "echo 1 > out")
        + &stage("b", "needs = [\"a\"]\ninputs = [\"out\"]", "");
    let project = Project::new().pipeline(&text);
    assert_eq!(project.pass(), ["a", "b"]);
    assert_eq!(project.pass(), ["a"]);
}

#[test]
fn variables_are_set_from_the_command_line_and_each_value_is_known_apart() {
    let text = "[vars]\nx = 1\n".to_owned() + &stage("a", "outputs = [\"out\"]", "echo ${x} > out");
    let project = Project::new().pipeline(&text);
    for (set, ran, out) in
        [("x=1", 1, "1\n"), ("x=2", 1, "2\n"), ("x=1", 0, "1\n"), ("x=2", 0, "2\n")]
    {
        project.run_with(["--set", set]).code(0);
        assert_eq!((project.ran().len(), project.read("out").as_str()), (ran, out), "{set}");
    }
    project.run_with(["--set", "y=1"]).code(1).says("y");
    project.run_with(["--set", "stages.a.salt=other"]).code(0);
    assert_eq!(project.ran(), ["a"]);
}

#[test]
fn a_temporary_failure_is_tried_again_once() {
    let flaky = "test -e tried && exit 0; touch tried; exit 75";
    let project = Project::new().pipeline(&stage("a", "", flaky));
    project.run().code(0).says("trying once more");
    assert_eq!(project.ran(), ["a", "a"]);
    assert_eq!(project.pass(), NOTHING);
    for (retries, times) in [("", 2), ("retries = 0", 1), ("retries = 3", 4)] {
        let project = Project::new().pipeline(&stage("a", retries, "exit 75"));
        project.run().code(75);
        assert_eq!(project.ran().len(), times, "{retries}");
    }
}

#[test]
fn a_wrong_answer_is_not_tried_again() {
    let project = Project::new().pipeline(&stage("a", "retries = 3", "exit 1"));
    project.run().code(1);
    assert_eq!(project.ran(), ["a"]);
}

/// A command that started what ignores TERM and left its session and group.
const TANGLED: &str = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 600' & \
    (setsid sleep 600 &) ; touch begun; sleep 600; sleep 600";

#[test]
fn a_timeout_ends_all_that_a_stage_started() {
    // The first in which a machine comes so far that there is something to end.
    let begun = ["300ms", "3s", "30s"].into_iter().any(|timeout| {
        let limits = format!("timeout = \"{timeout}\"\ngrace = \"200ms\"");
        let project = Project::new().pipeline(&stage("a", &limits, TANGLED));
        project.run().code(1).says("timed out");
        assert_eq!(project.processes(), NOTHING);
        project.path("begun").exists()
    });
    assert!(begun);
}

#[test]
fn what_a_stage_leaves_running_is_ended_and_told() {
    let left = "setsid sleep 600 & while ! grep -q sleep /proc/$!/comm; do sleep 0.01; done";
    let project = Project::new().pipeline(&stage("a", "", &left.replace('$', "$$")));
    project.run().code(0).says("ended what it left running: sleep");
    assert_eq!(project.processes(), NOTHING);
}

#[test]
fn ctrl_c_ends_everything_and_the_next_run_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let text = stage("a", "outputs = [\"a\"]", "echo 1 > a")
            + &stage(
                "b",
                "needs = [\"a\"]\ngrace = \"200ms\"",
                &format!("test -e go || {{ {TANGLED}; }}"),
            )
            + &stage("c", "needs = [\"b\"]", "");
        let project = Project::new().pipeline(&text);
        let run = project.args(["pipeline", "pipeline.toml"]).start();
        project.wait_for("begun", "");
        run.signal(signal);
        run.wait().code(130).says("interrupted");
        assert_eq!(project.processes(), NOTHING);
        assert_eq!(project.ran(), ["a", "b"]);
        project.write("go", "");
        assert_eq!(project.pass(), ["b", "c"]);
        assert_eq!(project.pass(), NOTHING);
    }
}

#[test]
fn json_lines_parse_and_begin_with_their_version() {
    let text = stage("a", "", "echo hello") + &stage("b", "needs = [\"a\"]", "");
    let project = Project::new().pipeline(&text);
    for known in [false, true] {
        let run = project.run_with(["--format", "json"]).code(0);
        let lines = run.json();
        assert_eq!(lines[0]["event"], "run_started", "{}", run.all());
        assert_eq!(lines[0]["version"], 2, "{}", run.all());
        let last = lines.last().expect("a line");
        assert_eq!(last["event"], "run_finished");
        let count = if known { "cached" } else { "ran" };
        assert_eq!(last[count], 2, "{}", run.all());
        assert_eq!(run.stage("a")["log"], "hello\n");
    }
}

#[test]
fn the_event_log_of_a_run_is_what_json_shows() {
    let project = Project::new().pipeline(&stage("a", "", "echo hello"));
    let run = project.run_with(["--format", "json"]).code(0);
    let name = run.json()[0]["run"].as_str().expect("a name").to_owned();
    let log = project.read(&format!(".optloop/runs/{name}/events.jsonl"));
    assert_eq!(log, run.stdout);
}

#[test]
fn recorded_output_is_shown_again_when_a_stage_is_known() {
    let project = Project::new().pipeline(&stage("a", "", "echo on out; echo on err >&2"));
    project.run().code(0).says("on out").says("on err");
    project.run().code(0).says("on out").says("on err").says("known").says("recorded");
    project.run_with(["--logs", "new"]).code(0).says_nothing_of("on out");
    project.run_with(["--quiet"]).code(0).says_nothing_of("on out");
    assert_eq!(project.ran(), ["a"]);
}

#[test]
fn artifact_only_prints_one_path_and_nothing_else() {
    let metric = "metric = { name = \"n\", regex = '\\d+' }";
    let project = Project::new()
        .pipeline(&(stage("a", metric, "echo 42") + &stage("b", "needs = [\"a\"]", "")));
    let first = project.run_with(["--artifact-only"]).code(0);
    let path = first.stdout.trim_end().to_owned();
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}\n{}", first.all()));
    let artifact: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&artifact["stage"], &artifact["metrics"]["n"]), (&"a".into(), &42.0.into()));
    let known = project.run_with(["--artifact-only"]).code(0);
    assert_eq!(known.stdout, first.stdout, "{}", known.all());
}

#[test]
fn artifact_only_prints_the_artifact_of_the_stage_that_is_named() {
    let metric = "metric = { name = \"n\", regex = '\\d+' }";
    let needs = format!("needs = [\"a\"]\n{metric}");
    let project =
        Project::new().pipeline(&(stage("a", metric, "echo 1") + &stage("b", &needs, "echo 2")));
    let all = project.run_with(["--artifact-only"]).code(0);
    assert!(all.stdout.trim_end().ends_with("/b.json"), "{}", all.all());
    // Whatever else has run, and whether or not it is known.
    let named = project.run_with(["a", "--artifact-only"]).code(0);
    assert!(named.stdout.trim_end().ends_with("/a.json"), "{}", named.all());
    let several = project.run_with(["b", "a", "--artifact-only", "--rerun"]).code(0);
    assert!(several.stdout.trim_end().ends_with("/a.json"), "{}", several.all());
}

#[test]
fn exit_codes_are_those_of_the_table() {
    let project = Project::new()
        .file("good.toml", "name = \"x\"\n[stages.a]\nrun = \"true\"\n")
        .file("bad.toml", "name = \"x\"\n[stages.a]\nrum = \"true\"\n")
        .file("fails.toml", "name = \"x\"\n[stages.a]\nrun = \"false\"\n")
        .file("busy.toml", "name = \"x\"\n[stages.a]\nrun = \"exit 75\"\nretries = 0\n")
        .kernels()
        .file(
            "cuda.toml",
            "name = \"x\"\ndevice = \"cuda:9\"\nkernel = \"kernels/softmax/softmax.cu\"\n\
             problem = \"kernels/softmax/problem.toml\"\n[stages.smoke]\n",
        );
    for (args, code) in [
        (["pipeline", "good"], 0),
        (["pipeline", "good.toml"], 0),
        (["pipeline", "bad"], 1),
        (["pipeline", "missing"], 1),
        (["pipeline", "fails"], 1),
        (["pipeline", "--nonsense"], 2),
        (["nonsense", "good"], 2),
        (["pipeline", "cuda"], 4),
        // What runs nothing needs no device.
        (["graph", "cuda"], 0),
        (["explain", "cuda"], 0),
        (["pipeline", "busy"], 75),
    ] {
        project.args(args).run().code(code);
    }
    project.args(["pipeline", "cuda"]).run().says("cuda:9 cannot be had");
    project.args(["--help"]).run().code(0).says("Exit codes:");
    project.args(["--version"]).run().code(0).says("optloop");
}

#[test]
fn edits_of_pipelines_and_presets_are_seen_from_any_folder() {
    let project = Project::new()
        .file(
            "pipelines/p.toml",
            "name = \"p\"\n[stages.a]\nrun = \"echo a1 >> ../../ran\"\ninputs = []\n[stages.mine]\n",
        )
        .file("stages/mine.toml", "run = \"echo mine1 >> ../../ran\"\ninputs = []\n")
        .file("sub/x", "");
    let from = |folder: &str, file: &str| {
        let folder = project.path(folder);
        project.args(["pipeline", file]).in_folder(&folder).run()
    };
    for (i, (folder, file)) in [
        (".", "p"),
        ("sub", "../pipelines/p.toml"),
        ("pipelines", "p.toml"),
        ("stages", "../pipelines/p"),
        ("..", "work/pipelines/p.toml"),
    ]
    .into_iter()
    .enumerate()
    {
        from(folder, file).code(0);
        project.ran();
        project.edit("pipelines/p.toml", &format!("a{}", i + 1), &format!("a{}", i + 2));
        from(folder, file).code(0);
        assert_eq!(project.ran(), [format!("a{}", i + 2)], "{folder} {file}");
        project.edit("stages/mine.toml", &format!("mine{}", i + 1), &format!("mine{}", i + 2));
        from(folder, file).code(0);
        assert_eq!(project.ran(), [format!("mine{}", i + 2)], "{folder} {file}");
        project.write("stages/other.toml", "run = \"true\"\n");
        from(folder, file).code(0);
        assert_eq!(project.ran(), NOTHING);
        project.remove("stages/other.toml");
    }
    project.remove("stages/mine.toml");
    from(".", "p").code(1).says("mine");
}

#[test]
fn a_pipeline_runs_from_any_folder_and_keeps_its_results_when_the_project_moves() {
    let text = stage("a", "inputs = [\"in\"]\noutputs = [\"out/a\"]", "cat in > out/a")
        .replace("../ran", "$HOME/../ran");
    let project =
        Project::new().file("in", "1").file("sub/folder/x", "").pipeline(&text.replace('$', "$$"));
    assert_eq!(project.pass(), ["a"]);
    let elsewhere = project.path("sub/folder");
    project.args(["pipeline", "../../pipeline.toml"]).in_folder(&elsewhere).run().code(0);
    assert_eq!(project.ran(), NOTHING);
    // A copy, as a backup or a checkout cache makes it: other inodes, other times.
    let copy = Project::new();
    super::support::copy(&project.root(), &copy.root());
    assert_eq!(copy.pass(), NOTHING);
    copy.write("in", "2");
    assert_eq!(copy.pass(), ["a"]);
}

#[test]
fn a_null_run_and_graph_write_nothing() {
    let text = stage("a", "outputs = [\"a\"]", "echo 1 > a") + &stage("b", "needs = [\"a\"]", "");
    let project = Project::new().pipeline(&text);
    project.run().code(0);
    project.run().code(0);
    let before = project.state();
    project.run().code(0).says("2 known: everything is up to date");
    project.args(["graph", "pipeline.toml"]).run().code(0).says("b");
    assert!(project.state() == before, "the state was written to");
}
