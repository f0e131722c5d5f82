//! The decision where a harness elsewhere runs the code and returns only a summary: a call is a
//! slot, and calls are few and dear.
//!
//! The spread between calls is calibrated by calling the incumbent a few times. It is never taken
//! from one call's own sd over the root of its runs: runs of one call share a process and a moment,
//! and that number is smaller by far (Kalibera & Jones 2013); it only stands below the calibrated
//! one as a floor. With so few values ranks cannot reach a level, so the bounds are Student's
//! (1908), pooled over calibration and pairs as in the two-sample t interval.

use serde::{Deserialize, Serialize};

use super::block::Direction;
use super::sequential::{Look, Reason, Verdict};
use super::student;
use super::summary::{mean, quantile, sorted};

/// What a harness says of one call.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// The mean of its runs.
    pub mean: Option<f64>,
    /// Their standard deviation.
    pub std: Option<f64>,
    /// How many there were.
    pub runs: Option<u32>,
    /// The best of them.
    pub best: Option<f64>,
    /// The middle.
    pub median: Option<f64>,
}

impl Summary {
    /// What stands for the call: its median, else its best, else its mean; `None` when there is
    /// none that is finite and above 0.
    pub fn value(&self) -> Option<f64> {
        let given = self.median.or(self.best).or(self.mean);
        given.filter(|value| value.is_finite() && *value > 0.0)
    }

    /// The call as a number that is larger when it is slower.
    pub fn y(&self, better: Direction) -> Option<f64> {
        let y = self.value()?.ln();
        Some(if better == Direction::Lower { y } else { -y })
    }

    /// The least that calls can differ by: the standard error of the mean of its runs, as a share.
    pub fn floor(&self) -> Option<f64> {
        let (std, runs, mean) = (self.std?, self.runs?, self.mean?);
        let floor = std / f64::from(runs).sqrt() / mean;
        (floor.is_finite() && floor >= 0.0).then_some(floor)
    }
}

/// The numbers of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteRule {
    /// Calls of the incumbent that calibrate.
    pub calibration: u32,
    /// Pairs at least before a gain is believed.
    pub fewest: u32,
    /// Pairs at most.
    pub most: u32,
    /// Pairs at the most that may speak against the gain.
    pub against: u32,
    /// The smallest gain worth having.
    pub minimum_effect: f64,
    /// The one-sided level of the screen after one call.
    pub screen: f64,
    /// The one-sided level of a keep.
    pub keep: f64,
    /// The one-sided level of a revert.
    pub revert: f64,
}

impl Default for RemoteRule {
    fn default() -> Self {
        Self {
            calibration: 6,
            fewest: 3,
            most: 6,
            against: 1,
            minimum_effect: 0.005,
            screen: 0.95,
            keep: 0.995,
            revert: 0.9,
        }
    }
}

/// The calls so far, each the logarithm of its value ([`Summary::y`]).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Calls {
    /// Of the incumbent, to calibrate; they may serve several decisions.
    pub calibration: Vec<f64>,
    /// The first one of the candidate.
    pub screen: Option<f64>,
    /// Pairs of calls, incumbent and candidate, made in an order that was drawn for each.
    pub pairs: Vec<(f64, f64)>,
    /// The least that calls can differ by ([`Summary::floor`]); 0 when it is unknown.
    pub floor: f64,
}

impl Calls {
    /// How many calls that were, those that calibrate not counted.
    pub fn count(&self) -> usize {
        usize::from(self.screen.is_some()) + 2 * self.pairs.len()
    }
}

/// What to do after the calls so far.
#[derive(Debug, Clone, PartialEq)]
pub enum RemoteNext {
    /// Call the incumbent once more, to calibrate.
    Calibrate,
    /// Call the candidate once.
    Screen,
    /// Call both, in an order that is drawn.
    Pair,
    /// It is over. A verdict after the screen alone has no pairs.
    End(Verdict),
}

impl RemoteRule {
    /// What to do after the calls so far; a value that is not finite proves nothing.
    pub fn next(&self, calls: &Calls) -> RemoteNext {
        if calls.calibration.len() < self.calibration.max(2) as usize {
            return RemoteNext::Calibrate;
        }
        let pairs = calls.pairs.iter().flat_map(|&(a, b)| [a, b]);
        let mut all = calls.calibration.iter().copied().chain(calls.screen).chain(pairs);
        if !calls.floor.is_finite() || all.any(|y| !y.is_finite()) {
            return RemoteNext::End(Verdict::ended(Reason::Inconclusive, Vec::new()));
        }
        let Some(screen) = calls.screen else { return RemoteNext::Screen };
        if let Some(verdict) = self.after_screen(calls, screen) {
            return RemoteNext::End(verdict);
        }
        let looks: Vec<Look> =
            (1..=calls.pairs.len()).filter_map(|n| self.look(calls, n)).collect();
        for (at, look) in looks.iter().enumerate() {
            if let Some(reason) = self.settles(calls, look) {
                return RemoteNext::End(Verdict::ended(reason, looks[..=at].to_vec()));
            }
        }
        if calls.pairs.len() < self.most as usize {
            return RemoteNext::Pair;
        }
        RemoteNext::End(Verdict::ended(Reason::Inconclusive, looks))
    }

