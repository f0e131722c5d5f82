use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::{Changes, Listing, Swap, Tree};

/// A project with a tree beside it.
struct Beside {
    dir: tempfile::TempDir,
}

impl Beside {
    fn new(files: &[(&str, &str)]) -> Self {
        let beside = Self { dir: tempfile::tempdir().expect("a folder") };
        fs::create_dir(beside.root()).expect("a root");
        for (name, text) in files {
            beside.write(name, text);
        }
        beside
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().expect("there").join("root")
    }

    fn place(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("there").join("tree").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    fn open(&self) -> Tree {
        Tree::open(self.place(""), self.dir.path().join("list")).expect("a tree")
    }

    fn listing(&self) -> Listing {
        Listing::of(&self.root(), &[]).expect("a listing")
    }

    /// What an update of a tree that is opened anew does.
    fn update(&self, listing: &Listing) -> Changes {
        self.open().update(listing, &|| false).expect("an update")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.place(name)).unwrap_or_else(|e| format!("{e}"))
    }
}

fn mtime(path: &Path) -> i128 {
    let found = fs::symlink_metadata(path).expect("there");
    i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec())
}

fn copied(copied: usize) -> Changes {
    Changes { copied, removed: 0 }
}

#[test]
fn the_second_update_copies_nothing_and_one_after_an_edit_that_file() {
    let beside = Beside::new(&[("a/one", "1"), ("a/two", "2"), ("three", "3")]);
    assert_eq!(beside.update(&beside.listing()), copied(3));
    assert_eq!(beside.update(&beside.listing()), copied(0));
    beside.write("a/two", "4");
    assert_eq!(beside.update(&beside.listing()), copied(1));
    assert_eq!((beside.read("a/two"), beside.read("three")), ("4".into(), "3".into()));
    fs::remove_file(beside.root().join("three")).expect("removed");
    beside.write("b", "new");
    assert_eq!(beside.update(&beside.listing()), Changes { copied: 1, removed: 1 });
    assert!(!beside.place("three").exists());
    assert_eq!(beside.update(&beside.listing()), copied(0));
}

#[test]
fn a_touch_is_no_edit_and_the_copy_keeps_its_time() {
    let beside = Beside::new(&[("k", "1")]);
    beside.update(&beside.listing());
    let before = mtime(&beside.place("k"));
    beside.write("k", "1");
    assert_eq!(beside.update(&beside.listing()), copied(0));
    assert_eq!(mtime(&beside.place("k")), before);
}

