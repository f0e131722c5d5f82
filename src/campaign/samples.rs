//! A campaign in which much has happened, for tests.

use super::event::{
    AgentEnd, Baseline, Begun, Better, Changed, End, Entry, Event, How, Judgement, LOG_VERSION,
    Limits, Outcome, Proposal, Rule, Status, Steered, Violation,
};
use super::history::History;
use super::steering::Steering;

/// Its log, a minute between one line and the next.
pub(super) fn entries() -> Vec<Entry> {
    let at = |minute: usize| format!("2026-11-30T{:02}:{:02}:00Z", 20 + minute / 60, minute % 60);
    let entry = |(minute, event)| Entry { version: LOG_VERSION, at: at(minute), event };
    events().into_iter().enumerate().map(entry).collect()
}

/// What is known of it.
pub(super) fn history() -> History {
    History::fold(&entries()).expect("they follow each other")
}

/// The same up to some event.
pub(super) fn history_of(first: usize) -> History {
    History::fold(&entries()[..first]).expect("they follow each other")
}

fn events() -> Vec<Event> {
    let mut all = vec![
        Event::Begun(Begun {
            id: "softmax-20261130T200000Z".to_owned(),
            goal: "Make softmax faster.\n".to_owned(),
            pipeline: "candidate.toml".to_owned(),
            base: "aaaa000".to_owned(),
            head: Some("1234567".to_owned()),
            ..Begun::default()
        }),
        Event::Limited(Limits {
            iterations: Some(20),
            seconds: Some(7200.0),
            failures: Some(3),
            no_gain: Some(8),
            target: Some(5.0),
            ..Limits::default()
        }),
        Event::Baseline(Baseline {
            stage: "candidate".to_owned(),
            metric: "median_us".to_owned(),
            better: Better::Lower,
            value: 8.0,
            artifact: ".optloop/artifacts/base.json".to_owned(),
            guards: vec![Some("12".to_owned())],
            device: Some("a cpu".to_owned()),
            bounds: Vec::new(),
            seconds: 0.0,
            matches: None,
        }),
    ];
    all.extend(iteration(1, "vectorise the sum", &judged(Outcome::Better, 6.0, 0.25)));
    all.extend(iteration(2, "unroll by 16", &judged(Outcome::Worse, 6.3, -0.05)));
    all.push(Event::Steered(Steered {
        request: "1.json".to_owned(),
        asks: Steering {
            say: Some("be bold".to_owned()),
            stretch: Some(4.5),
            ..Steering::default()
        },
        refused: None,
    }));
    all.extend(iteration(3, "one pass | online", &judged(Outcome::Better, 5.4, 0.1)));
    let mut guard = Judgement::of(Outcome::Guard);
    guard.reason = "make test: exit code 1\nFAIL: test_large".to_owned();
    all.extend(iteration(4, "skip the maximum", &guard));
    all.extend(refused(5));
    all.extend(iteration(6, "prefetch", &judged(Outcome::Undecided, 5.4, 0.001)));
    all
}

/// The same, to its end.
pub(super) fn ended() -> History {
    let mut history = history();
    history.apply(&Event::Finished { end: End::Stopped }).expect("it may end");
    history
}

fn judged(outcome: Outcome, value: f64, gain: f64) -> Judgement {
    Judgement {
        value: Some(value),
        gain: Some(gain),
        lower: Some(gain - 0.01),
        upper: Some(gain + 0.01),
        artifact: Some(format!(".optloop/artifacts/{value}.json")),
        reason: "what the pairs say".to_owned(),
        seconds: 40.0,
        ..Judgement::of(outcome)
    }
}

fn iteration(iteration: u32, description: &str, judgement: &Judgement) -> Vec<Event> {
    let file = Changed { path: "softmax.c".to_owned(), how: How::Edited };
    let proposal = Proposal {
        description: description.to_owned(),
        files: vec![file],
        agent: AgentEnd::Fine,
        ..Proposal::default()
    };
    let (commit, judgement) = (format!("bbbb{iteration:03}"), judgement.clone());
    let status = judgement.outcome.status();
    vec![
        Event::Opened { iteration },
        Event::Proposed { iteration, proposal },
        Event::Committed { iteration, commit, lines: 1 },
        Event::Judged { iteration, judgement },
        Event::Ended { iteration, status, seconds: 300.0 },
    ]
}

fn refused(iteration: u32) -> Vec<Event> {
    let violation = Violation { path: "tests/t.py".to_owned(), rule: Rule::Protected };
    let proposal = Proposal {
        description: "an easier question".to_owned(),
        violations: vec![violation],
        ..Proposal::default()
    };
    vec![
        Event::Opened { iteration },
        Event::Proposed { iteration, proposal },
        Event::Ended { iteration, status: Status::Invalid, seconds: 100.0 },
    ]
}
