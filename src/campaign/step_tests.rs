use proptest::prelude::*;

use super::*;
use crate::campaign::anchored::Anchored;
use crate::campaign::event::{
    Adopted, Announced, Baseline, Begun, Better, Changed, Event, Holds, How, Judgement, Outcome,
    Rule, Violation,
};

fn judgement(outcome: Outcome, value: f64) -> Judgement {
    Judgement { value: Some(value), gain: Some(0.1), seconds: 2.0, ..Judgement::of(outcome) }
}

fn begun() -> History {
    let mut history = History::default();
    let begun = Begun {
        id: "c".to_owned(),
        goal: "g".to_owned(),
        pipeline: "p.toml".to_owned(),
        base: "base".to_owned(),
        head: None,
        ..Begun::default()
    };
    history.apply(&Event::Begun(begun)).expect("it begins");
    history
}

fn measured() -> History {
    let mut history = begun();
    let baseline = Baseline {
        stage: "candidate".to_owned(),
        metric: "median_us".to_owned(),
        better: Better::Lower,
        value: 100.0,
        artifact: "a".to_owned(),
        seconds: 4.0,
        ..Baseline::default()
    };
    history.apply(&Event::Baseline(baseline)).expect("it is measured");
    history
}

fn proposal(files: &[&str]) -> Proposal {
    let changed = |path: &&str| Changed { path: (*path).to_owned(), how: How::Edited };
    Proposal { files: files.iter().map(changed).collect(), ..Proposal::default() }
}

/// Does what is decided, with this proposal and judgement, until the iteration has ended.
fn iterate(history: &mut History, proposed: &Proposal, judged: &Judgement) {
    for _ in 0..8 {
        let action = step(history, &Rules::default(), Wish::GoOn);
        let event = match action {
            Action::Open(iteration) if history.open_iteration().is_none() => {
                Event::Opened { iteration }
            }
            Action::Propose(iteration) => Event::Proposed { iteration, proposal: proposed.clone() },
            Action::Commit(iteration) => {
                Event::Committed { iteration, commit: format!("c{iteration}"), lines: 1 }
            }
            Action::Judge(iteration) => Event::Judged { iteration, judgement: judged.clone() },
            Action::Promote(iteration) => {
                Event::Ended { iteration, status: Status::Kept, seconds: 1.0 }
            }
            Action::Close(iteration, status) => Event::Ended { iteration, status, seconds: 1.0 },
            other => panic!("{other:?}"),
        };
        let ends = matches!(event, Event::Ended { .. });
        history.apply(&event).expect("it follows");
        if ends {
            return;
        }
    }
    panic!("the iteration did not end");
}

fn last(history: &History) -> Status {
    history.iterations.last().and_then(|last| last.status).expect("an end")
}

#[test]
fn a_campaign_measures_before_anything_is_changed() {
    assert_eq!(step(&begun(), &Rules::default(), Wish::GoOn), Action::MeasureBaseline);
    assert_eq!(step(&begun(), &Rules::default(), Wish::Stop), Action::MeasureBaseline);
    assert_eq!(step(&measured(), &Rules::default(), Wish::GoOn), Action::Open(1));
}

#[test]
fn each_outcome_ends_its_iteration_in_its_own_way() {
    let fine = proposal(&["k.c"]);
    let mut broken = fine.clone();
    broken.violations.push(Violation { path: "t".to_owned(), rule: Rule::Protected });
    let failed = AgentEnd::Failed { message: "exit code 1".to_owned() };
    let useless = Proposal { agent: failed.clone(), ..Proposal::default() };
    // A good edit counts, however the command ended.
    let edited = Proposal { agent: failed, ..fine.clone() };
    let mut vetoed = fine.clone();
    vetoed.account.veto = Some("it depends on the input".to_owned());
    for (proposed, outcome, status) in [
        (&fine, Outcome::Better, Status::Kept),
        (&edited, Outcome::Better, Status::Kept),
        (&vetoed, Outcome::Better, Status::Vetoed),
        (&vetoed, Outcome::Worse, Status::Reverted),
        (&fine, Outcome::Worse, Status::Reverted),
        (&fine, Outcome::Undecided, Status::Undecided),
        (&fine, Outcome::Failed, Status::Failed),
        (&fine, Outcome::Guard, Status::Guard),
        (&fine, Outcome::Infrastructure, Status::Infrastructure),
        (&broken, Outcome::Better, Status::Invalid),
        (&Proposal::default(), Outcome::Better, Status::NoOp),
        (&useless, Outcome::Better, Status::AgentFailed),
    ] {
        let mut history = measured();
        iterate(&mut history, proposed, &judgement(outcome, 90.0));
        assert_eq!(last(&history), status);
        let best = history.best.expect("a best");
        let is_kept = status == Status::Kept;
        assert_eq!(best.iteration, u32::from(is_kept));
        assert!((best.value - if is_kept { 90.0 } else { 100.0 }).abs() < 1e-9);
    }
}

