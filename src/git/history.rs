//! Whether a commit is part of what is checked out: it may have been undone, or lie on a branch of
//! its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::Outside;
use super::reader::Logged;
use super::repository::Repository;

/// How far back an undoing commit is looked for.
const COMMITS: usize = 10_000;
/// How far back a commit with a trailer is looked for.
const ANCESTORS: usize = 64;

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
pub fn history(root: &Path, held: &Held<'_>, outside: &Outside) -> Option<History> {
    let repository = Repository::discover(root, outside).ok()?;
    let head = repository.reader.head().ok()?.commit?;
    // However it came there: by a cherry-pick, or by hand.
    if has_all(&repository, &head, held.files) {
        return Some(History::Within);
    }
    let found = if repository.reader.has(held.commit) {
        Some(held.commit.to_owned())
    } else {
        with_trailer(&repository, held.trailer.0, held.trailer.1)
    };
    let Some(commit) = found else { return Some(History::Elsewhere) };
    let undone = undone_by(&repository, &commit);
    Some(undone.map_or(History::Within, History::Undone))
}

/// The newest commit on HEAD's first-parent line that carries this trailer; looks at a few dozen.
pub fn find_commit_with_trailer(
    root: &Path,
    key: &str,
    value: &str,
    outside: &Outside,
) -> Option<String> {
    with_trailer(&Repository::discover(root, outside).ok()?, key, value)
}

fn with_trailer(repository: &Repository, key: &str, value: &str) -> Option<String> {
    let carries = |commit: &Logged| {
        let trailers = git2::message_trailers_bytes(&commit.message[..]);
        trailers.is_ok_and(|trailers| {
            trailers.iter().any(|(k, v)| k == key.as_bytes() && v == value.as_bytes())
        })
    };
    let commits = repository.reader.first_parents(ANCESTORS).ok()?;
    commits.into_iter().find(carries).map(|commit| commit.id)
}

fn has_all(repository: &Repository, head: &str, files: &[(PathBuf, PathBuf)]) -> bool {
    let same = |(file, kept): &(PathBuf, PathBuf)| {
        let committed = repository.reader.file(head, repository.below(file)?)?;
        Some(committed == std::fs::read(kept).ok()?)
    };
    !files.is_empty() && files.iter().all(|file| same(file) == Some(true))
}

/// The commit that undid `commit` and was not undone itself. git writes into the message of one
/// which other it reverts.
fn undone_by(repository: &Repository, commit: &str) -> Option<String> {
    let mut undone = HashSet::new();
    for later in repository.reader.since(commit, COMMITS).ok()? {
        let Some(reverts) = reverted(&later).filter(|_| !undone.contains(&later.id)) else {
            continue;
        };
        if reverts == commit {
            return Some(later.id);
        }
        undone.insert(reverts);
    }
    None
}

fn reverted(commit: &Logged) -> Option<String> {
    const WORDS: &str = "This reverts commit ";
    let message = String::from_utf8_lossy(&commit.message);
    let (_, behind) = message.split_once(WORDS)?;
    let end = behind.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(behind.len());
    Some(behind[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::world_tests::{World, outside};

    fn look(world: &World, commit: &str, trailer: &str) -> Option<History> {
        let held = Held { commit, trailer: ("Optloop-Intent", trailer), files: &[] };
        history(&world.root, &held, &outside())
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
        assert_eq!(history(&world.root, &held, &outside()), Some(History::Within));
        commit(&world, "2\n", "better, rebased\n\nOptloop-Intent: abc\n");
        assert_eq!(look(&world, &kept, "abc"), Some(History::Within));
        let elsewhere = tempfile::tempdir().expect("tempdir");
        let held = Held { commit: &kept, trailer: ("a", "b"), files: &[] };
        assert_eq!(history(elsewhere.path(), &held, &outside()), None);
    }
}
