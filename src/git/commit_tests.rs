//! Commits in repositories that are in every state a user may leave them in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{IndexEntry, IndexTime, Oid, RepositoryInitOptions};
use proptest::prelude::*;

use super::attempt::{Attempt, Record};
use super::program::Program;
use super::staged::Staged;
use super::world_tests::{Facts, World, git, keep, outside};
use super::{Committed, Error, find_commit_with_trailer, recover};

const MAIN: &str = "refs/heads/main";

fn done(result: Result<Committed, Error>) -> String {
    match result {
        Ok(Committed::Done { commit, altered, behind, .. }) => {
            assert_eq!((altered, behind), (Vec::<PathBuf>::new(), None));
            commit
        }
        other => panic!("{other:?}"),
    }
}

fn refused(result: Result<Committed, Error>, words: &str) {
    match result {
        Err(refused) => assert!(refused.to_string().contains(words), "{refused}\nnot: {words}"),
        Ok(other) => panic!("{other:?}, not: {words}"),
    }
}

/// Refused with these words, and nothing is other than before.
fn refused_unchanged(world: &World, files: &[&str], words: &str) {
    let before = world.facts();
    refused(world.commit(files), words);
    assert_eq!(world.facts(), before, "{words}");
}

#[test]
fn only_the_named_file_is_committed_whatever_else_is_staged_changed_or_new() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "a\n"), ("b.c", "b\n"), ("gone.c", "g\n")]);
    world.write("a.c", "staged\n");
    world.stage("a.c");
    world.write("a.c", "and changed again\n");
    world.write("b.c", "changed\n");
    world.write("new/untracked.c", "u\n");
    world.write("staged-new.c", "s\n");
    world.stage("staged-new.c");
    world.edit_index(|index| index.remove_path(Path::new("gone.c")).expect("removed"));
    world.write("k.c", "new\n");
    let before = world.facts();
    let old = world.repository().head().expect("head").target().expect("id");
    let status = world.git(&["status", "--porcelain=v2"]);
    let cached = world.git(&["diff", "--cached"]);

    let id = done(world.commit(&["k.c"]));

    let repository = world.repository();
    let commit = repository.find_commit(id.parse().expect("id")).expect("commit");
    assert_eq!(commit.parent_id(0).expect("parent"), old);
    assert_eq!(commit.message().expect("text"), super::world_tests::message().text());
    let after = world.facts();
    assert_eq!(after.references[MAIN], id);
    assert_eq!(after.index[&("k.c".to_owned(), 0)].0, blob("new\n"));
    assert_eq!(after.but(MAIN, &["k.c"]), before.but(MAIN, &["k.c"]));
    assert_eq!(world.committed("k.c").as_deref(), Some("new\n"));
    assert_eq!(world.committed("a.c").as_deref(), Some("a\n"));
    assert_eq!(world.committed("gone.c").as_deref(), Some("g\n"));
    assert_eq!(world.committed("staged-new.c"), None);
    let others = |text: String| -> Vec<String> {
        text.lines().filter(|line| !line.ends_with("k.c")).map(str::to_owned).collect()
    };
    assert_eq!(others(world.git(&["status", "--porcelain=v2"])), others(status));
    assert_eq!(world.git(&["diff", "--cached"]), cached);
    assert_eq!(world.git(&["status", "--porcelain", "--", "k.c"]), "");
    world.git(&["fsck", "--strict"]);
    let log = world.git(&["reflog", "show", "HEAD", "--format=%gs"]);
    assert!(log.starts_with("commit: softmax: 12 % faster\n"), "{log}");
    assert_eq!(world.git(&["reflog", "show", "main", "--format=%gs"]), log);
}

fn blob(text: &str) -> String {
    Oid::hash_object(git2::ObjectType::Blob, text.as_bytes()).expect("id").to_string()
}