#[test]
fn budgets_plateaus_and_wishes_end_it() {
    let mut history = measured();
    for _ in 0..3 {
        iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Worse, 110.0));
    }
    let ends = |rules: Rules, wish| match step(&history, &rules, wish) {
        Action::Finish(end) => Some(end),
        Action::Open(4) => None,
        other => panic!("{other:?}"),
    };
    let rules = Rules::default;
    assert_eq!(ends(rules(), Wish::GoOn), None);
    assert_eq!(ends(Rules { iterations: Some(3), ..rules() }, Wish::GoOn), Some(End::Budget));
    assert_eq!(ends(Rules { iterations: Some(4), ..rules() }, Wish::GoOn), None);
    assert_eq!(ends(Rules { seconds: Some(3.0), ..rules() }, Wish::GoOn), Some(End::Budget));
    assert_eq!(ends(Rules { no_gain: Some(3), ..rules() }, Wish::GoOn), Some(End::Plateau));
    assert_eq!(ends(Rules { failures: Some(0), ..rules() }, Wish::GoOn), None);
    assert_eq!(ends(rules(), Wish::Stop), Some(End::Stopped));
    assert_eq!(ends(rules(), Wish::NothingMore), Some(End::Exhausted));
    iterate(&mut history, &Proposal::default(), &judgement(Outcome::Worse, 1.0));
    let mut failing = measured();
    let failed = AgentEnd::TimedOut { message: "2 h".to_owned() };
    let useless = Proposal { agent: failed, ..Proposal::default() };
    iterate(&mut failing, &useless, &judgement(Outcome::Worse, 1.0));
    let blocked = step(&failing, &Rules { failures: Some(0), ..rules() }, Wish::GoOn);
    assert_eq!(blocked, Action::Finish(End::Blocked));
}

#[test]
fn a_target_counts_when_two_more_measurements_reach_it() {
    let rules = Rules { target: Some(90.0), iterations: Some(1), ..Rules::default() };
    let mut history = measured();
    iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Better, 89.0));
    for _ in 0..2 {
        assert_eq!(step(&history, &rules, Wish::GoOn), Action::Confirm);
        let confirmed = Event::Confirmed { value: 89.5, holds: Holds::Yes, seconds: 1.0 };
        history.apply(&confirmed).expect("it follows");
    }
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Finish(End::Target));
    // One that does not reach it takes the claim away.
    let mut history = measured();
    iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Better, 89.0));
    history
        .apply(&Event::Confirmed { value: 91.0, holds: Holds::No, seconds: 1.0 })
        .expect("it follows");
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Finish(End::Budget));
}

/// An iteration whose candidate was judged so.
fn judged(judgement: &Judgement, sent_back: u32) -> History {
    let mut history = measured();
    let mut apply = |event| history.apply(&event).expect("it follows");
    apply(Event::Opened { iteration: 1 });
    for time in 0..=sent_back {
        apply(Event::Proposed { iteration: 1, proposal: proposal(&["k.c"]) });
        apply(Event::Committed { iteration: 1, commit: format!("c{time}"), lines: 1 });
        apply(Event::Judged { iteration: 1, judgement: judgement.clone() });
        if time < sent_back {
            apply(Event::AskedAgain { iteration: 1, why: AskedFor::Rework });
        }
    }
    history
}

