//! Deciding on what was measured: a candidate is kept or goes.

use std::path::{Path, PathBuf};

use super::incumbents::Incumbents;
use super::promotion::{self, DecisionContext, Kept, Measured, Rationale, Reverted};
use super::{Access, Observers, Opened, Project, ProjectError, recipe, shown};
use crate::git::Outside;
use crate::host::Host;
use crate::record::analysis::{self, ANALYSIS_VERSION, Analysis};
use crate::record::ledger::{self, What};
use crate::record::{Artifact, Decision, Place};

/// How many artifacts are looked through for one that is about what the kernel files hold.
const AT_MOST: usize = 100;

/// Artifacts that something can be decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decidable {
    /// The newest first.
    pub artifacts: Vec<PathBuf>,
    /// A newer one, which is about a git revision or a kept kernel and no file of the user's.
    pub skipped: Option<PathBuf>,
}

impl Decidable {
    /// One that was chosen.
    pub fn one(artifact: PathBuf) -> Self {
        Self { artifacts: vec![artifact], skipped: None }
    }

    /// The last artifact of a stage that scores, then what is older.
    ///
    /// # Errors
    /// When there is none of the user's own kernel.
    pub fn last(state: &Path) -> Result<Self, ProjectError> {
        let known = ledger::read(state).map_err(ProjectError::Unreadable)?;
        let mut copies = Vec::new();
        let mut scores = |file: &PathBuf| {
            let line = known.lines.iter().find(|line| state.join(&line.artifact) == *file);
            // An anchor is about what was kept already.
            let anchor = line.is_some_and(|line| line.event == What::Anchor);
            let Some(artifact) = Artifact::read(file).ok().filter(|_| !anchor) else {
                return false;
            };
            let copy = artifact.provenance.kernel.iter().any(|k| k.starts_with(".optloop/"));
            let scores = line.is_some() || Measured::scores(&artifact);
            if scores && copy {
                copies.push(file.clone());
            }
            scores && !copy
        };
        let mut all = Artifact::list(state);
        all.reverse();
        let newest = all.iter().position(&mut scores);
        let skipped = copies.into_iter().next();
        match (newest, skipped) {
            (Some(newest), skipped) => Ok(Self { artifacts: all.split_off(newest), skipped }),
            (None, Some(artifact)) => Err(ProjectError::OnlyCopies { artifact }),
            (None, None) => Err(ProjectError::NothingScored),
        }
    }
}

/// A measured candidate, with all that a decision on it takes.
pub struct Candidate<'a> {
    /// What was measured.
    pub measured: Measured,
    /// Its artifact.
    pub artifact: PathBuf,
    opened: &'a Opened<'a>,
    place: Place,
    kernel: Vec<String>,
}

impl<'h> Project<'h> {
    /// Opens the project that an artifact comes from, with the changes that it was measured with.
    ///
    /// # Errors
    /// When it lies in no state folder or cannot be read, or as [`Project::open`].
    pub fn of_artifact(
        file: &Path,
        host: &'h dyn Host,
        observers: Observers<'_>,
    ) -> Result<Opened<'h>, ProjectError> {
        let state = promotion::state_of(file)
            .ok_or_else(|| ProjectError::OutsideRuns { artifact: file.to_owned() })?;
        let artifact = Artifact::read(file).map_err(ProjectError::Unreadable)?;
        let root = state.parent().unwrap_or(Path::new("/"));
        let pipeline = root.join(&artifact.provenance.pipeline);
        let project = Self::find(&shown(&pipeline).to_string_lossy(), host)?;
        project.open(artifact.provenance.overrides, Access::Wait, observers)
    }
}

