//! Agents that are broken or hostile, with the real program: each turn ends as documented, nothing
//! outside of the agent's copy changes, and the campaign goes on.

use std::fs;
use std::path::Path;

use optloop::process::sandbox::SandboxLevel;
use serde_json::Value;

use super::campaign::{project, users_files};
use super::support::Project;

/// What an agent does in an iteration, and how that ends. `good` makes the kernel a bit faster; `$1`
/// is the checkout, `$state` the campaign's folder, and the agent stands in its copy.
const TURNS: &[(&str, &str)] = &[
    ("good", "kept"),
    ("echo 'cycles? none' > k.c", "failed"),
    // It ends badly, or with nothing.
    ("good; exit 3", "kept"),
    ("exit 3", "agent-failed"),
    ("exit 0", "no-op"),
    ("good; kill -9 $$", "kept"),
    ("no-such-program", "agent-failed"),
    // It leaves things running, prints and writes without an end.
    ("good; (setsid sh -c 'sleep 300' >/dev/null 2>&1 &); setsid -f sleep 300", "kept"),
    ("yes 'this goes on' | head -c 64000000; good", "kept"),
    ("mkdir -p lib; head -c 11000000 /dev/zero > lib/huge.h", "invalid"),
    ("head -c 11000000 /dev/zero > notes.bin; good", "kept"),
    // It changes what it must not.
    ("good; echo test > tests/list", "invalid"),
    ("good; rm -r tests", "invalid"),
    ("good; echo '# mine' >> pipeline.toml", "invalid"),
    ("good; mkdir -p cache; echo planted > cache/entry", "kept"),
    ("good; mkdir -p .claude; echo '{}' > .claude/settings.json; echo evil > AGENTS.md", "kept"),
    // It plants what git would run.
    (
        "good; mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch %s/planted\\n' \"$1\" > .git/hooks/pre-commit\n\
         chmod +x .git/hooks/*; git config core.hooksPath .git/hooks\n\
         git config filter.x.clean \"touch $1/planted; cat\"; echo '* filter=x' > .gitattributes",
        "kept",
    ),
    ("good; rm -rf .git; ln -s \"$1/.git\" .git", "kept"),
    (
        "echo x >> k.c; git stash -q; git push origin main; good; git add -A; git commit -qm x",
        "kept",
    ),
    ("good; git worktree add ../outside; git -C \"$1\" commit --allow-empty -m x; true", "kept"),
    // It leads out of its copy.
    ("ln -sf /etc/passwd k.c", "invalid"),
    ("rm k.c; mkfifo k.c", "invalid"),
    ("good; ln -s / lib; ln -s \"$1\" out; echo x > out/k.c", "kept"),
    ("good; echo planted > \"$1/tests/list\"; rm -rf \"$1/k.c\" \"$1/.git\"; true", "kept"),
    (
        "good; echo '{}' >> \"$state/events.jsonl\"; rm -rf \"$state/repo\" \"$state/best\"\n\
         echo '// cycles: 1' > \"$state/trees/judge/k.c\"; mkdir -p \"$state/inbox\"\n\
         touch \"$state/inbox/stop\"; true",
        "kept",
    ),
    ("good; kill -0 $PPID 2>/dev/null && echo reached; true", "kept"),
    ("good", "kept"),
];

fn script() -> String {
    let mut text = "turn=$(basename \"$(dirname \"$OPTLOOP_PROMPT\")\" | sed 's/^0*//')\n\
                    state=$(dirname \"$OPTLOOP_PROMPT\")/../..\n\
                    good() { echo \"// cycles: $((900 - 10 * turn))\" > k.c; }\n\
                    [ \"$(cat tests/list)\" = \"test one\ntest two\" ] || exit 40\n\
                    [ ! -e .claude ] && [ ! -e AGENTS.md ] && [ -d .git ] || exit 41\n\
                    case $turn in\n"
        .to_owned();
    for (number, (turn, _)) in (1..).zip(TURNS) {
        text.push_str(&format!("{number}) {turn};;\n"));
    }
    text + "esac\n"
}