#[test]
fn a_version_that_was_staged_gives_way_to_the_file_itself() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "staged\n");
    world.stage("k.c");
    world.write("k.c", "new\n");
    done(world.commit(&["k.c"]));
    assert_eq!(world.committed("k.c").as_deref(), Some("new\n"));
    assert_eq!(world.facts().index[&("k.c".to_owned(), 0)].0, blob("new\n"));
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn what_the_last_commit_has_already_is_not_committed_again() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "staged\n");
    world.stage("k.c");
    world.write("k.c", "old\n");
    let before = world.facts();
    let head = before.references[MAIN].clone();
    assert_eq!(world.commit(&["k.c"]).expect("fine"), Committed::Nothing { head });
    assert_eq!(world.facts(), before);
}

#[test]
fn names_are_taken_literally() {
    let names =
        ["a b.c", "ünï/ç.c", "-k.c", "*.c", "[a-z].c", ":(top)k.c", "sub/d?r/k.c", "a\"b.c"];
    let world = World::with(&[("x.c", "x\n"), ("a.c", "a\n")]);
    world.write("x.c", "changed\n");
    for name in names {
        for text in ["k\n", "k2\n"] {
            world.write(name, text);
            done(world.commit(&[name]));
            assert_eq!(world.committed(name).as_deref(), Some(text), "{name}");
        }
    }
    assert_eq!(world.committed("x.c").as_deref(), Some("x\n"));
    assert_eq!(world.git(&["status", "--porcelain"]), " M x.c\n");
}

#[test]
fn several_files_and_an_untracked_one_make_one_commit() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    world.write("deep/er/k.h", "h\n");
    world.executable("deep/er/k.h");
    done(world.commit(&["k.c", "deep/er/k.h", "k.c"]));
    assert_eq!(world.committed("deep/er/k.h").as_deref(), Some("h\n"));
    assert_eq!(world.facts().index[&("deep/er/k.h".to_owned(), 0)].1, 0o100_755);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

#[test]
fn an_executable_bit_alone_is_a_change_unless_the_file_system_has_none() {
    let world = World::with(&[("k.c", "old\n")]);
    world.executable("k.c");
    world.config("core.filemode", "false");
    assert!(matches!(world.commit(&["k.c"]), Ok(Committed::Nothing { .. })));
    world.config("core.filemode", "true");
    done(world.commit(&["k.c"]));
    let repository = world.repository();
    let head = repository.head().expect("head").peel_to_tree().expect("tree");
    assert_eq!(head.get_name("k.c").expect("entry").filemode(), 0o100_755);
}

#[test]
fn line_ends_are_kept_as_git_add_keeps_them() {
    let world = World::with(&[(".gitattributes", "*.c text eol=crlf\n"), ("k.c", "a\n")]);
    world.write("k.c", "a\r\nb\r\n");
    done(world.commit(&["k.c"]));
    assert_eq!(world.committed("k.c").as_deref(), Some("a\nb\n"));
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    world.config("core.autocrlf", "input");
    world.write("k.h", "x\r\n");
    done(world.commit(&["k.h"]));
    assert_eq!(world.committed("k.h").as_deref(), Some("x\n"));
}

#[test]
fn a_folder_below_and_a_linked_worktree_are_as_good_as_the_root() {
    let world = World::with(&[("sub/k.c", "old\n"), ("a.c", "a\n")]);
    world.write("sub/k.c", "new\n");
    let id = done(world.commit_from(&world.at("sub"), &["sub/k.c"]));
    let linked = world.beside().join("linked");
    world.repository().worktree("linked", &linked, None).expect("worktree");
    fs::write(linked.join("sub/k.c"), "linked\n").expect("written");
    let main = world.facts();
    let second = done(keep(&linked, &[linked.join("sub/k.c")]));
    let after = world.facts();
    assert_eq!(after.references["refs/heads/linked"], second);
    assert_eq!(after.references[MAIN], id);
    let but = |facts: Facts| facts.but("refs/heads/linked", &[]);
    assert_eq!(but(after), but(main));
    assert_eq!(git(&linked, &["status", "--porcelain"]), "");
}

