//! `optloop loop`: campaigns from their start to their end, also when they are killed on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use serde_json::Value;

use super::keep::{PIPELINE, kernel};
use super::support::{Project, copy_as_it_is, wait_until};

const CAMPAIGN: &str = r#"
name = "cycles"
goal = "Fewer cycles."
pipeline = "pipeline.toml"
[scope]
edit = ["k.c", "lib/**"]
protect = ["tests"]
[agent]
replay = "versions"
[[guard]]
run = ["sh", "tests/guard.sh"]
expect = 'Ran (\d+) tests'
[budget]
iterations = 20
"#;

const GUARD: &str = "grep -q goto k.c && exit 1; echo \"Ran $(grep -c test tests/list) tests\"\n";

/// What is proposed, and how it ends.
const VERSIONS: [(&str, &str, &str); 9] = [
    ("k.c", "// cycles: 900\n", "kept"),
    ("k.c", "// cycles: 950\n", "reverted"),
    ("k.c", "// cycles: 900 still\n", "reverted"),
    ("k.c", "cycles? none\n", "failed"),
    ("tests/list", "test\n", "invalid"),
    ("k.c", "goto; // cycles: 10\n", "guard"),
    ("notes.txt", "a stray\n", "no-op"),
    ("lib/new.h", "// cycles: 800\n", "reverted"),
    ("k.c", "// cycles: 700\n", "kept"),
];

pub(crate) fn project() -> Project {
    let project = Project::new()
        .pipeline(PIPELINE)
        .file("k.c", kernel(1000))
        .file("campaign.toml", CAMPAIGN)
        .file("tests/guard.sh", GUARD)
        .file("tests/list", "test one\ntest two\n")
        .file(".gitignore", "/versions\n/trace\n/cache\n");
    for (at, (path, text, _)) in VERSIONS.iter().enumerate() {
        project.write(&format!("versions/{:02}-version/{path}", at + 1), text);
    }
    drop(commit_all(&project));
    project
}

/// A commit of everything, in a repository that is made where there is none.
pub(crate) fn commit_all(project: &Project) -> git2::Repository {
    let repository = git2::Repository::init(project.root()).expect("a repository");
    let mut index = repository.index().expect("an index");
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).expect("added");
    index.write().expect("written");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("a tree");
    let who = git2::Signature::now("Tess Ter", "tess@example.org").expect("a name");
    let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
    let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
    repository.commit(Some("HEAD"), &who, &who, "all", &tree, &parents).expect("a commit");
    drop((tree, parent));
    repository
}

/// Every file of the user's, git's own among them.
pub(crate) fn users_files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let is_ours = |entry: &walkdir::DirEntry| entry.file_name() == ".optloop";
    let files = walkdir::WalkDir::new(root).into_iter().filter_entry(|entry| !is_ours(entry));
    let files = files.flatten().filter(|entry| entry.file_type().is_file());
    let named = |entry: walkdir::DirEntry| {
        let name = entry.path().strip_prefix(root).expect("below").display().to_string();
        (name, fs::read(entry.path()).expect("read"))
    };
    files.map(named).collect()
}

/// `iteration status metric commit-or-not` of every attempt.
fn attempts(project: &Project) -> Vec<String> {
    let ran = project.args(["loop", "results", "--format", "json"]).run().code(0);
    let line = |record: &Value| {
        let commit = if record["commit"].is_null() { "-" } else { "commit" };
        format!("{} {} {} {commit}", record["iteration"], record["status"], record["metric"])
    };
    ran.json().iter().map(line).collect()
}

fn statuses(project: &Project) -> Vec<String> {
    let ran = project.args(["loop", "results", "--format", "json"]).run().code(0);
    let status = |record: &Value| record["status"].as_str().expect("a word").to_owned();
    ran.json().iter().skip(1).map(status).collect()
}

