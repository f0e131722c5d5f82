//! One sample described: quantiles, moments, the interval of a quantile, the geometric mean.

use serde::{Deserialize, Serialize};

/// What a sample looks like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many values.
    pub n: u64,
    /// The middle.
    pub median: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The 10 % quantile.
    pub p10: f64,
    /// The 90 % quantile.
    pub p90: f64,
    /// The 99 % quantile.
    pub p99: f64,
    /// Standard deviation with n - 1; 0 for one value.
    pub sd: f64,
    /// Lower end of the median's interval.
    pub lower: f64,
    /// Upper end of the median's interval.
    pub upper: f64,
    /// The level of that interval: at least [`LEVEL`], less only when the sample is too small.
    pub level: f64,
}

/// A number with the interval that it may lie in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// The level of all intervals.
pub const LEVEL: f64 = 0.95;

/// Describes `samples`; `None` when there are none or one is not finite.
pub fn summary(samples: &[f64]) -> Option<Summary> {
    let sorted = sorted(samples)?;
    let n = sorted.len();
    let mean = mean(&sorted);
    let ranks = quantile_ranks(n, 0.5, LEVEL);
    Some(Summary {
        n: n as u64,
        median: quantile(&sorted, 0.5),
        mean,
        min: sorted[0],
        max: sorted[n - 1],
        p10: quantile(&sorted, 0.1),
        p90: quantile(&sorted, 0.9),
        p99: quantile(&sorted, 0.99),
        sd: deviation(&sorted, mean),
        lower: sorted[ranks.lower - 1],
        upper: sorted[ranks.upper - 1],
        level: ranks.level,
    })
}

/// The `p` quantile with its distribution-free interval; `None` like [`summary`].
pub fn quantile_interval(samples: &[f64], p: f64) -> Option<Interval> {
    let sorted = sorted(samples)?;
    let ranks = quantile_ranks(sorted.len(), p, LEVEL);
    Some(Interval {
        value: quantile(&sorted, p),
        lower: sorted[ranks.lower - 1],
        upper: sorted[ranks.upper - 1],
    })
}

/// A sorted copy; `None` when empty or not finite.
pub(super) fn sorted(samples: &[f64]) -> Option<Vec<f64>> {
    if samples.is_empty() || samples.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut copy = samples.to_vec();
    copy.sort_unstable_by(f64::total_cmp);
    Some(copy)
}

/// The mean as a running one, which does not overflow where the sum would.
pub(super) fn mean(samples: &[f64]) -> f64 {
    let mut mean = 0.0;
    for (index, &x) in samples.iter().enumerate() {
        let k = (index + 1) as f64;
        // Not `(x - mean) / k`: the difference of two finite numbers may be infinite.
        mean += x / k - mean / k;
    }
    mean
}

/// Standard deviation with n - 1; 0 for one value.
pub(super) fn deviation(samples: &[f64], mean: f64) -> f64 {
    if samples.len() < 2 {
        return 0.0;
    }
    // Scaled so that the squares of large values stay finite.
    let scale = samples.iter().fold(0.0_f64, |m, x| m.max((x / 2.0 - mean / 2.0).abs()));
    if scale == 0.0 {
        return 0.0;
    }
    let squares: f64 = samples.iter().map(|x| ((x / 2.0 - mean / 2.0) / scale).powi(2)).sum();
    (2.0 * scale * (squares / (samples.len() - 1) as f64).sqrt()).min(f64::MAX)
}

/// The `p` quantile of values that are already sorted, by linear interpolation
/// (type 7 of Hyndman & Fan 1996, "Sample quantiles in statistical packages").
///
/// # Panics
/// When `sorted` is empty.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let position = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let weight = position - below as f64;
    if weight == 0.0 {
        return sorted[below];
    }
    let value = sorted[below] * (1.0 - weight) + sorted[above] * weight;
    value.clamp(sorted[below], sorted[above])
}

/// Order statistics, counted from 1, that enclose a quantile, and how surely they do.
pub(super) struct Ranks {
    pub(super) lower: usize,
    pub(super) upper: usize,
    pub(super) level: f64,
}

