//! Campaigns that publish what they keep, and that hold a device meanwhile.

use std::fs;

use rustix::process::Signal;

use super::campaign::project;
use super::support::{Project, wait_until};

/// A project whose git knows who commits.
fn with_identity() -> Project {
    let project = project();
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let mut config = repository.config().expect("a configuration");
    for (name, value) in [("user.name", "Tess Ter"), ("user.email", "tess@example.org")] {
        config.set_str(name, value).expect("set");
    }
    project
}

#[test]
fn kept_changes_become_commits_of_a_branch_and_a_command_learns_of_each_best() {
    let project = with_identity();
    let said = tempfile::tempdir().expect("a folder");
    let log = said.path().join("log");
    let script = "echo $OPTLOOP_METRIC $OPTLOOP_BASELINE $(git branch --show-current) >> $LOG\n\
                  test $(git rev-parse HEAD) = $OPTLOOP_COMMIT && grep -q cycles $OPTLOOP_PATCH || exit 3\n\
                  grep -q 700 k.c && echo the last one is not liked && exit 1\n\
                  exit 0";
    let script = script.replace("$LOG", &log.display().to_string());
    let keys = format!("publish = \"branch\"\non_best = [\"sh\", \"-c\", '''{script}''']\n[scope]");
    project.edit("campaign.toml", "[scope]", &keys);
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let files = ["k.c", "campaign.toml", ".git/index", ".git/HEAD", ".git/config"];
    let own = || files.map(|file| fs::read(project.path(file)).expect("there"));
    let head = || repository.head().expect("HEAD").target().expect("a commit");
    let before = (own(), head());
    let ran = project.args(["loop", "start"]).run().code(0);
    let ran = ran.says("published  optloop/cycles-");
    drop(ran.says("the last one is not liked"));
    assert_eq!((own(), head()), before);
    let log = fs::read_to_string(log).expect("it ran");
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].starts_with("900 1000 optloop/cycles-"), "{log}");
    assert!(lines[1].starts_with("700 1000 optloop/cycles-") && lines.len() == 2, "{log}");

    let branches = repository.branches(Some(git2::BranchType::Local)).expect("branches");
    let names =
        branches.flatten().map(|(b, _)| b.name().expect("a name").expect("text").to_owned());
    let names: Vec<String> = names.filter(|name| name.starts_with("optloop/")).collect();
    let tip = repository.revparse_single(&names[0]).expect("there").peel_to_commit();
    let tip = tip.expect("a commit");
    let message = tip.message().expect("text");
    assert!(message.starts_with("experiment(optimize/i9): 09-version\n"), "{message}");
    for trailer in ["Optloop-Metric: cycles 700, 1000", "Optloop-Artifact: .optloop/campaigns/"] {
        assert!(message.contains(trailer), "{message}");
    }
    let artifact = message.lines().find_map(|line| line.strip_prefix("Optloop-Artifact: "));
    assert!(project.path(artifact.expect("an artifact")).is_file(), "{message}");
    let first = tip.parent(0).expect("two commits");
    assert_eq!(first.parent(0).expect("the user's").id(), head());
    // By hand nothing is left to do, until the branch is gone.
    drop(project.args(["loop", "publish"]).run().code(0).says("has everything already"));
    repository
        .find_reference(&format!("refs/heads/{}", names[0]))
        .expect("it")
        .delete()
        .expect("gone");
    drop(project.args(["loop", "publish"]).run().code(0).says("2 new commits"));
    project.expect_no_processes();
}

#[test]
fn another_commit_that_is_checked_out_meanwhile_is_told_or_ends_the_campaign() {
    for (key, code, text) in [
        ("", 10, "another commit is checked out now"),
        ("on_moved = \"stop\"\n", 12, "another commit is checked out, and `on_moved` says to stop"),
    ] {
        let project = with_identity();
        project.edit(
            "campaign.toml",
            "replay = \"versions\"",
            "run = [\"sh\", \"-c\", \"sleep 60\"]",
        );
        project.edit("campaign.toml", "iterations = 20", "iterations = 1");
        project.edit("campaign.toml", "[scope]", &format!("{key}[scope]"));
        let running = project.args(["loop", "start"]).start();
        wait_until("the agent's turn", || {
            project.args(["loop", "status"]).run().all().contains("waiting for the agent")
        });
        running.signal(Signal::INT);
        drop(running.wait().code(130));
        project.edit("campaign.toml", "sleep 60", "true");
        let repository = git2::Repository::open(project.root()).expect("a repository");
        let who = git2::Signature::now("Tess Ter", "tess@example.org").expect("a name");
        let head = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
        let tree = head.tree().expect("a tree");
        repository.commit(Some("HEAD"), &who, &who, "second", &tree, &[&head]).expect("a commit");
        drop(project.args(["loop", "resume"]).run().code(code).says(text));
    }
}

