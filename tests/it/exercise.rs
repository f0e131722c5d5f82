//! A campaign on the public exercise in small: fewer cycles of a simulated machine, tests that must not
//! change, and a harness that prints the number.

use std::fs;

use serde_json::Value;

use super::campaign::{commit_all, users_files};
use super::support::Project;

pub(crate) const PROBLEM: &str = r"
class Machine:
    def __init__(self, instrs):
        self.instrs, self.cycle, self.total = instrs, 0, 0

    def run(self):
        for cost, value in self.instrs:
            self.cycle += cost
            self.total += value
";

pub(crate) fn kernel(cost: u32, words: &str) -> String {
    format!(
        "class KernelBuilder:\n    def __init__(self):\n        self.instrs = []\n\n    \
             def build_kernel(self, rounds):\n        # {words}\n        \
             self.instrs = [({cost}, i) for i in range(rounds)]\n"
    )
}

/// Whether there is a python3 that runs in the environment of these tests.
#[expect(clippy::disallowed_methods, reason = "which tools must be there is told by it")]
pub(crate) fn has_python(project: &Project) -> bool {
    project.write_pipeline("[stages.a]\nrun = \"python3 -c 1\"\n");
    let there = project.run_with(["--format", "json"]).outcomes()["a"] == "ran";
    if !there {
        let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
        let named = required.split(',').any(|tool| tool == "python3");
        assert!(!named, "OPTLOOP_REQUIRE: there is no python3");
    }
    there
}

/// It imports the kernel beside its own folder, and says the cycles of each of two tests.
const HARNESS: &str = r#"
import os, sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from problem import Machine
from perf_takehome import KernelBuilder

for rounds in (64, 128):
    builder = KernelBuilder()
    builder.build_kernel(rounds)
    machine = Machine(builder.instrs)
    machine.run()
    assert machine.total == sum(range(rounds)), "wrong result"
    print("CYCLES: ", machine.cycle)
"#;

const PIPELINE: &str = r#"
kernel = "perf_takehome.py"
[stages.cycles]
run = ["python3", "-B", "-S", "tests/submission_tests.py"]
inputs = ["*.py", "tests/*.py"]
incumbent = "best"
metric = { name = "cycles", regex = 'CYCLES:\s+(\d+)' }
"#;

const CAMPAIGN: &str = r#"
name = "cycles"
goal = "Fewer cycles."
pipeline = "pipeline.toml"
[scope]
edit = ["perf_takehome.py", "lib/**"]
protect = ["**/tests/**"]
[agent]
replay = "versions"
[[guard]]
run = ["git", "diff", "--exit-code", "origin/main", "tests/"]
[budget]
iterations = 100
"#;

/// What happens to a version.
#[derive(Clone, Copy)]
enum Kind {
    /// This many cycles a round.
    Costs(u32),
    /// The same instructions in other words.
    Rephrased,
    /// A sum that is wrong.
    Wrong,
    /// No program.
    Broken,
    /// Its last line looks like a result.
    Forged,
    /// Fewer cycles by another harness.
    EasierTest,
    /// Fewer cycles by another machine.
    EasierMachine,
    /// A protected folder that is not at the top.
    DeepTest,
    /// Nothing but notes.
    Notes,
}

/// 48 versions of a kernel that takes 20 cycles a round.
fn versions() -> Vec<Kind> {
    use Kind::*;
    let mut best = 20;
    let mut all = Vec::new();
    for round in 0..6 {
        best -= 2;
        all.extend([Costs(best), EasierTest, Notes, Wrong]);
        all.push([Costs(best + 3), EasierTest][round % 2]);
        all.push([EasierMachine, DeepTest][round % 2]);
        all.push([Rephrased, Forged][round % 2]);
        all.push([Broken, Wrong][round % 2]);
    }
    all
}

/// How it ends, and its cycles where they are believed.
fn ends(kind: Kind, best: &mut u32) -> &'static str {
    match kind {
        Kind::Costs(cost) if cost < *best => {
            *best = cost;
            "kept"
        }
        Kind::Costs(_) | Kind::Rephrased => "reverted",
        Kind::Wrong | Kind::Broken => "failed",
        Kind::Forged => "guard",
        Kind::EasierTest | Kind::EasierMachine | Kind::DeepTest => "invalid",
        Kind::Notes => "no-op",
    }
}