/// The narrowest ranks r < s whose order statistics enclose the `p` quantile with probability
/// `level` split evenly over both sides: with X ~ Bin(n, p), r is the largest rank with
/// P(X < r) <= (1 - level) / 2, and s the smallest with P(X >= s) <= the same. Distribution-free
/// (Hollander & Wolfe, *Nonparametric Statistical Methods*, section 3.6, for the median; David &
/// Nagaraja, *Order Statistics*, section 7.1, for any quantile). When the sample is too small for
/// a side, its extreme stands there and the level says what is left.
pub(super) fn quantile_ranks(n: usize, p: f64, level: f64) -> Ranks {
    let tail = (1.0 - level) / 2.0;
    // Sums of many small terms: without this, a sum that is exactly the tail could miss it.
    let slack = 1e-12;
    let distribution = binomial(n, p);
    let below = |rank: usize| distribution[rank - 1];
    let lower = (1..=n).take_while(|&r| below(r) <= tail + slack).last().unwrap_or(1);
    let upper = (1..=n).find(|&s| below(s) >= 1.0 - tail - slack).unwrap_or(n);
    let level = if lower < upper { below(upper) - below(lower) } else { 0.0 };
    Ranks { lower, upper, level: level.clamp(0.0, 1.0) }
}

/// P(X <= k) of Bin(n, p) for k = 0..n, summed from terms in logarithms, which cannot underflow.
fn binomial(n: usize, p: f64) -> Vec<f64> {
    let (ln_p, ln_q) = (p.ln(), (1.0 - p).ln());
    let mut ln_term = n as f64 * ln_q;
    let mut sum = 0.0;
    (0..n)
        .map(|k| {
            sum += ln_term.exp();
            ln_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln() + ln_p - ln_q;
            sum
        })
        .collect()
}

/// The geometric mean; `None` when empty or when a value is not finite and above 0.
pub fn geomean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|x| !x.is_finite() || *x <= 0.0) {
        return None;
    }
    let logs: Vec<f64> = values.iter().map(|x| x.ln()).collect();
    Some(mean(&logs).exp())
}

/// The interval of the geometric mean of independent estimates: each side's half-widths are added
/// in logarithms as the root of the sum of squares, the first-order propagation of independent
/// errors. `None` when empty, or when a value or an end is not finite and above 0.
pub fn combine_log_intervals(parts: &[Interval]) -> Option<Interval> {
    let good = |x: f64| x.is_finite() && x > 0.0;
    if !parts.iter().all(|p| good(p.value) && good(p.lower) && good(p.upper)) {
        return None;
    }
    let value = geomean(&parts.iter().map(|p| p.value).collect::<Vec<_>>())?;
    let width = |half: &dyn Fn(&Interval) -> f64| {
        parts.iter().map(|p| half(p).max(0.0).powi(2)).sum::<f64>().sqrt() / parts.len() as f64
    };
    let down = width(&|p| p.value.ln() - p.lower.ln());
    let up = width(&|p| p.upper.ln() - p.value.ln());
    Some(Interval { value, lower: value * (-down).exp(), upper: (value * up.exp()).min(f64::MAX) })
}

