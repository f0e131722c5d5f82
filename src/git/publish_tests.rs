use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::git::Message;
use crate::git::edits::Content;
use crate::git::world_tests::{World, outside};

fn content(text: &str) -> Content {
    Content { bytes: text.as_bytes().to_vec(), is_executable: false }
}

fn step(id: &str, path: &str, from: Option<&str>, to: Option<&str>) -> Step {
    Step {
        id: id.to_owned(),
        message: Message { title: format!("change {path}"), ..Message::default() },
        files: vec![Edit { path: path.into(), from: from.map(content), to: to.map(content) }],
    }
}

const LINES: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";

fn world() -> World {
    let world = World::with(&[("k.c", LINES), ("other.c", "x\n")]);
    // What the user is in the middle of.
    world.write("k.c", "mine\n");
    world.write("staged.c", "s\n");
    world.stage("staged.c");
    world
}

fn published(world: &World, steps: &[Step]) -> Result<Published, Error> {
    let scratch = world.beside().join("scratch");
    let start = world.head();
    let target =
        Target { root: &world.root, branch: "optloop/c-1", start: &start, scratch: &scratch };
    let published = publish(&target, steps, &outside());
    assert!(!scratch.exists(), "the worktree is gone");
    published
}

impl World {
    fn head(&self) -> String {
        let repository = self.repository();
        let head = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
        head.id().to_string()
    }

    /// Index, HEAD, files and worktrees, which nothing may change.
    fn own(&self) -> Vec<Vec<u8>> {
        let files = ["k.c", "other.c", "staged.c", ".git/index", ".git/HEAD"];
        let mut all: Vec<Vec<u8>> =
            files.iter().map(|file| fs::read(self.at(file)).expect("there")).collect();
        all.push(self.head().into_bytes());
        all.push(vec![u8::from(self.at(".git/worktrees").exists())]);
        all
    }

    fn text(&self, branch: &str, path: &str) -> Option<String> {
        let repository = self.repository();
        let commit = repository.revparse_single(branch).expect("there").peel_to_commit();
        let tree = commit.expect("a commit").tree().expect("a tree");
        let blob = tree.get_path(Path::new(path)).ok()?.to_object(&repository).expect("there");
        Some(String::from_utf8_lossy(blob.as_blob().expect("a blob").content()).into_owned())
    }
}

#[test]
fn a_worktree_of_the_users_that_is_not_there_now_stays_theirs_and_ours_that_a_kill_left_goes() {
    let world = world();
    let theirs = world.beside().join("unplugged");
    let ours = world.beside().join("scratch/work");
    for place in [&theirs, &ours] {
        let repository = world.repository();
        fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        let name = place.file_name().expect("a name").to_string_lossy().into_owned();
        repository.worktree(&name, place, None).expect("a worktree");
        fs::remove_dir_all(place).expect("removed");
    }
    let steps = [step("c/1", "k.c", Some(LINES), Some("1\n"))];
    published(&world, &steps).expect("published");
    let left = world.repository().worktrees().expect("listed");
    let left: Vec<&str> = left.iter().flatten().flatten().collect();
    assert_eq!(left, ["unplugged"]);
}

#[test]
fn commits_go_to_a_branch_once_and_the_checkout_stays_as_it_is() {
    let world = world();
    let before = world.own();
    let second = LINES.replace('2', "two");
    let mut steps = vec![step("c/1", "k.c", Some(LINES), Some(&second))];
    let first = published(&world, &steps).expect("published");
    assert_eq!(first.added, 1);
    assert_eq!(published(&world, &steps).expect("published"), Published { added: 0, ..first });
    let third = second.replace('8', "eight");
    steps.push(step("c/3", "k.c", Some(&second), Some(&third)));
    steps.push(step("c/4", "new/n.h", None, Some("n\n")));
    steps.push(step("c/5", "other.c", Some("x\n"), None));
    assert_eq!(published(&world, &steps).expect("published").added, 3);
    assert_eq!(world.own(), before);
    let text = |path| world.text("optloop/c-1", path);
    assert_eq!(text("k.c"), Some(third));
    assert_eq!((text("new/n.h").as_deref(), text("other.c")), (Some("n\n"), None));
    assert_eq!(text("staged.c"), None, "what is not committed is not published");
    let repository = world.repository();
    let tip = repository.revparse_single("optloop/c-1~3").expect("four commits");
    let message = tip.peel_to_commit().expect("a commit").message().expect("text").to_owned();
    assert!(message.ends_with("Optloop-Step: c/1\n"), "{message}");
}

#[test]
fn a_change_goes_beside_others_and_one_of_the_same_lines_leaves_the_branch_where_it_was() {
    let world = world();
    // The campaign began with an uncommitted change of line 9.
    let began = LINES.replace('9', "nine");
    let fits = step("c/1", "k.c", Some(&began), Some(&began.replace('1', "one")));
    let done = published(&world, std::slice::from_ref(&fits)).expect("published");
    let wanted = LINES.replace('1', "one");
    assert_eq!(world.text("optloop/c-1", "k.c"), Some(wanted), "line 9 is not published");
    let before = world.own();
    let ninth = began.replace('1', "one").replace("nine", "IX");
    let conflict = step("c/2", "k.c", Some(&began.replace('1', "one")), Some(&ninth));
    let why = published(&world, &[fits, conflict]).expect_err("a conflict").to_string();
    assert!(why.contains("c/2") && why.contains("k.c: the same lines"), "{why}");
    assert_eq!(world.own(), before);
    let tip = world.repository().revparse_single("optloop/c-1").expect("there").id();
    assert_eq!(tip.to_string(), done.commit);
    for (wrong, text) in [
        (step("c/3", "gone.c", Some("g\n"), Some("h\n")), "not there"),
        (step("c/3", "other.c", None, Some("new\n")), "another file"),
        (step("c/3", "other.c", Some("y\n"), None), "was changed there"),
    ] {
        let why = published(&world, &[wrong]).expect_err("it does not fit").to_string();
        assert!(why.contains(text), "{why}");
    }
}

#[test]
fn a_hook_that_refuses_and_a_branch_that_is_checked_out_are_told() {
    let world = world();
    let steps = [step("c/1", "k.c", Some(LINES), Some("fast\n"))];
    world.write(".git/hooks/pre-commit", "#!/bin/sh\necho no such change; exit 1\n");
    let hook = world.at(".git/hooks/pre-commit");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("set");
    let why = published(&world, &steps).expect_err("refused").to_string();
    assert!(why.contains("no such change"), "{why}");
    assert!(world.repository().revparse_single("optloop/c-1").is_err());
    fs::remove_file(hook).expect("removed");
    assert_eq!(published(&world, &steps).expect("published").added, 1);
    world.write(".git/HEAD", "ref: refs/heads/optloop/c-1\n");
    let why = published(&world, &steps).expect_err("refused").to_string();
    assert!(why.contains("checked out"), "{why}");
}

#[test]
fn a_worktree_that_a_kill_left_is_in_nobodys_way() {
    let world = world();
    let left = world.beside().join("scratch/work");
    let repository = world.repository();
    fs::create_dir_all(left.parent().expect("a folder")).expect("made");
    repository.worktree("work", &left, None).expect("a worktree");
    // The library names a branch after it; a kill leaves none.
    let steps = [step("c/1", "k.c", Some(LINES), Some("fast\n"))];
    assert_eq!(published(&world, &steps).expect("published").added, 1);
    assert!(!world.at(".git/worktrees").join("work").exists());
}