#[test]
fn only_a_better_candidate_that_a_guard_refuses_goes_back() {
    let refused = |compared| Judgement { compared, ..judgement(Outcome::Guard, 90.0) };
    let next = |judgement, sent, wish| step(&judged(&judgement, sent), &Rules::default(), wish);
    let better = refused(Some(Outcome::Better));
    let again = Action::AskAgain(1, AskedFor::Rework);
    assert_eq!(next(better.clone(), 0, Wish::GoOn), again);
    assert_eq!(next(better.clone(), 1, Wish::GoOn), again);
    assert_eq!(next(better.clone(), 2, Wish::GoOn), Action::Close(1, Status::Guard));
    assert_eq!(next(better.clone(), 0, Wish::NoTime), Action::Close(1, Status::Guard));
    for compared in [None, Some(Outcome::Worse), Some(Outcome::Undecided)] {
        assert_eq!(next(refused(compared), 0, Wish::GoOn), Action::Close(1, Status::Guard));
    }
    // The same commit again is no mend, and an empty proposal takes it back.
    let after = |events: &[Event]| {
        let mut history = judged(&better, 0);
        let again = Event::AskedAgain { iteration: 1, why: AskedFor::Rework };
        for event in std::iter::once(&again).chain(events) {
            history.apply(event).expect("it follows");
        }
        step(&history, &Rules::default(), Wish::GoOn)
    };
    let proposed = |proposal| Event::Proposed { iteration: 1, proposal };
    let same = Event::Committed { iteration: 1, commit: "c0".to_owned(), lines: 1 };
    let unmended = [proposed(proposal(&["k.c"])), same];
    assert_eq!(after(&[]), Action::Propose(1));
    assert_eq!(after(&unmended), Action::Close(1, Status::Guard));
    assert_eq!(after(&[proposed(Proposal::default())]), Action::Close(1, Status::Guard));
}

#[test]
fn a_call_that_failed_is_made_again_as_often_as_allowed() {
    let rules = Rules { agent_retries: 2, ..Rules::default() };
    let mut history = measured();
    let failed = AgentEnd::Failed { message: "exit code 1".to_owned() };
    let useless = Proposal { agent: failed, ..Proposal::default() };
    history.apply(&Event::Opened { iteration: 1 }).expect("it follows");
    for _ in 0..2 {
        let proposed = Event::Proposed { iteration: 1, proposal: useless.clone() };
        history.apply(&proposed).expect("it follows");
        let again = Action::AskAgain(1, AskedFor::FailedCall);
        assert_eq!(step(&history, &rules, Wish::GoOn), again);
        assert_eq!(step(&history, &rules, Wish::NoTime), Action::Close(1, Status::AgentFailed));
        let asked = Event::AskedAgain { iteration: 1, why: AskedFor::FailedCall };
        history.apply(&asked).expect("it follows");
        assert_eq!(step(&history, &rules, Wish::GoOn), Action::Propose(1));
    }
    let proposed = Event::Proposed { iteration: 1, proposal: useless };
    history.apply(&proposed).expect("it follows");
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Close(1, Status::AgentFailed));
}

#[test]
fn trouble_of_the_machine_counts_as_the_campaign_says() {
    let mut history = measured();
    iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Infrastructure, 90.0));
    let next = |on_infra| {
        let rules = Rules { on_infra, failures: Some(0), ..Rules::default() };
        step(&history, &rules, Wish::GoOn)
    };
    assert_eq!(next(OnInfra::Count), Action::Finish(End::Blocked));
    assert_eq!(next(OnInfra::Revert), Action::Open(2));
    assert_eq!(next(OnInfra::Stop), Action::Finish(End::Infrastructure));
}

#[test]
fn time_of_the_device_is_a_budget_of_its_own() {
    // 4 s of the baseline, and 2 s of each judgement.
    let mut history = measured();
    iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Worse, 110.0));
    let next = |most, history: &History| {
        let rules = Rules { device_seconds: Some(most), ..Rules::default() };
        step(history, &rules, Wish::GoOn)
    };
    assert_eq!(next(6.5, &history), Action::Open(2));
    assert_eq!(next(6.0, &history), Action::Finish(End::Budget));
    let refused = judgement(Outcome::Guard, 90.0);
    let refused = Judgement { compared: Some(Outcome::Better), ..refused };
    let history = judged(&refused, 1);
    assert!((history.device_seconds() - 8.0).abs() < 1e-9, "what went back was measured, too");
    assert_eq!(next(8.5, &history), Action::AskAgain(1, AskedFor::Rework));
    assert_eq!(next(8.0, &history), Action::Close(1, Status::Guard));
}