#[test]
fn the_first_commit_of_all_is_one_too() {
    let world = World::unborn();
    world.write("k.c", "k\n");
    world.write("other.c", "o\n");
    world.stage("other.c");
    let result = world.commit(&["k.c"]);
    let Ok(Committed::Done { parent: None, ref branch, .. }) = result else { panic!("{result:?}") };
    assert_eq!(branch, MAIN);
    assert_eq!(world.committed("k.c").as_deref(), Some("k\n"));
    assert_eq!(world.committed("other.c"), None);
    assert_eq!(world.git(&["status", "--porcelain"]), "A  other.c\n");

    let bare_index = World::unborn();
    bare_index.write("k.c", "k\n");
    done(bare_index.commit(&["k.c"]));
    assert_eq!(bare_index.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_stash_and_a_conflict_elsewhere_stay() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "a\n")]);
    world.write("a.c", "stashed\n");
    let who = git2::Signature::now("t", "t@example.org").expect("who");
    world.repository().stash_save(&who, "mine", None).expect("stash");
    conflict(&world, "a.c");
    world.write("k.c", "new\n");
    let before = world.facts();
    let stash = world.git(&["stash", "list"]);
    done(world.commit(&["k.c"]));
    assert_eq!(world.facts().but(MAIN, &["k.c"]), before.but(MAIN, &["k.c"]));
    assert_eq!(world.git(&["stash", "list"]), stash);
    refused_unchanged(&world, &["a.c"], "conflict");
}

/// Three versions of one path in the index, as after `git stash pop`.
fn conflict(world: &World, path: &str) {
    let repository = world.repository();
    let mut index = repository.index().expect("index");
    index.remove_path(Path::new(path)).expect("removed");
    for stage in 1..=3_u16 {
        let never = IndexTime::new(0, 0);
        let id = repository.blob(format!("version {stage}\n").as_bytes()).expect("blob");
        let entry = IndexEntry {
            ctime: never,
            mtime: never,
            dev: 0,
            ino: 0,
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            file_size: 0,
            id,
            flags: stage << 12,
            flags_extended: 0,
            path: path.as_bytes().to_vec(),
        };
        index.add(&entry).expect("added");
    }
    index.write().expect("written");
}

#[test]
fn files_that_cannot_be_committed_are_refused_with_words() {
    let world = World::with(&[("k.c", "old\n"), (".gitignore", "*.o\nkept.o\n"), ("d/x.c", "x\n")]);
    world.write("k.o", "o\n");
    refused_unchanged(&world, &["k.o"], "git add -f");
    std::os::unix::fs::symlink("k.c", world.at("link.c")).expect("link");
    refused_unchanged(&world, &["link.c"], "symbolic link");
    refused_unchanged(&world, &["missing.c"], "does not exist");
    refused_unchanged(&world, &["d"], "is not a file");
    refused_unchanged(&world, &[".git/config"], "git's own folder");
    let outside = world.beside().join("outside.c");
    fs::write(&outside, "x").expect("written");
    refused(keep(&world.root, &[outside]), "outside the repository");
    git2::Repository::init(world.at("nested")).expect("init");
    world.write("nested/k.c", "n\n");
    refused_unchanged(&world, &["nested/k.c"], "repository of its own");
    // One that cannot be committed keeps the others back too.
    world.write("k.c", "new\n");
    refused_unchanged(&world, &["k.c", "k.o"], "git add -f");
    // The folder's place is taken by a file in the last commit.
    fs::remove_file(world.at("k.c")).expect("removed");
    world.write("k.c/k.c", "deep\n");
    refused_unchanged(&world, &["k.c/k.c"], "something else");
}

#[test]
fn a_file_of_the_last_commit_is_committed_although_it_is_ignored() {
    let world = World::with(&[("k.o", "old\n"), (".gitignore", "*.o\n")]);
    world.write("k.o", "new\n");
    done(world.commit(&["k.o"]));
}

