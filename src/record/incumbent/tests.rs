use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use proptest::prelude::*;

use super::intent::path_of;
use super::kept::stored;
use super::transition::{Step, Transition};
use super::*;
use crate::digest::Digest;
use crate::record::error::RecordError;
use crate::record::ledger::{self, Ledger, Line, Place, What};
use crate::stats::Metrics;

const FILES: [&str; 2] = ["k.c", "inc/k.h"];

fn place() -> Place {
    let [problem, device, metric, mode] =
        ["softmax", "cpu: model, 2 cores", "median_us", "hot"].map(Into::into);
    Place { problem, question: Digest::of(b"softmax"), device, metric, mode }
}

/// The built kernel of a version. The last two versions are one binary from different files.
fn digest(version: u8) -> Digest {
    Digest::of(&[version.min(3)])
}

fn bytes(file: &str, version: u8) -> Vec<u8> {
    format!("{file} of version {version}\n").into_bytes()
}

fn line(event: What, version: u8) -> Line {
    Line::new(event, place(), digest(version), "2020-01-01T00:00:00Z".to_owned())
}

fn install(event: What, version: u8, commit: Commit) -> Change {
    let source = |path: &&str| Content { path: (*path).to_owned(), bytes: bytes(path, version) };
    Change::Install(Box::new(Install {
        line: line(event, version),
        binary: Some(Content { path: "out/x.so".to_owned(), bytes: vec![version.min(3)] }),
        sources: FILES[..1].iter().map(source).collect(),
        headers: FILES[1..].iter().map(source).collect(),
        build: None,
        metrics: Metrics::from([
            (Metrics::MEDIAN_US, f64::from(version) + 0.1),
            ("nothing", f64::NAN),
        ]),
        key: Digest::of(b"key"),
        commit,
        commits: vec![FILES[0].to_owned()],
    }))
}

fn revert(version: u8) -> Change {
    Change::Revert(Box::new(line(What::Revert, version)))
}

/// A root with kernel files, and the commits that a stand-in for git knows.
struct World {
    dir: tempfile::TempDir,
    state: PathBuf,
    commits: BTreeMap<String, String>,
}

impl World {
    fn new() -> Self {
        // In memory, where syncing costs nothing.
        let dir = tempfile::tempdir_in("/dev/shm").expect("tempdir");
        let state = dir.path().join(".optloop");
        fs::create_dir_all(dir.path().join("inc")).expect("folder");
        fs::create_dir(&state).expect("folder");
        let world = Self { dir, state, commits: BTreeMap::new() };
        world.edit(0);
        world
    }

    /// A world whose baseline is version 0.
    fn with_baseline() -> Self {
        let world = Self::new();
        world.transit(&install(What::Baseline, 0, Commit::Unwanted));
        world
    }

