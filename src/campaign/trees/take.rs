//! What a campaign begins with, taken from the user's checkout, which is only read.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::{TreeError, files};
use super::places::Places;
use super::space;
use crate::campaign::event::Ancestry;
use crate::campaign::file::Dirty;
use crate::git::{FileChange, Found, Origin, Outside, Private, State, Uncommitted, Unusual};
use crate::tree::Listing;

/// Larger files are carried, and never part of a commit.
const MAX_BYTES: u64 = 10 << 20;
const MESSAGE: &str = "The project as the campaign found it";

/// The user's project.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Its folder.
    pub root: &'a Path,
    /// What becomes of uncommitted changes.
    pub dirty: Dirty,
    /// Paths that each tree gets although they are no part of the project, below the root.
    pub carry: &'a [String],
    /// What the `git` program gets.
    pub outside: &'a Outside,
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The commit that the campaign begins with.
    pub base: String,
    /// The commit of the user's repository, where there is one.
    pub head: Option<String>,
    /// What came along of the user's repository.
    pub ancestry: Ancestry,
    /// Paths that each tree gets beside it.
    pub carry: Vec<String>,
}

/// The checkout's files that become part of a commit, and those that are carried.
struct Files {
    plain: Vec<FileChange>,
    carried: Vec<String>,
}

/// Takes the project into a repository of the campaign's, which may hold earlier states.
pub(super) fn take(
    repository: &Private,
    source: &Source<'_>,
    places: Places<'_>,
) -> Result<Taken, TreeError> {
    // Nothing is left of it.
    let scratch = &places.folder.join("taking");
    let origin = Origin::find(source.root, source.outside)?;
    let unusual = origin.as_ref().map(Origin::unusual).transpose()?.unwrap_or_default();
    let found = found(source, &unusual)?;
    space::check(source.root, &found.plain, &found.carried, places)?;
    repository.set_head(origin.as_ref().and_then(Origin::branch))?;
    let head = origin.as_ref().map(|origin| origin.head().to_owned());
    let taken = |base, ancestry| {
        let (head, carry) = (head.clone(), found.carried.clone());
        Taken { base, head, ancestry, carry }
    };
    let Some(origin) = &origin else {
        return Ok(taken(repository.packed(&found.plain, MESSAGE)?, Ancestry::None));
    };
    let state = State::of(source.root, source.outside)?;
    let changed = origin.own(&state.map(|state| state.changed).unwrap_or_default());
    let unfit = match origin.unfit() {
        None => {
            origin.fetch_into(repository.folder())?;
            let uncommitted = match source.dirty {
                Dirty::Ignore | Dirty::Stash => Uncommitted::LeftOut,
                Dirty::Fail | Dirty::Include => Uncommitted::Taken,
            };
            let there =
                Found { files: &found.plain, changed: &changed, root: source.root, uncommitted };
            if let Some(base) = repository.on_top(origin.head(), there, MESSAGE)? {
                return Ok(taken(base, Ancestry::Whole));
            }
            repository.remove_references()?;
            "git makes other files of what it holds (line ends, LFS)"
        }
        Some(why) => why,
    };
    let by_tree = ByTree { repository, origin, scratch };
    let base = by_tree.base(source, found.plain.clone(), &unusual)?;
    let base = repository.packed(&base, MESSAGE)?;
    let is_clean = changed.is_empty() || source.dirty.is_left_out();
    by_tree.references(&base, if is_clean { BaseIs::Head } else { BaseIs::Changed })?;
    drop(fs::remove_dir_all(scratch));
    Ok(taken(base, Ancestry::References { because: unfit.to_owned() }))
}

