//! Where a campaign's files lie: the project at its best, the agent's copy, and the tree in which
//! candidates are judged.
//!
//! Nothing is shared with the user's checkout, which is read once, at the start.

mod adopt;
mod error;
mod places;
mod space;
mod take;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::collect::{self, Collected, Project};
use super::event::{Changed, How};
use super::scope::Scope;
use crate::git::{FileChange, OwnWanted, Private};
use crate::tree::{Changes, Listing, Stat, Swap, Tree, tick};

pub use adopt::AdoptedTrees;
pub use error::TreeError;
use error::files;
use places::JUDGE;
pub use places::{Places, copies, has_copies, remove_copies};
pub use take::{Source, Taken};

/// The folders of one campaign.
pub struct Trees {
    folder: PathBuf,
    /// Where the agent's copy and the judge's tree lie.
    copies: PathBuf,
    /// Every state that was judged, as commits.
    pub repository: Private,
    /// Where carried files are copied from.
    root: PathBuf,
    carry: Vec<String>,
    /// The commit that the campaign began with.
    base: String,
    /// The commit of the best.
    best: String,
    /// The files of the best, and what is carried beside them.
    project: Listing,
    /// The commits that the trees' indexes are of, by the trees' names.
    indexed: HashMap<&'static str, String>,
    /// In which files the agent's copy differed from the best when the agent got it.
    reworked: HashSet<PathBuf>,
}

/// What a campaign that is taken up has.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The user's project.
    pub root: &'a Path,
    /// The commit that it began with.
    pub base: &'a str,
    /// The commit of the best.
    pub best: &'a str,
    /// Paths that each tree gets beside the project.
    pub carry: &'a [String],
}

/// The branch that stands for the best.
const BEST: &str = "best";
/// The agent's copy.
const LANE: &str = "lane";
/// What git ignores in every tree.
const IGNORED: [&str; 2] = [".optloop", super::agent::ANSWER];

impl Trees {
    /// Takes the user's project into a new campaign's folder.
    ///
    /// # Errors
    /// When the project cannot be read, or the folder cannot be written.
    pub fn begin(places: Places<'_>, source: &Source<'_>) -> Result<(Self, Taken), TreeError> {
        let repository = Private::create(&places.folder.join("repo"))?;
        let taken = take::take(&repository, source, places)?;
        repository.set_branch("base", &taken.base)?;
        let (base, carry) = (&taken.base, &taken.carry);
        let known = Known { root: source.root, base, best: base, carry };
        Ok((Self::of(places, repository, known)?, taken))
    }

    /// Takes a campaign up: whatever a kill left half done is put right.
    ///
    /// # Errors
    /// When its repository cannot be read, or the folder cannot be written.
    pub fn resume(places: Places<'_>, known: Known<'_>) -> Result<Self, TreeError> {
        Self::of(places, Private::take_over(&places.folder.join("repo"))?, known)
    }

    fn of(places: Places<'_>, repository: Private, known: Known<'_>) -> Result<Self, TreeError> {
        let place = places.folder.join("best");
        repository.set_branch(BEST, known.best)?;
        repository.write_to(known.best, &place)?;
        let project = project(&repository, &place, known)?;
        Ok(Self {
            folder: places.folder.to_owned(),
            copies: places.copies.to_owned(),
            repository,
            root: known.root.to_owned(),
            carry: known.carry.to_vec(),
            base: known.base.to_owned(),
            best: known.best.to_owned(),
            project,
            indexed: HashMap::new(),
            reworked: HashSet::new(),
        })
    }

    /// The project with the best that there is; only the engine writes here, and nothing runs here.
    pub fn best(&self) -> PathBuf {
        self.folder.join("best")
    }

    /// Where the agent works.
    pub fn lane(&self) -> PathBuf {
        self.copies.join(LANE)
    }

    /// Where candidates are judged.
    pub fn judge(&self) -> PathBuf {
        self.copies.join(JUDGE)
    }

    /// What the judge's pipeline keeps; its tree links to it.
    pub fn judge_state(&self) -> PathBuf {
        places::state(&self.folder)
    }

    /// What belongs to one iteration.
    pub fn iteration(&self, number: u32) -> PathBuf {
        self.folder.join("iterations").join(format!("{number:04}"))
    }

    /// The files that an iteration's agent changed, by their paths.
    fn kept(&self, number: u32) -> PathBuf {
        self.iteration(number).join("files")
    }

