//! From the agent's turn to a commit.

use super::files::{make_folder, write};
use super::{Driver, DriverError, Next, Ran};
use crate::campaign::agent::{Answer, Call};
use crate::campaign::event::{Event, Proposal};
use crate::campaign::prompt::Brief;
use crate::campaign::trees::TreeError;

impl Driver<'_> {
    pub(super) fn propose(&mut self, iteration: u32) -> Result<Next, DriverError> {
        self.trees.prepare_lane()?;
        let folder = self.trees.iteration(iteration);
        make_folder(&folder)?;
        let settings = self.parts.settings;
        let brief = Brief { settings, history: self.log.history(), iteration };
        let prompt = self.parts.secrets.redact(&brief.text());
        write(&folder.join("prompt.md"), &prompt)?;
        let lane = self.trees.lane();
        let cancel = self.parts.cancel;
        let call = Call { iteration, prompt: &prompt, lane: &lane, folder: &folder, cancel };
        let answer = self.parts.agent.propose(&call);
        if self.parts.cancel.is_set() {
            // What it was in the middle of is no proposal; it is asked again.
            return Ok(Next::End(Ran::Interrupted));
        }
        let proposal = self.collected(iteration, answer)?;
        self.note(Event::Proposed { iteration, proposal })?;
        Ok(Next::Go)
    }

    pub(super) fn collected(
        &self,
        iteration: u32,
        answer: Answer,
    ) -> Result<Proposal, DriverError> {
        let found = self.trees.collect(iteration, &self.scope)?;
        Ok(Proposal {
            description: answer.description,
            files: found.files,
            strays: found.strays,
            violations: found.violations,
            agent: answer.end,
            account: Box::new(answer.account),
            denied: answer.denied,
        })
    }

    pub(super) fn commit(&mut self, iteration: u32) -> Result<(), DriverError> {
        let proposal = self.proposal();
        let what = if proposal.description.is_empty() { "a change" } else { &proposal.description };
        let message = format!("experiment(optimize/i{iteration}): {what}\n");
        let commit = self.trees.commit(iteration, &proposal.files, &message)?;
        let best = self.history().best.as_ref().map(|best| best.commit.clone());
        let diff = self.trees.repository.diff(&best.unwrap_or_default(), &commit);
        let diff = diff.map_err(TreeError::from)?;
        write(&self.trees.iteration(iteration).join("change.patch"), &diff)?;
        self.note(Event::Committed { iteration, commit })
    }
}