/// A project whose agent takes these turns.
fn hostile() -> Project {
    let project = project();
    let agent = project.root().with_file_name("agent.sh");
    fs::write(&agent, script()).expect("written");
    let run = format!("run = [\"sh\", \"{}\", \"{}\"]", agent.display(), project.root().display());
    project.edit("campaign.toml", "replay = \"versions\"", &run);
    project.edit("campaign.toml", "iterations = 20", &format!("iterations = {}", TURNS.len()));
    project
}

#[test]
fn whatever_an_agent_does_ends_as_documented_and_reaches_nothing_else() {
    let project = hostile();
    let before = users_files(&project.root());
    let ran = project.args(["loop", "start", "--format", "json"]).run().code(10);
    let lines = ran.json();
    let of = |event: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["event"] == event).collect()
    };
    let proposals = of("proposed");
    let ended = of("ended");
    assert_eq!(ended.len(), TURNS.len());
    for (at, (turn, status)) in TURNS.iter().enumerate() {
        let told = || {
            format!("{turn}\n{}\n{}", proposals[at], of_iteration(&project, at + 1, "agent.log"))
        };
        assert_eq!(ended[at]["status"], *status, "{}", told());
        let code = &proposals[at]["proposal"]["agent"]["message"];
        assert!(code != "exit code 40" && code != "exit code 41", "{}", told());
    }
    assert_eq!(users_files(&project.root()), before);
    assert!(!project.path("planted").exists());
    let endless = TURNS.iter().position(|(turn, _)| turn.starts_with("yes")).expect("one") + 1;
    let kept = of_iteration(&project, endless, "agent.log");
    assert!(kept.len() < (4 << 20) + 100 && kept.contains("bytes left out"), "{}", kept.len());
    // What the project's own command said goes into the prompts that follow.
    let failure = "## Why iteration 2 failed\n\n```text\ncandidate: ";
    let prompt = of_iteration(&project, 3, "prompt.md");
    assert!(prompt.contains(failure) && prompt.contains("\ncycles? none\n```"), "{prompt}");
    // Older systems let it signal what is not its own.
    let signals = TURNS.len() - 1;
    assert!(TURNS[signals - 1].0.contains("kill -0"));
    if SandboxLevel::available().landlock_abi >= 6 {
        assert!(!of_iteration(&project, signals, "agent.log").contains("reached"));
    }
    project.expect_no_processes();
}

/// A file of an iteration.
fn of_iteration(project: &Project, iteration: usize, name: &str) -> String {
    let campaigns = project.path(".optloop/campaigns");
    let campaign = fs::read_dir(campaigns).expect("listed").flatten().next().expect("one").path();
    let path = campaign.join(format!("iterations/{iteration:04}/{name}"));
    fs::read_to_string(Path::new(&path)).expect("there")
}

#[test]
fn what_an_agent_needs_and_must_not_call_is_looked_at_before_anything_runs() {
    let project = hostile();
    let run = project.read("campaign.toml");
    let with = |keys: &str| project.write("campaign.toml", run.replace("[agent]", keys));
    let start = || project.args(["loop", "start", "--dry-run"]).env("SET_TOKEN", "sesame-open");
    with("[agent]\nenv = [\"SET_TOKEN\", \"UNSET_TOKEN\", \"NOR_THIS\"]");
    let refused = start().run().code(1);
    let refused = refused.says("variables that are not set: UNSET_TOKEN, NOR_THIS");
    drop(refused.says_nothing_of("sesame"));
    with("[agent]\nenv = [\"SET_TOKEN\"]\ndeny = [\"popcorn-cli\"]\ndirectives = [\"be brief\"]");
    let dry = start()
        .run()
        .code(0)
        .says("needs      SET_TOKEN")
        .says("sandbox    writes are")
        .says("denied     popcorn-cli");
    drop(dry.says("the first prompt, ").says("- be brief").says_nothing_of("sesame"));
    project.write("mine.j2", "{{ goal }}\n{{ gaol }}\n");
    with("[agent]\ntemplate = \"mine.j2\"");
    let refused = start().run().code(1).says("mine.j2:2").says("undefined value");
    drop(refused.says("{{ gaol }}"));
    with("[agent]\ntemplate = \"nowhere.j2\"");
    drop(start().run().code(1).says("nowhere.j2, which [agent] names"));
    assert!(!project.path(".optloop/campaigns").exists());
}
