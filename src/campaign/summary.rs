//! `report.md`: what a campaign did, for people.

use std::fmt::Write as _;

use super::event::{Better, End, Status};
use super::history::{History, Iteration};
use super::report::{self, Record, percent};
use super::standing::Standing;

/// In place of a figure that nobody gave.
const MISSING: &str = "not reported";
/// The order in which outcomes are listed.
const OUTCOMES: [Status; 9] = [
    Status::Vetoed,
    Status::Undecided,
    Status::Reverted,
    Status::Guard,
    Status::Failed,
    Status::Invalid,
    Status::NoOp,
    Status::AgentFailed,
    Status::Infrastructure,
];

/// The report.
pub fn text(history: &History) -> String {
    let Some(begun) = &history.begun else { return String::new() };
    let mut text = format!("# {}\n\n{}\n\n", begun.id, begun.goal.trim());
    figures(history, &mut text);
    let records = report::all(history);
    kept(&records, &mut text);
    tried(&records, &mut text);
    table(&records, &mut text);
    let follow_ups = follow_ups(history);
    if !follow_ups.is_empty() {
        text.push_str("\n## What could follow\n\n");
        for follow_up in follow_ups {
            text.push_str(&format!("- {follow_up}\n"));
        }
    }
    text
}

fn figures(history: &History, text: &mut String) {
    let standing = Standing::of(history);
    let end = history.end.map_or("it has not ended", End::words);
    text.push_str(&format!("- the end: {end}\n"));
    if let (Some(baseline), Some(best)) = (&history.baseline, &history.best) {
        let gain = history.gain().filter(|_| best.iteration > 0);
        let gain = gain.map_or_else(String::new, |gain| {
            format!(", {} beside the baseline's own measurement", percent(gain))
        });
        let _infallible = write!(
            text,
            "- {} at the beginning: {}\n- best: {} (iteration {}{gain})\n- its commit: {}\n",
            baseline.metric, baseline.value, best.value, best.iteration, best.commit
        );
    }
    if let Some(anchored) = &history.anchor {
        text.push_str(&format!("- {}\n", report::in_pairs(anchored)));
    }
    if let Some(target) = standing.target {
        let missing = standing.to_target.filter(|missing| *missing > 0.0);
        let missing = missing.map(|missing| format!(", {} away", report::number(missing)));
        text.push_str(&format!("- target: {target}{}\n", missing.unwrap_or_default()));
    }
    if let Some(stretch) = standing.stretch {
        text.push_str(&format!("- stretch target: {stretch}\n"));
    }
    let counts = OUTCOMES.iter().filter_map(|status| {
        let count = history.count(&[*status]);
        (count > 0).then(|| format!(", {}: {count}", status.word()))
    });
    let counts: String = counts.collect();
    let _infallible = write!(
        text,
        "- iterations: {}, of which kept: {}{counts}\n- their time: {:.1} min\n- costs: {}\n",
        standing.ended,
        standing.kept,
        history.seconds() / 60.0,
        history.spent_by_ended.words()
    );
}

fn kept(records: &[Record], text: &mut String) {
    let mut kept = records.iter().filter(|record| record.status == Status::Kept.word()).peekable();
    if kept.peek().is_none() {
        return;
    }
    text.push_str(
        "\n## What was kept\n\n| iteration | gain | interval | metric | commit | change |\n",
    );
    text.push_str("|---:|---:|---|---:|---|---|\n");
    for record in kept {
        let interval = record.lower.zip(record.upper).map_or_else(
            || MISSING.to_owned(),
            |(lower, upper)| format!("{} to {}", percent(lower), percent(upper)),
        );
        let _infallible = writeln!(
            text,
            "| {} | {} | {interval} | {} | {} | {} |",
            record.iteration,
            record.gain.map_or_else(|| MISSING.to_owned(), percent),
            figure(record.metric),
            record.commit.as_deref().unwrap_or(MISSING),
            cell(described(record)),
        );
    }
    text.push_str(
        "\nEach gain is over the best of its time, measured in pairs; a share where the metric is \
         compared by ratios, else in its unit.\n",
    );
}