#[test]
fn files_that_git_was_told_to_skip_are_refused() {
    for (flags, extended, words) in [(0x8000, 0, "no-assume-unchanged"), (0, 0x4000, "sparse")] {
        let world = World::with(&[("k.c", "old\n"), ("other.c", "o\n")]);
        world.edit_index(|index| {
            for path in ["k.c", "other.c"] {
                let mut entry = index.get_path(Path::new(path), 0).expect("entry");
                entry.flags |= flags;
                entry.flags_extended |= extended;
                index.add(&entry).expect("added");
            }
        });
        world.write("k.c", "new\n");
        refused_unchanged(&world, &["k.c"], words);
        // Such a mark on another file is kept.
        world.write("free.c", "f\n");
        let before = world.facts();
        done(world.commit(&["free.c"]));
        assert_eq!(world.facts().but(MAIN, &["free.c"]), before.but(MAIN, &["free.c"]));
    }
}

#[test]
fn places_and_states_that_take_no_commit_are_refused() {
    let outside = tempfile::tempdir().expect("tempdir");
    let file = outside.path().join("k.c");
    fs::write(&file, "k").expect("written");
    refused(keep(outside.path(), &[file]), "no git repository");

    let bare = tempfile::tempdir().expect("tempdir");
    let options = &mut RepositoryInitOptions::new();
    git2::Repository::init_opts(bare.path(), options.bare(true)).expect("init");
    refused(keep(bare.path(), &[bare.path().join("HEAD")]), "bare repository");

    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    let id = world.repository().head().expect("head").target().expect("id");
    for (file, what) in [
        ("MERGE_HEAD", "a merge is in progress"),
        ("CHERRY_PICK_HEAD", "a cherry-pick is"),
        ("REVERT_HEAD", "a revert is"),
        ("BISECT_LOG", "a bisection is"),
        ("rebase-merge/interactive", "a rebase is"),
    ] {
        let path = format!(".git/{file}");
        world.write(&path, &format!("{id}\n"));
        refused_unchanged(&world, &["k.c"], what);
        fs::remove_file(world.at(&path)).expect("removed");
        let _empty = fs::remove_dir(world.at(".git/rebase-merge"));
    }
    world.config("user.name", " ");
    refused_unchanged(&world, &["k.c"], "git config user.name");
    world.config("user.name", "Test");
    world.write(".git/index.lock", "");
    refused_unchanged(&world, &["k.c"], "index.lock");
    fs::remove_file(world.at(".git/index.lock")).expect("removed");
    world.repository().set_head_detached(id).expect("detached");
    refused_unchanged(&world, &["k.c"], "git switch -c");
}

#[test]
fn a_lock_that_is_given_back_is_waited_for() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    world.write(".git/index.lock", "");
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| world.commit(&["k.c"]));
        std::thread::sleep(Duration::from_millis(60));
        fs::remove_file(world.at(".git/index.lock")).expect("removed");
        done(commit.join().expect("joined"));
    });
}

#[test]
fn a_repository_that_cannot_be_written_is_refused() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    let git = world.at(".git");
    let mode = |bits| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&git, fs::Permissions::from_mode(bits)).expect("set");
    };
    mode(0o555);
    // Nothing is forbidden to the superuser.
    let forbidden = fs::write(git.join("probe"), "").is_err();
    if forbidden {
        refused_unchanged(&world, &["k.c"], "writing in");
    }
    mode(0o755);
}

#[test]
fn hooks_run_and_their_no_is_a_no() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "a\n")]);
    world.write("a.c", "staged\n");
    world.stage("a.c");
    world.write("k.c", "new\n");
    world.write("fresh.c", "f\n");
    world.hook("pre-commit", "echo 'tabs are forbidden' >&2; exit 1");
    let before = world.facts();
    let result = world.commit(&["k.c", "fresh.c"]);
    let Err(Error::Blocked { ref output, .. }) = result else { panic!("{result:?}") };
    assert!(output.contains("tabs are forbidden"), "{output}");
    assert_eq!(world.facts(), before);

    world.hook("pre-commit", "git diff --cached --name-only -- '*.c' > seen");
    world.hook("commit-msg", "echo 'Reviewed-by: hook' >> \"$1\"");
    let id = done(world.commit(&["k.c", "fresh.c"]));
    let repository = world.repository();
    let commit = repository.find_commit(id.parse().expect("id")).expect("commit");
    assert!(commit.message().expect("text").ends_with("Reviewed-by: hook\n"));
    assert_eq!(fs::read_to_string(world.at("seen")).expect("seen"), "fresh.c\nk.c\n");
    fs::remove_file(world.at("seen")).expect("removed");
    assert_eq!(world.facts().but(MAIN, &["k.c", "fresh.c"]), before.but(MAIN, &["k.c", "fresh.c"]));
    assert_eq!(world.committed("a.c").as_deref(), Some("a\n"));
    let found = find_commit_with_trailer(
        &world.root,
        "Optloop-Artifact",
        "runs/1/candidate.json",
        &outside(),
    );
    assert_eq!(found, Some(id));
}