/// A project that holds a device; what its commands did stands in the file `device`.
fn holding(agent: &str) -> (Project, tempfile::TempDir) {
    let project = project();
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("device").display().to_string();
    let hold = format!(
        "[hold]\nallocate = [[\"false\"], [\"sh\", \"-c\", \"echo taken >> {log}; echo dev-7\"]]\n\
         release = [\"sh\", \"-c\", \"echo released $OPTLOOP_HELD >> {log}\"]\n[scope]"
    );
    project.edit("campaign.toml", "[scope]", &hold);
    let run = format!("run = [\"sh\", \"-c\", \"{agent}\"]");
    project.edit("campaign.toml", "replay = \"versions\"", &run);
    project.edit("campaign.toml", "iterations = 20", "iterations = 1");
    (project, dir)
}

#[test]
fn a_device_is_held_named_to_commands_and_given_back_at_the_end() {
    let (project, dir) =
        holding("echo $OPTLOOP_HELD > .optloop-answer.md; echo '// cycles: 5' > k.c");
    project.edit(
        "campaign.toml",
        "[\"sh\", \"tests/guard.sh\"]",
        "[\"sh\", \"-c\", \"test $OPTLOOP_HELD = dev-7 && sh tests/guard.sh\"]",
    );
    let ran = project.args(["loop", "start"]).run().code(10);
    let ran = ran.says("holds      dev-7").says("kept: dev-7");
    drop(ran.says("does not know which device is held: write pass_env"));
    let log = || fs::read_to_string(dir.path().join("device")).expect("written");
    assert_eq!(log(), "taken\nreleased dev-7\n");
    let id = project.args(["loop", "status", "--format", "json"]).run().code(0).json();
    let prompt = format!("{}/iterations/0001/prompt.md", id[0]["folder"].as_str().expect("text"));
    let prompt = fs::read_to_string(project.path(&prompt)).expect("a prompt");
    assert!(prompt.contains("`dev-7`") && prompt.contains("nothing to a queue"), "{prompt}");
    // A campaign that cannot begin gives it back, too.
    project.edit("campaign.toml", "test $OPTLOOP_HELD = dev-7", "false");
    drop(project.args(["loop", "start"]).run().code(1).says("does not pass"));
    assert_eq!(log(), "taken\nreleased dev-7\n".repeat(2));
    project.edit(
        "campaign.toml",
        "sh\", \"-c\", \"false",
        "sh\", \"-c\", \"test $OPTLOOP_HELD = dev-7",
    );
    fs::remove_file(dir.path().join("device")).expect("removed");
    fs::remove_dir_all(project.path(".optloop/campaigns")).expect("removed");
    // One that cannot be had.
    project.edit("campaign.toml", "echo taken", "exit 4; echo taken");
    let ran = project.args(["loop", "start"]).run().code(75);
    drop(ran.says("no device is held").says("best-effort"));
    project.edit("campaign.toml", "[scope]", "policy = \"best-effort\"\n[scope]");
    // The guard wants the device.
    let ran = project.args(["loop", "start"]).run().code(1);
    drop(ran.says("it goes on without one"));
    assert!(!dir.path().join("device").exists(), "nothing was taken, so nothing is given back");
    project.expect_no_processes();
}

#[test]
fn a_device_is_given_back_once_also_by_a_campaign_that_is_killed() {
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let (project, dir) = holding("exec sleep 20");
        let running = project.args(["loop", "start"]).start();
        wait_until("the agent's turn", || {
            project.args(["loop", "status"]).run().all().contains("waiting for the agent")
        });
        running.signal(signal);
        drop(running.wait());
        let log = || fs::read_to_string(dir.path().join("device")).unwrap_or_default();
        wait_until("the release", || log().contains("released"));
        project.expect_no_processes();
        assert_eq!(log(), "taken\nreleased dev-7\n");
    }
}

/// A commit of all that lies there, as the user would make it.
fn commit(project: &Project) -> String {
    drop(super::campaign::commit_all(project));
    let repository = git2::Repository::open(project.root()).expect("a repository");
    repository.head().expect("HEAD").target().expect("a commit").to_string()
}

