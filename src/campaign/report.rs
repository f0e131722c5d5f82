//! What is kept of each attempt, for other programs: made from the history, again and again.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::anchored::Anchored;
use super::event::{Outcome, Status, Violation};
use super::history::{History, Iteration};
use super::proposal::Account;

/// The version of [`Record`].
pub const RECORD_VERSION: u32 = 1;

/// One attempt, as a line of `experiments.jsonl`; iteration 0 is the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Of this line's form.
    #[schemars(extend("const" = RECORD_VERSION))]
    pub version: u32,
    /// Its number.
    pub iteration: u32,
    /// How it ended: `baseline` or a [`Status`].
    pub status: String,
    /// The candidate's commit in the campaign's repository.
    pub commit: Option<String>,
    /// The metric.
    pub metric: Option<f64>,
    /// The gain against the best then, as it was measured.
    pub gain: Option<f64>,
    /// The lower end of its interval.
    pub lower: Option<f64>,
    /// The upper end.
    pub upper: Option<f64>,
    /// How much better the metric is than the baseline's own measurement, as a share of that.
    #[serde(default)]
    pub delta: Option<f64>,
    /// What the guards said, where they had their say.
    #[serde(default)]
    pub guard: Option<Guarded>,
    /// What was changed, in the agent's words.
    pub description: String,
    /// Why it ended so.
    pub reason: String,
    /// Which files were changed.
    pub files: Vec<String>,
    /// What must not have been changed.
    pub violations: Vec<Violation>,
    /// The artifact that holds the measurement.
    pub artifact: Option<String>,
    /// How long it took, s.
    pub seconds: f64,
    /// What else the agent says of it.
    #[serde(default)]
    pub account: Account,
    /// Commands that the agent called and must not.
    #[serde(default)]
    pub denied: Vec<String>,
    /// When it ended, RFC 3339.
    #[serde(default)]
    pub at: Option<String>,
}

/// What all guards said together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guarded {
    /// Each succeeded.
    Pass,
    /// One said no.
    Fail,
}

/// All attempts, a JSON line each.
pub fn records(history: &History) -> String {
    let mut text = String::new();
    for record in all(history) {
        // Plain maps and numbers always encode.
        text.push_str(&serde_json::to_string(&record).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// The baseline, and every iteration that has ended.
pub fn all(history: &History) -> Vec<Record> {
    let baseline = history.baseline.as_ref().map(|baseline| Record {
        version: RECORD_VERSION,
        iteration: 0,
        status: "baseline".to_owned(),
        commit: history.begun.as_ref().map(|begun| begun.base.clone()),
        metric: Some(baseline.value),
        gain: Some(0.0),
        lower: None,
        upper: None,
        delta: Some(0.0),
        guard: Some(Guarded::Pass),
        description: String::new(),
        reason: String::new(),
        files: Vec::new(),
        violations: Vec::new(),
        artifact: Some(baseline.artifact.clone()),
        seconds: 0.0,
        account: Account::default(),
        denied: Vec::new(),
        at: history.baseline_at.clone(),
    });
    let ended = history.iterations.iter().filter_map(|one| record(history, one));
    baseline.into_iter().chain(ended).collect()
}

/// An iteration; none while it is under way.
pub fn record(history: &History, iteration: &Iteration) -> Option<Record> {
    let status = iteration.status?;
    let proposal = iteration.proposal.clone().unwrap_or_default();
    let judged = iteration.verdict();
    let nothing = (status == Status::NoOp).then(|| proposal.nothing_words());
    Some(Record {
        version: RECORD_VERSION,
        iteration: iteration.number,
        status: status.word().to_owned(),
        commit: iteration.commit.clone(),
        metric: judged.and_then(|judged| judged.value),
        gain: judged.and_then(|judged| judged.gain),
        lower: judged.and_then(|judged| judged.lower),
        upper: judged.and_then(|judged| judged.upper),
        delta: judged.and_then(|judged| history.beside(iteration.number, judged.value?)),
        guard: judged.and_then(|judged| guarded(judged.outcome)),
        description: proposal.description,
        reason: judged.map(|judged| judged.reason.clone()).or(nothing).unwrap_or_default(),
        files: proposal.files.into_iter().map(|file| file.path).collect(),
        violations: proposal.violations,
        artifact: judged.and_then(|judged| judged.artifact.clone()),
        seconds: iteration.seconds,
        account: *proposal.account,
        denied: proposal.denied,
        at: Some(iteration.ended_at.clone()).filter(|at| !at.is_empty()),
    })
}

/// What is sure of the guards: nothing is kept without them.
fn guarded(outcome: Outcome) -> Option<Guarded> {
    match outcome {
        Outcome::Better => Some(Guarded::Pass),
        Outcome::Guard => Some(Guarded::Fail),
        _ => None,
    }
}

/// What a comparison of the best with the first baseline said, in words.
pub fn in_pairs(anchored: &Anchored) -> String {
    if let Some(message) = &anchored.message {
        return format!("the best could not be compared with the baseline: {message}");
    }
    let number = |gain: f64| match anchored.steps {
        Some(_) => percent(gain),
        None => format!("{gain:+}"),
    };
    let gain = anchored.gain.map_or_else(|| "not reported".to_owned(), number);
    let mut text = format!("the best beside the baseline, in pairs: {gain}");
    if let Some((lower, upper)) = anchored.lower.zip(anchored.upper).filter(|(l, u)| l < u) {
        let _infallible = write!(text, " (95 %: {} .. {})", number(lower), number(upper));
    }
    if let Some(steps) = anchored.steps {
        let _infallible = write!(text, "; the kept steps say {}", percent(1.0 - 1.0 / steps));
    }
    text
}

/// A share in percent, with its sign.
pub fn percent(share: f64) -> String {
    format!("{:+.2} %", 100.0 * share)
}

/// A metric: a whole number as it is, any other with four digits.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 {
        return format!("{value}");
    }
    let digits = 3 - (value.abs().max(1e-9).log10().floor() as i32).clamp(-6, 3);
    format!("{value:.*}", digits.max(0) as usize)
}