#[test]
fn the_best_is_compared_with_the_baseline_every_so_many_keeps_and_before_the_end() {
    let rules = Rules { anchor: Some(2), iterations: Some(3), ..Rules::default() };
    let mut history = measured();
    let keep = |history: &mut History, value| {
        iterate(history, &proposal(&["k.c"]), &judgement(Outcome::Better, value));
    };
    let anchor = |history: &mut History| {
        history.apply(&Event::Anchored(Anchored::default())).expect("it follows");
    };
    keep(&mut history, 90.0);
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Open(2));
    // An end that leaves no time for it, or that a person asked for, comes at once.
    assert_eq!(step(&history, &rules, Wish::Stop), Action::Finish(End::Stopped));
    let late = Rules { seconds: Some(0.0), ..rules };
    assert_eq!(step(&history, &late, Wish::GoOn), Action::Finish(End::Budget));
    assert_eq!(step(&history, &rules, Wish::NothingMore), Action::Anchor);
    keep(&mut history, 80.0);
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Anchor);
    anchor(&mut history);
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Open(3));
    keep(&mut history, 70.0);
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Anchor);
    anchor(&mut history);
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Finish(End::Budget));
    let never = Rules { anchor: None, ..rules };
    keep(&mut history, 60.0);
    assert_eq!(step(&history, &never, Wish::GoOn), Action::Finish(End::Budget));
}

#[test]
fn each_new_best_is_announced_once_also_where_the_campaign_is_to_stop() {
    let rules = Rules { announce: Announce::EachBest, ..Rules::default() };
    let mut history = measured();
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Open(1));
    iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Better, 90.0));
    assert_eq!(step(&history, &rules, Wish::Stop), Action::Announce);
    assert_eq!(step(&history, &Rules::default(), Wish::GoOn), Action::Open(2));
    let said = Announced { iteration: 1, warnings: vec!["no".to_owned()], ..Announced::default() };
    history.apply(&Event::Announced(said)).expect("it follows");
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Open(2));
}

#[test]
fn a_head_that_moved_ends_a_campaign_that_asks_for_it_and_one_that_came_back_does_not() {
    let mut history = History::default();
    let begun = Begun {
        id: "c".to_owned(),
        goal: "g".to_owned(),
        pipeline: "p.toml".to_owned(),
        base: "base".to_owned(),
        head: Some("one".to_owned()),
        ..Begun::default()
    };
    history.apply(&Event::Begun(begun)).expect("it begins");
    history.apply(&Event::Baseline(Baseline::default())).expect("it is measured");
    history.apply(&Event::Moved { head: "two".to_owned() }).expect("it follows");
    let stop = Rules { on_moved: OnMoved::Stop, ..Rules::default() };
    assert_eq!(step(&history, &stop, Wish::GoOn), Action::Finish(End::Moved));
    assert_eq!(step(&history, &Rules::default(), Wish::GoOn), Action::Open(1));
    history.apply(&Event::Moved { head: "one".to_owned() }).expect("it follows");
    assert_eq!(step(&history, &stop, Wish::GoOn), Action::Open(1));
}