#[test]
fn a_commit_that_the_index_does_not_follow_says_so() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    world.hook("post-commit", "touch .git/index.lock");
    let result = world.commit(&["k.c"]);
    let Ok(Committed::Done { behind: Some(why), .. }) = result else { panic!("{result:?}") };
    assert!(why.contains("index.lock"), "{why}");
    assert_eq!(world.committed("k.c").as_deref(), Some("new\n"));
}

#[test]
fn a_hook_that_changes_the_kernel_is_told() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    world.hook("pre-commit", "echo formatted > k.c; git add k.c; echo x > extra; git add extra");
    let result = world.commit(&["k.c"]);
    let Ok(Committed::Done { ref altered, .. }) = result else { panic!("{result:?}") };
    assert!(altered.contains(&"k.c".into()), "{altered:?}");
    assert!(altered.contains(&"extra".into()), "{altered:?}");
}

#[test]
fn hooks_lie_where_the_configuration_says_and_only_executable_ones_count() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
    world.write("k.c", "new\n");
    done(world.commit(&["k.c"]));
    world.config("core.hooksPath", "tools/hooks");
    world.write("tools/hooks/commit-msg", "#!/bin/sh\necho no such words >&2\nexit 1\n");
    world.executable("tools/hooks/commit-msg");
    world.write("k.c", "newer\n");
    refused_unchanged(&world, &["k.c"], "no such words");
}

#[test]
fn a_filter_of_the_users_own_is_run() {
    let world = World::with(&[(".gitattributes", "*.c filter=up\n"), ("k.c", "A\n")]);
    world.config("filter.up.clean", "tr a-z A-Z");
    world.config("filter.up.smudge", "tr A-Z a-z");
    world.write("k.c", "b\n");
    done(world.commit(&["k.c"]));
    assert_eq!(world.committed("k.c").as_deref(), Some("B\n"));
}

#[test]
fn commits_are_signed_where_the_user_wants_them_signed() {
    let world = World::with(&[("k.c", "old\n")]);
    world.config("commit.gpgsign", "true");
    world.config("gpg.program", &world.at("sign").to_string_lossy());
    world.write("k.c", "new\n");
    world.write("sign", "#!/bin/sh\necho no secret key >&2\nexit 2\n");
    world.executable("sign");
    refused_unchanged(&world, &["k.c"], "no secret key");
    let made = "-----BEGIN PGP SIGNATURE-----\\nx\\n-----END PGP SIGNATURE-----\\n";
    world.write(
        "sign",
        &format!(
            "#!/bin/sh\ncat > /dev/null\nprintf -- '{made}'\n\
             printf '\\n[GNUPG:] SIG_CREATED ' >&2\n"
        ),
    );
    let id = done(world.commit(&["k.c"])).parse().expect("id");
    let repository = world.repository();
    let commit = repository.find_commit(id).expect("commit");
    assert!(commit.raw_header().expect("text").contains("gpgsig -----BEGIN"));
}