#[test]
fn a_replayed_campaign_ends_each_version_as_it_deserves_and_leaves_the_checkout_alone() {
    let project = project();
    let before = users_files(&project.root());
    let ran = project.args(["loop", "start", "--format", "json"]).run().code(0);
    let last = ran.json().pop().expect("a line");
    assert_eq!((&last["event"], &last["end"]), (&"finished".into(), &"exhausted".into()));
    assert_eq!(statuses(&project), VERSIONS.map(|(_, _, status)| status));
    assert_eq!(users_files(&project.root()), before);
    project.expect_no_processes();

    let human = project.args(["loop", "results"]).run().code(0);
    let human = human.says("tests/list is protected").says("sh tests/guard.sh");
    let human = human.says("changed nothing that it may edit; it left new files: notes.txt");
    drop(human.says("| 9 | kept | 700 |"));
    drop(project.args(["loop", "status"]).run().code(0).says("+30.00 %"));
    let all = project.args(["loop", "diff"]).run().code(0);
    drop(all.says("-// cycles: 1000\n+// cycles: 700").says_nothing_of("900"));
    let one = project.args(["loop", "diff", "--iteration", "2"]).run().code(0);
    drop(one.says("-// cycles: 900\n+// cycles: 950"));
    drop(project.args(["loop", "diff", "-i", "7"]).run().code(1).says("changed nothing"));
    // One that has ended is not taken up; another start is another campaign.
    drop(project.args(["loop", "resume"]).run().code(1).says("has ended"));
}

#[test]
fn a_campaign_tells_how_it_ended_by_its_code() {
    let ends = |old: &str, new: &str, code: i32, text: &str| {
        let project = project();
        project.edit("campaign.toml", old, new);
        project.write("campaign.toml", project.read("campaign.toml"));
        let dirty = format!("dirty = \"include\"\n{}", project.read("campaign.toml"));
        project.write("campaign.toml", dirty);
        drop(project.args(["loop", "start"]).run().code(code).says(text));
    };
    ends("iterations = 20", "iterations = 2", 10, "the budget is spent");
    ends("iterations = 20", "iterations = 20\n[stop]\nno_gain = 2", 11, "no gain");
    ends("[scope]", "target = 900.0\n[scope]", 0, "reached and confirmed");
    ends("[scope]", "target = 800.0\n[scope]", 0, "reached and confirmed");
}

#[test]
fn what_a_campaign_cannot_begin_with_is_refused_before_anything_is_written() {
    let project = project();
    let refused = |code: i32, text: &str| {
        drop(project.args(["loop", "start"]).run().code(code).says(text));
        assert!(!project.path(".optloop/campaigns").exists(), "{text}");
    };
    project.write("other.txt", "new\n");
    refused(1, "not committed: other.txt");
    project.remove("other.txt");
    let good = project.read("campaign.toml");
    project.write("campaign.toml", good.replace("goal = \"Fewer cycles.\"\n", ""));
    refused(1, "missing key `goal`");
    project.write("campaign.toml", good.replace("pipeline.toml", "nowhere.toml"));
    refused(1, "there is no pipeline `nowhere.toml`");
    project.write("campaign.toml", good.replace("[budget]\niterations = 20\n", ""));
    refused(1, "nothing limits this campaign");
    project.write("campaign.toml", good.replace("replay = \"versions\"", "run = [\"my-agnt\"]"));
    refused(1, "there is no program `my-agnt` in the PATH");
    project.write("campaign.toml", good.replace("\"versions\"", "\"elsewhere\""));
    refused(1, "no folder");
    // The campaign file itself need not be committed.
    project.write("campaign.toml", format!("{good}# mine\n"));
    let dry = project.args(["loop", "start", "--dry-run"]).run().code(0);
    drop(dry.says("Fewer cycles.").says("protected  tests").says("Make exactly one change"));
    assert!(!project.path(".optloop/campaigns").exists());
    drop(project.args(["loop", "status"]).run().code(1));
}

