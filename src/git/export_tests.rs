//! Revisions written out, and names that name nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::world_tests::{World, outside};
use super::{Error, Export, Exported, Wanted};

fn at(world: &World, revision: &str, files: &[&str]) -> Result<Exported, Error> {
    with_includes(world, revision, files, &[])
}

fn with_includes(
    world: &World,
    revision: &str,
    files: &[&str],
    folders: &[&str],
) -> Result<Exported, Error> {
    let files: Vec<PathBuf> = files.iter().map(|f| world.at(f)).collect();
    let include_dirs: Vec<PathBuf> = folders.iter().map(|f| world.at(f)).collect();
    let wanted = Wanted { files: &files, include_dirs: &include_dirs };
    let state = world.beside().join("state");
    let export = Export { root: &world.root, state: &state, outside: &outside() };
    export.write(revision, wanted)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("read")
}

/// Two commits of a kernel with a header, and something that it does not need.
fn world() -> (World, [git2::Oid; 2]) {
    let files = [("k/k.c", "one\n"), ("k/sub/h.h", "h\n"), ("other/o.c", "o\n"), ("k/run", "r\n")];
    let world = World::with(&files);
    let first = world.repository().head().expect("head").target().expect("id");
    world.write("k/k.c", "two\n");
    world.stage("k/k.c");
    world.executable("k/run");
    world.stage("k/run");
    let second = world.commit_index("second");
    (world, [first, second])
}

#[test]
fn a_kernel_is_written_out_with_its_folder_as_it_was() {
    let (world, ids) = world();
    let before = world.facts();
    for (revision, id, want) in [("HEAD~1", ids[0], "one\n"), ("main", ids[1], "two\n")] {
        let found = at(&world, revision, &["k/k.c"]).expect("exported");
        assert_eq!(found.commit, id.to_string());
        assert!(found.dir.starts_with(world.beside().join("state/revisions").join(id.to_string())));
        assert_eq!(found.files, [found.dir.join("k/k.c")]);
        assert_eq!(text(&found.files[0]), want);
        assert_eq!(text(&found.dir.join("k/sub/h.h")), "h\n");
        assert!(!found.dir.join("other").exists());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(found.dir.join("k/run")).expect("stat").permissions(),
        );
        assert_eq!(mode & 0o100 != 0, revision == "main");
    }
    assert_eq!(world.facts(), before);
}

#[test]
fn what_lies_there_already_is_used_and_put_right_where_it_was_changed() {
    let (world, _) = world();
    let found = at(&world, "HEAD", &["k/k.c"]).expect("exported");
    let untouched =
        fs::metadata(found.dir.join("k/sub/h.h")).expect("stat").modified().expect("time");
    fs::write(&found.files[0], "bad\n").expect("written");
    fs::write(found.dir.join("k/math.h"), "sneaked in\n").expect("written");
    assert_eq!(at(&world, "HEAD", &["k/k.c"]).expect("exported"), found);
    assert_eq!(text(&found.files[0]), "two\n");
    assert!(!found.dir.join("k/math.h").exists());
    let now = fs::metadata(found.dir.join("k/sub/h.h")).expect("stat").modified().expect("time");
    assert_eq!(now, untouched);
    let revisions = world.beside().join("state/revisions").join(&found.commit);
    assert_eq!(fs::read_dir(revisions).expect("listed").count(), 1, "nothing half made is left");
}

#[test]
fn several_folders_of_one_commit_do_not_get_into_each_others_way() {
    let (world, _) = world();
    let small = at(&world, "HEAD", &["k/sub/h.h"]).expect("exported");
    let large = at(&world, "HEAD", &["k/k.c", "k/sub/h.h"]).expect("exported");
    let both = at(&world, "HEAD", &["other/o.c", "k/sub/h.h"]).expect("exported");
    assert!(!small.dir.join("k/k.c").exists());
    assert_eq!(text(&large.files[0]), "two\n");
    assert_eq!(both.files.iter().map(|f| text(f)).collect::<Vec<_>>(), ["o\n", "h\n"]);
    assert!(!both.dir.join("k/k.c").exists());
}

#[test]
fn headers_from_elsewhere_come_along_as_they_were() {
    let world = World::with(&[
        ("k/k.c", "#include \"../common/a.h\"\n#include <deep/c.h>\n#include \"gone.h\"\n"),
        ("common/a.h", "#include \"b.h\"\n"),
        ("common/b.h", "old\n"),
        ("common/unrelated.h", "u\n"),
        ("include/deep/c.h", "c\n"),
    ]);
    world.write("common/b.h", "new\n");
    world.stage("common/b.h");
    world.commit_index("second");
    let folders = ["include", "generated", "../outside"];
    for (revision, wanted) in [("HEAD~1", "old\n"), ("HEAD", "new\n")] {
        let found = with_includes(&world, revision, &["k/k.c"], &folders).expect("exported");
        assert_eq!(text(&found.dir.join("common/b.h")), wanted);
        assert_eq!(text(&found.dir.join("include/deep/c.h")), "c\n");
        for none in ["common/unrelated.h", "generated", "outside"] {
            assert!(!found.dir.join(none).exists(), "{none}");
        }
    }
}