/// True when even the lower end lies above the limit.
pub fn surely_above(lower: f64, limit: f64) -> bool {
    lower > limit
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()))
    }

    #[test]
    fn a_known_sample_has_known_numbers() {
        let s = summary(&[4.0, 1.0, 3.0, 2.0, 10.0]).unwrap();
        assert_eq!((s.n, s.median, s.mean, s.min, s.max), (5, 3.0, 4.0, 1.0, 10.0));
        assert!(close(s.p10, 1.4) && close(s.p90, 7.6), "{s:?}");
        assert!(close(s.sd, 12.5_f64.sqrt()), "{s:?}");
        assert_eq!((s.lower, s.upper), (1.0, 10.0));
        assert!(close(s.level, 0.9375), "{s:?}");
    }

    #[test]
    fn ranks_of_the_median_agree_with_the_published_table() {
        // Two-sided 95 % intervals from the sign test: n, lower, upper.
        for (n, lower, upper) in
            [(6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (16, 4, 13), (20, 6, 15), (32, 10, 23)]
        {
            let ranks = quantile_ranks(n, 0.5, LEVEL);
            assert_eq!((ranks.lower, ranks.upper), (lower, upper), "n = {n}");
            assert!(ranks.level >= LEVEL, "n = {n}: {}", ranks.level);
        }
    }

    #[test]
    fn tiny_samples_get_their_extremes_and_the_level_they_reach() {
        for (n, level) in [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375)] {
            let ranks = quantile_ranks(n, 0.5, LEVEL);
            assert_eq!((ranks.lower, ranks.upper), (1, n));
            assert!(close(ranks.level, level), "n = {n}: {}", ranks.level);
        }
    }

    #[test]
    fn a_large_sample_does_not_underflow() {
        let ranks = quantile_ranks(20_000, 0.5, LEVEL);
        assert!(ranks.lower > 9_800 && ranks.lower < 10_000, "{}", ranks.lower);
        assert!(ranks.level >= LEVEL && ranks.level < 0.953, "{}", ranks.level);
    }

    #[test]
    fn what_is_not_a_number_has_no_summary() {
        for sample in [&[][..], &[f64::NAN], &[1.0, f64::INFINITY]] {
            assert_eq!(summary(sample), None);
            assert_eq!(geomean(sample), None);
            assert_eq!(quantile_interval(sample, 0.5), None);
        }
        assert_eq!(geomean(&[1.0, 0.0]), None);
        assert_eq!(geomean(&[1.0, -1.0]), None);
        assert_eq!(combine_log_intervals(&[]), None);
    }

    #[test]
    fn the_geometric_mean_of_equal_intervals_narrows_with_the_root() {
        let part = Interval { value: 100.0, lower: 90.0, upper: 121.0 };
        let one = combine_log_intervals(&[part]).unwrap();
        assert!(close(one.lower, 90.0) && close(one.upper, 121.0), "{one:?}");
        let four = combine_log_intervals(&[part; 4]).unwrap();
        assert!(close(four.value, 100.0) && close(four.upper, 110.0), "{four:?}");
    }

    #[test]
    fn only_an_interval_wholly_above_the_limit_is_surely_above() {
        assert!(surely_above(900.1, 900.0));
        assert!(!surely_above(900.0, 900.0));
        assert!(!surely_above(f64::NAN, 900.0));
    }

    fn samples() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(-1e6..1e6_f64, 1..60)
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut xs in samples(), seed in any::<u64>()) {
            let before = summary(&xs).unwrap();
            let len = xs.len();
            xs.rotate_left(seed as usize % len);
            xs.reverse();
            prop_assert_eq!(summary(&xs).unwrap(), before);
        }

        #[test]
        fn shifting_and_scaling_go_through(xs in samples(), shift in -1e3..1e3_f64, scale in 0.1..10.0_f64) {
            let before = summary(&xs).unwrap();
            let moved: Vec<f64> = xs.iter().map(|x| x * scale + shift).collect();
            let after = summary(&moved).unwrap();
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (1.0 + b.abs());
            for (a, b) in [
                (after.median, before.median), (after.mean, before.mean), (after.min, before.min),
                (after.max, before.max), (after.p10, before.p10), (after.p90, before.p90),
                (after.lower, before.lower), (after.upper, before.upper),
            ] {
                prop_assert!(near(a, b * scale + shift), "{} {}", a, b * scale + shift);
            }
            prop_assert!(near(after.sd, before.sd * scale));
        }

        #[test]
        fn the_parts_stand_in_order(xs in samples()) {
            let s = summary(&xs).unwrap();
            prop_assert!(s.min <= s.p10 && s.p10 <= s.median && s.median <= s.p90);
            prop_assert!(s.p90 <= s.p99 && s.p99 <= s.max);
            prop_assert!(s.min <= s.lower && s.lower <= s.median);
            prop_assert!(s.median <= s.upper && s.upper <= s.max);
        }

        #[test]
        fn extreme_values_stay_finite(xs in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 1..20)) {
            let s = summary(&xs).unwrap();
            for x in [s.median, s.mean, s.p10, s.p90, s.p99, s.sd, s.lower, s.upper, s.level] {
                prop_assert!(x.is_finite(), "{:?}", s);
            }
        }

        #[test]
        fn the_geometric_mean_scales(xs in prop::collection::vec(1e-3..1e6_f64, 1..20), k in 0.1..10.0_f64) {
            let scaled: Vec<f64> = xs.iter().map(|x| x * k).collect();
            let (a, b) = (geomean(&scaled).unwrap(), geomean(&xs).unwrap() * k);
            prop_assert!((a - b).abs() <= 1e-9 * b);
        }
    }
}
