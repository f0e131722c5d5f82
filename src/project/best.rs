//! The best by somebody's word: set to a kernel that passed, begun anew, or taken back.

use std::path::{Path, PathBuf};

use super::incumbents::Incumbents;
use super::lock::lock;
use super::opened::recover;
use super::promotion::{self, Changed, DecisionContext, Measured, Named, Rationale, Set};
use super::{Access, Observers, Opened, Project, ProjectError, RunReport, copies};
use crate::cache::lock::Lock;
use crate::engine::StageRecord;
use crate::engine::event::StageFinished;
use crate::git::{self, Outside};
use crate::host::Host;
use crate::pipeline::{Overrides, Remeasure};
use crate::process::Cancel;
use crate::record::incumbent;
use crate::record::ledger::{self, Line, Place, What};

/// How kernels that are compared with the best call it.
const BEST: &str = "the best so far";

/// A kernel that is to become the best: it is built, checked and measured alone first.
#[derive(Debug, Clone)]
pub struct Setting {
    /// A git revision, or a file.
    pub kernel: String,
    /// The stage that measures it; by default the first that compares with the best.
    pub stage: Option<String>,
    /// Changes to the pipeline.
    pub changes: Overrides,
}

impl<'h> Project<'h> {
    /// Opens the project with that kernel alone. Its stage is in [`Overrides::only`].
    ///
    /// # Errors
    /// When there is no such kernel or stage, or as [`Project::open`].
    pub fn open_for_setting(
        &self,
        setting: &Setting,
        observers: Observers<'_>,
    ) -> Result<Opened<'h>, ProjectError> {
        let scoring = Incumbents { project: self, overrides: &setting.changes }.scoring();
        let stage = setting.stage.clone().or_else(|| scoring.into_iter().next());
        let stage =
            stage.ok_or_else(|| ProjectError::NothingScores { pipeline: self.file.clone() })?;
        let kernel = self.side(&stage, &setting.changes, &setting.kernel)?;
        let overrides = Overrides {
            kernel: Some(self.kernel_files(&kernel)),
            incumbent: Some("none".to_owned()),
            remeasure: Some(Remeasure::now(&stage)),
            only: vec![stage],
            ..setting.changes.clone()
        };
        self.open(overrides, Access::Wait, observers)
    }

    /// What the best is filed under that a stage's kernel is compared with; by default that of the
    /// first stage that compares with the best.
    ///
    /// # Errors
    /// When the pipeline is wrong, or has no such stage.
    pub fn place_of_best(
        &self,
        stage: Option<&str>,
        overrides: &Overrides,
    ) -> Result<Place, ProjectError> {
        let incumbents = Incumbents { project: self, overrides };
        let first = || incumbents.scoring().into_iter().next();
        let stage = stage.map(str::to_owned).or_else(first);
        incumbents.decided_by(stage.as_deref().unwrap_or("candidate"))
    }
}

impl Opened<'_> {
    /// The best that a run compared with, where it is not part of what is checked out.
    pub fn stray_best(&self, report: &RunReport) -> Option<StrayBest> {
        let stage = report.last_compared().filter(|stage| is_against_best(stage))?;
        let incumbents = Incumbents { project: &self.project, overrides: &self.overrides };
        let place = incumbents.place(&stage.stage).ok()?;
        let best = incumbent::current(&self.state.paths.state, &place).ok()??;
        let git = self.project.git();
        let why = promotion::not_in_history(&self.project.root, &best, &git)?;
        Some(StrayBest { place, why })
    }

    /// Makes the kernel that was just measured alone the best, whatever the best was.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn set_best(&mut self, artifact: &str, why: &Rationale) -> Result<Set, ProjectError> {
        self.look_again()?;
        let state = &self.state.paths.state;
        let measured = Measured::read(state, &state.join(artifact))?;
        let project = &self.project;
        let plain = Overrides::default();
        let own = Incumbents { project, overrides: &plain }.kernel().unwrap_or_default();
        let incumbents = Incumbents { project, overrides: &self.overrides };
        let kernel = incumbents.kernel().unwrap_or_default();
        let copy = kernel.first().and_then(|path| copies::of(project.host, &project.root, path));
        let commit = copy.as_ref().and_then(|copy| copies::commit(&copy.folder));
        let stage = self.overrides.only.first().map_or("", String::as_str);
        let context = DecisionContext {
            state: &self.state,
            host: project.host,
            stage,
            kernel: &kernel,
            place: incumbents.decided_by(stage)?,
            copy: copy.map(|copy| copy.folder),
            recipe: None,
            at: now(),
        };
        Ok(promotion::set(&context, &measured, &Named { kernel: &own, commit }, why)?)
    }
}

