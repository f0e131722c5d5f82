//! Where a campaign's files lie: the project at its best, the agent's copy, and the tree in which
//! candidates are judged.
//!
//! Nothing is shared with the user's checkout, which is read once, at the start.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::collect::{self, Collected};
use super::event::{Changed, How};
use super::scope::Scope;
use crate::git::{self, FileChange, Private, own_repository};
use crate::tree::{Listing, Swap, Tree};

/// The folders of one campaign.
pub struct Trees {
    folder: PathBuf,
    /// Every state that was judged, as commits.
    pub repository: Private,
}

/// Why a tree is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Files could not be read or written.
    #[error("{doing}: {source}")]
    Files {
        /// What was done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The campaign's repository could not be read or written.
    #[error(transparent)]
    Repository(#[from] git::Error),
}

fn files(doing: &str) -> impl FnOnce(io::Error) -> TreeError {
    let doing = doing.to_owned();
    move |source| TreeError::Files { doing, source }
}

/// The branch that stands for the best.
const BEST: &str = "best";

impl Trees {
    /// Takes a snapshot of the project at `root`, without its repositories and what it ignores, into
    /// a new campaign's folder; also the commit that holds it.
    ///
    /// # Errors
    /// When the project cannot be read, or the folder cannot be written.
    pub fn begin(folder: &Path, root: &Path) -> Result<(Self, String), TreeError> {
        let repository = Private::create(&folder.join("repo"))?;
        let listing = Listing::of(root, &[]).map_err(files("reading the project"))?;
        let taken = listing
            .names()
            .map(|path| FileChange { path: path.to_owned(), from: Some(root.join(path)) });
        let taken: Vec<FileChange> = taken.collect();
        let base = repository.snapshot(&taken, "The project as the campaign found it")?;
        repository.set_branch("base", &base)?;
        repository.set_branch(BEST, &base)?;
        let trees = Self { folder: folder.to_owned(), repository };
        trees.repository.write_to(&base, &trees.best())?;
        Ok((trees, base))
    }

    /// Takes a campaign up whose best is this commit: whatever a kill left half done is put right.
    ///
    /// # Errors
    /// When its repository cannot be read, or the folder cannot be written.
    pub fn resume(folder: &Path, best: &str) -> Result<Self, TreeError> {
        let repository = Private::take_over(&folder.join("repo"))?;
        let trees = Self { folder: folder.to_owned(), repository };
        trees.repository.set_branch(BEST, best)?;
        trees.repository.write_to(best, &trees.best())?;
        Ok(trees)
    }

    /// The project with the best that there is; only the engine writes here, and nothing runs here.
    pub fn best(&self) -> PathBuf {
        self.folder.join("best")
    }

    /// Where the agent works.
    pub fn lane(&self) -> PathBuf {
        self.folder.join("lane")
    }

    /// Where candidates are judged.
    pub fn judge(&self) -> PathBuf {
        self.folder.join("judge")
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
    pub fn prepare_lane(&self) -> Result<(), TreeError> {
        self.lane_of(&self.best())
    }

    /// Makes the agent's copy what a candidate of an iteration is.
    ///
    /// # Errors
    /// When there is no such commit, or the copy cannot be written.
    pub fn prepare_rework(&self, number: u32, commit: &str) -> Result<(), TreeError> {
        let candidate = self.iteration(number).join("candidate");
        self.repository.write_to(commit, &candidate)?;
        let prepared = self.lane_of(&candidate);
        // It takes room only.
        drop(fs::remove_dir_all(candidate));
        prepared
    }

    fn lane_of(&self, project: &Path) -> Result<(), TreeError> {
        let doing = "preparing the agent's copy";
        let listing = Listing::of(project, &[]).map_err(files(doing))?;
        let mut lane = self.tree(self.lane(), "lane.list").map_err(files(doing))?;
        // What the last one left would be a stray of this one's.
        lane.clean().map_err(files(doing))?;
        lane.update(&listing, &|| false).map_err(files(doing))?;
        Ok(own_repository(&self.lane(), "The project at its best")?)
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
        let listing = Listing::of(&best, &[]).map_err(files(doing))?;
        let names: BTreeSet<PathBuf> = listing.names().map(Path::to_owned).collect();
        let places = collect::Places { project: &best, lane: &lane, kept: &kept };
        collect::collect(places, &names, scope).map_err(files(doing))
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
        let best = self.repository.branch(BEST).unwrap_or_default();
        let commit = self.repository.commit(&best, &self.changes(number, changed), message)?;
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
    pub fn prepare_judge(&self, number: u32, changed: &[Changed]) -> Result<PathBuf, TreeError> {
        let doing = "preparing the judge's tree";
        let listing = Listing::of(&self.best(), &[]).map_err(files(doing))?;
        let kept = self.kept(number);
        let (gone, there): (Vec<&Changed>, Vec<&Changed>) =
            changed.iter().partition(|file| file.how == How::Removed);
        let swaps = there
            .iter()
            .map(|file| Swap { name: PathBuf::from(&file.path), from: kept.join(&file.path) });
        let listing = listing.with(&swaps.collect::<Vec<_>>()).map_err(files(doing))?;
        let gone: Vec<PathBuf> = gone.iter().map(|file| PathBuf::from(&file.path)).collect();
        let mut tree = self.tree(self.judge(), "judge.list").map_err(files(doing))?;
        tree.update(&listing.without(&gone), &|| false).map_err(files(doing))?;
        // It is a project of its own, whatever lies around it.
        fs::create_dir_all(self.judge().join(".optloop")).map_err(files(doing))?;
        Ok(self.judge())
    }

    fn tree(&self, place: PathBuf, list: &str) -> io::Result<Tree> {
        Tree::open(place, self.folder.join(list))
    }

    /// Makes a commit the best.
    ///
    /// # Errors
    /// When the repository or the folder cannot be written; doing it again ends it.
    pub fn promote(&self, commit: &str) -> Result<(), TreeError> {
        self.repository.write_to(commit, &self.best())?;
        Ok(self.repository.set_branch(BEST, commit)?)
    }
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
