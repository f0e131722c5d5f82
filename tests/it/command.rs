//! Commands that are compared: each side in a tree of its own, and the number that they print.

use std::fs;

use serde_json::Value;

use super::support::{Project, Ran};

/// A command that is run on `k.txt` and on `old.txt`; `{}` is what it runs, and what else it says.
fn compared(run: &str, more: &str) -> String {
    format!(
        "kernel = \"k.txt\"\n[stages.cycles]\nrun = '''{run}'''\ninputs = [\"k.txt\"]\n\
         incumbent = \"file:old.txt\"\n{more}\n\
         metric = {{ name = \"cycles\", regex = 'cycles: ([0-9.]+)' }}\n"
    )
}

fn project(new: &str, old: &str) -> Project {
    Project::new().file("k.txt", new).file("old.txt", old)
}

fn comparison(ran: &Ran, stage: &str) -> Value {
    ran.stage(stage)["detail"]["comparison"].clone()
}

fn json(project: &Project) -> Ran {
    project.run_with(["--format", "json"])
}

#[test]
fn each_side_finds_its_own_kernel_wherever_the_command_looks_for_it() {
    let vars = "[vars]\nsrc = \"${kernel}\"\n";
    for (run, env, vars) in [
        ("cat k.txt", "", ""),
        ("cat \"$K\"", "env = { K = \"${kernel}\" }", ""),
        ("cat ${src}", "", vars),
        ("cat ${dir}/k.txt", "", ""),
    ] {
        for (new, code, reason) in [(9000, 0, "faster"), (12_000, 3, "slower")] {
            let project = project(&format!("cycles: {new}"), "cycles: 10000");
            let text = compared(run, env).replace("[stages.", &format!("{vars}[stages."));
            project.write_pipeline(&text);
            // By its whole path, so that ${dir} is one, too.
            let file = project.path("pipeline.toml").display().to_string();
            let ran = project.args(["pipeline", &file, "--format", "json"]).run().code(code);
            let found = comparison(&ran, "cycles");
            assert_eq!(
                (&found["reason"], &found["launches"]),
                (&reason.into(), &4.into()),
                "{run}"
            );
        }
    }
}

#[test]
fn another_kernel_of_the_command_line_lies_where_the_command_looks_for_it() {
    let project = project("cycles: 12000", "cycles: 10000").file("try.txt", "cycles: 9000");
    project.write_pipeline(&compared("cat k.txt", ""));
    let ran = project.run_with(["--kernel", "try.txt", "--format", "json"]).code(0);
    assert_eq!(comparison(&ran, "cycles")["reason"], "faster");
    project.write_pipeline(&compared("cat ${kernel}", ""));
    project.run_with(["--kernel", "try.txt"]).code(0).says("better than old.txt");
}

#[test]
fn a_number_that_does_not_depend_on_the_kernel_is_refused() {
    let project = project("cycles: 9000", "cycles: 10000").file("other.txt", "cycles: 5000");
    project.write_pipeline(&compared("cat other.txt", ""));
    let ran = project.run().code(1).says("does not depend on the kernel").says("5000 with k.txt");
    ran.says("hand it ${kernel}");
    // What a stage before it built is one side's.
    let built = "[stages.build]\nrun = \"cp k.txt built\"\ninputs = [\"k.txt\"]\n\
                 outputs = [\"built\"]\n";
    let text = compared("cat built", "needs = [\"build\"]");
    let text = text.replace("[\"k.txt\"]\nincumbent", "[\"built\"]\nincumbent");
    project.write_pipeline(&text.replace("[stages.cycles]", &format!("{built}[stages.cycles]")));
    project.run().code(1).says("a file that an earlier stage built");
}

#[test]
fn the_outputs_are_the_candidates_and_the_project_gets_nothing_else() {
    let project = project("cycles: 9000", "cycles: 10000");
    let text =
        compared("cat k.txt; cp k.txt out.txt; echo x > dropping", "outputs = [\"out.txt\"]");
    let next =
        "[stages.next]\nneeds = [\"cycles\"]\nrun = \"cat out.txt\"\ninputs = [\"out.txt\"]\n";
    project.write_pipeline(&(text + next));
    // The order of a pair is drawn: one run would be right half of the time.
    for _ in 0..4 {
        project.run_with(["--rerun"]).code(0);
        assert_eq!(project.read("out.txt"), "cycles: 9000");
    }
    assert!(!project.path("dropping").exists(), "it was written in a tree");
    fs::remove_file(project.path("out.txt")).expect("an output");
    let ran = json(&project).code(0);
    assert_eq!(ran.outcomes()["cycles"], "restored");
    assert_eq!(project.read("out.txt"), "cycles: 9000");
}

#[test]
fn an_output_that_is_not_written_is_missed_and_an_old_one_is_not_taken_for_it() {
    let project = project("cycles: 9000", "cycles: 10000").file("out.txt", "old");
    project.write_pipeline(&compared("cat k.txt", "outputs = [\"out.txt\"]"));
    project.run().code(1).says("did not write its declared output out.txt");
    assert_eq!(project.read("out.txt"), "old");
}

