use super::*;
use crate::measure::pairs::{CasePair, Pair, Scoring, Side, Spent};
use crate::pipeline::Guard;
use crate::stats::sequential::Look;

/// A comparison of these log ratios that ended for that reason.
fn comparison(d: &[f64], reason: Reason) -> Comparison {
    let pair = |d: &f64| {
        let (incumbent, candidate) = (vec![d.exp()], vec![1.0]);
        let case = CasePair { first: Side::Incumbent, incumbent, candidate };
        Pair { group: 0, cases: vec![case] }
    };
    let estimate = signed_rank::hodges_lehmann(d).unwrap();
    let pairs = d.len() as u32;
    let look = Look { pairs, estimate, lower: None, upper: None };
    let (looks, confirmed, pending) = (vec![look], None, false);
    Comparison {
        rule: Rule::default(),
        scoring: Scoring::default(),
        seed: 0,
        pairs: d.iter().map(pair).collect(),
        confirm: Vec::new(),
        verdict: Verdict { reason, pairs, looks, confirmed, pending },
        cut: None,
        deterministic: false,
        seconds: 1.0,
        spent: Spent::default(),
        guard: Guard::Off,
        harmed: Vec::new(),
    }
}

fn words(d: &[f64], reason: Reason, cases: &[&str]) -> String {
    let cases = cases.iter().map(|case| ((*case).to_owned(), 1.0, 1.0)).collect();
    Told::new(&comparison(d, reason), "the best", 1, cases).words()
}

#[test]
fn slower_is_said_only_where_the_interval_that_is_shown_does_not_hold_0() {
    let open = [-0.08, -0.07, -0.06, -0.05, -0.03, 0.01, 0.02, 0.04];
    let told = words(&open, Reason::Slower, &["n=1"]);
    assert!(told.starts_with("not faster than the best: gain -"), "{told}");
    assert!(words(&open, Reason::Slower, &[]).starts_with("not better than the best: gain -"));
    let closed = open.map(|d| d - 0.08);
    let told = words(&closed, Reason::Slower, &["n=1"]);
    assert!(told.starts_with("slower than the best: gain -"), "{told}");
    assert!(words(&closed, Reason::Slower, &[]).starts_with("worse than the best: "));
}

#[test]
fn a_gain_and_both_ends_of_its_interval_have_one_unit() {
    let told = words(&[2.7_f64, 1.9859].map(|times| -times.ln()), Reason::GrosslySlower, &["n=1"]);
    let expected =
        "grossly slower than the best: 2.3x the time (2 pairs only: 2.0x .. 2.7x), 2 pairs";
    assert!(told.starts_with(expected), "{told}");
    let told = words(&[-0.1; 8], Reason::Slower, &["n=1"]);
    assert!(told.contains(": gain -10.52 % (95 %: -10.52 % .. -10.52 %), 8 pairs"), "{told}");
}
