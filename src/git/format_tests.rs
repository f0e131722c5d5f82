//! Repositories of formats that the library refuses: the `git` program reads them.

use std::fs;
use std::path::{Path, PathBuf};

use super::program_tree::content;
use super::world_tests::{World, git, keep, message, outside};
use super::{
    Committed, Error, Export, Fit, Held, History, Outside, Unfit, Wanted, at_head, at_revision,
    below_checkout, changed_in, find_commit_with_trailer, fits, history, revert_commit, revision,
};

/// A repository of a special kind, with a commit of `sub/k.c` and `.gitignore`.
struct Special {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Special {
    /// One of each kind that this version of git can make.
    fn all() -> Vec<Self> {
        let kinds: [&[&str]; 3] = [&["--ref-format=reftable"], &["--object-format=sha256"], &[]];
        let all: Vec<Self> = kinds.into_iter().filter_map(Self::made).collect();
        assert!(!all.is_empty());
        all
    }

    #[expect(clippy::disallowed_methods, reason = "older versions of git refuse some of these")]
    fn made(kind: &[&str]) -> Option<Self> {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("path").join("repo");
        fs::create_dir(&root).expect("created");
        let mut init = std::process::Command::new("git");
        init.args(["init", "--quiet", "--initial-branch=main"]).args(kind).current_dir(&root);
        if !init.status().expect("these tests need git").success() {
            return None;
        }
        let special = Self { _dir: dir, root };
        for (name, value) in [("user.name", "Test"), ("user.email", "test@example.org")] {
            special.git(&["config", name, value]);
        }
        if kind.is_empty() {
            // A clone without blobs, whose blobs happen to be here.
            special.git(&["config", "core.repositoryFormatVersion", "1"]);
            special.git(&["config", "extensions.partialClone", "origin"]);
        }
        special.write("sub/k.c", "one\n");
        special.write(".gitignore", "*.o\n");
        special.git(&["add", "."]);
        special.git(&["commit", "--quiet", "-m", "first"]);
        assert!(git2::Repository::open(&special.root).is_err(), "the library reads {kind:?}");
        Some(special)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.root, args).trim_end().to_owned()
    }

    fn commit(&self, files: &[&str]) -> Result<Committed, Error> {
        let files: Vec<PathBuf> = files.iter().map(|file| self.at(file)).collect();
        keep(&self.root, &files)
    }
}

#[test]
fn what_the_library_refuses_the_program_reads() {
    for special in Special::all() {
        let outside = &outside();
        let (file, sub) = (special.at("sub/k.c"), special.at("sub"));
        special.write("sub/k.c", "two\n");
        special.write("sub/new.c", "fresh\n");
        special.write("sub/k.o", "o\n");
        let files = [file.clone(), special.at("sub/new.c"), special.at("sub/k.o")];
        let seen = revision(&sub, &files, outside);
        assert_eq!(seen.commit, special.git(&["rev-parse", "HEAD"]));
        assert!(seen.diff.contains("--- a/sub/k.c\n+++ b/sub/k.c\n"), "{}", seen.diff);
        assert!(seen.diff.contains("-one\n+two\n"), "{}", seen.diff);
        assert!(seen.diff.contains("+fresh\n"), "{}", seen.diff);
        assert_eq!(below_checkout(&sub, outside).as_deref(), Some(Path::new("sub")));
        assert_eq!(at_head(&sub, &file, outside).as_deref(), Some("one\n"));
        assert_eq!(at_revision(&file, "main", outside).expect("read"), b"one\n");
        let none = at_revision(&file, "nowhere", outside);
        assert!(matches!(none, Err(Error::NoRevision { .. })), "{none:?}");
        let none = at_revision(&special.at("sub/new.c"), "HEAD", outside);
        assert!(matches!(none, Err(Error::NotThere { .. })), "{none:?}");
        let fit = fits(&sub, &files, outside);
        assert_eq!(fit, [Fit::Here, Fit::Here, Fit::No(Unfit::Ignored)]);
        assert_eq!(changed_in(&sub, &seen.commit, outside), [".gitignore", "k.c"]);
        assert_eq!(special.git(&["status", "--porcelain"]), " M sub/k.c\n?? sub/new.c");
    }
}

#[test]
fn what_the_library_refuses_can_be_committed_to() {
    for special in Special::all() {
        let outside = &outside();
        special.write("staged.c", "s\n");
        special.git(&["add", "staged.c"]);
        special.write("sub/k.c", "two\n");
        let Ok(Committed::Done { commit, altered, behind, .. }) = special.commit(&["sub/k.c"])
        else {
            panic!("not committed")
        };
        assert_eq!((altered, behind), (Vec::new(), None));
        assert_eq!(special.git(&["rev-parse", "HEAD"]), commit);
        assert_eq!(changed_in(&special.root, &commit, outside), ["sub/k.c"]);
        assert_eq!(special.git(&["status", "--porcelain"]), "A  staged.c");
        let nothing = special.commit(&["sub/k.c"]).expect("fine");
        assert_eq!(nothing, Committed::Nothing { head: commit.clone() });
        let (key, value) = &message().trailers[0];
        let found = find_commit_with_trailer(&special.root, key, value, outside);
        assert_eq!(found.as_ref(), Some(&commit));
        let held = Held { commit: &commit, trailer: (key, value), files: &[] };
        let look = || history(&special.root, &held, outside);
        assert_eq!(look(), Some(History::Within));
        special.git(&["commit", "--quiet", "-m", "staged"]);
        let undone = revert_commit(&special.root, &commit, outside).expect("reverted");
        assert_eq!(look(), Some(History::Undone(undone)));
        special.git(&["reset", "--quiet", "--hard", &format!("{commit}^")]);
        assert_eq!(look(), Some(History::Elsewhere));
    }
}

