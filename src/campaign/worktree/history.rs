//! Whether a commit is part of what is checked out: it may have been undone, or lie on a branch of
//! its own.

use std::collections::HashSet;
use std::path::PathBuf;

use git2::{Commit, ObjectType, Oid, Repository, Sort};

use super::commit::find_commit_with_trailer;

/// How far back an undoing commit is looked for.
const COMMITS: usize = 10_000;

/// A commit that holds a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// Its id.
    pub commit: &'a str,
    /// A trailer of its message: a rebase gives it another id and leaves that.
    pub trailer: (&'a str, &'a str),
    /// The kernel's files as the commit has them: absolute, and where a copy of each lies.
    pub files: &'a [(PathBuf, PathBuf)],
}

/// How such a commit stands to what is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum History {
    /// It is part of it.
    Within,
    /// It was undone by this later commit, as `git revert` does.
    Undone(String),
    /// It is on no way back from here.
    Elsewhere,
}

/// Looks for a commit in the history of what is checked out around `root`; none where there is no
/// history.
pub fn history(root: &std::path::Path, held: &Held<'_>) -> Option<History> {
    let repository = Repository::discover(root).ok()?;
    let head = repository.head().ok()?.peel_to_commit().ok()?;
    // However it came there: by a cherry-pick, or by hand.
    if has_all(&repository, &head, held.files).unwrap_or(false) {
        return Some(History::Within);
    }
    let found = ancestor(&repository, &head, held.commit).or_else(|| {
        let (key, value) = held.trailer;
        find_commit_with_trailer(root, key, value)?.parse().ok()
    });
    let Some(commit) = found else { return Some(History::Elsewhere) };
    let undone = undone_by(&repository, &head, commit).ok().flatten();
    Some(undone.map_or(History::Within, |by| History::Undone(by.to_string())))
}

fn has_all(
    repository: &Repository,
    head: &Commit<'_>,
    files: &[(PathBuf, PathBuf)],
) -> Option<bool> {
    let tree = head.tree().ok()?;
    let work = repository.workdir()?.canonicalize().ok()?;
    let same = |(file, kept): &(PathBuf, PathBuf)| {
        let path = file.strip_prefix(&work).ok()?;
        let kept = Oid::hash_file(ObjectType::Blob, kept).ok()?;
        Some(tree.get_path(path).is_ok_and(|entry| entry.id() == kept))
    };
    Some(!files.is_empty() && files.iter().all(|file| same(file) == Some(true)))
}

fn ancestor(repository: &Repository, head: &Commit<'_>, commit: &str) -> Option<Oid> {
    let id = commit.parse().ok()?;
    let is_one = head.id() == id || repository.graph_descendant_of(head.id(), id).ok()?;
    is_one.then_some(id)
}

/// The commit that undid `commit` and was not undone itself. git writes into the message of one
/// which other it reverts.
fn undone_by(
    repository: &Repository,
    head: &Commit<'_>,
    commit: Oid,
) -> Result<Option<Oid>, git2::Error> {
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL)?;
    walk.push(head.id())?;
    walk.hide(commit)?;
    let mut undone = HashSet::new();
    for id in walk.take(COMMITS) {
        let id = id?;
        let later = repository.find_commit(id)?;
        let Some(reverts) = reverted(&later).filter(|_| !undone.contains(&id)) else { continue };
        if reverts == commit {
            return Ok(Some(id));
        }
        undone.insert(reverts);
    }
    Ok(None)
}

fn reverted(commit: &Commit<'_>) -> Option<Oid> {
    const WORDS: &str = "This reverts commit ";
    let message = String::from_utf8_lossy(commit.message_bytes());
    let (_, behind) = message.split_once(WORDS)?;
    behind.get(..40)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::worktree::world_tests::World;

    fn look(world: &World, commit: &str, trailer: &str) -> Option<History> {
        let held = Held { commit, trailer: ("Optloop-Intent", trailer), files: &[] };
        history(&world.root, &held)
    }

    fn commit(world: &World, text: &str, message: &str) -> String {
        world.write("k.c", text);
        world.stage("k.c");
        world.commit_index(message).to_string()
    }

    #[test]
    fn a_commit_is_within_until_it_is_undone_and_again_when_that_is_undone() {
        let world = World::with(&[("k.c", "one\n")]);
        let kept = commit(&world, "two\n", "better\n\nOptloop-Intent: abc\n");
        assert_eq!(look(&world, &kept, "abc"), Some(History::Within));
        commit(&world, "three\n", "by hand");
        assert_eq!(look(&world, &kept, "abc"), Some(History::Within));
        let undo = commit(&world, "one\n", &format!("Revert\n\nThis reverts commit {kept}.\n"));
        assert_eq!(look(&world, &kept, "abc"), Some(History::Undone(undo.clone())));
        commit(&world, "two\n", &format!("Reapply\n\nThis reverts commit {undo}.\n"));
        assert_eq!(look(&world, &kept, "abc"), Some(History::Within));
    }

    #[test]
    fn one_on_another_branch_is_elsewhere_unless_it_was_rebased_or_its_files_are_here() {
        let world = World::with(&[("k.c", "one\n")]);
        let first = world.repository().head().expect("HEAD").peel_to_commit().expect("commit").id();
        let kept = commit(&world, "two\n", "better\n\nOptloop-Intent: abc\n");
        let repository = world.repository();
        let first = repository.find_object(first, None).expect("there");
        repository.reset(&first, git2::ResetType::Hard, None).expect("reset");
        assert_eq!(look(&world, &kept, "abc"), Some(History::Elsewhere));
        let copy = world.beside().join("copy");
        std::fs::write(&copy, "one\n").expect("written");
        let files = [(world.at("k.c"), copy)];
        let held = Held { commit: &kept, trailer: ("a", "b"), files: &files };
        assert_eq!(history(&world.root, &held), Some(History::Within));
        commit(&world, "2\n", "better, rebased\n\nOptloop-Intent: abc\n");
        assert_eq!(look(&world, &kept, "abc"), Some(History::Within));
        let outside = tempfile::tempdir().expect("tempdir");
        let held = Held { commit: &kept, trailer: ("a", "b"), files: &[] };
        assert_eq!(history(outside.path(), &held), None);
    }
}