#[test]
fn an_adopted_commit_is_measured_anew_and_published_on_a_branch_of_its_epoch() {
    let project = with_identity();
    project.write("k.c", "// one\n// two\n// three\n// cycles: 1000\n");
    let gate = "n=$(ls -d ../iterations/* | wc -l); [ $n = 1 ] || exec sleep 60";
    let run = format!("run = [\"sh\", \"-c\", \"sed -i s/1000/900/ k.c; {gate}\"]");
    project.edit("campaign.toml", "replay = \"versions\"", &run);
    project.edit("campaign.toml", "iterations = 20", "iterations = 2");
    project.edit("campaign.toml", "[scope]", "publish = \"branch\"\non_moved = \"adopt\"\n[scope]");
    let _first = commit(&project);
    let running = project.args(["loop", "start"]).start();
    wait_until("the second turn", || {
        project.args(["loop", "status"]).run().all().contains("+10.00 %")
            && project.args(["loop", "status"]).run().all().contains("waiting for the agent")
    });
    running.signal(Signal::INT);
    drop(running.wait().code(130));
    project.edit("campaign.toml", "exec sleep 60", "true");

    project.write("k.c", "// NEW\n// two\n// three\n// cycles: 1000\n");
    let head = commit(&project);
    // What is not committed is not adopted.
    project.write("k.c", "// half done\n");
    let ran = project.args(["loop", "resume"]).run().code(1);
    drop(ran.says("changes that are not committed: k.c"));
    project.write("k.c", "// NEW\n// two\n// three\n// cycles: 1000\n");
    let ran = project.args(["loop", "resume"]).run().code(10);
    let ran = ran.says(&format!("adopted    {} with the kept changes: epoch 2", &head[..10]));
    drop(ran.says("the kept changes, on the adopted commit; +10.00 % beside it").says("-epoch2"));
    drop(project.args(["loop", "log", "lint"]).run().code(0).says("0 errors"));
    let diff = project.args(["loop", "diff"]).run().code(0).all();
    assert!(diff.contains("+// cycles: 900") && !diff.contains("+// NEW"), "{diff}");

    let repository = git2::Repository::open(project.root()).expect("a repository");
    let branches = repository.branches(Some(git2::BranchType::Local)).expect("branches");
    let names = branches.flatten().map(|(b, _)| b.name().expect("a name").expect("t").to_owned());
    let name = names.into_iter().find(|name| name.ends_with("-epoch2")).expect("a branch");
    let tip = repository.revparse_single(&name).expect("there").peel_to_commit().expect("it");
    assert_eq!(tip.parent_id(0).expect("a parent").to_string(), head);
    let message = tip.message().expect("text");
    assert!(message.contains("the changes of iterations 1\n"), "{message}");
    let about = fs::read_dir(project.path(".optloop/campaigns")).expect("listed").flatten();
    let about = { about }.next().expect("one").path().join("campaign.json");
    let about: serde_json::Value =
        serde_json::from_slice(&fs::read(about).expect("there")).expect("JSON");
    assert_eq!((&about["epoch"], &about["head"]), (&2.into(), &head[..].into()));
    project.expect_no_processes();
}

#[test]
fn what_is_merged_moves_the_users_branch_unless_something_of_theirs_is_in_the_way() {
    let project = with_identity();
    project.edit("campaign.toml", "[scope]", "publish = \"merge\"\non_moved = \"stop\"\n[scope]");
    let first = commit(&project);
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let branch = repository.head().expect("HEAD").name().expect("text").to_owned();
    let ran = project.args(["loop", "start"]).run().code(0);
    drop(ran.says(", and merged into "));
    let head = repository.head().expect("HEAD");
    assert_eq!(head.name().expect("text"), branch);
    let tip = head.peel_to_commit().expect("a commit");
    assert_eq!(tip.parent(0).expect("two").parent_id(0).expect("one").to_string(), first);
    assert_eq!(project.read("k.c"), "// cycles: 700\n");
    assert!(repository.statuses(None).expect("asked").iter().all(|one| one.status().is_ignored()));

    // A file in its way has changes that are not committed.
    let project = with_identity();
    let keys = "publish = \"merge\"\ndirty = \"ignore\"\n[scope]";
    project.edit("campaign.toml", "[scope]", keys);
    let first = commit(&project);
    project.write("k.c", "// cycles: 1000\n// mine\n");
    let ran = project.args(["loop", "start"]).run().code(0);
    drop(ran.says("was not merged: ").says("`git merge optloop/cycles-"));
    assert_eq!(project.read("k.c"), "// cycles: 1000\n// mine\n");
    let repository = git2::Repository::open(project.root()).expect("a repository");
    let head = repository.head().expect("HEAD").target().expect("a commit").to_string();
    assert_eq!(head, first);
}

#[test]
fn a_campaign_starts_where_the_users_git_settings_cannot_be_looked_at() {
    let project = with_identity();
    // As root, nothing is out of reach but what leads in a circle: for the library alone, as the
    // program puts up with a file that it may not read.
    let home = project.path("../home");
    std::os::unix::fs::symlink(".gitconfig", home.join(".gitconfig")).expect("linked");
    project.edit("campaign.toml", "iterations = 20", "iterations = 1");
    let start = project.args(["loop", "start"]).env("GIT_CONFIG_GLOBAL", "/dev/null");
    drop(start.run().code(10).says("kept: 01-version"));
}
