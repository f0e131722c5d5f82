//! The exact one-sample signed-rank distribution, and the estimate and bounds that come with it.
//!
//! For values drawn from one distribution that is symmetric about a centre, every assignment of
//! signs to the ranks 1..=n is equally likely. W+ is the sum of the ranks with a plus sign
//! (Wilcoxon 1945). The k-th smallest of the Walsh averages `(d_i + d_j) / 2, i <= j`, exceeds the
//! centre exactly when W+ is at most k - 1, so order statistics of the averages bound the centre
//! at a level that needs no normal approximation (Hollander & Wolfe, *Nonparametric Statistical
//! Methods*, sections 3.1 to 3.3). Ties only make the bounds wider than they need be.

use std::sync::OnceLock;

use super::Interval;
use super::summary::quantile;

/// The largest number of values with a distribution: 2^128 sign patterns still fit a cell's sum.
pub const MAX: usize = 128;

/// A centre with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centre {
    /// The Hodges-Lehmann estimate between its bounds.
    pub interval: Interval,
    /// The two-sided level that the bounds reach: at least the one asked for.
    pub level: f64,
}

/// P(W+ <= w) for n values; 1 from the middle's far side on is reached through symmetry.
/// `None` when n is 0 or above [`MAX`].
pub fn at_most(n: usize, w: usize) -> Option<f64> {
    let half = distribution(n)?;
    let most = n * (n + 1) / 2;
    Some(match w {
        w if w >= most => 1.0,
        w if w < half.len() => half[w],
        w => 1.0 - half[most - 1 - w],
    })
}

/// The largest k with P(W+ <= k - 1) <= `level`, one-sided: the k-th smallest Walsh average is a
/// lower bound of the centre at that level, the k-th largest an upper one. `None` when even k = 1
/// is too likely, or n has no distribution.
pub fn k(n: usize, level: f64) -> Option<usize> {
    let half = distribution(n)?;
    let most = n * (n + 1) / 2;
    let within = half.partition_point(|&p| p <= level);
    let k = if within < half.len() {
        within
    } else {
        // A level of one half or more: walk on through the mirrored half.
        (within..most).take_while(|&w| at_most(n, w).is_some_and(|p| p <= level)).count() + within
    };
    (k > 0).then_some(k)
}

/// The lower half of P(W+ <= w), computed once per n.
fn distribution(n: usize) -> Option<&'static [f64]> {
    static CACHE: [OnceLock<Vec<f64>>; MAX + 1] = [const { OnceLock::new() }; MAX + 1];
    if n == 0 {
        return None;
    }
    CACHE.get(n).map(|cell| cell.get_or_init(|| lower_half(n)).as_slice())
}

/// Counts the sign patterns with each sum by adding one rank after the other, in integers, so that
/// nothing is rounded before the division by 2^n (the recursion of Wilcoxon, Katti & Wilcox 1970).
fn lower_half(n: usize) -> Vec<f64> {
    let middle = n * (n + 1) / 4;
    let mut ways = vec![0_u128; middle + 1];
    ways[0] = 1;
    for rank in 1..=n {
        for sum in (rank..=middle).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let all = (n as f64).exp2();
    let mut below = 0_u128;
    ways.into_iter()
        .map(|count| {
            below += count;
            below as f64 / all
        })
        .collect()
}

/// The Walsh averages of some values, sorted: one sort serves the estimate and every bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Walsh {
    n: usize,
    averages: Vec<f64>,
}