fn tried(records: &[Record], text: &mut String) {
    for status in OUTCOMES {
        let of = records.iter().filter(|record| record.status == status.word());
        let of: Vec<&Record> = of.collect();
        if of.is_empty() {
            continue;
        }
        text.push_str(&format!("\n## {}\n\n", heading(status)));
        for record in of {
            let why = why(record);
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            text.push_str(&format!("- {}: {}{why}\n", record.iteration, described(record)));
        }
    }
}

fn heading(status: Status) -> &'static str {
    match status {
        Status::Vetoed => "What the agent did not want kept",
        Status::Undecided => "What the measurement left open",
        Status::Guard => "What a guard refused",
        Status::Failed => "What failed",
        Status::Invalid => "What was against the rules",
        Status::NoOp => "What changed nothing",
        Status::AgentFailed => "Where the agent failed",
        Status::Infrastructure => "Where the machine failed",
        _ => "What was not better",
    }
}

fn table(records: &[Record], text: &mut String) {
    text.push_str(
        "\n## All iterations\n\n| iteration | status | metric | gain | change | reason |\n",
    );
    text.push_str("|---:|---|---:|---:|---|---|\n");
    for record in records {
        text.push_str(&row(record));
    }
}

/// An iteration as a row of a table: number, status, metric, gain, change, reason.
pub fn row(record: &Record) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        record.iteration,
        record.status,
        figure(record.metric),
        record.gain.map_or_else(|| "-".to_owned(), percent),
        cell(&record.description),
        cell(&why(record)),
    )
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn described(record: &Record) -> &str {
    if record.description.is_empty() { "a change" } else { &record.description }
}

/// Why an iteration ended so, in a line.
pub fn why(record: &Record) -> String {
    let broken = record.violations.iter().map(|v| format!("{} {}", v.path, v.rule.words()));
    let vetoed = record.account.veto.iter().filter(|_| record.status == Status::Vetoed.word());
    let vetoed = vetoed.map(|why| format!("the agent's veto: {why}"));
    let broken: Vec<String> = broken.chain(vetoed).collect();
    let reason = record.reason.lines().next().unwrap_or_default();
    if broken.is_empty() { reason.to_owned() } else { broken.join("; ") }
}

/// Text that does not end a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// What people may want to do next, as far as the figures say.
fn follow_ups(history: &History) -> Vec<String> {
    let mut all = Vec::new();
    let id = history.begun.as_ref().map(|begun| &begun.id[..]).unwrap_or_default();
    if history.count(&[Status::Kept]) > 0 {
        all.push(format!(
            "take what was kept into the checkout: `optloop loop diff {id} | git apply`; then look \
             whether its documentation and tests still fit"
        ));
    }
    let numbers = |status: Status| {
        let of = history.iterations.iter().filter(move |one| one.status == Some(status));
        of.map(|one: &Iteration| one.number.to_string()).collect::<Vec<_>>().join(", ")
    };
    for (status, advice) in [
        (Status::Vetoed, "look at what was better and its agent did not want kept"),
        (Status::Undecided, "measure with more pairs what was left open"),
        (Status::Guard, "look whether a mended version is worth it of what a guard refused"),
        (Status::Infrastructure, "try again what the machine did not let be judged"),
    ] {
        if history.count(&[status]) > 0 {
            all.push(format!("{advice}: iterations {}", numbers(status)));
        }
    }
    let last = history.iterations.iter().rposition(|one| one.status == Some(Status::Kept));
    let since = last.map(|last| history.iterations.len() - 1 - last);
    if history.end == Some(End::Budget)
        && let Some(since) = since.filter(|since| *since <= 2)
    {
        let when = match since {
            0 => "the last iteration brought a gain".to_owned(),
            since => format!("the last gain was {since} before the end"),
        };
        all.push(format!("{when}: a larger budget may bring more"));
    }
    if let Some(missing) = Standing::of(history).to_target.filter(|missing| *missing > 0.0) {
        let way = if history.better() == Better::Lower { "above" } else { "below" };
        all.push(format!("the best is {} {way} the target", report::number(missing)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::samples;

    #[test]
    fn the_report_counts_lists_and_advises() {
        insta::assert_snapshot!("report", text(&samples::ended()));
    }

    #[test]
    fn a_campaign_without_a_measurement_has_a_report_too() {
        let text = text(&samples::history_of(1));
        assert!(
            text.contains("it has not ended") && text.contains("costs: not reported"),
            "{text}"
        );
        assert!(!text.contains("## What was kept"), "{text}");
    }
}
