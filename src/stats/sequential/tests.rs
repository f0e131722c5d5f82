//! The published vectors, the laws, and the edges.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::stats::signed_rank::k;

const VECTORS: &str = include_str!("../../../tests/vectors/decision.json");

#[derive(Deserialize)]
struct Vectors {
    k: Vec<Rank>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Rank {
    n: usize,
    level: f64,
    k: usize,
}

#[derive(Deserialize)]
struct Case {
    source: String,
    d: Vec<f64>,
    expect: Expected,
}

#[derive(Deserialize)]
struct Expected {
    verdict: String,
    pairs: u32,
    hl: Option<f64>,
    lo: Option<f64>,
    up: Option<f64>,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

/// The vectors' word for a verdict.
fn word(verdict: &Verdict) -> &'static str {
    match verdict.reason {
        Reason::NoWorthwhileDifference => "no_worthwhile_gain",
        Reason::Faster if verdict.pending => "keep_pending_confirm",
        reason => reason.word(),
    }
}

fn near(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9,
        (a, b) => a.is_none() && b.is_none(),
    }
}

#[test]
fn every_rank_of_the_vectors_comes_out() {
    let all = vectors().k;
    assert_eq!(all.len(), 108);
    for Rank { n, level, k: expected } in all {
        assert_eq!(k(n, level).unwrap_or(0), expected, "k({n}, {level})");
    }
}

#[test]
fn every_case_of_the_vectors_comes_out() {
    let cases = vectors().cases;
    assert_eq!(cases.len(), 25);
    for case in cases {
        let found = Rule::default().judge(&case.d, &[]);
        let expect = &case.expect;
        let source = &case.source;
        assert_eq!(
            (word(&found), found.pairs),
            (expect.verdict.as_str(), expect.pairs),
            "{source}"
        );
        if expect.verdict != "grossly_slower" {
            let look = found.deciding().expect("a look");
            assert!(near(Some(look.estimate), expect.hl), "{source}: {look:?}");
            assert!(near(look.lower, expect.lo), "{source}: {look:?}");
            assert!(near(look.upper, expect.up), "{source}: {look:?}");
        }
    }
}

#[test]
fn levels_are_spent_as_the_table_says() {
    let rule = Rule::default();
    assert_eq!(rule.looks, [4, 8, 12, 16, 24, 32, 48, 64]);
    assert_eq!(rule.lower_levels, [0.0, 0.004, 0.001, 0.001, 0.001, 0.001, 0.001, 0.001]);
    assert_eq!(rule.upper_levels, [0.0625, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]);
    let long = Rule::with_looks(&Rule::FINAL_LOOKS);
    assert_eq!(long.lower_levels[..3], [0.0, 0.004, 0.00075]);
    for looks in [&[4, 8, 12][..], &Rule::FINAL_LOOKS, &[16], &[5, 6, 9, 100]] {
        let rule = Rule::with_looks(looks);
        assert!(rule.lower_levels.iter().sum::<f64>() <= 0.01 + 1e-15, "{rule:?}");
        assert!(rule.validate().is_ok() && rule.can_keep(), "{rule:?}");
    }
    assert!(!Rule::with_looks(&[2, 4]).can_keep());
    let smallest = [1, 3, 4, 9].map(|shapes| Rule::default().of_shapes(shapes).minimum_effect);
    assert_eq!(format!("{smallest:?}"), "[0.005, 0.005, 0.002, 0.002]");
}

#[test]
fn a_gain_is_kept_only_when_new_pairs_show_half_of_what_is_worth_having() {
    let rule = Rule::default();
    let seen = [0.02; 8];
    for (confirm, reason, pending, keep) in [
        (&[][..], Reason::Faster, true, false),
        (&[0.02; 7], Reason::Faster, true, false),
        (&[0.0025; 8], Reason::Faster, false, true),
        (&[0.0024; 8], Reason::NotConfirmed, false, false),
        (
            &[0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, -9.0, -9.0],
            Reason::Faster,
            false,
            true,
        ),
    ] {
        let verdict = rule.judge(&seen, confirm);
        let found = (verdict.reason, verdict.pending, verdict.is_keep());
        assert_eq!(found, (reason, pending, keep), "{confirm:?}");
    }
    let verdict = rule.judge(&seen, &[0.01; 8]);
    assert_eq!((verdict.estimate(), verdict.all_pairs()), (Some(0.01), 16));
    assert!(verdict.confirmed.unwrap().interval.is_some());
    let unconfirmed = Rule { confirm: None, ..Rule::default() }.judge(&seen, &[]);
    assert!(unconfirmed.is_keep() && unconfirmed.estimate() == Some(0.02), "{unconfirmed:?}");
}

