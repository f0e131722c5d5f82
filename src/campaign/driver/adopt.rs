//! Another commit that the user has checked out, taken up.

use std::fs;
use std::io;
use std::time::Instant;

use super::files::make_folder;
use super::{Driver, DriverError, Next, Ran, stopped};
use crate::campaign::epoch::Merged;
use crate::campaign::event::{Adopted, Event, Outcome};
use crate::campaign::guards::{No, Why};
use crate::campaign::trees::{AdoptedTrees, TreeError};

/// What the judge knows of its tree, there and where it is kept of earlier epochs.
const STATE: &str = ".optloop";

impl Driver<'_> {
    pub(super) fn adopt(&mut self) -> Result<Next, DriverError> {
        let history = self.log.history();
        let epoch = history.epoch() + 1;
        let head = history.moved.clone().unwrap_or_default();
        let best = history.best_commit().unwrap_or_default().to_owned();
        let adopted = self.trees.adopt(&self.parts.source, &best);
        let AdoptedTrees { taken, merged } = adopted.map_err(|error| match error {
            TreeError::Conflict { paths } => {
                let files: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                let head = head.get(..10).unwrap_or(&head).to_owned();
                DriverError::Conflict { head, files: files.join(", ") }
            }
            other => other.into(),
        })?;
        self.note(Event::Adopted(Adopted {
            epoch,
            head: taken.head.unwrap_or(head),
            base: taken.base,
            merged,
            ancestry: taken.ancestry,
            carry: taken.carry,
        }))?;
        Ok(Next::Go)
    }

    /// Keeps the artifacts of the epoch before apart: measuring a baseline makes the judge's state
    /// anew.
    pub(super) fn keep_artifacts(&self) -> Result<(), DriverError> {
        let Some(epoch) = self.history().measured_before() else { return Ok(()) };
        let kept = self.parts.folder.join(format!("epochs/{epoch}"));
        if kept.exists() {
            return Ok(());
        }
        make_folder(&self.parts.folder.join("epochs"))?;
        let making = self.parts.folder.join("epochs/making");
        make_folder(&making)?;
        let failed = |source| DriverError::File { path: kept.clone(), source };
        match fs::rename(self.trees.judge_state(), making.join(STATE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::rename(making, &kept).map_err(failed)
    }

    /// Whether the kept changes are still worth it: beside the adopted commit without them.
    pub(super) fn judge_merged(&mut self) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge_of(&self.merged().commit)?;
        let started = Instant::now();
        match self.guard(&tree) {
            Ok(()) => {}
            Err(No { why: Why::Interrupted, .. }) => return Ok(Next::End(Ran::Interrupted)),
            Err(no) => return Err(DriverError::Merged(self.parts.secrets.redact(&no.words()))),
        }
        let mut judgement = match self.compared(&tree) {
            Ok(judgement) => judgement,
            Err(blocked) => return stopped(blocked),
        };
        judgement.seconds = started.elapsed().as_secs_f64();
        judgement.reason = self.parts.secrets.redact(&judgement.reason);
        match judgement.outcome {
            Outcome::Failed | Outcome::Guard => Err(DriverError::Merged(judgement.reason)),
            Outcome::Infrastructure => Err(DriverError::Pending(judgement.reason)),
            Outcome::Better | Outcome::Worse | Outcome::NotWorthIt | Outcome::Undecided => {
                self.note(Event::MergedJudged { judgement })?;
                Ok(Next::Go)
            }
        }
    }

    /// The incumbent first, then the best, then the log: each of them may be done again.
    pub(super) fn keep_merged(&mut self) -> Result<Next, DriverError> {
        let merged = self.merged();
        let tree = self.trees.prepare_judge_of(&merged.commit)?;
        if let Some(judgement) = &merged.judgement
            && let Err(blocked) = self.parts.judge.promote(&tree, judgement)
        {
            return stopped(blocked);
        }
        self.trees.promote(&merged.commit)?;
        self.note(Event::MergedKept)?;
        Ok(Next::Go)
    }

    /// Of a campaign that has adopted a commit, as all have that come here.
    fn merged(&self) -> Merged {
        let none = || Merged {
            commit: self.history().best_commit().unwrap_or_default().to_owned(),
            iteration: 0,
            judgement: None,
            is_kept: false,
        };
        self.history().merged.clone().unwrap_or_else(none)
    }
}