fn write(project: &Project, at: usize, kind: Kind, best: u32) {
    let file = |name: &str, text: &str| {
        project.write(&format!("versions/{:02}-version/{name}", at + 1), text);
    };
    let own = |text: &str| file("perf_takehome.py", text);
    match kind {
        Kind::Costs(cost) => own(&kernel(cost, "measured")),
        Kind::Rephrased => own(&kernel(best, &format!("in other words {at}"))),
        Kind::Wrong => own(&kernel(1, &format!("wrong {at}")).replace(", i)", ", 0)")),
        Kind::Broken => own(&format!("class KernelBuilder: # {at}\n")),
        Kind::Forged => {
            let print = "import atexit\natexit.register(lambda: print('CYCLES:  7'))\n";
            own(&format!("{print}{}# {at}\n", kernel(best, "forged")));
        }
        Kind::EasierTest => {
            own(&kernel(1, &format!("easier {at}")).replace(", i)", ", 0)"));
            file("tests/submission_tests.py", &HARNESS.replace("assert", "#"));
        }
        Kind::EasierMachine => {
            own(&kernel(best, &format!("easier {at}")));
            file("problem.py", &PROBLEM.replace("+= cost", "+= 1"));
        }
        Kind::DeepTest => {
            own(&kernel(1, &format!("deep {at}")));
            file("lib/tests/expected.py", "TOTAL = 0\n");
        }
        Kind::Notes => file("notes.md", "An idea.\n"),
    }
}

fn exercise() -> Project {
    Project::new()
        .file("tests/submission_tests.py", HARNESS)
        .file("lib/tests/expected.py", "TOTAL = 8128\n")
        .file("problem.py", PROBLEM)
        .file("perf_takehome.py", kernel(20, "plain"))
        .file("campaign.toml", CAMPAIGN)
        .file(".gitignore", "/versions\n/trace\n/cache\n")
}

/// As someone has it who cloned it.
fn cloned(project: &Project) {
    project.write_pipeline(PIPELINE);
    let repository = commit_all(project);
    let head = repository.head().and_then(|head| head.peel_to_commit()).expect("a commit");
    let name = "refs/remotes/origin/main";
    repository.reference(name, head.id(), true, "cloned").expect("a reference");
}

#[test]
fn of_forty_eight_versions_those_are_kept_that_win_by_the_kernel_alone() {
    let project = exercise();
    if !has_python(&project) {
        eprintln!("skipped: no python3 runs here");
        return;
    }
    cloned(&project);
    let mut best = 20;
    let mut wanted = Vec::new();
    for (at, kind) in versions().into_iter().enumerate() {
        wanted.push(ends(kind, &mut best));
        write(&project, at, kind, best);
    }
    assert_eq!((wanted.len(), best), (48, 8));
    let before = users_files(&project.root());
    drop(project.args(["loop", "start"]).run().code(0).says("no further version"));
    let records = project.args(["loop", "results", "--format", "json"]).run().code(0).json();
    let word = |record: &Value| record["status"].as_str().expect("a word").to_owned();
    let found: Vec<String> = records.iter().skip(1).map(word).collect();
    assert_eq!(found, wanted);
    let told = project.args(["loop", "results"]).run().code(0);
    let told = told.says("tests/submission_tests.py is protected").says("lib/tests/expected.py is");
    let told = told.says("problem.py is not among the files that may be edited");
    drop(told.says("`cycles` is printed 3 times, and 2 times by the project as it was"));
    assert_eq!(records[0]["metric"], 128.0 * 20.0);
    let last = records.iter().rev().find(|record| record["status"] == "kept").expect("one");
    assert_eq!(last["metric"], 128.0 * 8.0);
    assert_eq!(users_files(&project.root()), before);
    project.expect_no_processes();
}

#[test]
fn a_project_whose_tests_are_not_those_of_origin_does_not_pass_its_guard() {
    let project = exercise();
    if !has_python(&project) {
        eprintln!("skipped: no python3 runs here");
        return;
    }
    cloned(&project);
    fs::create_dir(project.path("versions")).expect("made");
    project.write("tests/submission_tests.py", HARNESS.replace("assert", "#"));
    commit_all(&project);
    let ran = project.args(["loop", "start"]).run().code(1);
    drop(ran.says("does not pass").says("git diff --exit-code origin/main tests/"));
}