    /// One call beside the median of the calibration's: hopeless when even the upper bound of the
    /// gain is not worth having. The variance of one new value less the mean of n is (n + 1) / n.
    fn after_screen(&self, calls: &Calls, screen: f64) -> Option<Verdict> {
        let n = calls.calibration.len();
        let middle = quantile(&sorted(&calls.calibration)?, 0.5);
        let spread = squares(&calls.calibration) / (n - 1) as f64;
        let spread = spread.sqrt().max(calls.floor);
        let t = one_sided(n - 1, self.screen)?;
        let estimate = middle - screen;
        let upper = estimate + t * spread * ((n + 1) as f64 / n as f64).sqrt();
        let reason = self.too_little(upper)?;
        let look = Look { pairs: 0, estimate, lower: None, upper: Some(upper) };
        Some(Verdict::ended(reason, vec![look]))
    }

    /// The first n pairs: the mean of their differences between Student's bounds.
    fn look(&self, calls: &Calls, n: usize) -> Option<Look> {
        let (a, b): (Vec<f64>, Vec<f64>) = calls.pairs[..n].iter().copied().unzip();
        let d: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let freedom = calls.calibration.len() - 1 + 2 * (n - 1);
        let pooled = squares(&calls.calibration) + squares(&a) + squares(&b);
        let spread = (pooled / freedom as f64).sqrt().max(calls.floor);
        let error = spread * (2.0 / n as f64).sqrt();
        let estimate = mean(&d);
        Some(Look {
            pairs: n as u32,
            estimate,
            lower: Some(estimate - one_sided(freedom, self.keep)? * error),
            upper: Some(estimate + one_sided(freedom, self.revert)? * error),
        })
    }

    fn settles(&self, calls: &Calls, look: &Look) -> Option<Reason> {
        let d: Vec<f64> = calls.pairs[..look.pairs as usize].iter().map(|(a, b)| a - b).collect();
        let against = d.iter().filter(|&&d| d <= 0.0).count() as u32;
        let allowed = if look.pairs == self.most { self.against } else { 0 };
        let middle = sorted(&d).map(|d| quantile(&d, 0.5))?;
        let faster = look.pairs >= self.fewest
            && against <= allowed
            && look.lower.is_some_and(|lower| lower > 0.0)
            && middle >= self.minimum_effect;
        if faster { Some(Reason::Faster) } else { self.too_little(look.upper?) }
    }

    fn too_little(&self, upper: f64) -> Option<Reason> {
        let reason = if upper < 0.0 { Reason::Slower } else { Reason::NoWorthwhileDifference };
        (upper < self.minimum_effect).then_some(reason)
    }
}

/// The sum of squared distances from the mean.
fn squares(values: &[f64]) -> f64 {
    let centre = mean(values);
    values.iter().map(|x| (x - centre).powi(2)).sum()
}

