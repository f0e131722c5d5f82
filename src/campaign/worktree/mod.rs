//! The only place that knows git: the commit and diff of a kernel, commits of kept kernels, kernels
//! of older commits.

mod checkout;
mod commit;
mod export;
mod headers;
mod history;
mod index;
mod name;
mod program;
mod refused;
mod vet;

#[cfg(test)]
mod commit_tests;
#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod world_tests;

use std::path::Path;

use git2::{DiffFormat, DiffOptions, Repository};

pub use commit::{
    Committed, Fit, Message, Outside, changed_in, commit_only, find_commit_with_trailer, fits,
    settle_index,
};
pub use export::{Exported, Wanted, export};
pub use history::{Held, History, history};
pub use index::clear_leftovers;
pub use program::revert_commit;
pub use refused::Refused;

/// What git knows of some files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// The commit checked out; empty outside a checkout or before the first commit.
    pub commit: String,
    /// How the files differ from it, as a patch; untracked files differ from nothing.
    pub diff: String,
}

/// Where `root` lies below its checkout's folder; none outside of a checkout.
pub fn below_checkout(root: &Path) -> Option<std::path::PathBuf> {
    let work = Repository::discover(root).ok()?.workdir()?.canonicalize().ok()?;
    root.canonicalize().ok()?.strip_prefix(work).ok().map(Path::to_owned)
}

/// A file's (absolute) text in the last commit of the checkout around `root`.
pub fn at_head(root: &Path, file: &Path) -> Option<String> {
    let repository = Repository::discover(root).ok()?;
    let work = repository.workdir()?.canonicalize().ok()?;
    let path = file.strip_prefix(work).ok()?;
    let tree = repository.head().ok()?.peel_to_tree().ok()?;
    let object = tree.get_path(path).ok()?.to_object(&repository).ok()?;
    String::from_utf8(object.as_blob()?.content().to_vec()).ok()
}

/// Looks at `files` (absolute) in the checkout around `root`. Nothing is written, not even the
/// index's stat cache; outside a checkout the answer is empty.
pub fn revision(root: &Path, files: &[std::path::PathBuf]) -> Revision {
    let Ok(repository) = Repository::discover(root) else {
        return Revision::default();
    };
    let head = repository.head().ok().and_then(|h| h.peel_to_commit().ok());
    let commit = head.as_ref().map(|c| c.id().to_string()).unwrap_or_default();
    let diff = diff(&repository, head.as_ref(), files).unwrap_or_default();
    Revision { commit, diff }
}

fn diff(
    repository: &Repository,
    head: Option<&git2::Commit<'_>>,
    files: &[std::path::PathBuf],
) -> Result<String, git2::Error> {
    let Some(work) = repository.workdir().and_then(|w| w.canonicalize().ok()) else {
        return Ok(String::new());
    };
    let mut options = DiffOptions::new();
    options
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .show_untracked_content(true)
        .disable_pathspec_match(true)
        .update_index(false);
    let inside: Vec<_> = files.iter().filter_map(|f| f.strip_prefix(&work).ok()).collect();
    if inside.is_empty() {
        return Ok(String::new());
    }
    for file in inside {
        options.pathspec(file);
    }
    let tree = head.map(git2::Commit::tree).transpose()?;
    let diff = repository.diff_tree_to_workdir_with_index(tree.as_ref(), Some(&mut options))?;
    let mut text = String::new();
    diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            text.push(line.origin());
        }
        text.push_str(&String::from_utf8_lossy(line.content()));
        true
    })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_gives_its_patch_and_an_untracked_one_differs_from_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("path");
        let repository = Repository::init(&root).expect("init");
        std::fs::write(root.join("k.c"), "old\n").expect("write");
        let mut index = repository.index().expect("index");
        index.add_path(Path::new("k.c")).expect("add");
        let tree = repository.find_tree(index.write_tree().expect("tree")).expect("tree");
        let who = git2::Signature::now("t", "t@example.org").expect("signature");
        let id = repository.commit(Some("HEAD"), &who, &who, "m", &tree, &[]).expect("commit");
        index.write().expect("index");
        std::fs::write(root.join("k.c"), "new\n").expect("write");
        std::fs::write(root.join("other.c"), "fresh\n").expect("write");
        let of = |name: &str| revision(&root, &[root.join(name)]);
        assert_eq!(of("k.c").commit, id.to_string());
        assert!(of("k.c").diff.contains("-old\n+new\n"), "{}", of("k.c").diff);
        assert!(!of("k.c").diff.contains("fresh"));
        assert!(of("other.c").diff.contains("+fresh\n"), "{}", of("other.c").diff);
    }

    #[test]
    fn outside_a_checkout_nothing_is_known() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(revision(dir.path(), &[dir.path().join("k.c")]), Revision::default());
    }
}