#[test]
fn nothing_is_shared_with_the_project_and_its_times_and_modes_are_kept_at_first() {
    let beside = Beside::new(&[("run.sh", "echo")]);
    let path = beside.root().join("run.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("a mode");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
    fs::File::open(&path).expect("a file").set_modified(long_ago).expect("a time");
    beside.update(&beside.listing());
    let (theirs, ours) = (fs::metadata(&path), fs::metadata(beside.place("run.sh")));
    let (theirs, ours) = (theirs.expect("there"), ours.expect("copied"));
    assert_ne!(theirs.ino(), ours.ino());
    assert_eq!((theirs.mode(), theirs.mtime()), (ours.mode(), ours.mtime()));
}

#[test]
fn what_a_command_changed_is_made_good_and_what_it_wrote_beside_stays_until_it_is_cleaned() {
    let beside = Beside::new(&[("a/k", "text"), ("b/gone", "x")]);
    let mut tree = beside.open();
    let listing = beside.listing();
    tree.update(&listing, &|| false).expect("made");
    // In place, with the old time put back: only the change time tells.
    let before = fs::metadata(beside.place("a/k")).expect("there").modified().expect("a time");
    fs::write(beside.place("a/k"), "TEXT").expect("changed");
    let file = fs::File::options().append(true).open(beside.place("a/k")).expect("open");
    file.set_modified(before).expect("put back");
    fs::remove_dir_all(beside.place("b")).expect("removed");
    fs::write(beside.place("a/k.o"), "built").expect("an output");
    assert_eq!(tree.update(&listing, &|| false).expect("restored"), copied(2));
    assert_eq!((beside.read("a/k"), beside.read("b/gone")), ("text".into(), "x".into()));
    assert_eq!(beside.read("a/k.o"), "built");
    tree.clean().expect("cleaned");
    assert!(!beside.place("a/k.o").exists() && beside.place("a/k").exists());
    assert_eq!(tree.update(&listing, &|| false).expect("whole"), copied(0));
}

#[test]
fn a_changed_copy_is_newer_than_every_output_of_its_tree() {
    let beside = Beside::new(&[("k", "1")]);
    beside.update(&beside.listing());
    fs::write(beside.place("out"), "built").expect("an output");
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_hours(24);
    let out = fs::File::options().append(true).open(beside.place("out")).expect("open");
    out.set_modified(tomorrow).expect("a time to come");
    // An edit with an old date, as `cp -p` and `mv` make them.
    beside.write("k", "2");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
    let file = fs::File::options().append(true).open(beside.root().join("k")).expect("open");
    file.set_modified(long_ago).expect("an old time");
    assert_eq!(beside.update(&beside.listing()), copied(1));
    assert!(mtime(&beside.place("k")) > mtime(&beside.place("out")));
}

#[test]
fn the_bytes_of_another_file_go_where_the_kernel_lies_and_come_away_again() {
    let beside = Beside::new(&[("src/k.sh", "candidate"), ("old", "incumbent")]);
    let kernel = beside.root().join("src/k.sh");
    fs::set_permissions(&kernel, fs::Permissions::from_mode(0o755)).expect("a mode");
    let listing = beside.listing();
    let swap = |name: &str| Swap { name: name.into(), from: beside.root().join("old") };
    let swapped = listing.with(&[swap("src/k.sh"), swap("new/place")]).expect("swapped");
    assert_eq!(beside.update(&swapped), copied(3));
    assert_eq!(beside.read("src/k.sh"), "incumbent");
    assert_eq!(beside.read("new/place"), "incumbent");
    let mode = fs::metadata(beside.place("src/k.sh")).expect("there").mode();
    assert_eq!(mode & 0o777, 0o755, "a kernel stays executable");
    assert_eq!(beside.update(&listing), Changes { copied: 1, removed: 1 });
    assert_eq!(beside.read("src/k.sh"), "candidate");
    assert!(!beside.place("new").exists());
}

#[test]
fn the_kernel_is_newer_than_outputs_that_lie_in_the_project() {
    let beside = Beside::new(&[("k", "1"), ("bench", "built by the user"), ("old", "0")]);
    let swap = Swap { name: "k".into(), from: beside.root().join("old") };
    let wanted = || beside.listing().with(std::slice::from_ref(&swap)).expect("swapped");
    let newer = || mtime(&beside.place("k")) > mtime(&beside.place("bench"));
    beside.update(&wanted());
    assert!(newer(), "at first");
    // The command builds it; an update puts the project's back, which is older than the kernel.
    fs::write(beside.place("bench"), "built by the command").expect("built");
    assert_eq!(beside.update(&wanted()), copied(1));
    assert_eq!(beside.read("bench"), "built by the user");
    assert!(newer(), "put back");
    beside.write("bench", "built by the user of another kernel");
    assert_eq!(beside.update(&wanted()), copied(1));
    assert!(newer(), "built anew by the user");
}

#[test]
fn what_python_compiled_goes_with_its_source() {
    let beside = Beside::new(&[("k.py", "a = 1\n"), ("kk.py", "")]);
    beside.update(&beside.listing());
    for name in ["k.cpython-311.pyc", "kk.cpython-311.pyc"] {
        fs::create_dir_all(beside.place("__pycache__")).expect("a folder");
        fs::write(beside.place("__pycache__").join(name), "").expect("a file");
    }
    // The same size in the same second is the same source to Python.
    beside.write("k.py", "a = 2\n");
    beside.update(&beside.listing());
    assert!(!beside.place("__pycache__/k.cpython-311.pyc").exists());
    assert!(beside.place("__pycache__/kk.cpython-311.pyc").exists());
}

#[test]
fn ignored_files_are_left_out_unless_they_are_named() {
    let beside = Beside::new(&[
        (".gitignore", "target/\n*.log\ndata\n"),
        ("k.c", ""),
        (".hidden/x", ""),
        ("target/debug/big", ""),
        ("a.log", ""),
        ("data/deep/one", ""),
        (".optloop/cache/pack", ""),
        (".git/config", ""),
        ("sub/.git", "gitdir: elsewhere"),
        ("sub/.gitignore", "!*.log\n"),
        ("sub/kept.log", ""),
    ]);
    let names = |listing: &Listing| -> Vec<String> {
        listing.files().map(|item| item.name.to_string_lossy().into_owned()).collect()
    };
    let plain = [".gitignore", ".hidden/x", "k.c", "sub/.gitignore", "sub/kept.log"];
    assert_eq!(names(&beside.listing()), plain);
    let extra = ["data".into(), "target/debug/big".into(), "k.c".into()];
    let listing = Listing::of(&beside.root(), &extra).expect("a listing");
    let with = [
        ".gitignore",
        ".hidden/x",
        "data/deep/one",
        "k.c",
        "sub/.gitignore",
        "sub/kept.log",
        "target/debug/big",
    ];
    assert_eq!(names(&listing), with);
    assert!(Listing::of(&beside.root(), &["nowhere".into()]).is_err());
}

#[test]
fn links_lead_to_the_copies_and_elsewhere_to_the_same_file() {
    let beside = Beside::new(&[("a/k", "in the project")]);
    let outside = beside.dir.path().canonicalize().expect("there").join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("big"), "elsewhere").expect("a file");
    symlink("a/k", beside.root().join("inside")).expect("a link");
    symlink(beside.root().join("a/k"), beside.root().join("whole")).expect("a link");
    symlink("../outside", beside.root().join("data")).expect("a link");
    // An input that lies behind a link comes with the link.
    let listing = Listing::of(&beside.root(), &["data/big".into()]).expect("a listing");
    beside.update(&listing);
    fs::write(beside.place("a/k"), "in the tree").expect("changed");
    for name in ["inside", "whole"] {
        assert_eq!(beside.read(name), "in the tree", "{name}");
    }
    assert_eq!(beside.read("data/big"), "elsewhere");
    assert_eq!(beside.update(&listing), copied(1), "what was changed above");
}

