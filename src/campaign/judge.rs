//! Who decides about a candidate: the engine, by the campaign's pipeline, never the agent.

use std::path::Path;

use super::anchored::Anchored;
use super::event::{Baseline, Judgement};

/// What a campaign asks of its judge. The tree holds the project with the candidate's files.
pub trait Judge {
    /// Measures the unchanged project, which becomes the first incumbent.
    ///
    /// # Errors
    /// Why a campaign cannot begin with it.
    fn baseline(&mut self, tree: &Path) -> Result<Baseline, Blocked>;

    /// Builds, checks and compares a candidate.
    ///
    /// # Errors
    /// When it was interrupted, or cannot go on for reasons that are no candidate's.
    fn judge(&mut self, tree: &Path, baseline: &Baseline) -> Result<Judgement, Blocked>;

    /// Makes the candidate that was judged so the incumbent; once it is, nothing more happens.
    ///
    /// # Errors
    /// When that cannot be written down.
    fn promote(&mut self, tree: &Path, judgement: &Judgement) -> Result<(), Blocked>;

    /// Measures the incumbent again.
    ///
    /// # Errors
    /// When it was interrupted or fails now.
    fn confirm(&mut self, tree: &Path, baseline: &Baseline) -> Result<f64, Blocked>;

    /// Compares the incumbent with the first baseline.
    ///
    /// # Errors
    /// As [`Judge::confirm`].
    fn anchor(&mut self, tree: &Path, baseline: &Baseline) -> Result<Anchored, Blocked>;
}

/// Why a judge did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// A stop was asked for.
    #[error("interrupted")]
    Interrupted,
    /// Something that no candidate is to blame for.
    #[error("{message}")]
    Refused {
        /// What, and what to do.
        message: String,
    },
}