fn found(source: &Source<'_>, unusual: &Unusual) -> Result<Files, TreeError> {
    let doing = "reading the project";
    let there = |path: &PathBuf| source.root.join(path).symlink_metadata().is_ok();
    let tracked: Vec<PathBuf> =
        unusual.ignored.iter().filter(|path| there(path)).cloned().collect();
    let listing = Listing::of(source.root, &tracked).map_err(files(doing))?;
    let mut carried = Vec::new();
    for path in source.carry {
        if !there(&PathBuf::from(path)) {
            return Err(TreeError::NothingToCarry { path: path.clone() });
        }
        carried.push(path.trim_end_matches('/').to_owned());
    }
    let filled = |path: &&PathBuf| {
        fs::read_dir(source.root.join(path)).is_ok_and(|mut entries| entries.next().is_some())
    };
    let submodules = unusual.submodules.iter().filter(filled);
    carried.extend(submodules.map(|path| path.to_string_lossy().into_owned()));
    let mut plain = Vec::new();
    for path in listing.names() {
        let is_below = |folder: &String| path.starts_with(folder);
        if carried.iter().any(is_below) || unusual.submodules.iter().any(|s| path.starts_with(s)) {
            continue;
        }
        let from = source.root.join(path);
        if from.symlink_metadata().is_ok_and(|found| found.len() > MAX_BYTES) {
            carried.push(path.to_string_lossy().into_owned());
        } else {
            plain.push(FileChange { path: path.to_owned(), from: Some(from) });
        }
    }
    carried.sort();
    carried.dedup();
    Ok(Files { plain, carried })
}

/// Whether what a campaign begins with is what is checked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BaseIs {
    Head,
    Changed,
}

/// A repository whose history cannot be copied: single commits are made of its trees.
struct ByTree<'a> {
    repository: &'a Private,
    origin: &'a Origin,
    scratch: &'a Path,
}

impl ByTree<'_> {
    /// The files that the campaign begins with.
    fn base(
        &self,
        source: &Source<'_>,
        mut plain: Vec<FileChange>,
        unusual: &Unusual,
    ) -> Result<Vec<FileChange>, TreeError> {
        if !source.dirty.is_left_out() && unusual.left_out.is_empty() {
            return Ok(plain);
        }
        let root = self.origin.check_out(self.origin.head(), &self.scratch.join("head"))?;
        if source.dirty.is_left_out() {
            return all(&root);
        }
        let is_missing = |path: &&PathBuf| source.root.join(path).symlink_metadata().is_err();
        let missing = unusual.left_out.iter().filter(is_missing);
        plain.extend(
            missing.map(|path| FileChange { path: path.clone(), from: Some(root.join(path)) }),
        );
        Ok(plain)
    }

    /// Makes the references that can be made.
    fn references(&self, base: &str, base_is: BaseIs) -> Result<(), TreeError> {
        let mut made: HashMap<String, Option<String>> = HashMap::new();
        for (at, reference) in self.origin.references()?.into_iter().enumerate() {
            let commit = if reference.is_head && base_is == BaseIs::Head {
                Some(base.to_owned())
            } else {
                let scratch = self.scratch.join(at.to_string());
                let make = || self.snapshot(&reference.commit, &scratch);
                made.entry(reference.commit.clone()).or_insert_with(make).clone()
            };
            if let Some(commit) = commit {
                self.repository.set_reference(&reference.name, &commit)?;
            }
        }
        Ok(())
    }

    /// A commit of the files of another; none where they are not all here.
    fn snapshot(&self, commit: &str, scratch: &Path) -> Option<String> {
        let root = self.origin.check_out(commit, scratch).ok()?;
        let made = self.repository.packed(&all(&root).ok()?, "The files of a reference").ok();
        drop(fs::remove_dir_all(scratch));
        made
    }
}

/// Everything in a folder.
fn all(root: &Path) -> Result<Vec<FileChange>, TreeError> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.map_err(|e| files("reading the last commit")(e.into()))?;
        let is_small = entry.metadata().is_ok_and(|found| found.len() <= MAX_BYTES);
        if !entry.file_type().is_dir() && is_small {
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
            found.push(FileChange { path, from: Some(entry.into_path()) });
        }
    }
    Ok(found)
}