/// A best that is not part of what is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayBest {
    /// Of what.
    pub place: Place,
    /// Why not, in words.
    pub why: String,
}

/// Whether a stage compared its kernel with the best so far.
pub fn is_against_best(stage: &StageFinished) -> bool {
    let comparison = stage.detail.as_ref().and_then(StageRecord::comparison);
    comparison.is_some_and(|comparison| comparison.against == BEST)
}

/// What a project knows of the best, locked: for changes that measure nothing.
pub struct BestStore {
    state: PathBuf,
    _lock: Lock,
}

impl BestStore {
    /// Takes the lock of a state folder, and ends what a killed process began.
    ///
    /// # Errors
    /// When the lock can be neither made nor opened, or what was begun cannot be ended.
    pub fn open(
        state: &Path,
        host: &dyn Host,
        observers: Observers<'_>,
    ) -> Result<Self, ProjectError> {
        let lock = lock(state, Access::Wait, observers)?;
        recover(state, &Outside::of(host, Cancel::default()), observers)?;
        Ok(Self { state: state.to_owned(), _lock: lock })
    }

    /// Leaves a place without a best: the next run sets the baseline.
    ///
    /// # Errors
    /// When there is none, or something cannot be written.
    pub fn reset(&self, place: &Place, why: &Rationale) -> Result<Changed, ProjectError> {
        Ok(promotion::reset(&self.state, place, why, now())?)
    }

    /// Takes the last change of a place's best back.
    ///
    /// # Errors
    /// When there is none, or something cannot be written.
    pub fn undo(&self, place: &Place) -> Result<Changed, ProjectError> {
        Ok(promotion::undo(&self.state, place, None, now())?)
    }

    /// The last keep, of any place, that nothing came after.
    ///
    /// # Errors
    /// When there is none, or the ledger cannot be read.
    pub fn last_keep(&self) -> Result<Line, ProjectError> {
        let known = ledger::read(&self.state).map_err(ProjectError::Record)?;
        let live = |place: &Place| known.stands(place).last().map(|stand| stand.change);
        let keeps = known.lines.iter().rev().filter(|line| line.event == What::Keep);
        let mut keeps = keeps.filter(|line| live(&line.place).is_some_and(|l| l.seq == line.seq));
        keeps.next().cloned().ok_or(ProjectError::NothingToUndo)
    }

    /// Takes a keep back, where it is the last change of its place. git is left alone.
    ///
    /// # Errors
    /// When it is not, or something cannot be written.
    pub fn undo_keep(&self, keep: &Line) -> Result<Changed, ProjectError> {
        Ok(promotion::undo(&self.state, &keep.place, Some(What::Keep), now())?)
    }

    /// Takes the commit of a keep back by one that reverts it; its name.
    ///
    /// # Errors
    /// What git said.
    pub fn revert_commit(&self, commit: &str, git: &Outside) -> Result<String, ProjectError> {
        let root = self.state.parent().unwrap_or(Path::new("/"));
        git::revert_commit(root, commit, git).map_err(ProjectError::GitRevert)
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}
