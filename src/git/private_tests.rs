use super::*;

struct World {
    dir: tempfile::TempDir,
    private: Private,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let private = Private::create(&dir.path().join("repo")).expect("made");
        Self { dir, private }
    }

    fn file(&self, path: &str, text: &str) -> FileChange {
        let from = self.dir.path().join("files").join(path);
        fs::create_dir_all(from.parent().expect("a folder")).expect("made");
        fs::write(&from, text).expect("written");
        FileChange { path: path.into(), from: Some(from) }
    }

    fn out(&self, commit: &str) -> PathBuf {
        let folder = self.dir.path().join("out");
        self.private.write_to(commit, &folder).expect("written");
        folder
    }
}

#[test]
fn files_come_out_as_they_went_in_whatever_attributes_say() {
    let world = World::new();
    let script = world.file("bin/run.sh", "#!/bin/sh\n");
    let path = script.from.clone().expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    let link = world.dir.path().join("files/link");
    std::os::unix::fs::symlink("bin/run.sh", &link).expect("linked");
    let files = [
        script,
        world.file(".gitattributes", "* text eol=crlf ident\n"),
        world.file("k.c", "int a; // $Id$\n"),
        FileChange { path: "link".into(), from: Some(link) },
    ];
    let base = world.private.snapshot(&files, "base").expect("a commit");
    let out = world.out(&base);
    assert_eq!(fs::read_to_string(out.join("k.c")).expect("read"), "int a; // $Id$\n");
    let mode = fs::metadata(out.join("bin/run.sh")).expect("there").permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    assert_eq!(fs::read_link(out.join("link")).expect("a link"), Path::new("bin/run.sh"));
    let mut paths = world.private.paths(&base).expect("paths");
    paths.sort();
    let wanted = [".gitattributes", "bin/run.sh", "k.c", "link"];
    assert_eq!(paths, wanted.map(PathBuf::from));
}

#[test]
fn a_commit_changes_adds_and_removes_and_its_files_replace_all_others() {
    let world = World::new();
    let files = [world.file("a/k.c", "one\n"), world.file("b.c", "b\n")];
    let base = world.private.snapshot(&files, "base").expect("a commit");
    let out = world.out(&base);
    fs::write(out.join("stray"), "x").expect("written");
    let changes = [
        world.file("a/k.c", "two\n"),
        world.file("new/n.c", "n\n"),
        FileChange { path: "b.c".into(), from: None },
    ];
    let next = world.private.commit(&base, &changes, "faster").expect("a commit");
    let out = world.out(&next);
    assert_eq!(fs::read_to_string(out.join("a/k.c")).expect("read"), "two\n");
    assert!(out.join("new/n.c").is_file());
    assert!(!out.join("b.c").exists() && !out.join("stray").exists());
    let diff = world.private.diff(&base, &next).expect("a patch");
    assert!(diff.contains("-one\n+two\n") && diff.contains("deleted file mode"), "{diff}");
    world.private.set_branch("best", &next).expect("moved");
    assert_eq!(world.private.branch("best"), Some(next.clone()));
    assert_eq!(world.private.branch("other"), None);
    // A lock that a kill left on the branch is in nobody's way.
    fs::write(world.dir.path().join("repo/refs/heads/best.lock"), "").expect("written");
    assert!(world.private.set_branch("best", &base).is_err());
    let taken = Private::take_over(&world.dir.path().join("repo")).expect("opened");
    taken.set_branch("best", &next).expect("moved");
    // All of it is on disk.
    let again = Private::open(&world.dir.path().join("repo")).expect("opened");
    assert_eq!(again.branch("best"), Some(next));
}