    /// Makes the agent's copy what the best is, with a repository of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare_lane(&mut self) -> Result<(), TreeError> {
        self.reworked.clear();
        let (project, best) = (self.project.clone(), self.best.clone());
        self.fill_lane(&project, &best)
    }

    /// Makes the agent's copy what a candidate of an iteration is.
    ///
    /// # Errors
    /// When there is no such commit, or the copy cannot be written.
    pub fn prepare_rework(&mut self, number: u32, commit: &str) -> Result<(), TreeError> {
        let doing = "preparing the agent's copy";
        let candidate = self.iteration(number).join("candidate");
        let differing = self.repository.differing(&self.best, commit)?;
        self.repository.write_to(commit, &candidate)?;
        let swap = |name: &PathBuf| Swap { name: name.clone(), from: candidate.join(name) };
        let swaps: Vec<Swap> = differing.there.iter().map(swap).collect();
        let project = self.project.with(&swaps).map_err(files(doing))?.without(&differing.gone);
        self.reworked = differing.there.into_iter().chain(differing.gone).collect();
        self.fill_lane(&project, commit)?;
        // It takes room only.
        drop(fs::remove_dir_all(candidate));
        Ok(())
    }

    fn fill_lane(&mut self, project: &Listing, head: &str) -> Result<(), TreeError> {
        let doing = "preparing the agent's copy";
        let mut lane = self.tree(LANE).map_err(files(doing))?;
        // What the last one left would be a stray of this one's.
        lane.clean().map_err(files(doing))?;
        let changes = lane.update(project, &|| false).map_err(files(doing))?;
        self.own_repository(LANE, head, &Filled { tree: &lane, changes })?;
        // A change in the very instant of the last copy would not show in a file's times.
        lane.settle();
        Ok(())
    }

    /// What the agent of an iteration changed; the files are kept with the iteration.
    ///
    /// # Errors
    /// When its copy cannot be read, or the files cannot be kept.
    pub fn collect(&self, number: u32, scope: &Scope) -> Result<Collected, TreeError> {
        let doing = "looking at what the agent changed";
        let (best, lane, kept) = (self.best(), self.lane(), self.kept(number));
        match fs::remove_dir_all(&kept) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(files(doing)(e)),
            _ => {}
        }
        let tree = self.tree(LANE).map_err(files(doing))?;
        let places = collect::Places { project: &best, lane: &lane, kept: &kept };
        let lay: HashMap<&Path, Stat> = tree.copies().map(|copy| (copy.name, copy.stat)).collect();
        let copy = |name: &'_ Path| {
            // What a candidate changed before is no copy of the best's: its bytes count.
            let is_copy = !self.reworked.contains(name);
            lay.get(name).copied().filter(|_| is_copy).unwrap_or_default()
        };
        let names = self.project.names();
        let copies = names.map(|name| (name.as_os_str().as_bytes(), copy(name))).collect();
        let project = Project { copies, carry: &self.carry };
        collect::collect(places, &project, scope).map_err(files(doing))
    }

    /// Commits an iteration's changes on top of the best, on a branch of its own.
    ///
    /// # Errors
    /// When the repository cannot be written.
    pub fn commit(
        &self,
        number: u32,
        changed: &[Changed],
        message: &str,
    ) -> Result<String, TreeError> {
        let commit = self.repository.commit(&self.best, &self.changes(number, changed), message)?;
        self.repository.set_branch(&format!("iter/{number:04}"), &commit)?;
        Ok(commit)
    }

    fn changes(&self, number: u32, changed: &[Changed]) -> Vec<FileChange> {
        let kept = self.kept(number);
        let change = |file: &Changed| FileChange {
            path: PathBuf::from(&file.path),
            from: (file.how != How::Removed).then(|| kept.join(&file.path)),
        };
        changed.iter().map(change).collect()
    }

    /// Makes the judge's tree the best with an iteration's changes; with none, the best.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn prepare_judge(
        &mut self,
        number: u32,
        changed: &[Changed],
    ) -> Result<PathBuf, TreeError> {
        let doing = "preparing the judge's tree";
        let kept = self.kept(number);
        let (gone, there): (Vec<&Changed>, Vec<&Changed>) =
            changed.iter().partition(|file| file.how == How::Removed);
        let swaps = there
            .iter()
            .map(|file| Swap { name: PathBuf::from(&file.path), from: kept.join(&file.path) });
        let listing = self.project.with(&swaps.collect::<Vec<_>>()).map_err(files(doing))?;
        let gone: Vec<PathBuf> = gone.iter().map(|file| PathBuf::from(&file.path)).collect();
        self.fill_judge(&listing.without(&gone))
    }

    fn fill_judge(&mut self, listing: &Listing) -> Result<PathBuf, TreeError> {
        let doing = "preparing the judge's tree";
        let mut tree = self.tree(JUDGE).map_err(files(doing))?;
        tree.update(listing, &|| false).map_err(files(doing))?;
        let base = self.base.clone();
        // What candidates change is not in the index: git reads these files again.
        self.own_repository(JUDGE, &base, &Filled { tree: &tree, changes: Changes::default() })?;
        places::keep_state(&self.folder, &self.judge()).map_err(files(doing))?;
        let devices = self.judge().join(".optloop/devices");
        if !devices.exists() {
            fs::create_dir_all(&devices).map_err(files(doing))?;
            lend(&self.root.join(".optloop/devices"), &devices);
        }
        Ok(self.judge())
    }

    fn tree(&self, name: &str) -> io::Result<Tree> {
        let list = self.copies.join(format!("{name}.list"));
        Ok(Tree::open(self.copies.join(name), list)?.without_repository())
    }

    /// Gives a tree a repository of its own with this commit as HEAD, whatever was made of the last
    /// one.
    fn own_repository(
        &mut self,
        name: &'static str,
        head: &str,
        filled: &Filled<'_>,
    ) -> Result<(), TreeError> {
        let doing = "making a repository of a copy";
        let template = self.folder.join(format!("{name}.git"));
        let ignored = IGNORED.iter().copied().chain(self.carry.iter().map(String::as_str));
        let ignored: Vec<String> = ignored.map(str::to_owned).collect();
        let wanted = OwnWanted { head, ignored: &ignored, template: &template };
        let mut own = self.repository.own(wanted)?;
        let index = template.join("index");
        let is_known = self.indexed.get(name).is_some_and(|known| known == head);
        if !is_known || filled.changes != Changes::default() {
            self.repository.write_index(head, filled.tree.copies(), &index)?;
            self.indexed.insert(name, head.to_owned());
        }
        own.push(Swap { name: "index".into(), from: index });
        let place = filled.tree.place().join(".git");
        // The list says nothing of a link that took the folder's place.
        if place.symlink_metadata().is_ok_and(|there| !there.is_dir()) {
            fs::remove_file(&place).map_err(files(doing))?;
        }
        let list = self.copies.join(format!("{name}.git.list"));
        let mut tree = Tree::open(place, list).map_err(files(doing))?.without_repository();
        tree.clean().map_err(files(doing))?;
        let listing = Listing::exactly(&template, &own).map_err(files(doing))?;
        tree.update(&listing, &|| false).map(drop).map_err(files(doing))
    }

    /// Makes a commit the best.
    ///
    /// # Errors
    /// When the repository or the folder cannot be written; doing it again ends it.
    pub fn promote(&mut self, commit: &str) -> Result<(), TreeError> {
        let place = self.best();
        self.repository.write_changes(&self.best, commit, &place)?;
        self.repository.set_branch(BEST, commit)?;
        commit.clone_into(&mut self.best);
        let (root, base, carry) = (&self.root, &self.base, &self.carry);
        let known = Known { root, base, best: commit, carry };
        self.project = project(&self.repository, &place, known)?;
        Ok(())
    }
}

