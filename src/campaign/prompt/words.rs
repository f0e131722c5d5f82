//! An iteration in a line.

use crate::campaign::event::{Outcome, Status};
use crate::campaign::history::Iteration;

/// An iteration in a line: its number, how it ended, what it was, and why.
pub fn one_line(iteration: &Iteration) -> String {
    let status = iteration.status.map_or("under way", Status::word);
    let mut line = format!("{}: {status}", iteration.number);
    if let Some(proposal) = &iteration.proposal {
        if !proposal.description.is_empty() {
            line.push_str(&format!(": {}", proposal.description));
        }
        for broken in &proposal.violations {
            line.push_str(&format!("; {} {}", broken.path, broken.rule.words()));
        }
        for call in &proposal.denied {
            line.push_str(&format!("; called `{call}`, which is denied"));
        }
    }
    let proposal = iteration.proposal.as_ref();
    if let Some(why) = proposal.and_then(|proposal| proposal.account.veto.as_ref())
        && iteration.status == Some(Status::Vetoed)
    {
        line.push_str(&format!("; the agent's veto: {why}"));
    }
    if iteration.status == Some(Status::AgentFailed) {
        let proposal = iteration.proposal.as_ref();
        let message = proposal.and_then(|proposal| proposal.agent.message());
        line.push_str(&format!(" ({})", message.unwrap_or_default()));
    }
    if let Some(proposal) = proposal.filter(|_| iteration.status == Some(Status::NoOp)) {
        line.push_str(&format!(" ({})", proposal.nothing_words()));
    }
    if let Some(judged) = iteration.verdict() {
        let says = match judged.outcome {
            Outcome::Better | Outcome::Worse | Outcome::NotWorthIt | Outcome::Undecided => "",
            Outcome::Failed | Outcome::Guard | Outcome::Infrastructure => "failed: ",
        };
        let reason = judged.reason.lines().next().unwrap_or_default();
        line.push_str(&format!(" ({says}{})", reason.trim_end_matches(':')));
    }
    line
}