impl Walsh {
    /// `None` when there are no values, more than [`MAX`], or one is not finite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() || values.len() > MAX || values.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let mut averages = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
        for (i, &a) in values.iter().enumerate() {
            averages.extend(values[i..].iter().map(|&b| f64::midpoint(a, b)));
        }
        averages.sort_unstable_by(f64::total_cmp);
        Some(Self { n: values.len(), averages })
    }

    /// How many values there were.
    pub fn n(&self) -> usize {
        self.n
    }

    /// All averages, smallest first.
    pub fn averages(&self) -> &[f64] {
        &self.averages
    }

    /// The median of the averages (Hodges & Lehmann 1963).
    pub fn estimate(&self) -> f64 {
        quantile(&self.averages, 0.5)
    }

    /// The lower bound at a one-sided level; `None` when n is too small for it.
    pub fn lower(&self, level: f64) -> Option<f64> {
        Some(self.averages[self.rank(level)? - 1])
    }

    /// The upper bound at a one-sided level; `None` when n is too small for it.
    pub fn upper(&self, level: f64) -> Option<f64> {
        Some(self.averages[self.averages.len() - self.rank(level)?])
    }

    /// The estimate between both bounds, at a two-sided level such as 0.95; `None` when n is too
    /// small for it.
    pub fn interval(&self, level: f64) -> Option<Centre> {
        let k = self.rank((1.0 - level) / 2.0)?;
        let (below, above) = (self.averages[k - 1], self.averages[self.averages.len() - k]);
        let value = self.estimate();
        let level = 1.0 - 2.0 * at_most(self.n, k - 1)?;
        Some(Centre { interval: Interval { value, lower: below, upper: above }, level })
    }

    /// [`k`], but never past the middle, where a lower bound would pass the upper one.
    fn rank(&self, level: f64) -> Option<usize> {
        k(self.n, level.min(0.5)).map(|k| k.min(self.averages.len().div_ceil(2)))
    }
}

/// The Hodges-Lehmann estimate; `None` like [`Walsh::of`].
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    Walsh::of(values).map(|walsh| walsh.estimate())
}

