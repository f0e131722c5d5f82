//! From what was measured on both sides to the one `d` of a pair: logarithms or differences, one
//! case or many, and the guard that no case pays for the others.
//!
//! A block is a slot of every case on both sides. Its `d` is the weighted sum of the cases'
//! log-ratios, that is the logarithm of the ratio of weighted geometric means, the only mean of
//! ratios that does not depend on which side is the reference (Fleming & Wallace 1986, *How not to
//! lie with statistics*). Sums and maxima are formed on each side first: they are what the metric
//! says, and their ratio is no mean of the cases' ratios.

use serde::{Deserialize, Serialize};

use super::signed_rank::Walsh;
use super::summary::quantile;

/// Lower or higher is better.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Lower is better.
    #[default]
    Lower,
    /// Higher is better.
    Higher,
}

/// What a `d` of two values is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The logarithm of their ratio: both must be above 0.
    #[default]
    Log,
    /// Their difference, for percentages and for what may be 0 or below; the minimum effect is
    /// then in the metric's own unit.
    Difference,
}

/// How the cases of a block become one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The weighted mean of the cases' `d`; no weights: all alike. They are divided by their sum.
    Weighted(Vec<f64>),
    /// The `d` of the cases' sums.
    Sum,
    /// The `d` of the cases' largest values.
    Max,
}

impl Default for Combine {
    fn default() -> Self {
        Self::Weighted(Vec::new())
    }
}

/// What a metric's values mean.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metric {
    /// Which way it is better.
    pub better: Direction,
    /// What a `d` is.
    pub scale: Scale,
    /// How cases become one.
    pub combine: Combine,
}

/// Values that have no `d`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadBlock {
    /// There is no case.
    #[error("a pair without any case has nothing to compare")]
    Empty,
    /// The sides have different cases.
    #[error("the incumbent has {incumbent} cases and the candidate {candidate}: measure the same")]
    Unequal {
        /// Of the incumbent.
        incumbent: usize,
        /// Of the candidate.
        candidate: usize,
    },
    /// A value is not a finite number.
    #[error("case {case} of the {side} has the value {value}, which is not a finite number")]
    NotFinite {
        /// Which case, from 0.
        case: usize,
        /// Which side.
        side: &'static str,
        /// What it has.
        value: f64,
    },
    /// A value has no logarithm.
    #[error(
        "case {case} of the {side} has the value {value}, which has no ratio: compare this metric \
         by difference"
    )]
    NotPositive {
        /// Which case, from 0.
        case: usize,
        /// Which side.
        side: &'static str,
        /// What it has.
        value: f64,
    },
    /// The weights do not fit the cases.
    #[error("weights are {weights:?} for {cases} cases: write one from 0 up for each, not all 0")]
    Weights {
        /// As they are.
        weights: Vec<f64>,
        /// How many there should be.
        cases: usize,
    },
}

impl Metric {
    /// The `d` of a block: `incumbent` and `candidate` hold one value for each case.
    ///
    /// # Errors
    /// When the sides do not match, a value is not finite or has no logarithm, or weights do not
    /// fit.
    pub fn d(&self, incumbent: &[f64], candidate: &[f64]) -> Result<f64, BadBlock> {
        let cases = self.cases(incumbent, candidate)?;
        let largest = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let whole: fn(&[f64]) -> f64 = match &self.combine {
            Combine::Weighted(weights) => return weighted(&cases, weights),
            Combine::Sum => |values| values.iter().sum(),
            Combine::Max => largest,
        };
        let (a, b) = (whole(incumbent), whole(candidate));
        self.checked(0, "incumbent", a)?;
        self.checked(0, "candidate", b)?;
        Ok(self.of_two(a, b))
    }

    /// The `d` of each case alone, as the guard wants them.
    ///
    /// # Errors
    /// Like [`Metric::d`].
    pub fn cases(&self, incumbent: &[f64], candidate: &[f64]) -> Result<Vec<f64>, BadBlock> {
        if incumbent.len() != candidate.len() {
            let (incumbent, candidate) = (incumbent.len(), candidate.len());
            return Err(BadBlock::Unequal { incumbent, candidate });
        }
        if incumbent.is_empty() {
            return Err(BadBlock::Empty);
        }
        let pairs = incumbent.iter().zip(candidate).enumerate();
        let d = pairs.map(|(case, (&a, &b))| {
            self.checked(case, "incumbent", a)?;
            self.checked(case, "candidate", b)?;
            let d = self.of_two(a, b);
            let finite = d.is_finite().then_some(d);
            finite.ok_or(BadBlock::NotFinite { case, side: "pair", value: d })
        });
        d.collect()
    }

