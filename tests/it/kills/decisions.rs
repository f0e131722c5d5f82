//! SIGKILL at random instants of `compare`, `keep` and `revert`: the ledger stays readable, the
//! incumbent is what it says, the user's files are before or after and never between, and nothing
//! else is touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use git2::Repository;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::keep;
use crate::support::{Project, copy_as_it_is};

/// A project in which something has been measured and can be decided, and what it holds.
struct Stage {
    project: Project,
    /// A copy of the root, as it was.
    ready: tempfile::TempDir,
    before: Snapshot,
}

/// What a decision looks like when it has settled.
type Check<'a> = &'a dyn Fn(&Stage, &[String], &Snapshot);

/// Files with their content and mode.
type Files = BTreeMap<String, (Vec<u8>, u32)>;

/// Entries of an index: path, id, mode.
type Entries = Vec<(String, String, u32)>;

/// All that a decision may or may not change.
#[derive(Debug, Clone, PartialEq)]
struct Snapshot {
    kernel: Vec<u8>,
    /// Every other file of the user's, with its mode.
    others: Files,
    /// Entries of the index but for the kernel's: path, id, mode.
    index: Entries,
    /// Ids of the commits, newest first.
    history: Vec<String>,
    stash: Vec<u8>,
}

impl Snapshot {
    fn of(root: &Path) -> Self {
        let repository = Repository::open(root).expect("a repository");
        let index = repository.index().expect("an index");
        let entries = index
            .iter()
            .filter(|e| e.path != b"k.c")
            .map(|e| (String::from_utf8_lossy(&e.path).into_owned(), e.id.to_string(), e.mode));
        let mut walk = repository.revwalk().expect("a walk");
        walk.push_head().expect("HEAD");
        let outside = |e: &walkdir::DirEntry| {
            !matches!(e.file_name().to_str(), Some(".git" | ".optloop" | "k.c"))
        };
        let files = walkdir::WalkDir::new(root).into_iter().filter_entry(outside).flatten();
        let others = files.filter(|e| e.file_type().is_file()).map(|e| {
            let name = e.path().strip_prefix(root).expect("below").display().to_string();
            let mode = e.metadata().expect("there").mode();
            (name, (fs::read(e.path()).expect("read"), mode))
        });
        Self {
            kernel: fs::read(root.join("k.c")).expect("a kernel"),
            others: others.collect(),
            index: entries.collect(),
            history: walk.map(|id| id.expect("an id").to_string()).collect(),
            stash: fs::read(root.join(".git/refs/stash")).unwrap_or_default(),
        }
    }

    /// What must be the same whatever was killed.
    fn untouched(&self) -> (&Files, &Entries, &[u8]) {
        (&self.others, &self.index, &self.stash)
    }
}

impl Stage {
    fn new(cycles: u32) -> Self {
        let project = keep::project();
        stash(&project);
        project.run().code(0);
        project.write("k.c", keep::kernel(cycles));
        project.run().code(if cycles < 1000 { 0 } else { 3 });
        let ready = tempfile::tempdir().expect("a folder");
        copy_as_it_is(&project.root(), &ready.path().join("work"));
        let before = Snapshot::of(&project.root());
        Self { project, ready, before }
    }

    fn reset(&self) {
        fs::remove_dir_all(self.project.root()).expect("removed");
        copy_as_it_is(&self.ready.path().join("work"), &self.project.root());
    }

    /// How long the command takes when nobody kills it.
    fn whole(&self, args: &[&str]) -> Duration {
        let ran = self.project.args(args.iter().copied()).run();
        let ran = ran.code(0);
        self.reset();
        ran.took
    }

    /// Kills the command at a random instant, and looks at what is left.
    fn kill(&self, args: &[&str], at: Duration, random: &mut ChaCha8Rng) {
        let run = self.project.args(args.iter().copied()).start();
        if random.random_bool(0.5) {
            std::thread::sleep(at);
        } else {
            self.wait_for_intent(at);
            std::thread::sleep(Duration::from_micros(random.random_range(0..4000)));
        }
        if random.random_bool(0.5) {
            run.signal(rustix::process::Signal::KILL);
        } else {
            run.kill_all();
        }
        drop(run.wait());
        let after = Snapshot::of(&self.project.root());
        assert_eq!(after.untouched(), self.before.untouched(), "{args:?} {at:?}");
        let incumbent = keep::kernel(1000).into_bytes();
        assert!([incumbent, self.before.kernel.clone()].contains(&after.kernel), "{after:?}");
        ledger(&self.project);
    }

    /// Waits until a decision has begun, where most can go wrong.
    fn wait_for_intent(&self, at_most: Duration) {
        let intent = self.project.path(".optloop/best/.intent.json");
        let started = Instant::now();
        while !intent.exists() && started.elapsed() < at_most {
            std::thread::yield_now();
        }
    }