#[test]
fn an_adopted_commit_is_measured_then_the_kept_changes_are_judged_kept_and_anchored() {
    let rules = Rules { on_moved: OnMoved::Adopt, anchor: Some(9), ..Rules::default() };
    let mut history = measured();
    let begun = history.begun.as_mut().expect("begun");
    begun.head = Some("one".to_owned());
    iterate(&mut history, &proposal(&["k.c"]), &judgement(Outcome::Better, 90.0));
    let apply = |history: &mut History, event| history.apply(&event).expect("it follows");
    apply(&mut history, Event::Moved { head: "two".to_owned() });
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Adopt);
    assert_eq!(step(&history, &rules, Wish::Stop), Action::Finish(End::Stopped));
    let adopted = |epoch, merged: &str| {
        let (base, merged) = ("base2".to_owned(), merged.to_owned());
        Event::Adopted(Adopted {
            epoch,
            head: "two".to_owned(),
            base,
            merged,
            ..Adopted::default()
        })
    };
    assert!(history.clone().apply(&adopted(3, "m")).is_err(), "epochs have no gaps");
    let mut without = history.clone();
    apply(&mut without, adopted(2, "base2"));
    apply(&mut without, Event::Baseline(Baseline { value: 70.0, ..Baseline::default() }));
    assert_eq!(step(&without, &rules, Wish::GoOn), Action::Open(2));

    apply(&mut history, adopted(2, "m"));
    assert_eq!(history.best_commit(), Some("m"));
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::MeasureBaseline);
    apply(&mut history, Event::Baseline(Baseline { value: 70.0, ..Baseline::default() }));
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::JudgeMerged);
    assert!(history.clone().apply(&Event::MergedKept).is_err(), "nothing was judged");
    let judged = |outcome| Event::MergedJudged { judgement: judgement(outcome, 60.0) };
    let mut worse = history.clone();
    apply(&mut worse, judged(Outcome::Worse));
    assert_eq!(step(&worse, &rules, Wish::GoOn), Action::Open(2));
    assert_eq!(worse.best.expect("a best").commit, "base2");
    apply(&mut history, judged(Outcome::Better));
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::KeepMerged);
    apply(&mut history, Event::MergedKept);
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Anchor);
    let best = history.best.clone().expect("a best");
    assert_eq!((best.iteration, &best.commit[..], best.value), (1, "m", 60.0));
    apply(&mut history, Event::Anchored(Anchored::default()));
    assert_eq!(step(&history, &rules, Wish::GoOn), Action::Open(2));
    // Each value stands beside the baseline of its time.
    assert_eq!(history.beside(1, 90.0), Some(0.1).map(|_| 1.0 - 90.0 / 100.0));
    assert_eq!(history.beside(2, 63.0), Some(1.0 - 63.0 / 70.0));
}

#[test]
fn events_that_cannot_follow_are_refused() {
    let opened = |iteration| Event::Opened { iteration };
    assert!(begun().apply(&opened(1)).is_err());
    assert!(measured().apply(&opened(2)).is_err());
    let mut history = measured();
    history.apply(&opened(1)).expect("it follows");
    assert!(history.apply(&opened(2)).is_err());
    let kept = Event::Ended { iteration: 1, status: Status::Kept, seconds: 0.0 };
    assert!(history.apply(&kept).is_err(), "nothing was judged");
    let mut history = measured();
    history.apply(&Event::Finished { end: End::Stopped }).expect("it ends");
    assert!(history.apply(&opened(1)).is_err());
    assert_eq!(step(&history, &Rules::default(), Wish::GoOn), Action::Nothing);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Better),
        Just(Outcome::Worse),
        Just(Outcome::Undecided),
        Just(Outcome::Failed),
        Just(Outcome::Guard),
        Just(Outcome::NotWorthIt),
        Just(Outcome::Infrastructure),
    ]
}

proptest! {
    /// Whatever happens, numbers have no gaps, every iteration ends, and the best is one that was
    /// kept.
    #[test]
    fn numbers_have_no_gaps_and_the_best_was_kept(
        outcomes in proptest::collection::vec((outcome(), 1.0..200.0_f64), 0..20),
    ) {
        let mut history = measured();
        for (outcome, value) in &outcomes {
            iterate(&mut history, &proposal(&["k.c"]), &judgement(*outcome, *value));
        }
        let numbers: Vec<u32> = history.iterations.iter().map(|i| i.number).collect();
        prop_assert_eq!(numbers, (1..=outcomes.len() as u32).collect::<Vec<_>>());
        prop_assert!(history.iterations.iter().all(|i| i.status.is_some()));
        let best = history.best.clone().expect("a best");
        let kept = history.iterations.iter().rev().find(|i| i.status == Some(Status::Kept));
        prop_assert_eq!(best.iteration, kept.map_or(0, |i| i.number));
        prop_assert!(history.without_gain() <= outcomes.len());
    }
}