    fn checked(&self, case: usize, side: &'static str, value: f64) -> Result<(), BadBlock> {
        match value {
            v if !v.is_finite() => Err(BadBlock::NotFinite { case, side, value }),
            v if v <= 0.0 && self.scale == Scale::Log => {
                Err(BadBlock::NotPositive { case, side, value })
            }
            _ => Ok(()),
        }
    }

    /// Above 0 where the candidate is better. A difference of logarithms, not the logarithm of a
    /// ratio: exchanging the sides then changes the sign and nothing else.
    pub(super) fn of_two(&self, incumbent: f64, candidate: f64) -> f64 {
        let lower = match self.scale {
            Scale::Log => incumbent.ln() - candidate.ln(),
            Scale::Difference => incumbent - candidate,
        };
        match self.better {
            Direction::Lower => lower,
            // Not `-lower`: no difference is 0, not -0.
            Direction::Higher => 0.0 - lower,
        }
    }
}

/// The weighted mean; all weights alike when there are none.
fn weighted(d: &[f64], weights: &[f64]) -> Result<f64, BadBlock> {
    if weights.is_empty() {
        return Ok(d.iter().sum::<f64>() / d.len() as f64);
    }
    let bad = || BadBlock::Weights { weights: weights.to_vec(), cases: d.len() };
    let sum: f64 = weights.iter().sum();
    let fit = weights.len() == d.len() && weights.iter().all(|w| *w >= 0.0);
    if !fit || !sum.is_finite() || sum <= 0.0 {
        return Err(bad());
    }
    Ok(d.iter().zip(weights).map(|(d, w)| d * (w / sum)).sum())
}

/// When a case that got slower speaks against a candidate that is better on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseGuard {
    /// A case is harmed when its upper bound lies below minus this.
    pub loss: f64,
    /// The one-sided level of the bounds, divided among the cases (Bonferroni).
    pub level: f64,
}

impl Default for CaseGuard {
    fn default() -> Self {
        Self { loss: 0.02, level: 0.01 }
    }
}

/// A case that surely got slower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Harmed {
    /// Which, from 0.
    pub case: usize,
    /// The estimate of its `d`.
    pub estimate: f64,
    /// The upper bound of its `d`.
    pub upper: f64,
}

impl CaseGuard {
    /// The cases that surely got slower by more than the loss, from the `d` of each case at the
    /// deciding look: one list of pairs for each case. A case with too few pairs for its level, or
    /// with a value that is not finite, proves nothing.
    pub fn harmed(&self, cases: &[Vec<f64>]) -> Vec<Harmed> {
        let level = self.level / cases.len().max(1) as f64;
        let harmed = cases.iter().enumerate().filter_map(|(case, d)| {
            let walsh = Walsh::of(d)?;
            let upper = walsh.upper(level).filter(|&upper| upper < -self.loss)?;
            Some(Harmed { case, estimate: walsh.estimate(), upper })
        });
        harmed.collect()
    }
}

