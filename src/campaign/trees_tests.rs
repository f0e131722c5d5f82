use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::campaign::event::Ancestry;
use crate::campaign::file::Dirty;
use crate::campaign::scope::Patterns;
use crate::git::Outside;
use crate::process::Cancel;
use crate::project::host::Disk;

/// A user's project in a git repository, and the folder of a campaign beside it.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a folder") };
        fs::create_dir(world.root()).expect("made");
        world.write("k.c", "one\n");
        world.write("tests/t.py", "t\n");
        world.write(".gitignore", "*.log\n/env\n");
        world.git(&["init", "--quiet", "--initial-branch=work", "."]);
        world.commit("first");
        world.refer("refs/remotes/origin/main", "HEAD");
        world.git(&["tag", "v1"]);
        world.git(&["tag", "-a", "-m", "two", "v2"]);
        world.write("k.c", "two\n");
        world.commit("second");
        world
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at(name).parent().expect("a folder")).expect("made");
        fs::write(self.at(name), text).expect("written");
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
    }

    fn refer(&self, name: &str, to: &str) {
        self.git(&["update-ref", name, to]);
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.root(), args)
    }

    fn begin(&self) -> (Trees, Taken) {
        self.begin_at("", Dirty::Include, &[])
    }

    /// At a folder of the project, with what is carried.
    fn begin_at(&self, below: &str, dirty: Dirty, carry: &[&str]) -> (Trees, Taken) {
        let begun = self.try_begin(below, dirty, carry);
        begun.unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_begin(
        &self,
        below: &str,
        dirty: Dirty,
        carry: &[&str],
    ) -> Result<(Trees, Taken), TreeError> {
        let root = if below.is_empty() { self.root() } else { self.at(below) };
        let carry: Vec<String> = carry.iter().map(|path| (*path).to_owned()).collect();
        let folder = tempfile::Builder::new().tempdir_in(self.dir.path()).expect("a folder").keep();
        let source = Source { root: &root, dirty, carry: &carry, outside: &outside() };
        Trees::begin(Places { folder: &folder, copies: &folder.join("trees") }, &source)
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests ask git itself")]
fn git(dir: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=Tess Ter", "-c", "user.email=tess@example.org"];
    let mut command = std::process::Command::new("git");
    let output = command.args(who).args(args).current_dir(dir).output().expect("git");
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {text}{error}");
    text
}

fn outside() -> Outside {
    Outside::of(&Disk, Cancel::default())
}

fn scope() -> Scope {
    let edit = vec!["k.c".to_owned()];
    Scope::new(&Patterns { edit, ..Patterns::default() }).expect("patterns")
}

fn text(place: &Path) -> String {
    fs::read_to_string(place).unwrap_or_else(|e| panic!("{}: {e}", place.display()))
}

/// All files below a folder with what a write to them would change.
fn stats(place: &Path) -> Vec<(PathBuf, i64, i64)> {
    let all = walkdir::WalkDir::new(place).sort_by_file_name().into_iter().flatten();
    let files = all.filter(|entry| !entry.file_type().is_dir());
    let stat = |entry: walkdir::DirEntry| {
        let found = entry.path().symlink_metadata().expect("there");
        (entry.into_path(), found.ctime(), found.ctime_nsec())
    };
    files.map(stat).collect()
}

fn objects(folder: &Path) -> String {
    git(&folder.join("repo"), &["count-objects", "-v"])
}

#[test]
fn both_trees_have_the_history_tags_and_branches_of_origin_and_no_remote() {
    let world = World::new();
    let before = stats(&world.root());
    let (mut trees, taken) = world.begin();
    assert_eq!(taken.ancestry, Ancestry::Whole);
    assert_eq!(taken.base, world.git(&["rev-parse", "HEAD"]), "nothing differs: the very commit");
    trees.prepare_lane().expect("a lane");
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    assert_eq!(stats(&world.root()), before, "the checkout is only read");
    for place in [trees.lane(), judge] {
        assert_eq!(git(&place, &["status", "--porcelain", "--branch"]), "## work");
        assert_eq!(git(&place, &["log", "--format=%s"]), "second\nfirst");
        assert_eq!(git(&place, &["diff", "--name-only", "origin/main"]), "k.c");
        assert_eq!(git(&place, &["diff", "--exit-code", "origin/main", "tests/"]), "");
        assert_eq!(git(&place, &["describe", "--tags", "HEAD~1"]), "v2");
        assert_eq!(git(&place, &["tag"]), "v1\nv2");
        assert_eq!(git(&place, &["remote"]), "");
        git(&place, &["fsck", "--strict"]);
        assert!(!place.join(".git/objects/info/alternates").exists());
        for entry in walkdir::WalkDir::new(&place).into_iter().flatten() {
            let found = entry.path().symlink_metadata().expect("there");
            assert!(found.is_dir() || found.nlink() == 1, "{}", entry.path().display());
        }
    }
    // A changed test shows.
    fs::write(trees.judge().join("tests/t.py"), "easier\n").expect("written");
    let changed = git(&trees.judge(), &["diff", "--name-only", "origin/main", "tests/"]);
    assert_eq!(changed, "tests/t.py");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests ask git itself")]
fn an_agent_can_commit_although_its_home_has_no_name_for_it() {
    let world = World::new();
    let (mut trees, _) = world.begin();
    trees.prepare_lane().expect("a lane");
    fs::write(trees.lane().join("k.c"), "tri\n").expect("written");
    let mut command = std::process::Command::new("git");
    let nameless = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")];
    command.args(["commit", "-qam", "mine"]).envs(nameless).current_dir(trees.lane());
    assert!(command.status().expect("git").success());
}

#[test]
fn whatever_was_made_of_a_trees_repository_it_is_as_before_in_the_next_iteration() {
    let world = World::new();
    let (mut trees, taken) = world.begin();
    let elsewhere = world.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    fs::write(elsewhere.join("theirs"), "theirs").expect("written");
    let lane = trees.lane();
    let harms: [&dyn Fn(); 5] = [
        &|| {
            fs::write(lane.join(".git/config"), "[core]\n\tfsmonitor = touch x\n")
                .expect("planted");
            fs::create_dir_all(lane.join(".git/hooks")).expect("made");
            fs::write(lane.join(".git/hooks/post-index-change"), "x").expect("planted");
        },
        &|| {
            fs::write(lane.join("k.c"), "three\n").expect("written");
            git(&lane, &["commit", "--quiet", "-am", "mine"]);
            git(&lane, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
            git(&lane, &["gc", "--quiet"]);
        },
        &|| fs::remove_dir_all(lane.join(".git")).expect("removed"),
        &|| {
            fs::remove_dir_all(lane.join(".git")).expect("removed");
            std::os::unix::fs::symlink(&elsewhere, lane.join(".git")).expect("linked");
        },
        &|| {
            fs::remove_dir_all(lane.join(".git/refs")).expect("removed");
            std::os::unix::fs::symlink(&elsewhere, lane.join(".git/refs")).expect("linked");
        },
    ];
    for harm in harms {
        trees.prepare_lane().expect("a lane");
        harm();
        trees.prepare_lane().expect("a lane");
        assert_eq!(git(&lane, &["rev-parse", "HEAD"]), taken.base);
        assert_eq!(git(&lane, &["rev-parse", "origin/main"]), world.git(&["rev-parse", "v1"]));
        assert_eq!(git(&lane, &["status", "--porcelain"]), "");
        assert!(
            !lane.join(".git/hooks").exists()
                && !text(&lane.join(".git/config")).contains("fsmonitor")
        );
        let there: Vec<_> = fs::read_dir(&elsewhere).expect("listed").flatten().collect();
        assert_eq!(there.len(), 1, "nothing was written or removed behind the link");
    }
}

#[test]
fn an_iteration_writes_and_reads_only_what_changes() {
    let world = World::new();
    for at in 0..50 {
        world.write(&format!("lib/{at}.c"), "same\n");
    }
    world.commit("more");
    let (mut trees, _) = world.begin();
    trees.prepare_lane().expect("a lane");
    trees.prepare_judge(0, &[]).expect("a tree");
    assert!(objects(&trees.folder).starts_with("count: 0"), "one pack, and no file an object");
    let iteration = |trees: &mut Trees, number: u32, text: &str| {
        trees.prepare_lane().expect("a lane");
        fs::write(trees.lane().join("k.c"), text).expect("written");
        let found = trees.collect(number, &scope()).expect("collected");
        let files: Vec<&str> = found.files.iter().map(|file| &file.path[..]).collect();
        assert_eq!(files, ["k.c"]);
        trees.prepare_judge(number, &found.files).expect("a tree");
        trees.commit(number, &found.files, "experiment").expect("a commit")
    };
    let commit = iteration(&mut trees, 1, "tri\n");
    let settled = |trees: &Trees| [stats(&trees.lane()), stats(&trees.judge())].concat();
    let before = settled(&trees);
    // What nobody touched is not read: otherwise these bytes would show as a difference.
    let untouched = trees.best().join("lib/7.c");
    fs::write(&untouched, "else\n").expect("written");
    iteration(&mut trees, 2, "TRI\n");
    let after = settled(&trees);
    let known: HashSet<_> = before.iter().collect();
    let written: Vec<&PathBuf> =
        after.iter().filter(|stat| !known.contains(stat)).map(|(path, ..)| path).collect();
    let of = |name: &str| written.iter().filter(|path| path.ends_with(name)).count();
    assert_eq!(of("k.c"), 2, "{written:?}");
    let objects = written.iter().filter(|path| path.iter().any(|part| part == "objects")).count();
    assert!(objects <= 6, "blob, tree and commit of the iteration before: {written:?}");
    assert!(written.len() <= 2 + objects + 1, "and an index: {written:?}");
    fs::write(&untouched, "same\n").expect("written");

    trees.promote(&commit).expect("promoted");
    trees.prepare_lane().expect("a lane");
    assert_eq!(text(&trees.lane().join("k.c")), "tri\n");
    assert_eq!(git(&trees.lane(), &["log", "-1", "--format=%s"]), "experiment");
    assert_eq!(git(&trees.lane(), &["status", "--porcelain"]), "");
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    assert_eq!(git(&judge, &["diff", "--name-only"]), "k.c", "its HEAD is the base");
}

#[test]
fn what_is_mended_is_held_against_the_best_although_nobody_touched_it_again() {
    let world = World::new();
    world.write("lib/old.c", "old\n");
    world.commit("more");
    let (mut trees, _) = world.begin();
    let edit = ["k.c", "lib/**"].map(str::to_owned).to_vec();
    let scope = Scope::new(&Patterns { edit, ..Patterns::default() }).expect("patterns");
    trees.prepare_lane().expect("a lane");
    let lane = trees.lane();
    fs::write(lane.join("k.c"), "tri\n").expect("written");
    fs::write(lane.join("lib/new.c"), "new\n").expect("written");
    fs::remove_file(lane.join("lib/old.c")).expect("removed");
    let first = trees.collect(1, &scope).expect("collected");
    let commit = trees.commit(1, &first.files, "a candidate").expect("a commit");
    trees.prepare_rework(1, &commit).expect("a lane");
    assert_eq!(git(&lane, &["status", "--porcelain"]), "");
    assert_eq!(git(&lane, &["log", "-1", "--format=%s"]), "a candidate");
    let again = trees.collect(1, &scope).expect("collected");
    assert_eq!((again, first.files.len()), (first.clone(), 3));
    trees.prepare_lane().expect("a lane");
    assert_eq!(trees.collect(2, &scope).expect("collected"), Collected::default());
}

#[test]
fn a_change_of_the_same_size_in_the_moment_of_the_copy_is_seen() {
    let world = World::new();
    let (mut trees, _) = world.begin();
    for number in 1..20 {
        trees.prepare_lane().expect("a lane");
        let place = trees.lane().join("k.c");
        let time = fs::metadata(&place).and_then(|found| found.modified()).expect("a time");
        fs::write(&place, "due\n").expect("written");
        let file = fs::File::options().write(true).open(&place).expect("opened");
        file.set_modified(time).expect("set back");
        let found = trees.collect(number, &scope()).expect("collected");
        assert_eq!(found.files.len(), 1, "iteration {number}");
    }
}

#[test]
fn uncommitted_changes_are_part_of_the_base_or_are_not() {
    let world = World::new();
    world.write("k.c", "dirty\n");
    world.write("fresh.c", "fresh\n");
    fs::remove_file(world.at("tests/t.py")).expect("removed");
    let head = world.git(&["rev-parse", "HEAD"]);
    let (trees, taken) = world.begin_at("", Dirty::Include, &[]);
    assert_ne!(taken.base, head);
    assert_eq!(git(trees.repository.folder(), &["rev-parse", "base~1"]), head);
    let best = trees.best();
    assert_eq!(
        (&text(&best.join("k.c"))[..], best.join("tests/t.py").exists()),
        ("dirty\n", false)
    );
    assert!(best.join("fresh.c").exists());
    for dirty in [Dirty::Ignore, Dirty::Stash] {
        let (trees, taken) = world.begin_at("", dirty, &[]);
        assert_eq!(taken.base, head);
        let best = trees.best();
        assert_eq!(text(&best.join("k.c")), "two\n");
        assert!(best.join("tests/t.py").exists() && !best.join("fresh.c").exists());
    }
    assert_eq!(text(&world.at("k.c")), "dirty\n");
    assert_eq!(world.git(&["stash", "list"]), "");
}

#[test]
fn what_git_tracks_is_taken_although_it_is_ignored() {
    let world = World::new();
    world.write("made.log", "tracked all the same\n");
    world.git(&["add", "--force", "made.log"]);
    world.commit("a log");
    world.write("other.log", "not tracked\n");
    let (mut trees, _) = world.begin();
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    assert!(judge.join("made.log").exists() && !judge.join("other.log").exists());
}

/// `origin/main` of a judge's tree: what differs from it, and how many commits it has.
fn compared(trees: &mut Trees) -> (String, String) {
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    assert_eq!(git(&judge, &["status", "--porcelain"]), "");
    (
        git(&judge, &["diff", "--name-only", "origin/main"]),
        git(&judge, &["rev-list", "--count", "origin/main"]),
    )
}

#[test]
fn where_the_history_cannot_be_copied_the_references_are_made_of_their_files() {
    let because = |taken: &Taken| match &taken.ancestry {
        Ancestry::References { because } => because.clone(),
        other => panic!("{other:?}"),
    };
    // A folder of a larger repository.
    let world = World::new();
    world.write("sub/k.c", "s\n");
    world.write("sub/tests/t.py", "t\n");
    world.commit("a folder");
    world.refer("refs/remotes/origin/main", "HEAD");
    world.write("sub/k.c", "faster\n");
    world.commit("faster");
    let (mut trees, taken) = world.begin_at("sub", Dirty::Fail, &[]);
    assert!(because(&taken).contains("folder of its repository"));
    assert_eq!(compared(&mut trees), ("k.c".to_owned(), "1".to_owned()));
    // A shallow clone.
    let shallow = World { dir: tempfile::tempdir().expect("a folder") };
    let url = format!("file://{}", world.root().display());
    git(shallow.dir.path(), &["clone", "--quiet", "--depth=1", "-b", "work", &url, "project"]);
    shallow.refer("refs/remotes/origin/main", "HEAD");
    let (mut trees, taken) = shallow.begin_at("", Dirty::Fail, &[]);
    assert!(because(&taken).contains("shallow"));
    assert_eq!(compared(&mut trees), (String::new(), "1".to_owned()));
    // Files that a checkout has with other line ends.
    let world = World::new();
    world.write(".gitattributes", "*.c text eol=crlf\n");
    world.write("k.c", "two\r\n");
    world.commit("line ends");
    let (mut trees, taken) = world.begin_at("", Dirty::Fail, &[]);
    assert!(because(&taken).contains("line ends"));
    assert_eq!(text(&trees.best().join("k.c")), "two\r\n");
    assert_eq!(compared(&mut trees).1, "1");
    let (trees, _) = world.begin_at("", Dirty::Ignore, &[]);
    assert_eq!(text(&trees.best().join("k.c")), "two\r\n");
}

#[test]
fn repositories_of_other_formats_are_read() {
    for (format, setting) in [("reftable", "extensions.x"), ("partial", "extensions.partialClone")]
    {
        let world = World::new();
        if format == "reftable" {
            let migrated = ["refs", "migrate", "--ref-format=reftable"];
            let text = git(&world.root(), &["--version"]);
            // `git refs` came with 2.46.
            let minor = text.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
            if minor.is_none_or(|minor| minor < 46) {
                eprintln!("skipped: {text} has no reftable");
                continue;
            }
            world.git(&["reflog", "expire", "--expire=all", "--all"]);
            fs::remove_dir_all(world.at(".git/logs")).expect("removed");
            world.git(&migrated);
        } else {
            world.git(&["config", "core.repositoryFormatVersion", "1"]);
            world.git(&["config", setting, "origin"]);
        }
        let (mut trees, taken) = world.begin_at("", Dirty::Fail, &[]);
        assert_eq!(taken.ancestry == Ancestry::Whole, format == "reftable", "{taken:?}");
        assert_eq!(compared(&mut trees), ("k.c".to_owned(), "1".to_owned()));
    }
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_there() {
    for format in ["plain", "partial"] {
        let world = World::new();
        world.write("far/away.py", "needed\n");
        world.commit("far");
        world.refer("refs/remotes/origin/main", "HEAD");
        if format == "partial" {
            world.git(&["config", "core.repositoryFormatVersion", "1"]);
            world.git(&["config", "extensions.partialClone", "origin"]);
        }
        world.git(&["sparse-checkout", "set", "tests"]);
        assert!(!world.at("far").exists());
        let (mut trees, _) = world.begin_at("", Dirty::Fail, &[]);
        let judge = trees.prepare_judge(0, &[]).expect("a tree");
        assert_eq!(text(&judge.join("far/away.py")), "needed\n");
        assert_eq!(git(&judge, &["diff", "--name-only", "origin/main"]), "");
        assert!(!world.at("far").exists(), "the checkout stays sparse");
    }
}

#[test]
fn submodules_and_large_files_are_carried_and_never_stored() {
    let world = World::new();
    let library = World::new();
    let url = library.root().display().to_string();
    let allow = "protocol.file.allow=always";
    world.git(&["-c", allow, "submodule", "--quiet", "add", &url, "ext/lib"]);
    world.commit("a library");
    world.refer("refs/remotes/origin/main", "HEAD");
    world.write("weights.bin", "");
    let large = fs::File::options().write(true).open(world.at("weights.bin")).expect("opened");
    large.set_len(11 << 20).expect("grown");
    let (mut trees, taken) = world.begin_at("", Dirty::Include, &[]);
    assert_eq!(taken.carry, ["ext/lib", "weights.bin"]);
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    trees.prepare_lane().expect("a lane");
    for place in [&judge, &trees.lane()] {
        assert_eq!(text(&place.join("ext/lib/k.c")), "two\n");
        assert!(!place.join("ext/lib/.git").exists());
        let found = fs::metadata(place.join("weights.bin")).expect("there");
        assert_eq!((found.len(), found.permissions().mode() & 0o222), (11 << 20, 0));
        assert_eq!(git(place, &["status", "--porcelain"]), "");
    }
    let stored = trees.repository.paths("base").expect("paths");
    let is_carried = |path: &&PathBuf| path.starts_with("ext") || path.ends_with("weights.bin");
    assert_eq!(stored.iter().find(is_carried), None);
    // What an agent does to its copy of them is nobody's change.
    fs::write(trees.lane().join("ext/lib/planted"), "x").expect("written");
    fs::remove_file(trees.lane().join("weights.bin")).expect("removed");
    assert_eq!(trees.collect(1, &scope()).expect("collected"), Collected::default());
}

#[test]
fn what_is_carried_lies_in_each_tree_read_only_and_leads_to_no_file_of_the_users() {
    let world = World::new();
    world.write("env/bin/tool", "#!/bin/sh\necho tool\n");
    let tool = world.at("env/bin/tool");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("set");
    std::os::unix::fs::symlink(&tool, world.at("env/bin/link")).expect("linked");
    let (mut trees, taken) = world.begin_at("", Dirty::Fail, &["env"]);
    assert_eq!(taken.ancestry, Ancestry::Whole);
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    trees.prepare_lane().expect("a lane");
    for place in [&judge, &trees.lane()] {
        let mode = fs::metadata(place.join("env/bin/tool")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o555);
        assert_eq!(
            fs::read_link(place.join("env/bin/link")).ok(),
            Some(place.join("env/bin/tool"))
        );
        assert_eq!(git(place, &["status", "--porcelain"]), "");
    }
    // One that a guard changed is mended.
    fs::remove_file(judge.join("env/bin/tool")).expect("removed");
    fs::write(judge.join("env/bin/tool"), "worse\n").expect("written");
    trees.prepare_judge(0, &[]).expect("a tree");
    assert!(text(&judge.join("env/bin/tool")).contains("echo tool"));
    let (folder, copies) = (trees.folder.clone(), trees.copies.clone());
    drop(trees);
    let root = world.root();
    let known = Known { root: &root, base: &taken.base, best: &taken.base, carry: &taken.carry };
    let mut again =
        Trees::resume(Places { folder: &folder, copies: &copies }, known).expect("resumed");
    let before = stats(&judge);
    again.prepare_judge(0, &[]).expect("a tree");
    let is_git = |stat: &&(PathBuf, i64, i64)| stat.0.starts_with(judge.join(".git"));
    let rest = |stats: Vec<(PathBuf, i64, i64)>| -> Vec<_> {
        stats.iter().filter(|stat| !is_git(stat)).cloned().collect()
    };
    assert_eq!(rest(stats(&judge)), rest(before), "nothing is copied again");
    let refused = world.try_begin("", Dirty::Fail, &["nowhere"]).err().expect("refused");
    assert!(refused.to_string().contains("`nowhere` of [scope] carry is not in the project"));
}

#[test]
fn a_project_without_git_has_trees_with_one_commit() {
    let world = World { dir: tempfile::tempdir().expect("a folder") };
    world.write("k.c", "one\n");
    let (mut trees, taken) = world.begin_at("", Dirty::Fail, &[]);
    assert_eq!(taken.ancestry, Ancestry::None);
    let judge = trees.prepare_judge(0, &[]).expect("a tree");
    assert_eq!(git(&judge, &["status", "--porcelain", "--branch"]), "## optloop");
    assert_eq!(git(&judge, &["rev-list", "--count", "HEAD"]), "1");
    assert!(objects(&trees.folder).starts_with("count: 0"));
}