#[test]
fn a_stage_that_confirms_gains_has_its_say_once_there_is_one() {
    let project = project();
    let with_final = PIPELINE.replace("[stages.candidate]", "[stages.candidate]\ncache = true");
    let confirms = with_final.split_once("[stages.candidate]").expect("a stage").1;
    let when = "needs = [\"candidate\"]\nwhen = \"candidate.gain > 0.1\"";
    project.write_pipeline(&format!("{with_final}\n[stages.final]\n{when}{confirms}"));
    project.edit("campaign.toml", "[scope]", "dirty = \"include\"\n[scope]");
    project.edit("campaign.toml", "iterations = 20", "iterations = 1");
    let ran = project.args(["loop", "start", "--format", "json"]).run().code(10);
    let lines = ran.json();
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).expect("a line");
    assert_eq!(of("baseline")["stage"], "candidate", "`final` has nothing to confirm yet");
    assert_eq!(statuses(&project), ["kept"]);
}

#[test]
fn a_baseline_that_does_not_pass_its_guard_begins_no_iteration() {
    let project = project();
    project.edit("campaign.toml", "[scope]", "dirty = \"include\"\n[scope]");
    project.write("k.c", "goto; // cycles: 5\n");
    let ran = project.args(["loop", "start"]).run().code(1);
    drop(ran.says("the project as it is does not pass").says("optloop loop resume"));
    assert!(attempts(&project).is_empty());
}

#[test]
fn a_command_is_asked_with_a_prompt_and_cannot_write_outside_of_its_copy() {
    let project = project();
    let script = "cat > prompt.txt; grep -q 'Fewer cycles' prompt.txt || exit 9\n\
                  echo '// cycles: 600' > k.c; echo 'six hundred' > .optloop-answer.md\n\
                  echo planted > \"$1/tests/list\"\n";
    project.write("agent.sh", script);
    let root = project.root();
    let run = format!("run = [\"sh\", \"{0}/agent.sh\", \"{0}\"]", root.display());
    project.edit("campaign.toml", "replay = \"versions\"", &run);
    project.edit("campaign.toml", "iterations = 20", "iterations = 1");
    project.edit("campaign.toml", "[scope]", "dirty = \"include\"\n[scope]");
    let before = users_files(&root);
    drop(project.args(["loop", "start"]).run().code(10).says("six hundred"));
    assert_eq!(statuses(&project), ["kept"]);
    assert_eq!(users_files(&root), before);
}

#[test]
fn another_process_sees_a_campaign_run_and_can_ask_it_to_stop() {
    let project = project();
    project.write("agent.sh", "while [ ! -e \"$1/go\" ]; do sleep 0.05; done\n");
    let root = project.root();
    let run = format!("run = [\"sh\", \"{0}/agent.sh\", \"{0}\"]", root.display());
    project.edit("campaign.toml", "replay = \"versions\"", &run);
    project.edit("campaign.toml", "[scope]", "dirty = \"include\"\n[scope]");
    let running = project.args(["loop", "start"]).start();
    let says = |text: &str| {
        let ran = project.args(["loop", "status"]).run();
        ran.all().contains(text)
    };
    wait_until("the agent's turn", || says("waiting for the agent"));
    assert!(says(&format!("pid {}", running.id())), "who drives it");
    let status = project.args(["loop", "status", "--format", "json"]).run().code(0).json();
    let status = status.last().expect("a line");
    assert_eq!((&status["phase"], &status["iteration"]), (&"agent".into(), &1.into()));
    assert_eq!((&status["status"], &status["blocker"]), (&"running".into(), &Value::Null));
    drop(project.args(["loop", "start"]).run().code(75).says("driven by"));
    drop(project.args(["loop", "steer"]).run().code(2).says("--say"));
    drop(project.args(["loop", "steer", "--budget", "iterations=many"]).run().code(2));
    drop(project.args(["loop", "steer", "--say", "  "]).run().code(2).says("it says nothing"));
    let words = ["loop", "steer", "--say", "be bold", "--target", "500", "--budget", "hours=2"];
    drop(project.args(words).run().code(0).says("from its next iteration on: says `be bold`"));
    drop(project.args(["loop", "stop", "cycles"]).run().code(0));
    project.write("go", "");
    let ran = running.wait().code(12).says("stopped on request");
    drop(ran.says("steered    says `be bold`, target 500, at most 2 h"));
    assert_eq!(statuses(&project), ["no-op"]);
    drop(project.args(["loop", "steer", "--stretch", "1"]).run().code(1).says("has ended"));
    project.expect_no_processes();
}