#[test]
fn a_folder_that_a_command_made_a_link_is_never_written_or_removed_through() {
    let beside = Beside::new(&[("d/k", "1"), ("d/other", "2")]);
    beside.update(&beside.listing());
    let elsewhere = beside.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    fs::write(elsewhere.join("k"), "precious").expect("a file");
    fs::write(elsewhere.join("other"), "precious").expect("a file");
    fs::remove_dir_all(beside.place("d")).expect("removed");
    symlink(&elsewhere, beside.place("d")).expect("a link");
    fs::remove_file(beside.root().join("d/other")).expect("removed");
    beside.update(&beside.listing());
    for name in ["k", "other"] {
        assert_eq!(fs::read_to_string(elsewhere.join(name)).expect("there"), "precious");
    }
    assert_eq!(beside.read("d/k"), "1");
}

#[test]
fn a_file_may_become_a_folder_and_a_folder_a_file() {
    let beside = Beside::new(&[("a", "file"), ("b/c", "in a folder")]);
    beside.update(&beside.listing());
    fs::remove_file(beside.root().join("a")).expect("removed");
    fs::remove_dir_all(beside.root().join("b")).expect("removed");
    beside.write("a/deep", "1");
    beside.write("b", "2");
    beside.update(&beside.listing());
    assert_eq!((beside.read("a/deep"), beside.read("b")), ("1".into(), "2".into()));
    assert_eq!(beside.update(&beside.listing()), copied(0));
}

#[test]
fn an_update_that_is_stopped_is_made_up_for() {
    let beside = Beside::new(&[("a", "1"), ("b", "2")]);
    let stopped = beside.open().update(&beside.listing(), &|| true);
    assert_eq!(stopped.expect_err("stopped").kind(), std::io::ErrorKind::Interrupted);
    fs::write(beside.place("left"), "of nobody").expect("a file");
    assert_eq!(beside.update(&beside.listing()), copied(2));
    assert!(!beside.place("left").exists(), "a tree without a list begins empty");
}

#[test]
fn a_tree_has_a_repository_of_its_own() {
    let beside = Beside::new(&[("a", "1")]);
    beside.update(&beside.listing());
    assert!(beside.read(".git/HEAD").starts_with("ref: "));
    assert!(beside.place(".git/objects").is_dir() && beside.place(".git/refs").is_dir());
}