    fn transit(&self, change: &Change) -> Finished {
        let intent = begin(&self.state, change).expect("begun");
        finish(&self.state, intent, None).expect("finished")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Writes all kernel files as they are in a version.
    fn edit(&self, version: u8) {
        for file in FILES {
            fs::write(self.path(file), bytes(file, version)).expect("written");
        }
    }

    fn holds(&self, version: u8) -> bool {
        let is = |file: &&str| fs::read(self.path(file)).expect("read") == bytes(file, version);
        FILES.iter().all(is)
    }

    /// Performs the first `stop` steps of a change, the commit being a step between the opening
    /// and the closing ones; true when that was all of them.
    fn stop_after(&mut self, change: &Change, stop: usize) -> bool {
        let state = self.state.clone();
        let mut transition = Transition::plan(&state, change).expect("planned");
        let mut left = stop;
        let mut go = || {
            let goes = left > 0;
            left = left.saturating_sub(1);
            goes
        };
        for step in transition.opening() {
            if !go() {
                return false;
            }
            transition.perform(step).expect("performed");
        }
        if transition.intent.commit == Commit::Wanted {
            if !go() {
                return false;
            }
            transition.intent.line.commit = Some(self.commit(&transition.intent));
        }
        for step in transition.closing() {
            if !go() {
                return false;
            }
            transition.perform(step).expect("performed");
        }
        true
    }

    fn commit(&mut self, intent: &Intent) -> String {
        let name = format!("commit of {}", intent.line.candidate.short());
        self.commits.insert(intent.id.clone(), name.clone());
        name
    }

    fn recover(&self) -> Option<Recovered> {
        let git = &mut |intent: &Intent| Ok(self.commits.get(&intent.id).cloned());
        let recovered = recover::<RecordError>(&self.state, git).expect("recovered");
        assert!(recovered.is_none() || !self.state.join("tmp/restore").exists());
        recovered
    }

    fn ledger(&self) -> Ledger {
        ledger::read(&self.state).expect("readable")
    }

    fn current(&self) -> Option<Incumbent> {
        current(&self.state, &place()).expect("readable")
    }

    /// What must hold whenever nothing is pending.
    fn check(&self) {
        assert_eq!(pending(&self.state).expect("readable"), None);
        let ledger = self.ledger();
        let standing = ledger.standing(&place());
        let current = self.current();
        assert_eq!(current.as_ref().map(|c| c.digest), standing.map(|l| l.candidate));
        assert_eq!(
            current.as_ref().map(|c| Some(c.intent.clone())),
            standing.map(|l| l.intent.clone())
        );
        assert_eq!(
            current.as_ref().and_then(|c| c.commit.clone()),
            standing.and_then(|l| l.commit.clone())
        );
        let first = ledger.of(&place()).rev().find(|line| line.event == What::Baseline);
        let baseline = baseline(&self.state, &place()).expect("readable");
        assert_eq!(baseline.as_ref().map(|b| b.digest), first.map(|l| l.candidate));
        for incumbent in current.iter().chain(&baseline) {
            incumbent.verify().expect("whole");
        }
        let ids: std::collections::BTreeSet<_> = ledger.lines.iter().map(|l| &l.intent).collect();
        assert_eq!(ids.len(), ledger.lines.len(), "a transition is in the ledger twice");
        assert!((0..8).any(|version| self.holds(version)), "files are between versions");
    }
}

#[test]
fn an_incumbent_is_kept_with_all_that_made_it() {
    let mut world = World::with_baseline();
    assert!(world.stop_after(&install(What::Keep, 1, Commit::Wanted), 99));
    world.check();
    let now = world.current().expect("incumbent");
    assert_eq!(now.metrics, Metrics::from([(Metrics::MEDIAN_US, 1.1)]));
    assert_eq!(fs::read(now.binary().expect("binary")).expect("read"), [1]);
    assert!(now.binary().expect("binary").ends_with("kernel.so"));
    assert_eq!(now.commit, Some(format!("commit of {}", digest(1).short())));
    assert_eq!((now.sources().count(), now.files().count()), (1, FILES.len()));
    for (source, kept) in now.files() {
        assert_eq!(fs::read(kept).expect("read"), bytes(&source.path, 1));
    }
    let line = world.ledger().lines.pop().expect("line");
    assert_eq!((line.seq, line.event, line.incumbent), (2, What::Keep, Some(digest(0))));
    assert_eq!((line.sources, line.headers), (now.sources, now.headers));
    assert_eq!(baseline(&world.state, &place()).expect("read").expect("is").digest, digest(0));
}

#[test]
fn every_stop_of_every_transition_is_ended_by_recovery() {
    let changes = [
        install(What::Baseline, 1, Commit::Unwanted),
        install(What::Keep, 1, Commit::Unwanted),
        install(What::Keep, 1, Commit::Wanted),
        revert(1),
    ];
    for (which, change) in changes.iter().enumerate() {
        for stop in 0.. {
            let mut world = World::with_baseline();
            world.edit(1);
            let done = world.stop_after(change, stop);
            let begun = pending(&world.state).expect("readable").is_some();
            let recovered = world.recover();
            assert_eq!(recovered.is_some(), begun, "change {which}, stop {stop}");
            assert_eq!(world.recover(), None, "change {which}, stop {stop}");
            world.check();
            let forward = done || recovered.is_some_and(|r| r.end == End::Forward);
            let lines = 1 + usize::from(forward);
            assert_eq!(world.ledger().lines.len(), lines, "change {which}, stop {stop}");
            let went_back = forward && matches!(change, Change::Revert(_));
            assert!(world.holds(u8::from(!went_back)), "change {which}, stop {stop}");
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_keep_whose_commit_was_not_made_goes_back_and_leaves_no_folder() {
    let mut world = World::with_baseline();
    assert!(!world.stop_after(&install(What::Keep, 1, Commit::Wanted), 2));
    let asked: Result<_, Box<dyn std::error::Error>> =
        recover(&world.state, &mut |_| Err("git is broken".into()));
    assert_eq!(asked.expect_err("asked").to_string(), "git is broken");
    let refusal = begin(&world.state, &revert(1)).expect_err("pending");
    assert!(refusal.to_string().contains("keep begun at"), "{refusal}");
    assert_eq!(world.recover().expect("found").end, End::Back);
    world.check();
    assert!(!place().folder(&world.state).join(&digest(1).hex()[..16]).exists());
    world.transit(&install(What::Keep, 1, Commit::Unwanted));
    world.check();
}

#[test]
fn what_the_ledger_knows_goes_forward_without_a_question_to_git() {
    let mut world = World::with_baseline();
    let keep = install(What::Keep, 1, Commit::Wanted);
    assert!(!world.stop_after(&keep, 5), "it was to stop after its line");
    assert_eq!(world.ledger().lines.len(), 2);
    world.commits.clear();
    assert_eq!(world.recover().expect("found").end, End::Forward);
    world.check();
    assert!(world.current().expect("incumbent").commit.is_some());
}

#[test]
fn a_revert_keeps_the_candidates_bytes_even_of_one_binary_from_other_files() {
    let world = World::with_baseline();
    for (version, folder) in [(3, ""), (4, "-2"), (3, ""), (5, "-3")] {
        world.edit(version);
        world.transit(&revert(version));
        world.check();
        assert!(world.holds(0));
        let kept = world.state.join(format!("reverted/{}{folder}", &digest(3).hex()[..16]));
        for file in FILES {
            assert_eq!(fs::read(kept.join(file)).expect("kept"), bytes(file, version));
        }
    }
    assert_eq!(world.current().expect("incumbent").digest, digest(0));
}

#[test]
fn a_file_the_user_changed_during_a_revert_is_left_alone_with_a_warning() {
    let mut world = World::with_baseline();
    world.edit(1);
    assert!(!world.stop_after(&revert(1), 3));
    fs::write(world.path("k.c"), "newer work").expect("written");
    let recovered = world.recover().expect("found");
    let [warning] = &recovered.warnings[..] else { panic!("{recovered:?}") };
    assert!(warning.contains("k.c") && warning.contains("left as it is"), "{warning}");
    assert_eq!(fs::read(world.path("k.c")).expect("read"), b"newer work");
    assert_eq!(fs::read(world.path("inc/k.h")).expect("read"), bytes("inc/k.h", 0));
    assert_eq!(world.ledger().lines.len(), 2);
}

#[test]
fn a_kernel_that_comes_back_leaves_its_first_time_as_it_was() {
    let world = World::with_baseline();
    let first = world.current().expect("incumbent");
    world.transit(&install(What::Keep, 1, Commit::Unwanted));
    world.transit(&install(What::Keep, 0, Commit::Unwanted));
    world.check();
    let again = world.current().expect("incumbent");
    assert_eq!(again.digest, first.digest);
    assert_ne!(again.folder(), first.folder());
    assert_eq!(baseline(&world.state, &place()).expect("readable"), Some(first));
}

#[test]
fn a_revert_restores_missing_files_and_modes_and_writes_through_links() {
    let world = World::with_baseline();
    fs::remove_dir_all(world.path("inc")).expect("removed");
    fs::rename(world.path("k.c"), world.path("real.c")).expect("renamed");
    fs::write(world.path("real.c"), "candidate").expect("written");
    let mode = fs::Permissions::from_mode(0o640);
    fs::set_permissions(world.path("real.c"), mode).expect("mode");
    std::os::unix::fs::symlink("real.c", world.path("k.c")).expect("link");
    let line = world.transit(&revert(1)).line;
    assert_eq!(line.sources.len(), 1, "a file that was not there is not the candidate's");
    assert!(world.holds(0));
    let real = fs::symlink_metadata(world.path("real.c")).expect("there");
    assert_eq!(real.permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(world.path("k.c")).expect("there").is_symlink());
}

#[test]
fn files_outside_the_root_are_kept_and_put_back_too() {
    let world = World::new();
    // Often another file system than the world's.
    let elsewhere = tempfile::tempdir().expect("tempdir");
    let file = elsewhere.path().join("k.c");
    let path = file.to_str().expect("text").to_owned();
    let Change::Install(mut baseline) = install(What::Baseline, 0, Commit::Unwanted) else {
        panic!("an install");
    };
    baseline.sources = vec![Content { path, bytes: b"good".to_vec() }];
    world.transit(&Change::Install(baseline));
    fs::write(&file, "candidate").expect("written");
    world.transit(&revert(1));
    assert_eq!(fs::read(&file).expect("read"), b"good");
    assert_eq!(fs::read_dir(elsewhere.path()).expect("list").count(), 1);
}

#[test]
fn no_path_leaves_the_folder_of_kept_files_or_meets_another() {
    let paths = ["k.c", "a/k.c", "../k.c", "/k.c", "a/../k.c", "@elsewhere/k.c", "..", ""];
    let kept: std::collections::BTreeSet<PathBuf> = paths.map(stored).into_iter().collect();
    assert_eq!(kept.len(), paths.len());
    for path in &kept {
        assert!(path.components().all(|c| matches!(c, Component::Normal(_))), "{path:?}");
    }
    assert_eq!(stored("a/k.c"), Path::new("a/k.c"));
}

#[test]
fn damaged_copies_are_refused_before_anything_is_written() {
    let world = World::with_baseline();
    world.edit(1);
    let incumbent = world.current().expect("incumbent");
    fs::write(incumbent.source("inc/k.h"), "rot").expect("written");
    let refusal = begin(&world.state, &revert(1)).expect_err("refused").to_string();
    assert!(refusal.contains("inc/k.h is damaged"), "{refusal}");
    assert!(incumbent.verify().is_err());
    assert!(world.holds(1) && !world.state.join("reverted").exists());
    let pending = pending(&world.state).expect("readable");
    assert_eq!((pending, world.ledger().lines.len()), (None, 1));
}

#[test]
fn what_cannot_be_written_at_the_beginning_leaves_nothing_half() {
    for change in [install(What::Keep, 1, Commit::Unwanted), revert(1)] {
        let world = World::with_baseline();
        world.edit(1);
        fs::remove_dir_all(world.state.join("tmp")).expect("removed");
        fs::write(world.state.join("tmp"), "in the way").expect("written");
        let refusal = begin(&world.state, &change).expect_err("refused").to_string();
        assert!(refusal.starts_with("cannot"), "{refusal}");
        world.check();
        assert!(world.holds(1));
    }
}

#[test]
fn what_cannot_be_written_at_the_end_is_ended_by_the_next_run() {
    for change in [install(What::Keep, 1, Commit::Unwanted), revert(1)] {
        let world = World::with_baseline();
        world.edit(1);
        let intent = begin(&world.state, &change).expect("begun");
        let ledger = ledger::path_of(&world.state);
        let aside = world.path("aside");
        fs::rename(&ledger, &aside).expect("moved");
        fs::create_dir(&ledger).expect("in the way");
        let refusal = finish(&world.state, intent, None).expect_err("refused").to_string();
        assert!(refusal.contains("ledger.jsonl") && refusal.contains("the next"), "{refusal}");
        fs::remove_dir(&ledger).expect("removed");
        fs::rename(&aside, &ledger).expect("moved");
        assert_eq!(world.recover().expect("found").end, End::Forward);
        world.check();
        assert_eq!(world.ledger().lines.len(), 2);
    }
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let world = World::new();
    let keep = install(What::Keep, 1, Commit::Unwanted);
    for change in [&keep, &revert(1)] {
        let refusal = begin(&world.state, change).expect_err("refused").to_string();
        assert!(refusal.contains("no incumbent"), "{refusal}");
    }
    for event in [What::Undecided, What::Anchor, What::Keep] {
        let change = Change::Revert(Box::new(line(event, 1)));
        assert!(begin(&world.state, &change).is_err(), "{event:?}");
    }
    assert!(begin(&world.state, &install(What::Revert, 1, Commit::Unwanted)).is_err());
    assert_eq!(fs::read_dir(&world.state).expect("list").count(), 0);
}

#[test]
fn a_revert_that_has_begun_and_a_keep_that_is_recorded_cannot_be_abandoned() {
    let mut world = World::with_baseline();
    world.edit(1);
    let intent = begin(&world.state, &revert(1)).expect("begun");
    assert!(abandon(&world.state, &intent).is_err());
    drop(world.recover());
    let keep = install(What::Keep, 2, Commit::Unwanted);
    assert!(!world.stop_after(&keep, 4), "it was to stop after its line");
    let intent = pending(&world.state).expect("readable").expect("pending");
    let refusal = abandon(&world.state, &intent).expect_err("refused");
    assert!(refusal.to_string().contains("knows"), "{refusal}");
    drop(world.recover());
    world.check();
}

#[test]
fn a_later_version_is_refused_with_its_file() {
    let world = World::with_baseline();
    let folder = place().folder(&world.state);
    for file in [folder.join("current"), path_of(&world.state)] {
        fs::write(&file, "{\"version\":3}").expect("written");
        let refusals = [current(&world.state, &place()).map(drop), pending(&world.state).map(drop)];
        let refusal = refusals.into_iter().find_map(Result::err).expect("refused").to_string();
        assert!(refusal.contains("version 3"), "{refusal}");
        fs::remove_file(&file).expect("removed");
    }
}

/// What a process killed inside a step leaves in addition.
#[derive(Debug, Clone, Copy)]
enum Crumb {
    Nothing,
    TornLine,
    HalfFiles,
    SweptTemporaries,
}

fn drop_crumb(world: &World, crumb: Crumb) {
    use std::io::Write as _;
    let tmp = world.state.join("tmp");
    match crumb {
        Crumb::Nothing => {}
        Crumb::TornLine => {
            let path = ledger::path_of(&world.state);
            let file = fs::OpenOptions::new().create(true).append(true).open(path);
            file.expect("open").write_all(b"{\"version\":1,\"se").expect("written");
        }
        Crumb::HalfFiles => {
            fs::create_dir_all(tmp.join("incumbent.new/sources")).expect("folder");
            for name in ["current.new", ".intent.json.new", "incumbent.new/about.json"] {
                fs::write(tmp.join(name), "{\"half").expect("written");
            }
            if tmp.join("restore/0").exists() {
                fs::write(tmp.join("restore/0"), "k.c of ver").expect("written");
            }
        }
        Crumb::SweptTemporaries => drop(fs::remove_dir_all(tmp)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_history_with_stops_anywhere_stays_consistent(
        history in proptest::collection::vec((0..4_u8, 0..6_u8, 0..9_usize, 0..4_usize), 1..10)
    ) {
        let mut world = World::new();
        for (kind, version, stop, crumb) in history {
            let change = match kind {
                0 => install(What::Baseline, version, Commit::Unwanted),
                1 => install(What::Keep, version, Commit::Unwanted),
                2 => install(What::Keep, version, Commit::Wanted),
                _ => revert(version),
            };
            if kind > 0 && world.current().is_none() {
                continue;
            }
            let before = world.ledger().lines.len();
            world.edit(version);
            let done = world.stop_after(&change, stop);
            let crumbs =
                [Crumb::Nothing, Crumb::TornLine, Crumb::HalfFiles, Crumb::SweptTemporaries];
            drop_crumb(&world, crumbs[crumb]);
            let end = world.recover().map(|recovered| recovered.end);
            world.check();
            let forward = done || end == Some(End::Forward);
            prop_assert_eq!(world.ledger().lines.len(), before + usize::from(forward));
            if kind == 3 && forward {
                let incumbent = world.current().expect("incumbent");
                for (source, _) in incumbent.sources() {
                    let now = Digest::of(&fs::read(world.path(&source.path)).expect("read"));
                    prop_assert_eq!(now, source.digest);
                }
            } else {
                prop_assert!(world.holds(version), "files were touched");
            }
        }
    }
}

#[test]
fn steps_done_twice_are_done_once() {
    for change in [install(What::Baseline, 1, Commit::Unwanted), revert(1)] {
        let world = World::with_baseline();
        world.edit(1);
        let mut transition = Transition::plan(&world.state, &change).expect("planned");
        for step in transition.opening() {
            transition.perform(step).expect("performed");
        }
        for step in transition.closing() {
            for _ in 0..2 {
                transition.perform(step).expect("performed");
            }
            if step == Step::Record {
                assert_eq!(world.ledger().lines.len(), 2);
            }
        }
        world.check();
    }
}