/// Puts what was measured of the machine for the project into a folder of a tree: it is not the
/// project's, and takes seconds. Where it cannot be had it is measured again.
fn lend(from: &Path, to: &Path) {
    for known in fs::read_dir(from).into_iter().flatten().flatten() {
        drop(fs::copy(known.path(), to.join(known.file_name())));
    }
}

/// A tree after an update.
struct Filled<'a> {
    tree: &'a Tree,
    changes: Changes,
}

/// The files of the best, which lie at `place`, and what is carried beside them.
fn project(repository: &Private, place: &Path, known: Known<'_>) -> Result<Listing, TreeError> {
    let doing = "reading the project at its best";
    let own = repository.paths(known.best)?;
    let swap = |name: PathBuf| Swap { from: place.join(&name), name };
    let own: Vec<Swap> = own.into_iter().map(swap).collect();
    // Files of this very moment would be read again and again: their times do not show changes.
    tick();
    let listing = Listing::exactly(place, &own).map_err(files(doing))?;
    let names: Vec<PathBuf> = known.carry.iter().map(PathBuf::from).collect();
    listing.carrying(known.root, &names).map_err(files("reading what is carried"))
}

/// The repository of a campaign.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn open_repository(folder: &Path) -> Result<Private, TreeError> {
    Ok(Private::open(&folder.join("repo"))?)
}

/// How one commit of a campaign differs from another, as a patch.
///
/// # Errors
/// When one of them is not there.
pub fn patch(folder: &Path, from: &str, to: &str) -> Result<String, TreeError> {
    Ok(Private::open(&folder.join("repo"))?.diff(from, to)?)
}

#[cfg(test)]
#[path = "trees_tests.rs"]
mod tests;
