//! From the agent's turn to a commit.

use std::path::PathBuf;

use super::files::{make_folder, write};
use super::{Driver, DriverError, Next, Ran};
use crate::campaign::agent::{Answer, Call, Left};
use crate::campaign::event::{Event, Proposal};
use crate::campaign::keep::changed_lines;
use crate::campaign::prompt::Brief;
use crate::campaign::trees::TreeError;

impl Driver<'_> {
    pub(super) fn propose(&mut self, iteration: u32) -> Result<Next, DriverError> {
        let open = self.open_iteration();
        if open.failed_calls > 0
            && self.pause(self.parts.settings.retry.agent_pause) == Ran::Interrupted
        {
            return Ok(Next::End(Ran::Interrupted));
        }
        let rework = open.sent_back.len() as u32;
        match open.sent_back.last() {
            None => self.trees.prepare_lane()?,
            Some(sent) => self.trees.prepare_rework(iteration, &sent.commit)?,
        }
        let folder = self.place(iteration, rework);
        make_folder(&folder)?;
        let settings = self.parts.settings;
        let brief = Brief { settings, history: self.log.history(), iteration };
        let prompt = self.parts.secrets.redact(&brief.text());
        write(&folder.join("prompt.md"), &prompt)?;
        let lane = self.trees.lane();
        let call = Call {
            iteration,
            rework,
            prompt: &prompt,
            lane: &lane,
            folder: &folder,
            left: self.left(),
            cancel: self.parts.cancel,
        };
        let answer = self.parts.agent.propose(&call);
        if self.parts.cancel.is_set() {
            // What it was in the middle of is no proposal; it is asked again.
            return Ok(Next::End(Ran::Interrupted));
        }
        let proposal = self.collected(iteration, answer)?;
        self.note(Event::Proposed { iteration, proposal })?;
        Ok(Next::Go)
    }

    /// Where what belongs to one call of the agent is kept.
    fn place(&self, iteration: u32, rework: u32) -> PathBuf {
        let folder = self.trees.iteration(iteration);
        if rework == 0 { folder } else { folder.join(format!("rework{rework}")) }
    }

    fn left(&self) -> Left {
        let rules = self.rules();
        let done = self.history().iterations.len() as u32;
        let used = self.history().spent.usage;
        Left {
            seconds: self.seconds_left(),
            iterations: rules.iterations.map(|n| n.saturating_sub(done)),
            dollars: rules.dollars.map(|n| (n - used.dollars.unwrap_or_default()).max(0.0)),
            tokens: rules.tokens.map(|n| n.saturating_sub(used.tokens.unwrap_or_default())),
        }
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
        let mut commit = self.trees.commit(iteration, &proposal.files, &message)?;
        let best = self.history().best.as_ref().map(|best| best.commit.clone());
        let diff = self.difference(&best.unwrap_or_default(), &commit)?;
        write(&self.trees.iteration(iteration).join("change.patch"), &diff)?;
        if let Some(sent) = self.open_iteration().sent_back.pop()
            && self.difference(&sent.commit, &commit)?.is_empty()
        {
            // The same once more says that nothing was mended.
            commit = sent.commit;
        }
        let lines = changed_lines(&diff);
        self.note(Event::Committed { iteration, commit, lines })
    }

    fn difference(&self, from: &str, to: &str) -> Result<String, DriverError> {
        Ok(self.trees.repository.diff(from, to).map_err(TreeError::from)?)
    }
}
