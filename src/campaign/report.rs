//! A campaign for people and for other programs: made from its history, again and again.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::anchored::Anchored;
use super::event::{Status, Violation};
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

fn all(history: &History) -> Vec<Record> {
    let baseline = history.baseline.as_ref().map(|baseline| Record {
        version: RECORD_VERSION,
        iteration: 0,
        status: "baseline".to_owned(),
        commit: history.begun.as_ref().map(|begun| begun.base.clone()),
        metric: Some(baseline.value),
        gain: Some(0.0),
        lower: None,
        upper: None,
        description: String::new(),
        reason: String::new(),
        files: Vec::new(),
        violations: Vec::new(),
        artifact: Some(baseline.artifact.clone()),
        seconds: 0.0,
        account: Account::default(),
        denied: Vec::new(),
    });
    let ended = history.iterations.iter().filter_map(record);
    baseline.into_iter().chain(ended).collect()
}

fn record(iteration: &Iteration) -> Option<Record> {
    let status = iteration.status?;
    let proposal = iteration.proposal.clone().unwrap_or_default();
    let judged = iteration.judgement.as_ref();
    Some(Record {
        version: RECORD_VERSION,
        iteration: iteration.number,
        status: status.word().to_owned(),
        commit: iteration.commit.clone(),
        metric: judged.and_then(|judged| judged.value),
        gain: judged.and_then(|judged| judged.gain),
        lower: judged.and_then(|judged| judged.lower),
        upper: judged.and_then(|judged| judged.upper),
        description: proposal.description,
        reason: judged.map(|judged| judged.reason.clone()).unwrap_or_default(),
        files: proposal.files.into_iter().map(|file| file.path).collect(),
        violations: proposal.violations,
        artifact: judged.and_then(|judged| judged.artifact.clone()),
        seconds: iteration.seconds,
        account: *proposal.account,
        denied: proposal.denied,
    })
}

/// `report.md`.
pub fn text(history: &History) -> String {
    let mut text = String::new();
    let Some(begun) = &history.begun else { return text };
    let _infallible = write!(text, "# {}\n\n{}\n\n", begun.id, begun.goal.trim());
    if let (Some(baseline), Some(best)) = (&history.baseline, &history.best) {
        let gain = history.gain().map_or_else(String::new, |gain| {
            format!(", {} beside the baseline's own measurement", percent(gain))
        });
        let _infallible = write!(
            text,
            "- {} at the beginning: {}\n- best: {} (iteration {}{gain})\n",
            baseline.metric, baseline.value, best.value, best.iteration
        );
    }
    if let Some(anchored) = &history.anchor {
        let _infallible = writeln!(text, "- {}", in_pairs(anchored));
    }
    let kept = history.count(&[Status::Kept]);
    let ended = history.iterations.iter().filter(|iteration| iteration.status.is_some()).count();
    let _infallible =
        write!(text, "- iterations: {ended}, of which kept: {kept}\n- costs: not reported\n");
    if let Some(end) = history.end {
        text.push_str(&format!("- it ended: {}\n", end.words()));
    }
    text.push_str("\n| iteration | status | metric | gain | change | reason |\n");
    text.push_str("|---:|---|---:|---:|---|---|\n");
    for record in all(history) {
        let _infallible = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            record.iteration,
            record.status,
            record.metric.map_or_else(|| "-".to_owned(), |value| value.to_string()),
            record.gain.map_or_else(|| "-".to_owned(), percent),
            cell(&record.description),
            cell(&why(&record)),
        );
    }
    text
}

fn why(record: &Record) -> String {
    let broken = record.violations.iter().map(|v| format!("{} {}", v.path, v.rule.words()));
    let vetoed = record.account.veto.iter().filter(|_| record.status == Status::Vetoed.word());
    let vetoed = vetoed.map(|why| format!("the agent's veto: {why}"));
    let broken: Vec<String> = broken.chain(vetoed).collect();
    let reason = record.reason.lines().next().unwrap_or_default();
    if broken.is_empty() { reason.to_owned() } else { broken.join("; ") }
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

/// Text that does not end a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
