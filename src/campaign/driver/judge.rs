//! What becomes of a candidate.

use std::path::Path;
use std::time::Instant;

use super::{Driver, DriverError, Next, stopped};
use crate::campaign::event::{Event, Judgement, Outcome, Status};
use crate::campaign::guards::{self, No, Why};
use crate::campaign::judge::Blocked;

impl Driver<'_> {
    pub(super) fn judge(&mut self, iteration: u32) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(iteration, &self.proposal().files)?;
        let started = Instant::now();
        let judged = match self.guard(&tree) {
            Err(No { why: Why::Interrupted, .. }) => Err(Blocked::Interrupted),
            Err(no) => Ok(guard_said_no(&no)),
            Ok(()) => self.judged_twice(&tree),
        };
        match judged {
            Ok(mut judgement) => {
                judgement.seconds = started.elapsed().as_secs_f64();
                // It may quote what commands printed.
                judgement.reason = self.parts.secrets.redact(&judgement.reason);
                self.note(Event::Judged { iteration, judgement })?;
                Ok(Next::Go)
            }
            Err(blocked) => stopped(blocked),
        }
    }

    pub(super) fn guard(&self, tree: &Path) -> Result<(), No> {
        let guards = &self.parts.settings.guards;
        guards::check(guards, &self.baseline().guards, self.guarded(tree))
    }

    /// What fails for no reason of the candidate's is tried once more.
    pub(super) fn judged_twice(&mut self, tree: &Path) -> Result<Judgement, Blocked> {
        let baseline = self.baseline();
        let first = self.parts.judge.judge(tree, &baseline)?;
        if first.outcome == Outcome::Infrastructure {
            return self.parts.judge.judge(tree, &baseline);
        }
        Ok(first)
    }

    /// The incumbent first, then the best, then the log: each of them may be done again.
    pub(super) fn promote(&mut self, iteration: u32) -> Result<Next, DriverError> {
        let open = self.open_iteration();
        let tree = self.trees.prepare_judge(iteration, &self.proposal().files)?;
        let judgement = open.judgement.unwrap_or_else(|| Judgement::of(Outcome::Better));
        if let Err(blocked) = self.parts.judge.promote(&tree, &judgement) {
            return stopped(blocked);
        }
        self.trees.promote(&open.commit.unwrap_or_default())?;
        self.close(iteration, Status::Kept)?;
        Ok(Next::Go)
    }
}

fn guard_said_no(no: &No) -> Judgement {
    Judgement { reason: no.words(), ..Judgement::of(Outcome::Guard) }
}
