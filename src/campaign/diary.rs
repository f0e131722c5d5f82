//! `diary.md` and `progress-NNN.md`: what people, and agents with little memory, read afterwards.

use std::fmt::Write as _;

use super::event::Status;
use super::history::{History, Iteration};
use super::report::{self, Record, number, percent};
use super::summary;

/// After so many iterations a summary is written, which makes those before it dispensable.
const INTERVAL: usize = 10;

/// A summary of some iterations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The last iteration that it is about.
    pub up_to: u32,
    /// What it says.
    pub text: String,
}

/// The diary: for each iteration what was meant, what came of it, and why it ended so. A longer
/// campaign's begins with a shorter one's.
pub fn text(history: &History) -> String {
    let Some(begun) = &history.begun else { return String::new() };
    let mut text = format!("# Diary of {}\n\n{}\n\n", begun.id, begun.goal.trim());
    text.push_str(&format!("- began: {}\n", history.began_at));
    let Some(baseline) = &history.baseline else { return text };
    text.push_str(&format!("- baseline: {} {}\n", baseline.metric, baseline.value));
    for iteration in &history.iterations {
        entry(history, iteration, &mut text);
    }
    text
}

fn entry(history: &History, iteration: &Iteration, text: &mut String) {
    let Some(record) = report::record(history, iteration) else { return };
    let _infallible =
        write!(text, "\n## Iteration {}, {}\n\n", record.iteration, iteration.ended_at);
    for said in history.directives.iter().filter(|said| said.from == record.iteration) {
        text.push_str(&format!("**Directive**: {}\n\n", said.text));
    }
    let what = if record.description.is_empty() { "not described" } else { &record.description };
    let files = match &record.files[..] {
        [] if record.violations.is_empty() => " (no files changed)".to_owned(),
        [] => String::new(),
        files => format!(" ({})", files.join(", ")),
    };
    let _infallible = write!(
        text,
        "**Hypothesis**: {what}{files}\n\n**Outcome**: {}\n\n**Decision**: {}\n",
        outcome(history, &record),
        decision(iteration, &record),
    );
    if !record.account.next_step.is_empty() {
        text.push_str(&format!("\n**Next**: {}\n", record.account.next_step));
    }
}

fn outcome(history: &History, record: &Record) -> String {
    let metric = history.baseline.as_ref().map(|baseline| &baseline.metric[..]);
    let Some((value, metric)) = record.metric.zip(metric) else { return record.status.clone() };
    let beside = record.delta.map(|delta| format!(" ({} beside the baseline)", percent(delta)));
    format!("{metric} {}{}: {}", number(value), beside.unwrap_or_default(), record.status)
}

/// One sentence.
fn decision(iteration: &Iteration, record: &Record) -> String {
    let why = summary::why(record);
    let message = iteration.proposal.as_ref().and_then(|proposal| proposal.agent.message());
    let sentence = match iteration.status {
        Some(Status::Kept) => "It is the best now".to_owned(),
        Some(Status::NoOp) => "Nothing to judge: no file that counts was changed".to_owned(),
        Some(Status::AgentFailed) => {
            format!("Nothing to judge: {}", message.unwrap_or("the agent failed"))
        }
        Some(Status::Infrastructure) => "Not judged: the machine failed".to_owned(),
        _ => "It is not taken over".to_owned(),
    };
    if why.is_empty() { format!("{sentence}.") } else { format!("{sentence}: {why}.") }
}

/// A summary for every ten iterations that have ended.
pub fn progress(history: &History) -> Vec<Progress> {
    let records: Vec<Record> = report::all(history);
    // The first is the baseline.
    let whole = records.len().saturating_sub(1) / INTERVAL;
    (1..=whole).map(|at| summary_of(history, &records[..=at * INTERVAL])).collect()
}

fn summary_of(history: &History, records: &[Record]) -> Progress {
    let last = &records[records.len() - INTERVAL..];
    let up_to = last.last().map_or(0, |record| record.iteration);
    let best = records.iter().rev().find(|record| is_best(record));
    let id = history.begun.as_ref().map(|begun| &begun.id[..]).unwrap_or_default();
    let metric = history.baseline.as_ref().map(|baseline| &baseline.metric[..]).unwrap_or_default();
    let kept = last.iter().filter(|record| record.status == Status::Kept.word()).count();
    let mut text = format!("# {id}: up to iteration {up_to}\n\n");
    if let Some(best) = best {
        let _infallible = write!(
            text,
            "- best {metric}: {} (iteration {}, {} beside the baseline)\n- its commit: {}\n",
            number(best.metric.unwrap_or_default()),
            best.iteration,
            percent(best.delta.unwrap_or_default()),
            best.commit.as_deref().unwrap_or("not reported"),
        );
    }
    text.push_str(&format!("- kept of the last {INTERVAL}: {kept}\n"));
    text.push_str("\n| iteration | status | metric | gain | change | reason |\n");
    text.push_str("|---:|---|---:|---:|---|---|\n");
    for record in last {
        text.push_str(&summary::row(record));
    }
    text.push_str("\nAll iterations, one JSON object a line: experiments.jsonl.\n");
    Progress { up_to, text }
}

fn is_best(record: &Record) -> bool {
    record.iteration == 0 || record.status == Status::Kept.word()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::event::{Event, Proposal};
    use crate::campaign::samples;

    #[test]
    fn the_diary_tells_what_was_meant_what_came_of_it_and_why() {
        insta::assert_snapshot!("diary", text(&samples::history()));
    }

    #[test]
    fn a_longer_campaigns_diary_begins_with_a_shorter_ones() {
        let all = samples::entries().len();
        let whole = text(&samples::history());
        for first in 3..all {
            assert!(whole.starts_with(&text(&samples::history_of(first))), "after {first}");
        }
    }

    #[test]
    fn every_ten_iterations_a_summary_stands_for_those_before_it() {
        let mut history = samples::history();
        assert_eq!(progress(&history), []);
        for iteration in 7..=23 {
            let proposal = Proposal::default();
            for event in [
                Event::Opened { iteration },
                Event::Proposed { iteration, proposal },
                Event::Ended { iteration, status: Status::NoOp, seconds: 1.0 },
            ] {
                history.apply(&event).expect("it follows");
            }
        }
        let all = progress(&history);
        let ends: Vec<u32> = all.iter().map(|one| one.up_to).collect();
        assert_eq!(ends, [10, 20]);
        insta::assert_snapshot!("progress", all[0].text);
        assert!(all[1].text.contains("kept of the last 10: 0"), "{}", all[1].text);
        assert!(all[1].text.contains("(iteration 3, "), "{}", all[1].text);
    }
}
