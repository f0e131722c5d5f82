//! What git knows of some files.

use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::error::Unfit;
use super::repository::Repository;
use super::{Error, Outside};

/// What git knows of some files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// The commit checked out; empty outside a checkout or before the first commit.
    pub commit: String,
    /// How the files differ from it, as a patch; untracked files differ from nothing.
    pub diff: String,
}

/// Where `root` lies below its checkout's folder; none outside of a checkout.
pub fn below_checkout(root: &Path, outside: &Outside) -> Option<PathBuf> {
    let repository = Repository::discover(root, outside).ok()?;
    repository.below(&root.canonicalize().ok()?).map(Path::to_owned)
}

/// A file's (absolute) text in the last commit of the checkout around `root`.
pub fn at_head(root: &Path, file: &Path, outside: &Outside) -> Option<String> {
    let repository = Repository::discover(root, outside).ok()?;
    String::from_utf8(repository.file_at_head(repository.below(file)?)?).ok()
}

/// A file's (absolute) content as it is at a revision of the repository that it lies in.
///
/// # Errors
/// When there is no such repository, revision or file.
pub fn at_revision(file: &Path, revision: &str, outside: &Outside) -> Result<Vec<u8>, Error> {
    let repository = Repository::discover(file.parent().unwrap_or(file), outside)?;
    let commit = repository.reader.commit(revision)?;
    let path = repository.below(file).unwrap_or(file);
    let content = repository.reader.file(&commit, path);
    content.ok_or_else(|| Error::NotThere {
        path: path.to_owned(),
        revision: revision.to_owned(),
        near: None,
    })
}

/// Looks at `files` (absolute) in the checkout around `root`. Nothing is written, not even the
/// index's stat cache; outside a checkout the answer is empty.
pub fn revision(root: &Path, files: &[PathBuf], outside: &Outside) -> Revision {
    let Ok(repository) = Repository::discover(root, outside) else { return Revision::default() };
    let commit = repository.reader.head().ok().and_then(|head| head.commit);
    let inside = files.iter().filter_map(|file| repository.below(file)).map(Path::to_owned);
    let inside: Vec<PathBuf> = inside.collect();
    let diff = Some(inside).filter(|inside| !inside.is_empty());
    let diff = diff.and_then(|inside| repository.reader.diff(&inside).ok()).unwrap_or_default();
    Revision { commit: commit.unwrap_or_default(), diff }
}

/// The files in which a commit differs from the one before it, below `root` where they lie there.
pub fn changed_in(root: &Path, commit: &str, outside: &Outside) -> Vec<String> {
    let Ok(repository) = Repository::discover(root, outside) else { return Vec::new() };
    let prefix = root.canonicalize().ok();
    let prefix = prefix.and_then(|root| repository.below(&root).map(Path::to_owned));
    let prefix = prefix.unwrap_or_default();
    let files = repository.reader.changed_in(commit).unwrap_or_default();
    let shown = |path: &PathBuf| path.strip_prefix(&prefix).unwrap_or(path).display().to_string();
    files.iter().map(shown).collect()
}

/// Whether a commit can hold a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Here,
    /// It need not: another repository, or the file that a link leads to, has it committed as it is.
    Elsewhere,
    /// It cannot, and why.
    No(Unfit),
}

/// Whether a commit of the checkout around `root` can hold each of these files (absolute) as it is.
pub fn fits(root: &Path, files: &[PathBuf], outside: &Outside) -> Vec<Fit> {
    let Ok(checkout) = Checkout::open(root, outside) else { return vec![Fit::Here; files.len()] };
    let repository = &checkout.repository;
    let fit = |file: &PathBuf| match checkout.locate(file) {
        Ok(named) if repository.file_at_head(&named.path).is_some() => Fit::Here,
        Ok(named) if repository.reader.is_ignored(&named.path) => Fit::No(Unfit::Ignored),
        Ok(_) => Fit::Here,
        Err(_) if is_committed(file, outside) => Fit::Elsewhere,
        Err(why) => Fit::No(why),
    };
    files.iter().map(fit).collect()
}

/// Whether a file is what the last commit of its own repository holds.
fn is_committed(file: &Path, outside: &Outside) -> bool {
    let unchanged = || {
        let file = file.canonicalize().ok()?;
        let repository = Repository::discover(file.parent()?, outside).ok()?;
        Some(repository.reader.is_unchanged(repository.below(&file)?))
    };
    unchanged().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::world_tests::{World, outside};

    #[test]
    fn a_changed_file_gives_its_patch_and_an_untracked_one_differs_from_nothing() {
        let world = World::with(&[("k.c", "old\n")]);
        world.write("k.c", "new\n");
        world.write("other.c", "fresh\n");
        let of = |name: &str| revision(&world.root, &[world.at(name)], &outside());
        let id = world.repository().head().expect("HEAD").target().expect("id");
        assert_eq!(of("k.c").commit, id.to_string());
        assert!(of("k.c").diff.contains("-old\n+new\n"), "{}", of("k.c").diff);
        assert!(!of("k.c").diff.contains("fresh"));
        assert!(of("other.c").diff.contains("+fresh\n"), "{}", of("other.c").diff);
    }

    #[test]
    fn outside_a_checkout_nothing_is_known() {
        let dir = tempfile::tempdir().expect("tempdir");
        let of = revision(dir.path(), &[dir.path().join("k.c")], &outside());
        assert_eq!(of, Revision::default());
    }
}
