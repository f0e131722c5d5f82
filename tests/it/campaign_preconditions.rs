//! What must hold before a campaign begins: each with what is wrong and what mends it, and in their
//! order.

use std::fs;

use super::campaign::{commit_all, project};
use super::support::Project;

/// What is wrong, with how it comes about.
struct Case {
    name: &'static str,
    spoil: fn(&Project),
    code: i32,
    /// What the message says, and what it says to do.
    says: [&'static str; 2],
}

fn key(project: &Project, key: &str) {
    project.edit("campaign.toml", "[scope]", &format!("{key}\n[scope]"));
}

fn run(project: &Project, run: &str) {
    project.edit("campaign.toml", "replay = \"versions\"", run);
}

fn detach(project: &Project) {
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let head = repository.head().expect("HEAD").target().expect("a commit");
    repository.set_head_detached(head).expect("detached");
}

/// In the order in which they are told.
const CASES: [Case; 12] = [
    Case {
        name: "keys that contradict each other",
        spoil: |project| run(project, "replay = \"versions\"\nrun = [\"true\"]"),
        code: 1,
        says: ["an agent runs or is replayed", "leave out `run` or `replay`"],
    },
    Case {
        name: "options that cannot be",
        spoil: |project| key(project, "[compute]\nuse = \"docker\"\nrun = [\"ssh\", \"host\"]"),
        code: 1,
        says: ["a preset and a command of your own", "leave out `use` or `run`"],
    },
    Case {
        name: "changes that are not committed",
        spoil: |project| project.write("k.c", "// cycles: 1001\n"),
        code: 1,
        says: ["changes that are not committed: k.c", "commit them"],
    },
    Case {
        name: "no commit",
        spoil: |project| {
            key(project, "publish = \"branch\"");
            fs::remove_dir_all(project.path(".git")).expect("removed");
        },
        code: 1,
        says: ["need a git repository with a commit", "`git init`, `git add -A`, `git commit`"],
    },
    Case {
        name: "a detached HEAD that is to be moved",
        spoil: |project| {
            key(project, "publish = \"merge\"");
            detach(project);
        },
        code: 1,
        says: ["HEAD is detached", "`git switch BRANCH`"],
    },
    Case {
        name: "no agent",
        spoil: |project| run(project, "run = [\"no-such-agent\"]"),
        code: 1,
        says: ["there is no program `no-such-agent`", "mend [agent]"],
    },
    Case {
        name: "a variable that is not set",
        spoil: |project| run(project, "run = [\"true\"]\nenv = [\"NO_SUCH_TOKEN\"]"),
        code: 1,
        says: ["variables that are not set: NO_SUCH_TOKEN", "mend [agent]"],
    },
    Case {
        name: "no device to hold",
        spoil: |project| {
            key(project, "[hold]\nallocate = [[\"false\"]]\nrelease = [\"true\"]");
        },
        code: 75,
        says: ["no device is held", "policy = \"best-effort\""],
    },
    Case {
        name: "nowhere to compute",
        spoil: |project| key(project, "[compute]\ncheck = [\"false\"]"),
        code: 4,
        says: ["`false` ended with 1", "leave [compute] out"],
    },
    Case {
        name: "another device",
        spoil: |project| {
            key(project, "[compute]\ndevice = \"H200\"\ndevice_command = [\"echo\", \"A100\"]");
        },
        code: 4,
        says: ["the device is `A100`", "mend [compute] device"],
    },
    Case {
        name: "a guard that fails",
        spoil: |project| project.edit("campaign.toml", "\"tests/guard.sh\"", "\"-c\", \"exit 1\""),
        code: 1,
        says: ["the project as it is does not pass", "mend that; `optloop loop resume"],
    },
    Case {
        name: "a metric that is no number",
        spoil: |project| {
            project.edit("pipeline.toml", r"cycles: (\d+)", r"cycles: (\w+)");
            project.write("k.c", "// cycles: many\n");
            drop(commit_all(project));
        },
        code: 1,
        says: ["many", "mend that; `optloop loop resume"],
    },
];

#[test]
fn each_precondition_that_does_not_hold_is_told_with_what_mends_it() {
    for case in CASES {
        let project = project();
        (case.spoil)(&project);
        let ran = project.args(["loop", "start"]).run();
        drop(ran.code(case.code).says(case.says[0]).says(case.says[1]));
        let log = project.args(["loop", "results"]).run().all();
        assert!(!log.contains("| 1 |"), "{}: no iteration was begun: {log}", case.name);
    }
}

#[test]
fn of_two_that_do_not_hold_the_first_is_told() {
    for pair in [
        ["changes that are not committed", "no agent"],
        ["a detached HEAD that is to be moved", "a variable that is not set"],
        ["no agent", "no device to hold"],
        ["no device to hold", "nowhere to compute"],
        ["nowhere to compute", "a guard that fails"],
        ["a guard that fails", "a metric that is no number"],
    ] {
        let [first, second] =
            pair.map(|name| CASES.iter().find(|case| case.name == name).expect("one of the cases"));
        let project = project();
        (second.spoil)(&project);
        (first.spoil)(&project);
        drop(project.args(["loop", "start"]).run().code(first.code).says(first.says[0]));
    }
}

#[test]
fn a_budget_of_money_that_nothing_can_enforce_is_told_before_the_first_iteration() {
    let project = project();
    let run_and = |usage: &str| format!("run = [\"true\"]\n{usage}");
    run(&project, &run_and(""));
    project.edit("campaign.toml", "iterations = 20", "iterations = 1\ndollars = 5.0");
    let ran = project.args(["loop", "start"]).run().code(10);
    let ran = ran.says("budget.dollars and budget.tokens cannot be enforced");
    drop(ran.says("costs      not reported").says("1: no-op (the agent changed nothing)"));
    project.edit("campaign.toml", "run = [\"true\"]", "run = [\"true\"]\nusage = \"exact\"");
    let status = project.args(["loop", "status"]).run().code(0);
    drop(status.says("costs      not reported"));
    let ran = project.args(["loop", "start"]).run().code(10);
    drop(ran.says_nothing_of("cannot be enforced"));
}
