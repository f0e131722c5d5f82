//! What an agent is asked, in words.

use std::fmt::Write as _;

use super::event::{Outcome, Status};
use super::history::{History, Iteration};
use super::scope::Patterns;

/// How many of the last iterations a prompt tells of.
const TAIL: usize = 10;

/// What a prompt is made of.
pub struct Brief<'a> {
    /// What is to be reached.
    pub goal: &'a str,
    /// What may be changed.
    pub patterns: &'a Patterns,
    /// The metric that is enough.
    pub target: Option<f64>,
    /// What has happened.
    pub history: &'a History,
    /// The iteration that is asked for.
    pub iteration: u32,
}

impl Brief<'_> {
    /// The prompt.
    pub fn text(&self) -> String {
        let mut text = format!("# Iteration {}\n\n{}\n", self.iteration, self.goal.trim());
        text.push_str("\n## Rules\n\n");
        text.push_str(
            "- Make exactly one change that you expect to be faster, and then end.\n\
             - You work in a copy of the project. Only what you change in the files below counts.\n",
        );
        text.push_str(&format!("- You may change: {}.\n", listed(&self.patterns.edit)));
        if !self.patterns.protect.is_empty() {
            text.push_str(&format!("- You must not change: {}.\n", listed(&self.patterns.protect)));
        }
        text.push_str(
            "- Whether the change stays is measured after you have ended, by another program. \
             Nothing that you print is a measurement.\n\
             - Describe your change in the file `.optloop-answer.md` of this folder, in one \
             sentence.\n",
        );
        self.numbers(&mut text);
        self.tail(&mut text);
        text
    }

    fn numbers(&self, text: &mut String) {
        let (Some(baseline), Some(best)) = (&self.history.baseline, &self.history.best) else {
            return;
        };
        let metric = &baseline.metric;
        let _infallible = write!(
            text,
            "\n## Where it stands\n\n- {metric} at the beginning: {}\n- best {metric}, of iteration \
             {}: {}\n",
            baseline.value, best.iteration, best.value
        );
        if let Some(target) = self.target {
            text.push_str(&format!("- target: {target}\n"));
        }
    }

    fn tail(&self, text: &mut String) {
        let ended: Vec<&Iteration> =
            self.history.iterations.iter().filter(|iteration| iteration.status.is_some()).collect();
        if ended.is_empty() {
            return;
        }
        text.push_str("\n## What was tried\n\n");
        for iteration in &ended[ended.len().saturating_sub(TAIL)..] {
            text.push_str(&format!("- {}\n", one_line(iteration)));
        }
    }
}

fn listed(patterns: &[String]) -> String {
    patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
}

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
    }
    if iteration.status == Some(Status::AgentFailed) {
        let proposal = iteration.proposal.as_ref();
        let message = proposal.and_then(|proposal| proposal.agent.message());
        line.push_str(&format!(" ({})", message.unwrap_or_default()));
    }
    if let Some(judged) = &iteration.judgement {
        let says = match judged.outcome {
            Outcome::Better | Outcome::Worse | Outcome::Undecided => "",
            Outcome::Failed | Outcome::Guard | Outcome::Infrastructure => "failed: ",
        };
        let reason = judged.reason.lines().next().unwrap_or_default();
        line.push_str(&format!(" ({says}{})", reason.trim_end_matches(':')));
    }
    line
}