impl Opened<'_> {
    /// Takes up the candidate that the first of these artifacts is about; or, where its kernel files
    /// have changed since, the first that is about what they hold now.
    ///
    /// # Errors
    /// When the first cannot be read, is not what was recorded of it, or is of another machine.
    pub fn candidate(&self, artifacts: &[PathBuf]) -> Result<Candidate<'_>, ProjectError> {
        let file = artifacts.first().cloned().unwrap_or_default();
        let mut candidate = self.candidate_of(file)?;
        if artifacts.len() < 2 || candidate.suits() {
            return Ok(candidate);
        }
        // What a run shows as cached may be older than the last measurement.
        let (first, newest) = (candidate.measured.clone(), candidate.artifact.clone());
        let others = artifacts[1..].iter().take(AT_MOST).filter(|file| candidate.is_like(file));
        let others: Vec<PathBuf> = others.cloned().collect();
        if !others.into_iter().any(|file| candidate.turn_to(&file) && candidate.suits()) {
            (candidate.measured, candidate.artifact) = (first, newest);
        }
        Ok(candidate)
    }

    fn candidate_of(&self, artifact: PathBuf) -> Result<Candidate<'_>, ProjectError> {
        // Read under the lock: the process that had it may have written to what this stands on.
        let state = &self.state.paths.state;
        let measured = Measured::read(state, &artifact)?;
        // Cores are all of one processor.
        let device = &measured.artifact.provenance.device;
        let device = if device.starts_with("cuda:") { device } else { "cpu" };
        let here = self.project.host.device(device).to_string();
        if measured.artifact.provenance.device_identity != here {
            return Err(ProjectError::OtherMachine { artifact: measured.name });
        }
        let incumbents = Incumbents { project: &self.project, overrides: &self.overrides };
        let place = incumbents.decided_by(&measured.artifact.stage)?;
        let kernel = incumbents.kernel().unwrap_or_default();
        Ok(Candidate { measured, artifact, opened: self, place, kernel })
    }
}

impl Candidate<'_> {
    /// Makes it the incumbent, if the artifact proves that it is better; with `git`, its files are
    /// committed.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn keep(&self, why: &Rationale, git: Option<&Outside>) -> Result<Kept, ProjectError> {
        let mut kept = promotion::keep(&self.context(), &self.measured, why, git)?;
        kept.warnings.splice(..0, self.analyse(Decision::Keep, why)?);
        Ok(kept)
    }

    /// Puts the incumbent's files back.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn revert(&self, why: &Rationale) -> Result<Reverted, ProjectError> {
        let git = self.opened.project.git();
        let mut reverted = promotion::revert(&self.context(), &self.measured, why, &git)?;
        reverted.warnings.splice(..0, self.analyse(reverted.decision(), why)?);
        Ok(reverted)
    }

    /// Whether it is about what the kernel files hold now, and about the present incumbent.
    fn suits(&self) -> bool {
        promotion::suits(&self.context(), &self.measured)
    }

    /// Whether another artifact is a comparison by the same pipeline with the same changes.
    fn is_like(&self, file: &Path) -> bool {
        let own = &self.measured.artifact;
        Artifact::read(file).is_ok_and(|other| {
            other.result.as_ref().is_some_and(|record| record.comparison().is_some())
                && other.stage == own.stage
                && other.provenance.pipeline == own.provenance.pipeline
                && other.provenance.kernel == own.provenance.kernel
                && other.provenance.overrides == own.provenance.overrides
        })
    }

    /// Takes another artifact up, if it is whole.
    fn turn_to(&mut self, file: &Path) -> bool {
        let Ok(measured) = Measured::read(&self.opened.state.paths.state, file) else {
            return false;
        };
        (self.measured, self.artifact) = (measured, file.to_owned());
        true
    }

    fn context(&self) -> DecisionContext<'_> {
        let Opened { project, overrides, state, .. } = self.opened;
        let stage = &self.measured.artifact.stage;
        DecisionContext {
            state,
            host: project.host,
            stage,
            kernel: &self.kernel,
            place: self.place.clone(),
            copy: None,
            recipe: Some(recipe::of(project, overrides, stage)),
            at: jiff::Timestamp::now().to_string(),
        }
    }

    /// Writes what was decided beside the artifact too; what people should know of that.
    fn analyse(&self, decision: Decision, why: &Rationale) -> Result<Option<String>, ProjectError> {
        let analysis = Analysis {
            version: ANALYSIS_VERSION,
            at: jiff::Timestamp::now().to_string(),
            artifact: self.measured.digest,
            decision,
            summary: why.summary.clone(),
            feedback: why.feedback.clone(),
            next_step: why.next_step.clone(),
            by: String::new(),
        };
        analysis::append(&self.artifact, &analysis).map_err(ProjectError::Record)
    }
}
