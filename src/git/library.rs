//! Reading a repository through the library.

use std::path::{Path, PathBuf};

use git2::{
    Commit, DiffFormat, DiffOptions, ErrorCode, Oid, ReferenceType, Repository, Sort, Status, Tree,
};

use super::Error;
use super::library_tree::Committed;
use super::name;
use super::reader::{Head, Logged, Reader};
use super::tree;

/// A repository that the library has opened.
pub(super) struct Library {
    repository: Repository,
}

impl Library {
    pub(super) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    fn tip(&self) -> Option<Commit<'_>> {
        self.repository.head().ok()?.peel_to_commit().ok()
    }

    fn find(&self, id: &str) -> Result<Commit<'_>, git2::Error> {
        self.repository.find_commit(id.parse()?)
    }

    fn patch(&self, paths: &[PathBuf]) -> Result<String, git2::Error> {
        let mut options = DiffOptions::new();
        options
            .include_untracked(true)
            .recurse_untracked_dirs(true)
            .show_untracked_content(true)
            .disable_pathspec_match(true)
            .update_index(false);
        for path in paths {
            options.pathspec(path);
        }
        let tree = self.tip().map(|tip| tip.tree()).transpose()?;
        let diff =
            self.repository.diff_tree_to_workdir_with_index(tree.as_ref(), Some(&mut options))?;
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

    fn changed(&self, commit: &str) -> Result<Vec<PathBuf>, git2::Error> {
        let commit = self.find(commit)?;
        let before: Option<Tree<'_>> =
            commit.parent(0).ok().map(|parent| parent.tree()).transpose()?;
        let after = commit.tree()?;
        let diff = self.repository.diff_tree_to_tree(before.as_ref(), Some(&after), None)?;
        Ok(diff.deltas().filter_map(|d| d.new_file().path().map(Path::to_owned)).collect())
    }

    fn later(&self, commit: &str, most: usize) -> Result<Vec<Logged>, git2::Error> {
        let mut walk = self.repository.revwalk()?;
        walk.set_sorting(Sort::TOPOLOGICAL)?;
        walk.push_head()?;
        walk.hide(commit.parse()?)?;
        walk.take(most).map(|id| Ok(logged(&self.repository.find_commit(id?)?))).collect()
    }

    fn descends(&self, commit: &str) -> Option<bool> {
        let (head, id): (Oid, Oid) = (self.tip()?.id(), commit.parse().ok()?);
        Some(head == id || self.repository.graph_descendant_of(head, id).ok()?)
    }
}

fn logged(commit: &Commit<'_>) -> Logged {
    Logged { id: commit.id().to_string(), message: commit.message_bytes().to_vec() }
}

impl Reader for Library {
    fn head(&self) -> Result<Head, Error> {
        const DOING: &str = "reading HEAD";
        let mut reference = self.repository.find_reference("HEAD").map_err(Error::failed(DOING))?;
        if reference.kind() == Some(ReferenceType::Direct) {
            let commit = reference.target().map(|id| id.to_string());
            return Ok(Head { branch: None, commit });
        }
        // A branch may itself stand for another one; git's own limit is 5 as well.
        for _ in 0..5 {
            let Some(name) = reference.symbolic_target().map_err(Error::failed(DOING))? else {
                break;
            };
            let name = name.to_owned();
            reference = match self.repository.find_reference(&name) {
                Ok(found) => found,
                Err(error) if error.code() == ErrorCode::NotFound => {
                    return Ok(Head { branch: Some(name), commit: None });
                }
                Err(error) => return Err(Error::failed(DOING)(error)),
            };
        }
        let branch = reference.name().map_err(Error::failed(DOING))?.to_owned();
        Ok(Head { branch: Some(branch), commit: reference.target().map(|id| id.to_string()) })
    }

    fn commit(&self, revision: &str) -> Result<String, Error> {
        name::find(&self.repository, revision).map(|commit| commit.id().to_string())
    }

    fn file(&self, commit: &str, path: &Path) -> Option<Vec<u8>> {
        let tree = self.find(commit).ok()?.tree().ok()?;
        let object = tree.get_path(path).ok()?.to_object(&self.repository).ok()?;
        Some(object.as_blob()?.content().to_vec())
    }

    fn diff(&self, paths: &[PathBuf]) -> Result<String, Error> {
        self.patch(paths).map_err(Error::failed("comparing files with the last commit"))
    }

    fn is_ignored(&self, path: &Path) -> bool {
        self.repository.is_path_ignored(path).unwrap_or(false)
    }

    fn is_unchanged(&self, path: &Path) -> bool {
        self.repository.status_file(path).is_ok_and(|status| status == Status::CURRENT)
    }

    fn changed_in(&self, commit: &str) -> Result<Vec<PathBuf>, Error> {
        self.changed(commit).map_err(Error::failed(format!("reading the commit {commit}")))
    }

    fn first_parents(&self, most: usize) -> Result<Vec<Logged>, Error> {
        let parents = std::iter::successors(self.tip(), |commit| commit.parent(0).ok());
        Ok(parents.take(most).map(|commit| logged(&commit)).collect())
    }

    fn since(&self, commit: &str, most: usize) -> Result<Vec<Logged>, Error> {
        self.later(commit, most).map_err(Error::failed("reading the history"))
    }

    fn has(&self, commit: &str) -> bool {
        self.descends(commit).unwrap_or(false)
    }

    fn stands_for(&self, reference: &str) -> Option<String> {
        let reference = self.repository.find_reference(reference).ok()?;
        reference.symbolic_target().ok().flatten().map(str::to_owned)
    }

    fn tree<'r>(&'r self, commit: &str) -> Result<Box<dyn tree::Tree + 'r>, Error> {
        Ok(Box::new(Committed::new(&self.repository, commit)?))
    }
}