#[test]
fn new_pairs_are_half_of_the_old_ones_and_at_least_eight() {
    let confirm = Confirm::default();
    assert_eq!([8, 16, 17, 24, 64].map(|n| confirm.pairs(n)), [8, 8, 9, 12, 32]);
}

#[test]
fn nothing_is_kept_while_0_lies_in_the_interval_that_is_shown() {
    let rule = Rule::default();
    let seen = [0.02; 8];
    let wide = [0.03, -0.02, 0.04, -0.01, 0.02, -0.02, 0.03, 0.01];
    assert_eq!(rule.wanted_to_confirm(&seen, &[]), Some(8));
    assert_eq!(rule.wanted_to_confirm(&seen, &[0.02; 8]), None);
    // As many again.
    assert!(rule.judge(&seen, &wide).pending);
    assert_eq!(rule.wanted_to_confirm(&seen, &wide), Some(16));
    let kept = rule.judge(&seen, &[wide, [0.02; 8]].concat());
    assert_eq!((kept.reason, kept.confirmed.unwrap().pairs), (Reason::Faster, 16));
    assert!(kept.confirmed.unwrap().interval.unwrap().lower > 0.0);
    let held = [wide, wide].concat();
    let verdict = rule.judge(&seen, &held);
    assert!(verdict.confirmed.unwrap().estimate > 0.005, "{verdict:?}");
    assert_eq!(verdict.reason, Reason::NotConfirmed);
    assert_eq!(rule.wanted_to_confirm(&seen, &held), None);
    // Records of earlier versions are judged as they were.
    let confirm = serde_json::from_str(r#"{"fraction": 0.5, "fewest": 8, "threshold": 0.5}"#);
    let before = Rule { confirm: Some(confirm.unwrap()), ..Rule::default() };
    assert!(before.judge(&seen, &wide).is_keep());
}

#[test]
fn grossly_slower_code_ends_after_two_pairs() {
    let rule = Rule::default();
    assert_eq!(rule.next(&[-0.3]), Next::GoOn { until: 4 });
    assert_eq!(rule.next(&[-0.3, -0.3]), Next::End(Reason::GrosslySlower));
    assert_eq!(rule.next(&[-0.3, -0.2]), Next::GoOn { until: 4 });
    let verdict = rule.judge(&[-0.3, -0.5, 1.0, 1.0], &[]);
    assert_eq!((verdict.reason, verdict.pairs), (Reason::GrosslySlower, 2));
    assert_eq!(verdict.estimate(), Some(-0.4));
    let patient = Rule { gross: 0.0, ..Rule::default() };
    assert_eq!(patient.next(&[-0.3, -0.3]), Next::GoOn { until: 4 });
}

#[test]
fn pairs_that_end_too_early_prove_nothing() {
    let verdict = Rule::default().judge(&[0.02; 7], &[]);
    assert_eq!((verdict.reason, verdict.pairs), (Reason::Inconclusive, 4));
    let none = Rule::default().judge(&[], &[]);
    assert_eq!((none.reason, none.pairs, none.estimate()), (Reason::Inconclusive, 0, None));
    assert_eq!(Rule::default().judge(&[0.1; 3], &[]).pairs, 3);
}

#[test]
fn what_is_not_finite_never_keeps_and_never_comes_out() {
    let rule = Rule::default();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut d = vec![0.05; 64];
        d[6] = bad;
        let verdict = rule.judge(&d, &[]);
        assert_eq!((verdict.reason, verdict.pairs), (Reason::Inconclusive, 4));
        assert_eq!(rule.next(&d[..8]), Next::End(Reason::Inconclusive));
        let pending = rule.judge(&[0.05; 8], &[bad; 8]);
        assert!(pending.pending && pending.confirmed.is_none());
    }
}