#[test]
fn the_environment_names_the_author_and_no_other_repository() {
    let world = World::with(&[("k.c", "old\n")]);
    world.config("user.name", " ");
    world.write("k.c", "new\n");
    let mut outside = outside();
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "Ann"),
        ("GIT_COMMITTER_NAME", "Carl"),
        ("GIT_INDEX_FILE", "/nowhere/index"),
        ("GIT_DIR", "/nowhere"),
    ] {
        outside.env.push((name.into(), value.into()));
    }
    let message = super::world_tests::message();
    let result = super::commit_only(&world.root, &[world.at("k.c")], &message, &outside);
    let id = done(result).parse().expect("id");
    let repository = world.repository();
    let commit = repository.find_commit(id).expect("commit");
    assert_eq!(commit.author().name().expect("text"), "Ann");
    assert_eq!(commit.committer().name().expect("text"), "Carl");
}

#[test]
fn without_the_git_program_nothing_is_committed() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    let before = world.facts();
    let files = [world.at("k.c")];
    let message = super::world_tests::message();
    let result = super::commit_only(&world.root, &files, &message, &super::Outside::default());
    refused(result, "it is not in the PATH: install it, or pass --no-commit");
    assert_eq!(world.facts(), before);
}

#[test]
fn a_split_index_stays_one() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "a\n")]);
    world.git(&["update-index", "--split-index"]);
    let is_split = || {
        let index = fs::read(world.at(".git/index")).expect("read");
        index.windows(4).any(|bytes| bytes == b"link")
    };
    assert!(is_split());
    world.write("k.c", "new\n");
    world.write("fresh.c", "new\n");
    done(world.commit(&["k.c", "fresh.c"]));
    assert_eq!(world.committed("k.c").as_deref(), Some("new\n"));
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(is_split());
}

#[test]
fn a_change_within_the_tick_of_the_index_stays_visible() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "one\n")]);
    // Same length, and the index is made to be as old as the file: only its content tells.
    let times = fs::metadata(world.at("a.c")).expect("stat").modified().expect("time");
    world.write("a.c", "two\n");
    for path in [world.at("a.c"), world.at(".git/index")] {
        let file = fs::File::options().append(true).open(path).expect("open");
        file.set_modified(times).expect("set");
    }
    world.config("core.trustctime", "false");
    world.write("k.c", "new\n");
    done(world.commit(&["k.c"]));
    let status = world.git(&["status", "--porcelain"]);
    assert_eq!(status, " M a.c\n");
}

/// The folder that a commit of `k.c` leaves when it is killed now.
fn killed(world: &World) -> Attempt {
    let git = Program::find(&world.root, &outside()).expect("git");
    let paths = vec![PathBuf::from("k.c")];
    let head = world.repository().head().expect("head").target().expect("id");
    let attempt = Attempt::begin(&world.at(".git")).expect("begun");
    let record = Record {
        before: Some(head.to_string()),
        branch: MAIN.to_owned(),
        title: super::world_tests::message().title,
        staged: Staged::of(&git, &paths).expect("listed").digest().hex(),
        paths,
    };
    attempt.note(&record).expect("noted");
    attempt
}

#[test]
fn an_index_entry_that_a_kill_left_behind_is_brought_up() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "a\n")]);
    for (staged, text) in [(None, "new\n"), (Some("staged\n"), "newer\n")] {
        if let Some(staged) = staged {
            world.write("k.c", staged);
            world.stage("k.c");
        }
        world.write("k.c", text);
        let stale = fs::read(world.at(".git/index")).expect("read");
        let attempt = killed(&world);
        done(world.commit(&["k.c"]));
        let good = world.facts();
        fs::write(world.at(".git/index"), stale).expect("written");
        // The kill came while git wrote the new index.
        world.write(&format!(".git/{}/index.new.lock", attempt.marker()), "DIRC");
        attempt.leave();
        recover(&world.root, &outside()).expect("recovered");
        let mut left = good.clone();
        left.private.clone_from(&world.facts().private);
        assert_eq!(world.facts(), left);
        assert!(!left.private.iter().any(|name| name.starts_with("optloop")), "{left:?}");
        assert_eq!(world.git(&["status", "--porcelain"]), "");
    }
}