#[test]
fn line_ends_follow_the_attributes_of_the_revision() {
    let world = World::with(&[(".gitattributes", "*.c text eol=crlf\n"), ("k/k.c", "a\n")]);
    world.write(".gitattributes", "*.c -text\n");
    world.stage(".gitattributes");
    world.write("k/k.c", "b\n");
    world.stage("k/k.c");
    world.commit_index("second");
    for (revision, want) in [("HEAD~1", "a\r\n"), ("HEAD", "b\n")] {
        let found = at(&world, revision, &["k/k.c"]).expect("exported");
        assert_eq!(text(&found.files[0]), want, "{revision}");
        assert_eq!(at(&world, revision, &["k/k.c"]).expect("again"), found);
        assert_eq!(text(&found.files[0]), want, "{revision}");
    }
}

#[test]
fn files_that_are_gone_now_are_still_to_be_had() {
    let (world, ids) = world();
    fs::remove_dir_all(world.at("k")).expect("removed");
    let found = at(&world, &ids[0].to_string(), &["k/k.c"]).expect("exported");
    assert_eq!(text(&found.files[0]), "one\n");
}

#[test]
fn names_that_name_no_kernel_say_what_would() {
    let (world, ids) = world();
    let repository = world.repository();
    let second = repository.find_commit(ids[1]).expect("commit");
    repository.branch("fast-softmax", &second, false).expect("branch");
    let tree = second.tree_id().to_string();
    world.write("big/k.c", "k\n");
    world.write("big/data.bin", &"x".repeat((64 << 20) + 1));
    world.stage("big/k.c");
    world.stage("big/data.bin");
    world.commit_index("big");
    for (revision, file, words) in [
        ("fast-sofmax", "k/k.c", "did you mean `fast-softmax`?"),
        ("fast-sofmax~2", "k/k.c", "did you mean `fast-softmax`?"),
        ("nonsense", "k/k.c", "`main` is checked out"),
        ("HEAD~9", "k/k.c", "there is no revision `HEAD~9`"),
        ("HEAD..main", "k/k.c", "is a range"),
        (":/first", "k/k.c", "give a branch"),
        ("", "k/k.c", "give a branch"),
        (&tree, "k/k.c", "names a tree"),
        ("HEAD:k/k.c", "k/k.c", "names a blob"),
        ("HEAD^{", "k/k.c", "HEAD^{"),
        ("HEAD", "moved/k.c", "`k/k.c` is there"),
        ("HEAD", "k/none.c", "`k/none.c` does not exist at `HEAD`"),
        ("HEAD", "k/sub", "not a plain file"),
        ("HEAD", "../x.c", "outside the repository"),
        ("HEAD", "big/k.c", "more than 64 MiB"),
    ] {
        let found = at(&world, revision, &[file]).expect_err(revision).to_string();
        let found = found.replace("`big/k.c` is there", "`k/k.c` is there");
        assert!(found.contains(words), "{revision} {file}: {found}");
    }
    assert!(at(&world, "HEAD", &["k/k.c"]).is_ok(), "a large neighbour is no hindrance");
    let elsewhere = tempfile::tempdir().expect("tempdir");
    let root = elsewhere.path();
    let files = [root.join("k.c")];
    let wanted = Wanted { files: &files, include_dirs: &[] };
    let none = Export { root, state: root, outside: &outside() }.write("HEAD", wanted);
    assert!(matches!(none, Err(Error::NoRepository { .. })), "{none:?}");
    let unborn = World::unborn();
    unborn.write("k.c", "k\n");
    let none = at(&unborn, "HEAD", &["k.c"]).expect_err("none").to_string();
    assert!(none.contains("nothing has been committed"), "{none}");
}

#[test]
fn what_a_name_goes_through_is_watched_and_an_id_is_not() {
    let (world, ids) = world();
    let watched = |revision: &str| {
        let found = at(&world, revision, &["k/k.c"]).expect("exported").watch;
        let git = world.at(".git");
        let names = found.iter().map(|p| p.strip_prefix(&git).expect("inside").to_path_buf());
        names.map(|p| p.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(watched(&ids[0].to_string()), Vec::<String>::new());
    for (revision, names) in [
        ("HEAD~1", vec!["HEAD", "refs/heads/main", "packed-refs"]),
        ("@", vec!["HEAD", "refs/heads/main", "packed-refs"]),
        ("main^", vec!["refs/heads/main", "refs/tags/main", "packed-refs"]),
        ("main@{0}", vec!["refs/heads/main", "logs/refs/heads/main"]),
        (&ids[0].to_string()[..10], vec!["packed-refs"]),
    ] {
        let found = watched(revision);
        for name in names {
            assert!(found.iter().any(|f| f == name), "{revision}: {name} not in {found:?}");
        }
    }
}
