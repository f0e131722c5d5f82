//! What becomes of a candidate.

use std::path::Path;
use std::time::Instant;

use super::{Driver, DriverError, Next, Ran, stopped};
use crate::campaign::event::{Event, Judgement, Outcome, Status};
use crate::campaign::file::OnInfra;
use crate::campaign::guards::{self, No, Why};
use crate::campaign::judge::Blocked;

impl Driver<'_> {
    pub(super) fn judge(&mut self, iteration: u32) -> Result<Next, DriverError> {
        let tree = self.trees.prepare_judge(iteration, &self.proposal().files)?;
        let started = Instant::now();
        let mut judgement = match self.judged(&tree) {
            Ok(judgement) => judgement,
            Err(blocked) => return stopped(blocked),
        };
        judgement.seconds = started.elapsed().as_secs_f64();
        // It may quote what commands printed.
        judgement.reason = self.parts.secrets.redact(&judgement.reason);
        if judgement.outcome == Outcome::Infrastructure
            && self.parts.settings.rules.on_infra == OnInfra::KeepPending
        {
            return Err(DriverError::Pending(judgement.reason));
        }
        let judgement =
            self.parts.settings.rules.keep.weigh(judgement, self.open_iteration().lines);
        self.note(Event::Judged { iteration, judgement })?;
        Ok(Next::Go)
    }

    /// Guards first, as they cost least. A candidate that they refuse is compared all the same where
    /// it could go back to the agent: a call of the agent costs more than a comparison, and is not
    /// spent on one that is not better.
    fn judged(&mut self, tree: &Path) -> Result<Judgement, Blocked> {
        let no = match self.guard(tree) {
            Ok(()) => return self.compared(tree),
            Err(No { why: Why::Interrupted, .. }) => return Err(Blocked::Interrupted),
            Err(no) => guard_said_no(&no),
        };
        let done = self.open_iteration().sent_back.len() as u32;
        if done >= self.parts.settings.rules.keep.rework {
            return Ok(no);
        }
        let compared = self.compared(tree)?;
        Ok(Judgement {
            outcome: no.outcome,
            reason: no.reason,
            compared: Some(compared.outcome),
            ..compared
        })
    }

    pub(super) fn guard(&self, tree: &Path) -> Result<(), No> {
        let guards = &self.parts.settings.guards;
        guards::check(guards, &self.baseline().guards, self.guarded(tree))
    }

    /// What fails for no reason of the candidate's is tried again.
    pub(super) fn compared(&mut self, tree: &Path) -> Result<Judgement, Blocked> {
        let baseline = self.baseline();
        let retry = self.parts.settings.retry;
        let mut judged = self.parts.judge.judge(tree, &baseline)?;
        for _ in 0..retry.judge {
            if judged.outcome != Outcome::Infrastructure {
                break;
            }
            if self.pause(retry.judge_pause) == Ran::Interrupted {
                return Err(Blocked::Interrupted);
            }
            judged = self.parts.judge.judge(tree, &baseline)?;
        }
        Ok(judged)
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
