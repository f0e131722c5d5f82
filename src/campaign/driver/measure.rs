//! Measuring without a candidate: the baseline, and the best once more.

use std::time::Instant;

use super::{Driver, DriverError, Next, Ran, stopped};
use crate::campaign::anchored::Anchored;
use crate::campaign::event::{Event, Holds};
use crate::campaign::guards::{self, No, Why};
use crate::campaign::judge::Blocked;

impl Driver<'_> {
    pub(super) fn measure_baseline(&mut self) -> Result<Next, DriverError> {
        self.keep_artifacts()?;
        let tree = self.trees.prepare_judge(0, &[])?;
        let started = Instant::now();
        let guards = match guards::run(&self.parts.settings.guards, self.guarded(&tree)) {
            Ok(found) => found,
            Err(No { why: Why::Interrupted, .. }) => return Ok(Next::End(Ran::Interrupted)),
            Err(no) => return Err(DriverError::Guard(no)),
        };
        match self.parts.judge.baseline(&tree) {
            Ok(mut baseline) => {
                baseline.guards = guards;
                baseline.seconds = started.elapsed().as_secs_f64();
                self.note(Event::Baseline(baseline))?;
                Ok(Next::Go)
            }
            Err(blocked) => stopped(blocked),
        }
    }

    pub(super) fn confirm(&mut self) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(0, &[])?;
        let started = Instant::now();
        match self.parts.judge.confirm(&tree, &self.baseline()) {
            Ok(value) => {
                let target = self.rules().target;
                let reaches = |target| self.history().better().reaches(value, target);
                let holds = if target.is_some_and(reaches) { Holds::Yes } else { Holds::No };
                let seconds = started.elapsed().as_secs_f64();
                self.note(Event::Confirmed { value, holds, seconds })?;
                Ok(Next::Go)
            }
            Err(blocked) => stopped(blocked),
        }
    }

    /// It is for orientation: a campaign goes on without it.
    pub(super) fn anchor(&mut self) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(0, &[])?;
        let anchored = match self.parts.judge.anchor(&tree, &self.baseline()) {
            Ok(anchored) => anchored,
            Err(Blocked::Interrupted) => return Ok(Next::End(Ran::Interrupted)),
            Err(Blocked::Refused { message }) => Anchored {
                message: Some(self.parts.secrets.redact(&message)),
                ..Anchored::default()
            },
        };
        self.note(Event::Anchored(anchored))?;
        Ok(Next::Go)
    }
}
