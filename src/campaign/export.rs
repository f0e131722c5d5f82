//! The log in the forms of two other loops, for programs that read those.

use serde_json::{Value, json};

use super::event::Status;
use super::history::{History, Iteration};
use super::report::{self, Guarded};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Of a loop in which an advisor plans: `git_sha`, `cycles`, `valid`, `strategy_tags`.
    Advised,
    /// Of a loop in which an agent session does all: `commit`, `metric`, `delta`, `guard`.
    Interactive,
}

/// All attempts, a JSON line each.
pub fn lines(history: &History, form: Form) -> String {
    let values: Vec<Value> = match form {
        Form::Advised => advised(history),
        Form::Interactive => interactive(history),
    };
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    lines.iter().fold(String::new(), |text, line| text + line + "\n")
}

/// One line for each attempt; the baseline is none.
fn advised(history: &History) -> Vec<Value> {
    let mut best = history.baseline.as_ref().map(|baseline| baseline.value);
    let target = history.steering.target.or(history.limits.target);
    let line = |iteration: &Iteration| {
        let record = report::record(history, iteration)?;
        let before = best;
        if iteration.status == Some(Status::Kept) {
            best = record.metric;
        }
        let is_valid = record.metric.is_some() && record.violations.is_empty();
        let errors = (!is_valid).then(|| super::summary::why(&record));
        Some(json!({
            "iteration_id": record.iteration,
            "timestamp": record.at,
            "branch": record.commit.as_ref().map(|_| format!("iter/{:04}", record.iteration)),
            "git_sha": record.commit,
            "cycles": record.metric,
            "valid": is_valid,
            "threshold_target": target,
            "best_cycles": best,
            "best_cycles_before": before,
            "merged": iteration.status == Some(Status::Kept),
            "result": record.status,
            "recent_changes": {
                "files_changed": record.files,
                "summary": [record.description],
            },
            "strategy_tags": tags(&record),
            "errors": errors.into_iter().filter(|why| !why.is_empty()).collect::<Vec<_>>(),
        }))
    };
    history.iterations.iter().filter_map(line).collect()
}

/// The family, then what else distinguishes it; none where the agent says no family.
fn tags(record: &report::Record) -> Vec<String> {
    let account = &record.account;
    if account.family.is_empty() {
        return Vec::new();
    }
    let family = std::iter::once(account.family.clone());
    family.chain(account.modifiers.iter().cloned()).collect()
}

/// One line for each attempt, the baseline first. Differences are in percent of the baseline.
fn interactive(history: &History) -> Vec<Value> {
    let records = report::all(history);
    let line = |record: report::Record| {
        let is_baseline = record.iteration == 0;
        let guard = record.guard.map(|guard| match guard {
            Guarded::Pass => "pass",
            Guarded::Fail => "fail",
        });
        let mut line = json!({
            "iteration": record.iteration,
            "commit": record.commit,
            "metric": record.metric,
            "delta": record.delta.map(|delta| 100.0 * delta),
            "guard": guard,
            "status": record.status,
            "description": if is_baseline { "baseline" } else { &record.description[..] },
            "agent": Value::Null,
            "confidence": record.account.confidence,
            "timestamp": record.at,
            "files": record.files,
        });
        if !is_baseline {
            line["ideation_source"] = "agent".into();
        }
        line
    };
    records.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::samples;

    #[test]
    fn attempts_of_an_advised_loop_have_its_keys() {
        insta::assert_snapshot!("advised", lines(&samples::history(), Form::Advised));
    }

    #[test]
    fn attempts_of_an_interactive_loop_have_its_keys() {
        insta::assert_snapshot!("interactive", lines(&samples::history(), Form::Interactive));
    }
}
