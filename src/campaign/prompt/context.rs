//! What a template can be filled in with.

use serde::{Serialize, Serializer};

use super::words::one_line;
use crate::campaign::agent::{ANSWER, ANSWER_JSON};
use crate::campaign::event::{Better, Outcome, Status};
use crate::campaign::history::{History, Iteration};
use crate::campaign::report::percent;

/// How many of the last iterations a prompt tells of.
const TAIL: usize = 10;
/// How many kept ones a trend has.
const TREND: usize = 5;
/// How many failures are shown, and how much of each.
const FAILURES: usize = 2;
const FAILURE_LINES: usize = 20;
const FAILURE_CHARS: usize = 2000;

/// The variables; `none` in a template where something is not known.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Context {
    /// What is to be reached.
    pub(super) goal: String,
    /// The iteration that is asked for, from 1.
    pub(super) iteration: u32,
    /// How many there may be.
    pub(super) total: Option<u32>,
    /// The commit that holds the project as it was.
    pub(super) base: Option<String>,
    /// Patterns of what may be changed.
    pub(super) edit: Vec<String>,
    /// Patterns of what may not.
    pub(super) protect: Vec<String>,
    /// Texts that must be heeded.
    pub(super) directives: Vec<String>,
    /// The file for a description, and the one for more.
    pub(super) answer: String,
    pub(super) answer_json: String,
    /// What it is measured on.
    pub(super) device: Option<String>,
    /// The device that is held meanwhile.
    pub(super) held: Option<String>,
    /// What the device allows at best, a line each.
    pub(super) bounds: Vec<String>,
    /// What is measured.
    pub(super) metric: Option<String>,
    /// `lower` or `higher`.
    pub(super) better: String,
    /// The metric at the beginning, at the best, and of the last that was measured.
    pub(super) baseline: Option<Number>,
    pub(super) best: Best,
    pub(super) now: Option<Number>,
    /// What is enough, and what would be more.
    pub(super) target: Option<Number>,
    pub(super) stretch: Option<Number>,
    /// The last gains that were kept, oldest first.
    pub(super) trend: Vec<String>,
    /// The last iterations with their reasons, a line each.
    pub(super) tried: Vec<String>,
    /// The last failures.
    pub(super) failures: Vec<FailureText>,
    /// What a guard says of the candidate that is to be mended.
    pub(super) refused: Option<String>,
}

/// A number that is written without a point where it is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(pub(super) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Up to here each whole number has its own float.
        const EXACT: f64 = 9e15;
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// The best so far.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Best {
    /// The iteration that it came from; 0 for the baseline.
    pub(super) iteration: u32,
    /// Its metric.
    pub(super) value: Option<Number>,
    /// Beside the baseline.
    pub(super) gain: Option<String>,
}

/// What a guard says of the candidate that went back to the agent.
fn refused(history: &History) -> Option<String> {
    let sent = history.open_iteration()?.sent_back.last()?;
    Some(sent.judgement.reason.trim().to_owned())
}

/// A failure with what commands said.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct FailureText {
    /// Of which iteration.
    pub(super) iteration: u32,
    /// The beginning of what was said.
    pub(super) text: String,
}

impl Context {
    /// What the history says.
    pub(super) fn of(history: &History) -> Self {
        let better = match history.better() {
            Better::Lower => "lower",
            Better::Higher => "higher",
        };
        let baseline = history.baseline.as_ref();
        let ended: Vec<&Iteration> =
            history.iterations.iter().filter(|iteration| iteration.status.is_some()).collect();
        let last = &ended[ended.len().saturating_sub(TAIL)..];
        Self {
            base: history.begun.as_ref().map(|begun| begun.base.clone()),
            answer: ANSWER.to_owned(),
            answer_json: ANSWER_JSON.to_owned(),
            device: baseline.and_then(|baseline| baseline.device.clone()),
            held: history.held.clone(),
            bounds: baseline.map(|baseline| baseline.bounds.clone()).unwrap_or_default(),
            metric: baseline.map(|baseline| baseline.metric.clone()),
            better: better.to_owned(),
            baseline: baseline.map(|baseline| Number(baseline.value)),
            best: Best {
                iteration: history.best.as_ref().map_or(0, |best| best.iteration),
                value: history.best.as_ref().map(|best| Number(best.value)),
                gain: history.gain().filter(|gain| *gain != 0.0).map(percent),
            },
            now: ended.iter().rev().find_map(|i| i.verdict()?.value).map(Number),
            trend: trend(&ended),
            tried: last.iter().map(|iteration| one_line(iteration)).collect(),
            failures: failures(last),
            refused: refused(history),
            ..Self::default()
        }
    }

    /// One in which everything is known: what a template makes of it can be tried out.
    pub(super) fn sample() -> Self {
        let text = || "text".to_owned();
        let number = Some(Number(1.0));
        Self {
            goal: text(),
            iteration: 2,
            total: Some(3),
            base: Some(text()),
            edit: vec![text()],
            protect: vec![text()],
            directives: vec![text()],
            answer: text(),
            answer_json: text(),
            device: Some(text()),
            held: Some(text()),
            bounds: vec![text()],
            metric: Some(text()),
            better: text(),
            baseline: number,
            best: Best { iteration: 1, value: number, gain: Some(text()) },
            now: number,
            target: number,
            stretch: number,
            trend: vec![text()],
            tried: vec![text()],
            failures: vec![FailureText { iteration: 1, text: text() }],
            refused: Some(text()),
        }
    }
}

/// The gains of the last kept iterations, each against the best of its time.
fn trend(ended: &[&Iteration]) -> Vec<String> {
    let kept = ended.iter().filter(|i| i.status == Some(Status::Kept));
    let gains = kept.filter_map(|i| Some((i.number, i.judgement.as_ref()?.gain?)));
    let all: Vec<String> =
        gains.map(|(number, gain)| format!("{} (iteration {number})", percent(gain))).collect();
    all[all.len().saturating_sub(TREND)..].to_vec()
}

fn failures(last: &[&Iteration]) -> Vec<FailureText> {
    let failed = last.iter().rev().filter_map(|iteration| {
        let judged = iteration.verdict()?;
        let is_failure = matches!(judged.outcome, Outcome::Failed | Outcome::Guard);
        // One line of it stands among what was tried.
        let says_more = judged.reason.trim().lines().count() > 1;
        let text = (is_failure && says_more).then(|| beginning(&judged.reason))?;
        Some(FailureText { iteration: iteration.number, text })
    });
    failed.take(FAILURES).collect()
}

fn beginning(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().take(FAILURE_LINES).collect();
    lines.join("\n").chars().take(FAILURE_CHARS).collect()
}