#[test]
fn a_build_is_made_anew_after_an_edit_and_is_of_the_side_that_runs_it() {
    // A stand-in of make; `built` lies in the project, too, newer than the kernel.
    let make =
        "if [ k.txt -nt built ]; then cp k.txt built; echo build >> $HOME/../ran; fi; cat built";
    let project = project("cycles: 9000", "cycles: 10000");
    project.write("built", "cycles: 1");
    project.write_pipeline(&compared(make, ""));
    let found = comparison(&json(&project).code(0), "cycles");
    assert_eq!(found["reason"], "faster");
    project.ran();
    project.write("k.txt", "cycles: 8000");
    project.write("built", "cycles: 8000");
    let ran = json(&project).code(0);
    let found = comparison(&ran, "cycles");
    assert!((found["gain"].as_f64().expect("a gain") - 0.2).abs() < 1e-9, "{found}");
    assert!(!project.ran().is_empty(), "{}", ran.all());
}

#[test]
fn what_git_ignores_is_carried_when_it_is_named_and_is_named_when_it_is_missed() {
    let project = project("cycles: 9000", "cycles: 10000").file(".gitignore", "data/\n");
    project.write("data/deep/factor", "1");
    project.write("tools/k", "");
    let run = "test $(cat data/deep/factor) = 1 && cat k.txt";
    project.write_pipeline(&compared(run, ""));
    project.run().code(1).says("a copy of the project").says("carry = [\"data\"]");
    project.write_pipeline(&compared(run, "carry = [\"data\"]"));
    project.run().code(0).says("better than old.txt");
    project.write_pipeline(&compared(run, "carry = [\"dat\"]"));
    project.run().code(1).says("the carried path `dat` is not there");
}

#[test]
fn a_final_stage_asks_anew() {
    let project = project("cycles: 9000", "cycles: 10000");
    let one = compared("cat k.txt", "");
    let body = one.split_once("[stages.cycles]").expect("a stage").1;
    let also = format!("[stages.final]\nneeds = [\"cycles\"]{body}");
    let confirm = format!("[stages.sure]\npurpose = \"final\"\nneeds = [\"final\"]{body}");
    project.write_pipeline(&format!("{one}{also}"));
    let ran = json(&project).code(0);
    let of = |ran: &Ran, stage: &str| ran.stage(stage)["artifact"].as_str().map(str::to_owned);
    assert_eq!(
        (ran.outcomes()["cycles"].as_str(), ran.outcomes()["final"].as_str()),
        ("ran", "ran")
    );
    assert!(of(&ran, "final").expect("an artifact").ends_with("/final.json"), "{}", ran.all());
    // Two confirmations are one question.
    project.write_pipeline(&format!("{one}{also}{confirm}"));
    assert_eq!(json(&project).code(0).outcomes()["sure"], "cached");
}

#[test]
fn what_measures_runs_alone() {
    let stage = |name: &str| {
        format!(
            "[stages.{name}]\nrun = 'mkdir busy || echo both >> ../ran; sleep 0.05; rmdir busy; \
             echo n 1'\nmetric = {{ name = \"n\", regex = 'n (\\d+)' }}\n"
        )
    };
    let project = Project::new().pipeline(&(stage("a") + &stage("b") + &stage("c")));
    project.run_with(["--jobs", "3"]).code(0);
    assert!(project.ran().is_empty(), "two ran at the same time");
}

#[test]
fn a_metric_says_where_it_is_and_what_it_is_in() {
    let single = |run: &str, metric: &str| {
        let text =
            format!("[stages.a]\nrun = '''{run}'''\nmetric = {{ name = \"t\", {metric} }}\n");
        Project::new().pipeline(&text)
    };
    let bench = r#"echo "{\"b\":[{\"name\":\"mean\",\"t\":1.5},{\"name\":\"cv\",\"t\":0.0054}]}""#;
    let several = single(bench, "json = '$.b[*].t'");
    several.run().code(1).says("2 values at $.b[*].t").says("$.b[0].t");
    let stderr = "echo 'time: 99 us' >&2";
    let missed = single(stderr, "regex = 'time: ([0-9]+)'").run().code(1);
    missed.says("standard output").says("add stream = \"stderr\"");
    let read = single(stderr, "regex = 'time: ([0-9]+)', stream = 'stderr'");
    assert_eq!(json(&read).code(0).stage("a")["metrics"]["t"], 99.0);
    let twice = single("echo t: 5; echo t: 7", "regex = 't: ([0-9]+)'");
    let detail = json(&twice).code(0).stage("a")["detail"].clone();
    assert_eq!((&detail["metric"], &detail["matches"]), (&"t".into(), &2.into()));
}