#[test]
fn kills_at_any_instant_lose_and_double_nothing() {
    let whole = project();
    let ran = whole.args(["loop", "start"]).run().code(0);
    let (took, wanted) = (ran.took, attempts(&whole));
    let project = project();
    let before = users_files(&project.root());
    let fresh = tempfile::tempdir().expect("a folder");
    copy_as_it_is(&project.root(), &fresh.path().join("work"));
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut left = super::kills::wanted_kills().unwrap_or(6);
    while left > 0 {
        // A campaign is killed again and again until it has come to its end.
        loop {
            let running = project.args(["loop", "start"]).start();
            std::thread::sleep(took.mul_f64(random.random_range(0.0..0.7)));
            let is_killed = left > 0;
            left = left.saturating_sub(1);
            if !is_killed {
                drop(running.wait().code(0));
                break;
            }
            running.signal(Signal::KILL);
            let ended = running.wait();
            assert_eq!(users_files(&project.root()), before);
            drop(ended);
            // It can have ended without having said so.
            if status_says_ended(&project) {
                break;
            }
        }
        assert_eq!(attempts(&project), wanted);
        assert_eq!(campaigns(&project), 1, "taken up, not begun anew");
        project.expect_no_processes();
        fs::remove_dir_all(project.root()).expect("removed");
        copy_as_it_is(&fresh.path().join("work"), &project.root());
    }
}

/// Of a campaign that was killed, status says that it goes on by a command, or that it has ended.
fn status_says_ended(project: &Project) -> bool {
    let ran = project.args(["loop", "status"]).run();
    let says = |text: &str| ran.all().contains(text);
    let has_begun = !says("no campaign was started here yet");
    let is_clear = says("nothing now: `optloop loop resume cycles-") || says("  ended\n");
    assert!(!has_begun || is_clear, "{}", ran.all());
    says("  ended\n")
}

fn campaigns(project: &Project) -> usize {
    fs::read_dir(project.path(".optloop/campaigns")).expect("listed").count()
}

#[test]
fn an_interrupted_campaign_says_how_to_go_on() {
    let project = project();
    project.write("agent.sh", "sleep 60\n");
    let run = format!("run = [\"sh\", \"{}/agent.sh\"]", project.root().display());
    project.edit("campaign.toml", "replay = \"versions\"", &run);
    project.edit("campaign.toml", "[scope]", "dirty = \"include\"\n[scope]");
    let running = project.args(["loop", "start", "--iterations", "1"]).start();
    wait_until("the agent's turn", || {
        project.args(["loop", "status"]).run().all().contains("waiting for the agent")
    });
    std::thread::sleep(Duration::from_millis(100));
    running.signal(Signal::INT);
    drop(running.wait().code(130).says("optloop loop resume cycles-"));
    project.expect_no_processes();
    // Its file is read again; what the command line gave counts again.
    project.write("agent.sh", "echo '// cycles: 500' > k.c\n");
    project.edit("campaign.toml", "iterations = 20", "iterations = 2");
    drop(project.args(["loop", "resume"]).run().code(10));
    assert_eq!(statuses(&project), ["kept"]);
}
