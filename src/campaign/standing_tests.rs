use super::*;
use crate::campaign::event::{AgentEnd, Event, Proposal};
use crate::campaign::samples;

#[test]
fn a_campaign_that_runs_says_where_it_stands_and_what_is_left() {
    let standing = Standing::of(&samples::history());
    assert_eq!((standing.status, standing.phase), (Course::Running, Phase::Between));
    assert_eq!((standing.iteration, standing.ended, standing.kept), (6, 6, 2));
    assert_eq!((standing.best, standing.best_iteration), (Some(5.4), Some(3)));
    assert_eq!(standing.best_commit.as_deref(), Some("bbbb003"));
    assert_eq!(standing.trend, [0.25, 0.1]);
    assert!((standing.to_target.expect("a gap") - 0.4).abs() < 1e-9);
    assert_eq!((standing.target, standing.stretch), (Some(5.0), Some(4.5)));
    assert_eq!(standing.directives, ["be bold"]);
    let left: Vec<Option<f64>> = standing.budgets.iter().map(|budget| budget.left).collect();
    assert_eq!(left[0], Some(14.0));
    assert!((left[1].expect("hours") - (2.0 - 1600.0 / 3600.0)).abs() < 1e-9);
    assert_eq!((left[2], left[3]), (Some(3.0), Some(5.0)));
    assert_eq!(standing.blocker, None);
    let last = samples::entries().len() as i64 - 1;
    let began: jiff::Timestamp = standing.started_at.parse().expect("a time");
    let since: jiff::Timestamp = standing.since.parse().expect("a time");
    assert_eq!(since.duration_since(began).as_secs(), last * 60);
}

#[test]
fn each_phase_is_known_from_the_last_event() {
    let phases: Vec<Phase> = (1..=8).map(|at| Phase::of(&samples::history_of(at))).collect();
    let (before, judging) = (Phase::Baseline, Phase::Judging);
    let then = [Phase::Between, Phase::Agent, judging, judging, Phase::Deciding, Phase::Between];
    assert_eq!(phases[..2], [before, before]);
    assert_eq!(phases[2..], then);
    let ended = Standing::of(&samples::ended());
    assert_eq!((ended.phase, ended.status), (Phase::Ended, Course::Completed));
}

#[test]
fn what_is_in_the_way_is_named_until_it_is_gone() {
    let mut history = samples::history();
    let halted = Event::Halted { message: "the disk is full".to_owned() };
    history.apply(&halted).expect("it follows");
    assert_eq!(Standing::of(&history).blocker.as_deref(), Some("the disk is full"));
    history.apply(&Event::Resumed).expect("it follows");
    assert_eq!(Standing::of(&history).blocker, None);
    let message = "exit code 3".to_owned();
    let proposal = Proposal { agent: AgentEnd::Failed { message }, ..Proposal::default() };
    for event in [
        Event::Opened { iteration: 7 },
        Event::Proposed { iteration: 7, proposal },
        Event::Ended { iteration: 7, status: Status::AgentFailed, seconds: 1.0 },
    ] {
        history.apply(&event).expect("it follows");
    }
    assert_eq!(Standing::of(&history).blocker.as_deref(), Some("iteration 7: exit code 3"));
}