#[test]
fn rules_that_make_no_sense_say_what_would() {
    let with = |change: fn(&mut Rule)| {
        let mut rule = Rule::default();
        change(&mut rule);
        rule.validate().unwrap_err().to_string()
    };
    assert!(Rule::default().validate().is_ok());
    for (said, error) in [
        ("rising numbers", with(|r| r.looks = vec![])),
        ("rising numbers", with(|r| r.looks[1] = 4)),
        ("from 1 to 128", with(|r| r.looks[7] = 129)),
        ("from 1 to 128", with(|r| r.looks[0] = 0)),
        ("7 levels for 8 looks", with(|r| r.lower_levels.truncate(7))),
        ("upper_levels has 0.6", with(|r| r.upper_levels[2] = 0.6)),
        ("lower_levels has NaN", with(|r| r.lower_levels[2] = f64::NAN)),
        ("minimum_effect is -1", with(|r| r.minimum_effect = -1.0)),
        ("gross is inf", with(|r| r.gross = f64::INFINITY)),
        ("1 to 128", with(|r| r.confirm.as_mut().unwrap().fraction = 9.0)),
        ("1 to 128", with(|r| r.confirm.as_mut().unwrap().fewest = 0)),
        ("confirm.fraction", with(|r| r.confirm.as_mut().unwrap().fraction = f64::NAN)),
    ] {
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_rule_that_makes_no_sense_does_no_harm() {
    let rule = Rule { looks: vec![200], lower_levels: vec![], ..Rule::default() };
    assert_eq!(rule.judge(&[0.1; 300], &[]).reason, Reason::Inconclusive);
    assert_eq!(rule.next(&[0.1; 200]), Next::End(Reason::Inconclusive));
    let none = Rule { looks: vec![], ..Rule::default() };
    assert_eq!(none.next(&[0.1; 3]), Next::End(Reason::Inconclusive));
}

#[test]
fn words_of_reasons_are_those_of_json() {
    for reason in Reason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        assert_eq!(reason.word().replace('_', " "), reason.words());
    }
}

#[test]
fn a_gain_is_a_share_of_the_incumbents_time() {
    assert!((gain(2.0_f64.ln()) - 0.5).abs() < 1e-15);
    assert!((gain(-(2.0_f64.ln())) + 1.0).abs() < 1e-15);
    assert!(gain(0.0).abs() < f64::MIN_POSITIVE);
}

/// Centres and spreads around where decisions turn.
fn pairs() -> impl Strategy<Value = Vec<f64>> {
    let unit = prop::collection::vec(-1.0..1.0_f64, 64);
    (unit, -0.03..0.05_f64, 1e-4..0.04_f64)
        .prop_map(|(d, centre, spread)| d.into_iter().map(|x| centre + spread * x).collect())
}

/// What live code does: a question after each pair.
fn live(rule: &Rule, d: &[f64]) -> (Next, usize) {
    for n in 0..=d.len() {
        match rule.next(&d[..n]) {
            Next::GoOn { until } => assert!(until as usize > n),
            next => return (next, n),
        }
    }
    panic!("no end after {} pairs", d.len());
}

proptest! {
    #[test]
    fn asking_after_each_pair_and_judging_at_the_end_agree(d in pairs(), confirm in pairs()) {
        let rule = Rule::default();
        let (next, n) = live(&rule, &d);
        let verdict = rule.judge(&d, &confirm);
        prop_assert_eq!(verdict.pairs as usize, n);
        match next {
            Next::Confirm { pairs } => {
                let mut had = 0;
                while let Some(wanted) = rule.wanted_to_confirm(&d[..n], &confirm[..had]) {
                    prop_assert!(wanted as usize > had);
                    had = wanted as usize;
                }
                prop_assert!(had >= pairs as usize);
                prop_assert_eq!(verdict.confirmed.unwrap().pairs as usize, had);
                let exact = rule.judge(&d[..n], &confirm[..had]);
                prop_assert_eq!(exact, verdict);
            }
            Next::End(reason) => prop_assert_eq!(reason, verdict.reason),
            Next::GoOn { .. } => prop_assert!(false),
        }
        prop_assert_eq!(rule.next(&[&d[..], &[0.5]].concat()), next);
    }

    #[test]
    fn turned_round_nothing_that_was_kept_is_kept(d in pairs()) {
        let rule = Rule { confirm: None, ..Rule::default() };
        let turned: Vec<f64> = d.iter().map(|d| -d).collect();
        let (one, other) = (rule.judge(&d, &[]), rule.judge(&turned, &[]));
        prop_assert!(!(one.is_keep() && other.is_keep()));
        if matches!(one.reason, Reason::Slower | Reason::GrosslySlower) {
            prop_assert!(!one.is_keep() && one.estimate().unwrap() < 0.0);
        }
    }

    #[test]
    fn more_speed_never_turns_a_keep_into_anything_else(d in pairs(), more in 0.0..0.1_f64) {
        let rule = Rule { confirm: None, ..Rule::default() };
        let faster: Vec<f64> = d.iter().map(|d| d + more).collect();
        let (before, after) = (rule.judge(&d, &[]), rule.judge(&faster, &[]));
        if before.is_keep() {
            prop_assert!(after.is_keep() && after.pairs <= before.pairs);
        }
        if after.reason == Reason::Slower {
            prop_assert!(!before.is_keep());
        }
    }

    #[test]
    fn scaling_everything_changes_no_verdict(d in pairs(), power in -8..8_i32) {
        // Powers of two, so that nothing is rounded.
        let scale = f64::from(power).exp2();
        let rule = Rule::default();
        let scaled_rule = Rule {
            minimum_effect: rule.minimum_effect * scale, gross: rule.gross * scale, ..rule.clone()
        };
        let scaled: Vec<f64> = d.iter().map(|d| d * scale).collect();
        let (a, b) = (rule.judge(&d, &[]), scaled_rule.judge(&scaled, &[]));
        prop_assert_eq!((a.reason, a.pairs, a.pending), (b.reason, b.pairs, b.pending));
        for (a, b) in a.looks.iter().zip(&b.looks) {
            prop_assert_eq!(Some(a.estimate * scale), Some(b.estimate));
            prop_assert_eq!(a.lower.map(|l| l * scale), b.lower);
        }
    }

    #[test]
    fn a_shift_moves_every_look_by_itself(d in pairs(), shift in -0.01..0.01_f64) {
        let rule = Rule::default();
        let moved: Vec<f64> = d.iter().map(|d| d + shift).collect();
        for at in 0..rule.looks.len() {
            let n = rule.looks[at] as usize;
            let (a, b) = (rule.look(at, &d[..n]).unwrap(), rule.look(at, &moved[..n]).unwrap());
            prop_assert!((a.estimate + shift - b.estimate).abs() < 1e-12);
            prop_assert!(near(a.lower.map(|l| l + shift), b.lower));
            prop_assert!(near(a.upper.map(|u| u + shift), b.upper));
        }
    }

    #[test]
    fn the_order_of_pairs_between_two_looks_does_not_matter(d in pairs(), turn in 0..64_usize) {
        let rule = Rule { gross: 0.0, ..Rule::default() };
        let mut other = d.clone();
        let mut start = 0;
        for &look in &rule.looks {
            let part = &mut other[start..look as usize];
            let turn = turn % part.len();
            part.rotate_left(turn);
            start = look as usize;
        }
        prop_assert_eq!(rule.judge(&d, &[]), rule.judge(&other, &[]));
    }

    #[test]
    fn a_recorded_verdict_reads_back(d in pairs(), confirm in pairs()) {
        let verdict = Rule::default().judge(&d, &confirm);
        let text = serde_json::to_string(&verdict).unwrap();
        let back: Verdict = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(back.reason, verdict.reason);
        prop_assert_eq!(back.looks.len(), verdict.looks.len());
        prop_assert!(near(back.estimate(), verdict.estimate()));
    }
}
