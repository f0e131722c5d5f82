//! Comparing two kernels through the pipeline that builds and checks them.

use std::path::{Path, PathBuf};

use super::incumbents::{Incumbents, Kept};
use super::promotion::{self, Anchor, Measured};
use super::{Access, Observers, Opened, Project, ProjectError, RunReport, RunRequest};
use crate::digest::Digest;
use crate::pipeline::{ComparisonRule, KernelFiles, Overrides, Remeasure};
use crate::plan::incumbent::Incumbents as _;
use crate::process::Cancel;
use crate::record::incumbent::{self, Incumbent};

/// Two kernels that are to be compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Which two.
    pub sides: Sides,
    /// The stage that compares.
    pub stage: String,
    /// Changes to the pipeline apart from its kernels.
    pub changes: Overrides,
}

/// Which two kernels are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sides {
    /// Two by name: a file, a git revision, `best` or `baseline`. The stage's own rule decides.
    Named {
        /// The incumbent.
        a: String,
        /// The candidate.
        b: String,
    },
    /// The best so far as the candidate, the first baseline as the incumbent, by the rule of an
    /// anchor: 64 pairs, whatever the first ones say.
    Anchor,
}

impl Comparison {
    /// Of two kernels by name, by the rule of a stage of the pipeline as it is.
    pub fn of(a: &str, b: &str, stage: &str) -> Self {
        let sides = Sides::Named { a: a.to_owned(), b: b.to_owned() };
        Self { sides, stage: stage.to_owned(), changes: Overrides::default() }
    }
}

/// A comparison that has run.
pub struct Compared<'h> {
    /// The project, still locked.
    pub opened: Opened<'h>,
    /// What came of it.
    pub report: RunReport,
}

impl<'h> Project<'h> {
    /// Compares two kernels, now, whatever is cached.
    ///
    /// # Errors
    /// When a side is not there, or as [`Project::open`] and [`Opened::run`].
    pub fn compare(
        &self,
        comparison: &Comparison,
        observers: Observers<'_>,
        cancel: &dyn Fn() -> Cancel,
    ) -> Result<Compared<'h>, ProjectError> {
        let overrides = match &comparison.sides {
            Sides::Named { a, b } => self.named(comparison, a, b)?,
            Sides::Anchor => self.anchored(comparison)?,
        };
        let mut opened = self.open(overrides, Access::Wait, observers)?;
        let report = opened.run(&RunRequest::of_stage(&comparison.stage), observers, cancel)?;
        Ok(Compared { opened, report })
    }

    fn named(&self, comparison: &Comparison, a: &str, b: &str) -> Result<Overrides, ProjectError> {
        let incumbent = self.incumbent(comparison, a)?;
        let kernel = self.side(&comparison.stage, &comparison.changes, b)?;
        Ok(Overrides {
            kernel: Some(self.kernel_files(&kernel)),
            incumbent: Some(incumbent),
            remeasure: Some(Remeasure::now(&comparison.stage)),
            only: vec![comparison.stage.clone()],
            ..comparison.changes.clone()
        })
    }

    /// The side that stays, as `incumbent` is written.
    fn incumbent(&self, comparison: &Comparison, name: &str) -> Result<String, ProjectError> {
        if Path::new(name).is_file() {
            return Ok(format!("file:{}", self.from_here(Path::new(name))));
        }
        // What there is not is said here, in terms of sides.
        self.side(&comparison.stage, &comparison.changes, name)?;
        match Kept::of_word(name) {
            Some(_) => Ok(name.to_owned()),
            None => Ok(format!("git:{name}")),
        }
    }

    /// The files of a side: a path, the best or the first of what the stage measures, or the kernel
    /// as it is at a revision.
    pub(super) fn side(
        &self,
        stage: &str,
        changes: &Overrides,
        name: &str,
    ) -> Result<Vec<PathBuf>, ProjectError> {
        let path = Path::new(name);
        if path.is_file() {
            return Ok(vec![path.to_owned()]);
        }
        let incumbents = Incumbents { project: self, overrides: changes };
        if let Some(kept) = Kept::of_word(name) {
            return incumbents.kept(kept, stage);
        }
        let unknown = |why: String| ProjectError::NoSuchSide { name: name.to_owned(), why };
        let kernel = incumbents.kernel().ok_or_else(|| unknown("no kernel is named".to_owned()))?;
        let found = incumbents.revision(name, &kernel).map_err(unknown)?;
        Ok(found.sources.iter().map(|path| self.root.join(path)).collect())
    }

    /// Files as the pipeline would name its kernel.
    pub(super) fn kernel_files(&self, files: &[PathBuf]) -> KernelFiles {
        KernelFiles::of(files.iter().map(|file| self.from_here(file)).collect())
    }

    fn anchored(&self, comparison: &Comparison) -> Result<Overrides, ProjectError> {
        Ok(Overrides {
            kernel: self.elsewhere(comparison)?,
            incumbent: Some("baseline".to_owned()),
            remeasure: Some(Remeasure {
                rule: ComparisonRule::Anchor,
                ..Remeasure::now(&comparison.stage)
            }),
            only: vec![comparison.stage.clone()],
            ..comparison.changes.clone()
        })
    }

    /// The best's own file, where the pipeline's kernel files are not the best's.
    fn elsewhere(&self, comparison: &Comparison) -> Result<Option<KernelFiles>, ProjectError> {
        let incumbents = Incumbents { project: self, overrides: &comparison.changes };
        let place = incumbents.place(&comparison.stage)?;
        let best = incumbent::current(&self.state(), &place).map_err(ProjectError::Record)?;
        let best = best
            .ok_or_else(|| ProjectError::NothingKept { which: "best", place: Box::new(place) })?;
        if self.holds(&best, &incumbents.kernel().unwrap_or_default()) {
            return Ok(None);
        }
        let mut files = best.sources().map(|(_, path)| path);
        match (files.next(), files.next()) {
            (Some(one), None) => Ok(Some(self.kernel_files(&[one]))),
            _ => Err(ProjectError::BestElsewhere),
        }
    }

    /// Whether the kernel files (below the root) are the best's.
    fn holds(&self, best: &Incumbent, kernel: &[String]) -> bool {
        let same = |path: &String| {
            let kept = best.sources.iter().find(|source| source.path == *path);
            let now = Digest::of_file(&self.root.join(path)).ok();
            now.is_some() && now == kept.map(|source| source.digest)
        };
        kernel.len() == best.sources.len() && kernel.iter().all(same)
    }
}

impl Compared<'_> {
    /// Writes down what a comparison of the best with the baseline said; `None` when nothing was
    /// measured.
    ///
    /// # Errors
    /// When it was no such comparison, or the ledger cannot be written.
    pub fn note_anchor(&self, comparison: &Comparison) -> Result<Option<Anchor>, ProjectError> {
        let Some(artifact) = self.report.last_artifact() else { return Ok(None) };
        let (project, state) = (&self.opened.project, &self.opened.state.paths.state);
        let incumbents = Incumbents { project, overrides: &comparison.changes };
        let place = incumbents.place(&comparison.stage)?;
        let measured = Measured::read(state, &state.join(artifact))?;
        let at = jiff::Timestamp::now().to_string();
        Ok(Some(promotion::anchor(state, &place, &measured, at)?))
    }
}