/// The Hodges-Lehmann estimate with its interval at a two-sided level; `None` like
/// [`Walsh::interval`].
pub fn interval(values: &[f64], level: f64) -> Option<Centre> {
    Walsh::of(values)?.interval(level)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOOKS: [usize; 8] = [4, 8, 12, 16, 24, 32, 48, 64];

    fn table(level: impl Fn(usize) -> f64) -> Vec<Option<usize>> {
        LOOKS.iter().map(|&n| k(n, level(n))).collect()
    }

    #[test]
    fn the_ranks_of_the_decision_rule_come_out() {
        // Rows L, U and 95 % of the table of looks after 4, 8, ... 64 pairs.
        let lower = [None, Some(1), Some(3), Some(12), Some(46), Some(104), Some(293), Some(585)];
        assert_eq!(table(|n| if n == 8 { 0.004 } else { 0.001 }), lower);
        let upper = [1, 9, 22, 43, 105, 195, 463, 848].map(Some);
        assert_eq!(table(|n| if n == 4 { 0.0625 } else { 0.1 }), upper);
        let both = [None, Some(4), Some(14), Some(30), Some(82), Some(160), Some(397), Some(748)];
        assert_eq!(table(|_| 0.025), both);
    }

    #[test]
    fn small_distributions_are_those_of_all_sign_patterns() {
        for n in 1..=12_usize {
            let most = n * (n + 1) / 2;
            let mut counts = vec![0_u32; most + 1];
            for pattern in 0..1_u32 << n {
                let w: usize = (0..n).filter(|bit| pattern >> bit & 1 == 1).map(|b| b + 1).sum();
                counts[w] += 1;
            }
            let mut below = 0;
            for (w, count) in counts.iter().enumerate() {
                below += count;
                let exact = f64::from(below) / f64::from(1_u32 << n);
                assert_eq!(at_most(n, w), Some(exact), "n = {n}, w = {w}");
            }
        }
    }

    #[test]
    fn the_largest_distribution_is_near_its_normal_limit() {
        let (mean, sd) = (128.0 * 129.0 / 4.0, (128.0 * 129.0 * 257.0_f64 / 24.0).sqrt());
        let k = k(128, 0.025).unwrap() as f64;
        assert!((k - (mean + 0.5 - 1.959_964 * sd)).abs() < 2.0, "{k}");
        assert!((at_most(128, mean as usize).unwrap() - 0.5).abs() < 1e-2);
        assert_eq!((at_most(0, 0), at_most(129, 0), super::k(129, 0.025)), (None, None, None));
    }

    #[test]
    fn a_worked_example_has_its_published_answer() {
        // Hamilton depression scale factor IV of nine patients, example 3.1 of Hollander & Wolfe:
        // y - x, estimate -0.46, 96 % interval -0.786 to -0.010.
        let x = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
        let y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
        let d: Vec<f64> = y.iter().zip(&x).map(|(y, x)| y - x).collect();
        let found = interval(&d, 0.95).unwrap();
        assert!((found.interval.value + 0.46).abs() < 1e-9, "{found:?}");
        assert!((found.interval.lower + 0.786).abs() < 1e-9, "{found:?}");
        assert!((found.interval.upper + 0.010).abs() < 1e-9, "{found:?}");
        assert!((found.level - 0.961).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn too_few_values_have_no_interval_at_95_percent() {
        for n in 1..=5 {
            assert_eq!(interval(&vec![1.0; n], 0.95), None, "n = {n}");
        }
        assert_eq!(interval(&[1.0; 6], 0.95).unwrap().level, 0.96875);
        for values in [&[][..], &[f64::NAN], &[f64::INFINITY, 1.0], &[0.0; 129]] {
            assert_eq!(Walsh::of(values), None);
        }
    }

    proptest! {
        #[test]
        fn shift_scale_and_sign_go_through(
            xs in prop::collection::vec(-1e3..1e3_f64, 6..40), a in 0.1..10.0_f64, b in -1e3..1e3_f64,
        ) {
            let before = interval(&xs, 0.95).unwrap();
            let near = |x: f64, y: f64| (x - y).abs() <= 1e-9 * (1.0 + y.abs() * 1e3);
            let moved = interval(&xs.iter().map(|x| a * x + b).collect::<Vec<_>>(), 0.95).unwrap();
            prop_assert!(near(moved.interval.value, a * before.interval.value + b));
            prop_assert!(near(moved.interval.lower, a * before.interval.lower + b));
            prop_assert!(near(moved.interval.upper, a * before.interval.upper + b));
            let turned = interval(&xs.iter().map(|x| -x).collect::<Vec<_>>(), 0.95).unwrap();
            prop_assert!(near(turned.interval.value, -before.interval.value));
            prop_assert_eq!(turned.interval.lower, -before.interval.upper);
        }

        #[test]
        fn bounds_are_in_order_and_widen_with_the_level(
            xs in prop::collection::vec(-1e3..1e3_f64, 1..40), p in 0.0..1.0_f64, q in 0.0..1.0_f64,
        ) {
            let walsh = Walsh::of(&xs).unwrap();
            let (less, more) = (walsh.interval(p.min(q)), walsh.interval(p.max(q)));
            if let Some(c) = less {
                prop_assert!(c.interval.lower <= c.interval.value && c.interval.value <= c.interval.upper);
                prop_assert!(c.level >= p.min(q));
            }
            if let (Some(less), Some(more)) = (less, more) {
                prop_assert!(more.interval.lower <= less.interval.lower);
                prop_assert!(more.interval.upper >= less.interval.upper);
                prop_assert!(more.level >= less.level);
            }
            prop_assert!(less.is_some() || more.is_none());
        }

        #[test]
        fn k_is_the_largest_that_the_level_allows(n in 1..=MAX, level in 0.0..1.0_f64) {
            let k = k(n, level).unwrap_or(0);
            prop_assert!(k == 0 || at_most(n, k - 1).unwrap() <= level);
            prop_assert!(at_most(n, k).unwrap() > level);
        }
    }
}