/// The slot of a side: the median of its timed launches; `None` without any or when one is not a
/// finite number.
pub fn slot(launches: &[f64]) -> Option<f64> {
    super::summary::sorted(launches).map(|sorted| quantile(&sorted, 0.5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn metric(better: Direction, scale: Scale, combine: Combine) -> Metric {
        Metric { better, scale, combine }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-12 * (1.0 + b.abs())
    }

    #[test]
    fn a_faster_candidate_is_above_zero_whichever_way_the_metric_is_better() {
        use Combine::{Max, Sum, Weighted};
        let (a, b) = ([2.0, 8.0], [1.0, 8.0]);
        let ln2 = 2.0_f64.ln();
        for (better, scale, combine, expected) in [
            (Direction::Lower, Scale::Log, Weighted(vec![]), ln2 / 2.0),
            (Direction::Lower, Scale::Log, Weighted(vec![3.0, 1.0]), 0.75 * ln2),
            (Direction::Lower, Scale::Log, Sum, (10.0_f64 / 9.0).ln()),
            (Direction::Lower, Scale::Log, Max, 0.0),
            (Direction::Lower, Scale::Difference, Weighted(vec![]), 0.5),
            (Direction::Lower, Scale::Difference, Sum, 1.0),
            (Direction::Higher, Scale::Log, Weighted(vec![]), -ln2 / 2.0),
            (Direction::Higher, Scale::Difference, Sum, -1.0),
        ] {
            let metric = metric(better, scale, combine);
            let d = metric.d(&a, &b).unwrap();
            assert!(near(d, expected), "{metric:?}: {d}");
        }
    }

    #[test]
    fn differences_take_what_has_no_logarithm() {
        let difference = metric(Direction::Higher, Scale::Difference, Combine::default());
        assert_eq!(difference.d(&[-1.0], &[0.0]), Ok(1.0));
        let error = Metric::default().d(&[1.0, 0.0], &[1.0, 1.0]).unwrap_err().to_string();
        assert!(error.contains("case 1 of the incumbent") && error.contains("by difference"));
    }

    #[test]
    fn what_cannot_be_compared_is_refused_in_words() {
        let weights =
            |w: &[f64]| metric(Direction::Lower, Scale::Log, Combine::Weighted(w.to_vec()));
        for (metric, a, b, said) in [
            (Metric::default(), &[][..], &[][..], "without any case"),
            (Metric::default(), &[1.0], &[1.0, 2.0], "1 cases and the candidate 2"),
            (Metric::default(), &[1.0], &[f64::NAN], "candidate has the value NaN"),
            (Metric::default(), &[1.0], &[f64::INFINITY], "not a finite number"),
            (Metric::default(), &[-1.0], &[1.0], "-1, which has no ratio"),
            (weights(&[1.0]), &[1.0, 1.0], &[1.0, 1.0], "for 2 cases"),
            (weights(&[0.0, 0.0]), &[1.0, 1.0], &[1.0, 1.0], "not all 0"),
            (weights(&[2.0, -1.0]), &[1.0, 1.0], &[1.0, 1.0], "from 0 up"),
            (weights(&[f64::NAN, 1.0]), &[1.0, 1.0], &[1.0, 1.0], "NaN"),
        ] {
            let error = metric.d(a, b).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let far = metric(Direction::Lower, Scale::Difference, Combine::Sum);
        assert!(far.d(&[f64::MAX, f64::MAX], &[1.0, 1.0]).is_err());
        assert!(far.d(&[f64::MAX], &[-f64::MAX]).is_err());
    }

    #[test]
    fn a_case_that_surely_got_slower_is_named_and_no_other() {
        let cases = |d: f64| (0..16).map(|i| d + 1e-4 * f64::from(i)).collect::<Vec<_>>();
        let found = CaseGuard::default().harmed(&[cases(0.05), cases(-0.03), cases(-0.015)]);
        assert_eq!(found.iter().map(|h| h.case).collect::<Vec<_>>(), [1]);
        assert!(found[0].upper < -0.02 && found[0].estimate < found[0].upper, "{found:?}");
        // Eight pairs cannot reach a fifth of one percent, nor what is not finite anything.
        assert_eq!(CaseGuard::default().harmed(&vec![vec![-0.5; 8]; 5]), []);
        assert_eq!(CaseGuard::default().harmed(&[vec![f64::NAN; 16]]), []);
        assert_eq!(CaseGuard::default().harmed(&[]), []);
    }

    #[test]
    fn a_slot_is_the_middle_of_its_launches() {
        assert_eq!(slot(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!((slot(&[]), slot(&[1.0, f64::NAN])), (None, None));
    }

    fn values() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((1e-3..1e6_f64, 1e-3..1e6_f64), 1..8)
    }

    proptest! {
        #[test]
        fn exchanging_the_sides_changes_the_sign_and_nothing_else(pairs in values(), log in any::<bool>()) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let scale = if log { Scale::Log } else { Scale::Difference };
            for combine in [Combine::default(), Combine::Sum, Combine::Max] {
                let lower = metric(Direction::Lower, scale, combine.clone());
                let higher = metric(Direction::Higher, scale, combine);
                let d = lower.d(&a, &b).unwrap();
                prop_assert_eq!(lower.d(&b, &a), Ok(-d));
                prop_assert_eq!(higher.d(&a, &b), Ok(-d));
            }
        }

        #[test]
        fn the_unit_of_a_case_does_not_matter_to_logarithms(pairs in values(), unit in 1e-3..1e3_f64) {
            let (mut a, mut b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let before = Metric::default().d(&a, &b).unwrap();
            a[0] *= unit;
            b[0] *= unit;
            prop_assert!((Metric::default().d(&a, &b).unwrap() - before).abs() < 1e-11);
        }
    }
}