    /// The command that comes next ends what was begun; then all of it fits together.
    fn settle(&self) -> (Vec<String>, Snapshot) {
        self.project.args(["pipeline", "pipeline.toml", "--quiet"]).run();
        let after = Snapshot::of(&self.project.root());
        assert_eq!(after.untouched(), self.before.untouched());
        let intent = self.project.path(".optloop/best/.intent.json");
        assert!(!intent.exists(), "an intent is left");
        let lines = ledger(&self.project);
        let made = lines.iter().rev().find(|l| l["event"] == "keep" || l["event"] == "baseline");
        assert_eq!(pointed(&self.project), made.expect("a baseline")["candidate"]);
        let events = lines.iter().map(|l| l["event"].as_str().expect("a word").to_owned());
        let events: Vec<String> = events.skip(1).collect();
        self.project.expect_no_processes();
        (events, after)
    }
}

fn stash(project: &Project) {
    let mut repository = Repository::open(project.root()).expect("a repository");
    let text = project.read("changed.txt");
    project.write("changed.txt", "to be stashed\n");
    let who = git2::Signature::now("Tess Ter", "tess@example.org").expect("a name");
    repository.stash_save(&who, "mine", Some(git2::StashFlags::KEEP_INDEX)).expect("stashed");
    project.write("changed.txt", text);
}

/// The lines; the last may be torn.
fn ledger(project: &Project) -> Vec<Value> {
    let read = optloop::record::ledger::read(&project.path(".optloop")).expect("readable");
    read.lines.iter().map(|line| serde_json::to_value(line).expect("encodes")).collect()
}

/// The digest that `current` names.
fn pointed(project: &Project) -> Value {
    let files = walkdir::WalkDir::new(project.path(".optloop/best")).into_iter().flatten();
    let current = files.into_iter().find(|e| e.file_name() == "current").expect("a pointer");
    let text = fs::read_to_string(current.path()).expect("read");
    let pointer: Value = serde_json::from_str(&text).expect("a pointer");
    pointer["digest"].clone()
}

/// What `git fsck` says, where there is git.
#[expect(clippy::disallowed_methods, reason = "tests start programs as a user does")]
fn fsck(root: &Path) {
    let mut git = std::process::Command::new("git");
    let Ok(out) = git.args(["fsck", "--full", "--no-dangling"]).current_dir(root).output() else {
        return;
    };
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && !said.contains("error"), "{said}");
    let lock = root.join(".git/index.lock");
    assert!(!lock.exists(), "git is locked");
}

/// Kills of each of the three commands. Few by default: each has a project to put back.
fn kills() -> usize {
    super::wanted_kills().map_or(3, |all| all.div_ceil(3))
}

fn trials(stage: &Stage, args: &[&str], seed: u64, look: Check<'_>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let whole = stage.whole(args);
    for _ in 0..kills() {
        let at = whole.mul_f64(random.random_range(0.0..1.1));
        stage.kill(args, at, &mut random);
        let (events, after) = stage.settle();
        look(stage, &events, &after);
        fsck(&stage.project.root());
        stage.reset();
    }
}

#[test]
fn kills_of_keep_leave_it_done_or_undone() {
    let stage = Stage::new(900);
    trials(&stage, &["keep", "--summary", "x"], 4, &|stage, events, after| {
        assert_eq!(after.kernel, stage.before.kernel);
        let new = after.history.len() - stage.before.history.len();
        assert_eq!(after.history[new..], stage.before.history[..]);
        assert_eq!(vec!["keep"; new], events, "as many keeps as commits");
        assert!(new <= 1, "{new} commits");
        let repository = Repository::open(stage.project.root()).expect("a repository");
        let status = repository.status_file(Path::new("k.c")).expect("a status");
        let wanted = if new == 1 { git2::Status::CURRENT } else { git2::Status::WT_MODIFIED };
        assert_eq!(status, wanted);
    });
}

#[test]
fn kills_of_revert_leave_the_file_before_or_after() {
    let stage = Stage::new(1100);
    let incumbent = keep::kernel(1000).into_bytes();
    trials(&stage, &["revert", "--summary", "x"], 5, &|stage, events, after| {
        let back = after.kernel == incumbent;
        assert!(back || after.kernel == stage.before.kernel);
        assert_eq!(vec!["revert"; usize::from(back)], events);
        assert_eq!(after.history, stage.before.history);
    });
}

#[test]
fn kills_of_compare_leave_nothing_but_what_was_measured() {
    let stage = Stage::new(900);
    let anchor = ["compare", "best", "k.c", "--pipeline", "pipeline.toml"];
    trials(&stage, &anchor, 6, &|stage, events, after| {
        assert_eq!(*after, stage.before);
        assert!(events.is_empty(), "{events:?}");
        keep::keep(&stage.project).code(0);
    });
}
