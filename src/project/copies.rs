//! Copies that optloop made of a project's files: as they are at a revision, or as they were kept.

use std::path::Path;

use crate::git::{self, Outside};
use crate::host::Host;
use crate::process::Cancel;

/// A file in such a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copied {
    /// The folder that stands for the root, below the root.
    pub(super) folder: String,
    /// The file that it is a copy of, below the root.
    pub(super) original: String,
}

/// Which copy a file (below the root) lies in, if it does.
pub(super) fn of(host: &dyn Host, root: &Path, path: &str) -> Option<Copied> {
    let folder = revision(host, root, path).or_else(|| kept(root, path))?;
    let original = path.strip_prefix(&folder)?.strip_prefix('/')?.to_owned();
    Some(Copied { folder, original })
}

/// The folder with the project's files at some revision. It stands for the checkout's folder, which
/// the root may lie below.
fn revision(host: &dyn Host, root: &Path, path: &str) -> Option<String> {
    const FOLDER: &str = ".optloop/revisions/";
    let mut parts = path.strip_prefix(FOLDER)?.splitn(3, '/');
    let (commit, tag) = (parts.next()?, parts.next()?);
    parts.next()?;
    let below = git::below_checkout(root, &Outside::of(host, Cancel::default()))?;
    let folder = Path::new(FOLDER).join(commit).join(tag).join(below);
    Some(folder.to_string_lossy().trim_end_matches('/').to_owned())
}

/// The commit whose files a copy's folder holds, where it is one of a revision.
pub(super) fn commit(folder: &str) -> Option<String> {
    let id = folder.strip_prefix(".optloop/revisions/")?.split('/').next()?;
    Some(id.to_owned())
}

/// The folder with the files of a kernel that is or was the best.
fn kept(root: &Path, path: &str) -> Option<String> {
    const SOURCES: &str = "/sources";
    path.strip_prefix(".optloop/best/")?;
    let ends = path.match_indices("/sources/").map(|(at, _)| at);
    let is_whole = |at: &usize| root.join(&path[..*at]).join("about.json").is_file();
    let at = ends.into_iter().find(is_whole)?;
    Some(path[..at + SOURCES.len()].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    /// As little as there must be of a repository.
    fn checkout(root: &Path) {
        for folder in [".git/objects", ".git/refs"] {
            std::fs::create_dir_all(root.join(folder)).expect("folder");
        }
        std::fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").expect("written");
    }

    #[test]
    fn a_copy_knows_what_it_is_a_copy_of() {
        let dir = tempfile::tempdir().expect("tempdir");
        let kept = ".optloop/best/sources/cpu/us/0123";
        std::fs::create_dir_all(dir.path().join(kept)).expect("folder");
        std::fs::write(dir.path().join(kept).join("about.json"), "{}").expect("written");
        checkout(dir.path());
        let found = |path: &str| {
            of(&MemoryHost::default(), dir.path(), path).map(|c| (c.folder, c.original))
        };
        let copy = |folder: &str| Some((folder.to_owned(), "sources/k.c".to_owned()));
        let whole = format!("{kept}/sources");
        assert_eq!(found(&format!("{whole}/sources/k.c")), copy(&whole));
        let whole = ".optloop/revisions/ab/cd";
        assert_eq!(found(&format!("{whole}/sources/k.c")), copy(whole));
        for none in ["k.c", ".optloop/best/p/sources/k.c", ".optloop/revisions/ab/cd"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn a_root_below_its_checkout_is_a_folder_of_the_copy() {
        let dir = tempfile::tempdir().expect("tempdir");
        checkout(dir.path());
        let root = dir.path().join("sub");
        std::fs::create_dir(&root).expect("folder");
        let found = of(&MemoryHost::default(), &root, ".optloop/revisions/ab/cd/sub/k/k.c")
            .expect("a copy");
        assert_eq!(found.folder, ".optloop/revisions/ab/cd/sub");
        assert_eq!(found.original, "k/k.c");
        assert_eq!(commit(&found.folder).as_deref(), Some("ab"));
        assert_eq!(commit(".optloop/best/p/d/m/0123/sources"), None);
    }
}