#[test]
fn what_was_staged_since_a_kill_is_the_users() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    let attempt = killed(&world);
    done(world.commit(&["k.c"]));
    world.write("k.c", "mine\n");
    world.stage("k.c");
    attempt.leave();
    let mine = world.facts();
    recover(&world.root, &outside()).expect("recovered");
    assert_eq!(world.facts().index, mine.index);
    // Nor is another commit on top of the same one taken for ours.
    let attempt = killed(&world);
    world.commit_index("by hand");
    attempt.leave();
    let mine = world.facts();
    recover(&world.root, &outside()).expect("recovered");
    assert_eq!(world.facts().index, mine.index);
}

#[test]
fn locks_of_a_killed_commit_are_removed_and_those_of_others_are_not() {
    let world = World::with(&[("k.c", "old\n")]);
    world.write("k.c", "new\n");
    let head = world.repository().head().expect("head").target().expect("id");
    let before = world.facts();
    let attempt = killed(&world);
    let folder = world.at(".git").join(attempt.marker());
    fs::hard_link(folder.join("owner"), world.at(".git/index.lock")).expect("linked");
    let next = world.commit_index("on top of it");
    world.repository().reference(MAIN, head, true, "back").expect("moved");
    world.write(".git/refs/heads/main.lock", &format!("{next}\n"));
    world.write(".git/HEAD.lock", "");
    attempt.leave();
    recover(&world.root, &outside()).expect("recovered");
    assert_eq!(world.facts(), before);
    assert!(!world.at(".git/refs/heads/main.lock").exists());
    // An older lock, one with other content, and the lock of an index that is not a link to ours.
    let attempt = killed(&world);
    world.write(".git/refs/heads/main.lock", &format!("{head}\n"));
    world.write(".git/index.lock", "");
    attempt.leave();
    let busy = recover(&world.root, &outside());
    assert!(busy.is_ok(), "{busy:?}");
    assert!(world.at(".git/refs/heads/main.lock").exists());
    assert!(world.at(".git/index.lock").exists());
}

#[test]
fn trailers_are_found_in_the_last_paragraph_only() {
    let world = World::with(&[("k.c", "old\n")]);
    let find =
        |value: &str| find_commit_with_trailer(&world.root, "Optloop-Artifact", value, &outside());
    let ours = world.commit_index("t\n\nbody\n\nOptloop-Artifact: a b\nOther: c\n").to_string();
    world.commit_index("t\n\nOptloop-Artifact: forged\n\nend\n");
    assert_eq!(find("a b"), Some(ours));
    assert_eq!(find("forged"), None);
    assert_eq!(find("a"), None);
    assert_eq!(find_commit_with_trailer(Path::new("/"), "a", "b", &outside()), None);
}

/// Commits again and again until it is killed; does nothing unless the test below asks.
#[test]
fn child_that_commits() {
    #[expect(clippy::disallowed_methods, reason = "this test is a program of its own")]
    let Some(root) = std::env::var_os("OPTLOOP_TEST_COMMITS") else { return };
    let file = PathBuf::from(&root).join("k.c");
    // Tells the other side that it begins.
    fs::write(Path::new(&root).with_file_name("begun"), "").expect("written");
    done(keep(Path::new(&root), &[file]));
}

#[test]
fn a_kill_at_any_moment_leaves_the_state_before_or_after() {
    let world = World::with(&[("k.c", "old\n"), ("a.c", "a\n")]);
    world.write("a.c", "mine\n");
    world.stage("a.c");
    let mut ends = [0, 0];
    for round in 0_i32..24 {
        world.write("k.c", &format!("staged {round}\n"));
        world.stage("k.c");
        world.write("k.c", &format!("new {round}\n"));
        let before = world.facts();
        // From at once to longer than any commit takes; the last one is left alone.
        let delay = Duration::from_micros(200).mul_f64(1.32_f64.powi(round));
        killed_commit(&world, (round < 23).then_some(delay));
        recover(&world.root, &outside()).expect("recovered");
        let after = world.facts();
        let moved = after.references[MAIN] != before.references[MAIN];
        ends[usize::from(moved)] += 1;
        if moved {
            assert_eq!(after.index[&("k.c".to_owned(), 0)].0, blob(&format!("new {round}\n")));
        } else {
            assert_eq!(after.index, before.index);
        }
        assert_eq!(after.files, before.files);
        assert_eq!(after.clone().but(MAIN, &["k.c"]).index, before.but(MAIN, &["k.c"]).index);
        assert!(!after.private.contains("index.lock"), "{:?}", after.private);
        // And the next commit succeeds.
        let next = world.commit(&["k.c"]).expect("committed");
        assert_eq!(matches!(next, Committed::Nothing { .. }), moved);
    }
    // Without both, nothing has been shown.
    assert!(ends.iter().all(|n| *n > 0), "{ends:?}");
    world.git(&["fsck"]);
}

