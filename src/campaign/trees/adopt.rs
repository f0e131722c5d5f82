//! The project anew, with another commit of the user's.

use std::fs;
use std::path::PathBuf;

use super::error::{TreeError, files};
use super::take::{self, Source, Taken};
use super::{BEST, Known, Places, Trees, project};
use crate::git::{Merging, ThreeWay};
use crate::tree::Swap;

/// What was taken up, and the kept changes on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptedTrees {
    /// The project.
    pub taken: Taken,
    /// Its commit with the kept changes merged in; the very same where nothing is left of them.
    pub merged: String,
}

impl Trees {
    /// Takes the project as it is now, and merges the changes of the commit `best` with it. What is
    /// the best from then on is the project without them.
    ///
    /// # Errors
    /// When the project cannot be read, the folder cannot be written, or both changed the same lines;
    /// doing it again, or taking the campaign up, puts right what is half done.
    pub fn adopt(&mut self, source: &Source<'_>, best: &str) -> Result<AdoptedTrees, TreeError> {
        let places = Places { folder: &self.folder, copies: &self.copies };
        let taken = take::take(&self.repository, source, places)?;
        let wanted = ThreeWay {
            ancestor: &self.base,
            ours: best,
            theirs: &taken.base,
            message: "The kept changes on the adopted commit",
        };
        let merged = match self.repository.merge(wanted)? {
            Merging::Done(merged) => merged,
            Merging::Conflict(paths) => return Err(TreeError::Conflict { paths }),
        };
        self.repository.set_branch("base", &taken.base)?;
        self.repository.set_branch("merged", &merged)?;
        let place = self.best();
        self.repository.write_to(&taken.base, &place)?;
        self.repository.set_branch(BEST, &taken.base)?;
        self.base.clone_from(&taken.base);
        self.best.clone_from(&taken.base);
        self.carry.clone_from(&taken.carry);
        let (root, base, carry) = (&self.root, &self.base, &self.carry);
        self.project = project(&self.repository, &place, Known { root, base, best: base, carry })?;
        Ok(AdoptedTrees { taken, merged })
    }

    /// Makes the judge's tree what a commit is.
    ///
    /// # Errors
    /// When there is no such commit, or the tree cannot be written.
    pub fn prepare_judge_of(&mut self, commit: &str) -> Result<PathBuf, TreeError> {
        let place = self.folder.join("merged");
        let differing = self.repository.differing(&self.best, commit)?;
        self.repository.write_to(commit, &place)?;
        let swap = |name: &PathBuf| Swap { name: name.clone(), from: place.join(name) };
        let swaps: Vec<Swap> = differing.there.iter().map(swap).collect();
        let doing = "preparing the judge's tree";
        let listing = self.project.with(&swaps).map_err(files(doing))?.without(&differing.gone);
        let tree = self.fill_judge(&listing)?;
        // It takes room only.
        drop(fs::remove_dir_all(place));
        Ok(tree)
    }
}