/// The t below which a share `level` of the distribution lies.
fn one_sided(freedom: usize, level: f64) -> Option<f64> {
    student::two_sided(freedom, 2.0 * level - 1.0)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    use super::*;

    /// Plays a decision on calls that scatter like this around 0 and `-gain`.
    fn play(gain: f64, mut noise: impl FnMut() -> f64) -> (Verdict, usize) {
        let rule = RemoteRule::default();
        let mut calls = Calls::default();
        loop {
            match rule.next(&calls) {
                RemoteNext::Calibrate => calls.calibration.push(noise()),
                RemoteNext::Screen => calls.screen = Some(noise() - gain),
                RemoteNext::Pair => calls.pairs.push((noise(), noise() - gain)),
                RemoteNext::End(verdict) => return (verdict, calls.count()),
            }
        }
    }

    fn decisions(gain: f64, sd: f64) -> Vec<(Verdict, usize)> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let normal = Normal::new(0.0, sd).unwrap();
        (0..2000)
            .map(|_| {
                // One call in ten is disturbed.
                play(gain, || {
                    let more = if rng.random_bool(0.1) { 3.0 } else { 0.0 };
                    normal.sample(&mut rng) + more * sd
                })
            })
            .collect()
    }

    fn kept(gain: f64, sd: f64) -> f64 {
        let all = decisions(gain, sd);
        all.iter().filter(|(v, _)| v.is_keep()).count() as f64 / all.len() as f64
    }

    #[test]
    fn identical_code_is_hardly_ever_kept_and_gains_mostly_are() {
        let same = kept(0.0, 0.02);
        assert!(same <= 0.01, "{same}");
        let (small, large) = (kept(0.03, 0.01), kept(0.1, 0.01));
        assert!(small > 0.4 && large > 0.9 && large > small, "{small} {large}");
    }

    #[test]
    fn half_the_speed_is_seen_in_one_call() {
        let all = decisions(-2.0_f64.ln(), 0.02);
        assert!(all.iter().all(|(v, calls)| v.reason == Reason::Slower && *calls == 1));
    }

    #[test]
    fn no_decision_takes_more_calls_than_it_says() {
        let all = decisions(0.01, 0.02);
        assert!(all.iter().all(|(_, calls)| *calls <= 13));
        assert!(all.iter().any(|(v, calls)| v.reason == Reason::Inconclusive && *calls == 13));
        let fewest = all.iter().filter(|(v, _)| v.is_keep()).map(|(_, calls)| *calls).min();
        assert!(fewest.is_none_or(|fewest| fewest >= 7), "{fewest:?}");
    }

    #[test]
    fn the_numbers_of_a_look_are_those_of_the_textbook() {
        // Five degrees of freedom from calibration, two from two pairs: t(7, 0.995) = 3.499,
        // t(7, 0.9) = 1.415.
        let calls = Calls {
            calibration: vec![0.0, 0.01, 0.02, 0.03, 0.04, 0.05],
            screen: Some(0.0),
            pairs: vec![(0.03, 0.0), (0.05, 0.0)],
            floor: 0.0,
        };
        let look = RemoteRule::default().look(&calls, 2).unwrap();
        let spread = ((17.5e-4 + 2e-4_f64) / 7.0).sqrt();
        assert!((look.estimate - 0.04).abs() < 1e-12);
        assert!((look.lower.unwrap() - (0.04 - 3.4995 * spread)).abs() < 1e-5, "{look:?}");
        assert!((look.upper.unwrap() - (0.04 + 1.4149 * spread)).abs() < 1e-5, "{look:?}");
    }

    #[test]
    fn one_pair_of_six_may_speak_against_and_none_of_three() {
        let rule = RemoteRule::default();
        let calls = |against: usize| Calls {
            calibration: vec![0.0, 1e-4, 2e-4, 1e-4, 0.0, 2e-4],
            screen: Some(-0.02),
            pairs: (0..6).map(|at| (0.0, if at < against { 1e-5 } else { -0.1 })).collect(),
            floor: 0.0,
        };
        let reason = |against| match rule.next(&calls(against)) {
            RemoteNext::End(verdict) => (verdict.reason, verdict.pairs),
            next => panic!("{next:?}"),
        };
        assert_eq!(reason(0), (Reason::Faster, 3));
        assert_eq!(reason(6).1, 1);
        let mut late = calls(0);
        late.pairs[2].1 = 1e-5;
        late.pairs[3].1 = -0.08;
        assert!(matches!(rule.next(&late), RemoteNext::End(v) if v.pairs == 6));
    }

    #[test]
    fn a_floor_keeps_lucky_calibrations_from_proving_anything() {
        let mut calls = Calls {
            calibration: vec![0.0; 6],
            screen: Some(-0.01),
            pairs: vec![(0.0, -0.01); 3],
            floor: 0.0,
        };
        let rule = RemoteRule::default();
        assert!(matches!(rule.next(&calls), RemoteNext::End(v) if v.is_keep()));
        calls.floor = 0.01;
        assert_eq!(rule.next(&calls), RemoteNext::Pair);
        calls.floor = f64::NAN;
        assert!(matches!(rule.next(&calls), RemoteNext::End(v) if !v.is_keep()));
    }

    #[test]
    fn a_call_is_its_median_else_its_best_else_its_mean() {
        let mut call =
            Summary { mean: Some(3.0), best: Some(2.0), median: Some(1.0), ..Summary::default() };
        assert_eq!(call.value(), Some(1.0));
        call.median = None;
        assert_eq!(call.value(), Some(2.0));
        call.best = None;
        assert_eq!((call.value(), call.floor()), (Some(3.0), None));
        (call.std, call.runs) = (Some(0.6), Some(4));
        assert!((call.floor().unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(call.y(Direction::Higher), Some(-3.0_f64.ln()));
        call.mean = Some(0.0);
        assert_eq!((call.value(), call.floor()), (None, None));
    }
}