/// Starts a process that commits, and kills it so long after its beginning.
#[expect(clippy::disallowed_methods, reason = "only a process of its own can be killed")]
fn killed_commit(world: &World, after: Option<Duration>) {
    let begun = world.beside().join("begun");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "git::commit_tests::child_that_commits"])
        .env("OPTLOOP_TEST_COMMITS", &world.root)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started");
    while !begun.exists() && child.try_wait().expect("asked").is_none() {
        std::hint::spin_loop();
    }
    if let Some(after) = after {
        std::thread::sleep(after);
        // It may have ended by itself.
        let _ended = child.kill();
    }
    child.wait().expect("waited");
    fs::remove_file(begun).expect("removed");
}

/// What the user did to one file before.
#[derive(Debug, Clone)]
enum Deed {
    Stage(String),
    Change(String),
    Remove,
    Unstage,
    Conflict,
    Executable,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        "[a-c]{0,3}\n".prop_map(Deed::Stage),
        "[a-c]{0,3}\n".prop_map(Deed::Change),
        Just(Deed::Remove),
        Just(Deed::Unstage),
        Just(Deed::Conflict),
        Just(Deed::Executable),
    ]
}

impl Deed {
    fn done_to(&self, world: &World, path: &str) {
        let there = world.at(path).is_file();
        match self {
            Self::Stage(text) => {
                world.write(path, text);
                world.stage(path);
            }
            Self::Change(text) => world.write(path, text),
            Self::Remove if there => fs::remove_file(world.at(path)).expect("removed"),
            Self::Executable if there => world.executable(path),
            Self::Conflict => conflict(world, path),
            Self::Unstage => world.edit_index(|index| {
                // It may not be there; then this is nothing.
                let _removed = index.remove(Path::new(path), 0);
            }),
            Self::Remove | Self::Executable => {}
        }
    }
}

const PATHS: [&str; 6] = ["k.c", "a.c", "sub/b.c", "sub/k.c", "new.c", "sub/deep/n.c"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_user_did_only_the_named_files_change(
        deeds in proptest::collection::vec((0..PATHS.len(), deed()), 0..12),
        chosen in proptest::sample::subsequence((0..PATHS.len()).collect::<Vec<_>>(), 1..=3),
    ) {
        let world = World::with(&[("k.c", "k\n"), ("a.c", "a\n"), ("sub/b.c", "b\n"), ("sub/k.c", "k\n")]);
        for (path, deed) in &deeds {
            deed.done_to(&world, PATHS[*path]);
        }
        let named: Vec<&str> = chosen.iter().map(|i| PATHS[*i]).collect();
        let before = world.facts();
        let tree = |path: &str| world.committed(path);
        let old: Vec<_> = PATHS.iter().map(|p| tree(p)).collect();
        let result = world.commit(&named);
        let after = world.facts();
        match result {
            Ok(Committed::Done { .. }) => {
                for (path, old) in PATHS.iter().zip(old) {
                    if named.contains(path) {
                        let text = fs::read_to_string(world.at(path)).expect("read");
                        prop_assert_eq!(tree(path), Some(text.clone()));
                        prop_assert_eq!(&after.index[&((*path).to_owned(), 0)].0, &blob(&text));
                    } else {
                        prop_assert_eq!(tree(path), old);
                    }
                }
                prop_assert_eq!(after.but(MAIN, &named), before.but(MAIN, &named));
            }
            Ok(Committed::Nothing { .. }) | Err(Error::File { .. }) => {
                prop_assert_eq!(after, before);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