#[test]
fn what_the_library_refuses_is_refused_with_the_same_words() {
    for special in Special::all() {
        special.write("sub/k.c", "two\n");
        let refused = |what: &str| {
            let error = special.commit(&["sub/k.c"]).expect_err(what);
            assert!(error.to_string().contains(what), "{error}");
        };
        let head = special.git(&["rev-parse", "HEAD"]);
        special.git(&["update-ref", "CHERRY_PICK_HEAD", &head]);
        refused("a cherry-pick is in progress");
        special.git(&["update-ref", "-d", "CHERRY_PICK_HEAD"]);
        special.git(&["switch", "--quiet", "--detach"]);
        refused("HEAD is detached");
        special.git(&["switch", "--quiet", "main"]);
        let files = [special.at("sub/k.c")];
        let none = super::commit_only(&special.root, &files, &message(), &Outside::default());
        assert!(matches!(none, Err(Error::NoProgram { .. })), "{none:?}");
        assert_eq!(special.git(&["status", "--porcelain"]), " M sub/k.c");
    }
}

#[test]
fn both_ways_of_reading_say_the_same() {
    let world = World::with(&[("k.c", "one\n"), ("d/x.c", "x\n"), (".gitignore", "*.o\n")]);
    world.write("k.c", "two\n");
    world.write("new.c", "n\n");
    world.write("new.o", "n\n");
    let files: Vec<PathBuf> =
        ["k.c", "d/x.c", "new.c", "new.o"].iter().map(|file| world.at(file)).collect();
    let second = world.commit(&["k.c"]);
    let Ok(Committed::Done { commit, .. }) = second else { panic!("{second:?}") };
    world.write("k.c", "three\n");
    let outside = &outside();
    let look = || {
        (
            revision(&world.root, &files, outside).commit,
            fits(&world.root, &files, outside),
            changed_in(&world.root, &commit, outside),
            at_revision(&files[0], "HEAD~1", outside).expect("read"),
            at_revision(&files[0], "HEAD~9", outside).is_err(),
        )
    };
    let through_library = look();
    world.config("core.repositoryFormatVersion", "1");
    world.config("extensions.partialClone", "origin");
    assert!(git2::Repository::open(&world.root).is_err());
    assert_eq!(look(), through_library);
}

#[test]
fn a_revision_is_written_out_by_the_program_as_the_library_does_it() {
    let world = World::with(&[
        (".gitattributes", "*.c text eol=crlf\n"),
        ("k/k.c", "#include \"../common/a.h\"\nold\n"),
        ("k/sub/h.h", "h\n"),
        ("common/a.h", "a\n"),
        ("common/unrelated.h", "u\n"),
        ("include/deep/c.h", "c\n"),
    ]);
    world.executable("k/sub/h.h");
    world.write("k/k.c", "new\n");
    world.stage("k/k.c");
    world.stage("k/sub/h.h");
    world.commit_index("second");
    let files = [world.at("k/k.c")];
    let include_dirs = [world.at("include"), world.at("generated")];
    let state = world.beside().join("state");
    let status = world.git(&["status", "--porcelain"]);
    let write = |revision: &str| {
        let export = Export { root: &world.root, state: &state, outside: &outside() };
        export.write(revision, Wanted { files: &files, include_dirs: &include_dirs })
    };
    let through_library: Vec<_> =
        ["HEAD", "HEAD~1"].map(|r| write(r).expect("exported")).into_iter().collect();
    let all = content(&state).expect("read");
    fs::remove_dir_all(&state).expect("removed");
    world.config("core.repositoryFormatVersion", "1");
    world.config("extensions.partialClone", "origin");
    let through_program: Vec<_> =
        ["HEAD", "HEAD~1"].map(|r| write(r).expect("exported")).into_iter().collect();
    assert_eq!(through_program, through_library);
    assert_eq!(content(&state).expect("read"), all);
    // What lies there already is put right, and left alone when it is right.
    let own = &through_program[0];
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).expect("time");
    let before = modified(&own.files[0]);
    assert_eq!(&write("HEAD").expect("again"), own);
    assert_eq!(modified(&own.files[0]), before);
    fs::write(&own.files[0], "bad\n").expect("written");
    fs::write(own.dir.join("k/math.h"), "sneaked in\n").expect("written");
    assert_eq!(&write("HEAD").expect("again"), own);
    assert_eq!(content(&state).expect("read"), all);
    let gone = write("HEAD~9").expect_err("none");
    assert!(matches!(gone, Error::NoRevision { .. }), "{gone}");
    assert_eq!(world.git(&["status", "--porcelain"]), status);
}