#[test]
fn a_longer_time_is_a_loss_in_whatever_unit_it_is_printed() {
    let text = |more: &str| {
        compared("cat k.txt", "").replace(
            "'cycles: ([0-9.]+)'",
            &format!("'time: ([0-9.]+) ?(?<unit>\\S+)', deterministic = true{more}"),
        )
    };
    let project = project("time: 1.302 ms", "time: 930.1 us");
    project.write_pipeline(&text(", unit = \"us\""));
    let ran = json(&project).code(3);
    let metric = ran.stage("cycles")["metrics"]["cycles"].as_f64().expect("a number");
    assert!((metric - 1302.0).abs() < 1e-9, "{metric}");
    assert_eq!(comparison(&ran, "cycles")["reason"], "slower");
    project.write_pipeline(&text(""));
    project.run().code(1).says("does not say what it is given in").says("unit = \"us\"");
    // Without a group the number alone would be a gain of 99.86 %.
    project.write_pipeline(&text("").replace(" ?(?<unit>\\S+)", ""));
    project.run().code(1).says("in ms and in us").says_nothing_of("KEEP");
}

#[test]
fn fewer_matches_than_the_incumbent_has_are_told() {
    let twice = "cycles: 10000\ncycles: 10000\n";
    let project = project("cycles: 9000\n", twice);
    project.write_pipeline(&compared("cat k.txt", ""));
    let detail = json(&project).code(0).stage("cycles")["detail"].clone();
    assert_eq!((&detail["matches"], &detail["incumbent_matches"]), (&1.into(), &2.into()));
    let warning = detail["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("1 times for the candidate and 2 times"), "{warning}");
}

#[test]
fn without_a_kernel_there_is_nothing_to_compare() {
    let project = Project::new();
    project.write_pipeline(&compared("echo cycles: 1", "").replace("kernel = \"k.txt\"\n", ""));
    project.write("k.txt", "");
    project.write("old.txt", "");
    project.run().code(1).says("without a `kernel` both sides would be the same");
}

/// The public exercise in small: the harness puts its parent folder first on the path, imports the
/// kernel from there and prints the cycles of each test.
mod exercise {
    use super::*;
    use crate::exercise::{PROBLEM, has_python, kernel};

    const HARNESS: &str = r#"
import inspect, os, sys, unittest

currentdir = os.path.dirname(os.path.abspath(inspect.getfile(inspect.currentframe())))
parentdir = os.path.dirname(currentdir)
sys.path.insert(0, parentdir)

from problem import Machine
from perf_takehome import KernelBuilder


def do_kernel_test(rounds):
    builder = KernelBuilder()
    builder.build_kernel(rounds)
    machine = Machine(builder.instrs)
    machine.run()
    assert machine.total == sum(range(rounds)), "wrong result"
    print("CYCLES: ", machine.cycle)
    return machine.cycle


class CorrectnessTests(unittest.TestCase):
    def test_kernel_correctness(self):
        for rounds in (64, 128):
            do_kernel_test(rounds)


class SpeedTests(unittest.TestCase):
    def test_kernel_speedup(self):
        self.assertLess(do_kernel_test(128), 1)


if __name__ == "__main__":
    unittest.main()
"#;

    const PIPELINE: &str = r#"
kernel = "perf_takehome.py"
[stages.cycles]
run = ["python3", "-B", "tests/submission_tests.py", "CorrectnessTests"]
inputs = ["*.py", "tests/*.py"]
incumbent = "best"
metric = { name = "cycles", regex = 'CYCLES:\s+(\d+)' }
"#;

    #[test]
    fn fewer_cycles_are_kept_in_four_runs_equal_ones_are_no_difference_and_more_go_back() {
        let project = Project::new()
            .file("tests/submission_tests.py", HARNESS)
            .file("problem.py", PROBLEM)
            .file("perf_takehome.py", kernel(20, "plain"));
        if !has_python(&project) {
            eprintln!("skipped: no python3 runs here");
            return;
        }
        project.write_pipeline(PIPELINE);
        let first = project.run_with(["--format", "json"]).code(0).stage("cycles");
        assert_eq!(first["metrics"]["cycles"], 2560.0, "the last of two tests counts");
        assert_eq!(first["detail"]["matches"], 2, "{first}");
        for (cost, words, code, reason) in [
            (15, "vector", 0, "faster"),
            (15, "other words", 3, "no_worthwhile_difference"),
            (16, "spills", 3, "slower"),
        ] {
            project.write("perf_takehome.py", kernel(cost, words));
            let ran = project.run_with(["--format", "json"]).code(code);
            let found = comparison(&ran, "cycles");
            assert_eq!((&found["reason"], &found["launches"]), (&reason.into(), &4.into()));
            if code == 0 {
                project.args(["keep", "--no-commit", "--summary", words]).run().code(0);
            }
        }
        project.args(["revert", "--summary", "spills"]).run().code(0);
        assert_eq!(project.read("perf_takehome.py"), kernel(15, "vector"));
    }
}
