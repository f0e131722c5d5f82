//! Two binaries that compute the same.

use std::path::Path;

use super::blame::incumbents;
use crate::engine::stage::Failure;
use crate::engine::stage::bench::Trial;
use crate::measure::pairs::Side;

/// A kernel and what it is measured beside.
#[derive(Clone, Copy)]
pub(super) struct Duel<'a> {
    pub(super) trial: Trial<'a>,
    pub(super) incumbent: &'a Path,
}

impl<'a> Duel<'a> {
    /// The built kernel of a side.
    pub(super) fn kernel(&self, side: Side) -> &'a Path {
        match side {
            Side::Candidate => &self.trial.def.kernel,
            Side::Incumbent => self.incumbent,
        }
    }

    /// A failure of the incumbent's as the stage's.
    pub(super) fn incumbents(&self, failure: &Failure) -> Failure {
        let called = self.trial.def.against.as_deref().unwrap_or("the same binary");
        incumbents(&self.trial.def.work.incumbent, called, failure)
    }
}
