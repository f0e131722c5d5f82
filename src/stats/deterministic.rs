//! Metrics that come out the same every time: cycles of a simulator, instructions, bytes. There is
//! nothing to estimate; two runs of each side show that they still repeat, and values compare.

use super::block::{BadBlock, Metric};
use super::sequential::{Look, Reason, Verdict};

/// Equal values in calibration from which on a metric is taken to repeat.
pub const EQUAL_VALUES: usize = 3;
/// Runs of each side.
pub const RUNS: usize = 2;

/// Whether a metric repeats, from the incumbent's values in calibration.
pub fn repeats(values: &[f64]) -> bool {
    values.len() >= EQUAL_VALUES && all_equal(values)
}

/// The verdict of values that repeat: faster when better by more than `threshold`, on the scale of
/// the metric's `d` (0 by default). `None` when a side does not repeat or was run less than
/// [`RUNS`] times: then the rule for noise decides.
///
/// # Errors
/// When a value is not finite, or two different ones have no ratio.
pub fn decide(
    metric: &Metric,
    incumbent: &[f64],
    candidate: &[f64],
    threshold: f64,
) -> Result<Option<Verdict>, BadBlock> {
    for (side, values) in [("incumbent", incumbent), ("candidate", candidate)] {
        if let Some(case) = values.iter().position(|v| !v.is_finite()) {
            return Err(BadBlock::NotFinite { case, side, value: values[case] });
        }
        if values.len() < RUNS || !all_equal(values) {
            return Ok(None);
        }
    }
    let (a, b) = (incumbent[0], candidate[0]);
    // Equal values need no ratio: no bytes at all on both sides are no difference.
    #[expect(clippy::float_cmp, reason = "values that repeat are equal or they are not")]
    let d = if a == b { 0.0 } else { metric.d(&[a], &[b])? };
    let reason = match d {
        d if d > threshold.max(0.0) => Reason::Faster,
        d if d < 0.0 => Reason::Slower,
        _ => Reason::NoWorthwhileDifference,
    };
    let pairs = incumbent.len().min(candidate.len()) as u32;
    let look = Look { pairs, estimate: d, lower: Some(d), upper: Some(d) };
    Ok(Some(Verdict::ended(reason, vec![look])))
}

#[expect(clippy::float_cmp, reason = "values that repeat are equal or they are not")]
fn all_equal(values: &[f64]) -> bool {
    values.windows(2).all(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::block::{Combine, Direction, Scale};

    fn reason(a: &[f64], b: &[f64], threshold: f64) -> Option<Reason> {
        decide(&Metric::default(), a, b, threshold).unwrap().map(|v| v.reason)
    }

    #[test]
    fn values_that_repeat_are_compared_and_nothing_else_is() {
        use Reason::{Faster, NoWorthwhileDifference as Same, Slower};
        for (a, b, threshold, expected) in [
            ([1000.0, 1000.0], [999.0, 999.0], 0.0, Some(Faster)),
            ([1000.0, 1000.0], [1001.0, 1001.0], 0.0, Some(Slower)),
            ([1000.0, 1000.0], [1000.0, 1000.0], 0.0, Some(Same)),
            ([0.0, 0.0], [0.0, 0.0], 0.0, Some(Same)),
            ([1000.0, 1000.0], [999.0, 999.0], 0.01, Some(Same)),
            ([1000.0, 1000.0], [980.0, 980.0], 0.01, Some(Faster)),
            ([1000.0, 1000.0], [1001.0, 1001.0], 0.01, Some(Slower)),
            ([1000.0, 1001.0], [999.0, 999.0], 0.0, None),
            ([1000.0, 1000.0], [999.0, 998.0], 0.0, None),
        ] {
            assert_eq!(reason(&a, &b, threshold), expected, "{a:?} {b:?} {threshold}");
        }
        assert_eq!(reason(&[1000.0], &[999.0, 999.0], 0.0), None);
    }

    #[test]
    fn a_verdict_by_comparison_is_a_keep_of_two_pairs_that_needs_no_confirmation() {
        let verdict =
            decide(&Metric::default(), &[200.0; 2], &[100.0; 2], 0.0).unwrap().expect("repeats");
        assert!(verdict.is_keep() && verdict.pairs == 2, "{verdict:?}");
        assert_eq!(verdict.estimate(), Some(200.0_f64.ln() - 100.0_f64.ln()));
    }

    #[test]
    fn higher_is_better_and_differences_are_known_here_too() {
        let metric = Metric {
            better: Direction::Higher,
            scale: Scale::Difference,
            combine: Combine::default(),
        };
        let found = decide(&metric, &[0.0; 2], &[3.0; 2], 2.0).unwrap().expect("repeats");
        assert_eq!((found.reason, found.estimate()), (Reason::Faster, Some(3.0)));
    }

    #[test]
    fn what_is_not_finite_or_has_no_ratio_is_refused() {
        assert!(decide(&Metric::default(), &[f64::NAN; 2], &[1.0; 2], 0.0).is_err());
        assert!(decide(&Metric::default(), &[1.0; 2], &[0.0; 2], 0.0).is_err());
    }

    #[test]
    fn three_equal_values_make_a_metric_one_that_repeats() {
        assert!(repeats(&[7.0; 3]));
        for values in [&[7.0; 2][..], &[7.0, 7.0, 8.0], &[f64::NAN; 3], &[]] {
            assert!(!repeats(values), "{values:?}");
        }
    }
}
