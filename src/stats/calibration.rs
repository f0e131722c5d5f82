//! What a machine's noise looks like, from pairs of identical code, and what can be seen through it.
//!
//! Pairs within a process share its speed; processes differ (Georges et al. 2007; Kalibera & Jones
//! 2013). Both parts are estimated apart, because more pairs only help against the first.

use serde::{Deserialize, Serialize};

use super::normal;
use super::sequential::{Reason, Rule, Verdict};
use super::summary::{deviation, mean, quantile, sorted};

/// Process pairs of a calibration.
pub const PROCESS_PAIRS: u32 = 12;
/// Pairs of identical code in each.
pub const PAIRS_PER_PROCESS: u32 = 4;
/// Makes the median absolute deviation the standard deviation of a normal distribution
/// (Hampel 1974: 1 / the normal quantile of 3/4).
const MAD_TO_SD: f64 = 1.4826;
/// The asymptotic efficiency of the Hodges-Lehmann estimate beside the mean when noise is normal
/// (Hollander & Wolfe, *Nonparametric Statistical Methods*, section 3.11).
const EFFICIENCY: f64 = 3.0 / std::f64::consts::PI;
/// The probability with which the smallest detectable gain is detected.
const POWER: f64 = 0.8;

/// From where on noise has consequences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseLimits {
    /// Above this pair sd, the machine is too noisy.
    pub pair_sd: f64,
    /// Above this process sd, each pair gets processes of its own.
    pub process_sd: f64,
}

impl Default for NoiseLimits {
    fn default() -> Self {
        Self { pair_sd: 0.05, process_sd: 0.0025 }
    }
}

/// Why nothing can be decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TooNoisy {
    /// Identical code was found to be faster than itself.
    IdenticalKept,
    /// Pairs differ by too much.
    Pairs,
}

/// The noise of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Pairs of identical code.
    pub pairs: u32,
    /// Process pairs that they come from.
    pub processes: u32,
    /// The sd of a pair's `d`: 1.4826 times the median absolute deviation of all pairs.
    pub pair_sd: f64,
    /// The sd of what a process pair adds to all its pairs.
    pub process_sd: f64,
    /// How many pairs a process may serve here.
    pub pairs_per_process: u32,
    /// The smallest gain, as `d`, that a whole decision here sees with a probability of 80 %.
    pub smallest_gain: f64,
    /// What the rule says of identical code.
    pub verdict: Verdict,
    /// Why nothing can be decided here, if so.
    pub too_noisy: Option<TooNoisy>,
}

impl Calibration {
    /// From the `d` of pairs of identical code, one list for each process pair. `None` without any
    /// pair, or when one is not finite.
    pub fn of(processes: &[Vec<f64>], rule: &Rule, limits: &NoiseLimits) -> Option<Self> {
        let all: Vec<f64> = processes.iter().flatten().copied().collect();
        let pair_sd = robust_sd(&all)?;
        let process_sd = process_sd(processes);
        let pairs_per_process = if process_sd > limits.process_sd { 1 } else { 2 };
        let verdict = rule.judge(&in_turns(processes), &[]);
        let too_noisy = if verdict.reason == Reason::Faster {
            Some(TooNoisy::IdenticalKept)
        } else {
            (pair_sd > limits.pair_sd).then_some(TooNoisy::Pairs)
        };
        let smallest_gain = Noise { pair_sd, process_sd, pairs_per_process }.smallest_gain(
            rule.looks.last().copied().unwrap_or(1),
            rule.lower_levels.last().copied().unwrap_or(0.0),
            rule.minimum_effect,
        )?;
        Some(Self {
            pairs: all.len() as u32,
            processes: processes.iter().filter(|p| !p.is_empty()).count() as u32,
            pair_sd,
            process_sd,
            pairs_per_process,
            smallest_gain,
            verdict,
            too_noisy,
        })
    }
}

/// The first pair of each process, then the second of each: looks at few pairs would otherwise
/// rest on two or three processes and take their luck for a gain.
fn in_turns(processes: &[Vec<f64>]) -> Vec<f64> {
    let longest = processes.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| processes.iter().filter_map(move |p| p.get(at)).copied()).collect()
}

/// What limits a decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// The sd of a pair's `d`, whatever it comes from.
    pub pair_sd: f64,
    /// The sd of what a process pair adds to all its pairs.
    pub process_sd: f64,
    /// Pairs that one process pair serves.
    pub pairs_per_process: u32,
}

impl Noise {
    /// The standard error of the Hodges-Lehmann estimate of this many pairs. With the sd s of a pair,
    /// p of which is the process's, and r pairs a process, the mean of n pairs has the variance
    /// (s^2 + (r - 1) p^2) / n (Kalibera & Jones 2013, two levels), and the estimate pi / 3 of it.
    pub fn standard_error(&self, pairs: u32) -> f64 {
        let shared = f64::from(self.pairs_per_process.max(1) - 1) * self.process_sd.powi(2);
        let variance = (self.pair_sd.powi(2) + shared) / f64::from(pairs.max(1));
        (variance / EFFICIENCY).sqrt()
    }

    /// The smallest `d` that a look after this many pairs detects with a probability of 80 %: its
    /// lower bound at `level` must pass 0, and its estimate the minimum effect m. To first order
    /// the estimate is normal around the truth with the standard error e. The bound stands z(1 -
    /// level) below it in units of the standard error f that ranks see, which take pairs of one
    /// process for independent. So it is the larger of z(1 - level) f + z(0.8) e and m + z(0.8) e
    /// (the sample size formula of Noether 1987, *Sample size determination for some common
    /// nonparametric tests*, solved for the effect). Earlier looks only help. `None` when a number
    /// is not finite or the level is none.
    pub fn smallest_gain(&self, pairs: u32, level: f64, minimum_effect: f64) -> Option<f64> {
        let error = self.standard_error(pairs);
        let power = normal::quantile(POWER)?;
        let bound = normal::quantile(1.0 - level)?;
        let seen = Self { pairs_per_process: 1, ..*self }.standard_error(pairs);
        let gain = (bound * seen).max(minimum_effect) + power * error;
        gain.is_finite().then_some(gain.max(minimum_effect))
    }
}

/// [`Noise::smallest_gain`] for a single decision.
pub fn smallest_gain(noise: &Noise, pairs: u32, level: f64, minimum_effect: f64) -> Option<f64> {
    noise.smallest_gain(pairs, level, minimum_effect)
}

/// 1.4826 times the median absolute deviation from the median; `None` without values, or when one
/// is not finite.
pub fn robust_sd(values: &[f64]) -> Option<f64> {
    let middle = quantile(&sorted(values)?, 0.5);
    let deviations: Vec<f64> = values.iter().map(|x| (x - middle).abs()).collect();
    Some(MAD_TO_SD * quantile(&sorted(&deviations)?, 0.5))
}

/// The sd of the processes' medians, less what pairs within a process explain of it; 0 when that
/// is all, and with fewer than two processes.
pub fn process_sd(processes: &[Vec<f64>]) -> f64 {
    let whole: Vec<Vec<f64>> = processes.iter().filter_map(|p| sorted(p)).collect();
    if whole.len() < 2 {
        return 0.0;
    }
    let medians: Vec<f64> = whole.iter().map(|p| quantile(p, 0.5)).collect();
    let between = deviation(&medians, mean(&medians)).powi(2);
    let within = within_variance(&whole).unwrap_or(0.0);
    let shares: Vec<f64> = whole.iter().map(|p| median_variance(p.len())).collect();
    (between - within * mean(&shares)).max(0.0).sqrt()
}

/// The variance of a pair within its process, from the differences of its pairs: these hold no
/// process, and twice the variance. The median of their sizes makes it robust, as above.
fn within_variance(processes: &[Vec<f64>]) -> Option<f64> {
    let mut differences = Vec::new();
    for process in processes {
        for (at, a) in process.iter().enumerate() {
            differences.extend(process[at + 1..].iter().map(|b| (a - b).abs()));
        }
    }
    let middle = quantile(&sorted(&differences)?, 0.5);
    Some((MAD_TO_SD * middle).powi(2) / 2.0)
}

/// The variance of the median of n normal values of variance 1: exact up to five (Sarhan &
/// Greenberg 1962, *Contributions to order statistics*), then its limit pi / 2n, counted a little
/// late as small samples are better than it.
fn median_variance(n: usize) -> f64 {
    match n {
        0 | 1 => 1.0,
        2 => 0.5,
        3 => 0.4487,
        4 => 0.2982,
        5 => 0.2868,
        n if n % 2 == 0 => std::f64::consts::FRAC_PI_2 / (n as f64 + 1.33),
        n => std::f64::consts::FRAC_PI_2 / (n as f64 + 0.5),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    use super::*;

    /// Pairs of processes with a known spread of both kinds.
    fn drawn(
        processes: usize,
        pairs: usize,
        within: f64,
        between: f64,
        seed: u64,
    ) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (within, between) =
            (Normal::new(0.0, within).unwrap(), Normal::new(0.0, between).unwrap());
        (0..processes)
            .map(|_| {
                let speed = between.sample(&mut rng);
                (0..pairs).map(|_| speed + within.sample(&mut rng)).collect()
            })
            .collect()
    }

    fn of(processes: &[Vec<f64>]) -> Calibration {
        Calibration::of(processes, &Rule::default(), &NoiseLimits::default()).unwrap()
    }

    #[test]
    fn both_levels_of_variation_are_found_again() {
        for (within, between) in [(0.01, 0.0), (0.01, 0.01), (0.004, 0.02), (0.01, 0.003)] {
            let found = of(&drawn(4000, 4, within, between, 7));
            let whole = f64::hypot(within, between);
            assert!((found.pair_sd / whole - 1.0).abs() < 0.03, "{within} {between}: {found:?}");
            let slack = 0.03 * between + 0.0012;
            assert!((found.process_sd - between).abs() < slack, "{within} {between}: {found:?}");
        }
    }

    #[test]
    fn the_variance_of_small_medians_is_that_of_simulated_ones() {
        let normal = Normal::new(0.0, 1.0).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for n in [1, 2, 3, 4, 5, 6, 7, 8, 16] {
            let medians: Vec<f64> = (0..20_000)
                .map(|_| {
                    let values: Vec<f64> = (0..n).map(|_| normal.sample(&mut rng)).collect();
                    quantile(&sorted(&values).unwrap(), 0.5)
                })
                .collect();
            let found = deviation(&medians, 0.0).powi(2);
            assert!((found / median_variance(n) - 1.0).abs() < 0.06, "{n}: {found}");
        }
    }

    #[test]
    fn processes_that_differ_get_one_pair_each() {
        assert_eq!(of(&drawn(12, 4, 0.002, 0.0, 1)).pairs_per_process, 2);
        assert_eq!(of(&drawn(12, 4, 0.002, 0.01, 1)).pairs_per_process, 1);
    }

    #[test]
    fn a_machine_that_keeps_identical_code_or_scatters_wide_is_too_noisy() {
        let usual = of(&drawn(12, 4, 0.01, 0.0, 5));
        assert_eq!((usual.too_noisy, usual.pairs, usual.processes), (None, 48, 12));
        assert_eq!(of(&drawn(12, 4, 0.08, 0.0, 5)).too_noisy, Some(TooNoisy::Pairs));
        let biased: Vec<Vec<f64>> = drawn(12, 4, 0.002, 0.0, 5)
            .iter()
            .map(|p| p.iter().map(|d| d + 0.03).collect())
            .collect();
        assert_eq!(of(&biased).too_noisy, Some(TooNoisy::IdenticalKept));
    }

    #[test]
    fn luck_of_a_few_processes_is_no_keep() {
        let drawn: Vec<Vec<f64>> = (0..12)
            .map(|p| vec![if p < 3 { 0.01 } else { -0.01 + 1e-4 * f64::from(p) }; 4])
            .collect();
        let whole: Vec<f64> = drawn.iter().flatten().copied().collect();
        assert_eq!(Rule::default().judge(&whole, &[]).reason, Reason::Faster);
        assert_eq!(of(&drawn).too_noisy, None);
    }

    #[test]
    fn nothing_is_known_of_no_pairs_or_of_what_is_no_number() {
        for processes in [vec![], vec![vec![]], vec![vec![0.1, f64::NAN]]] {
            let found = Calibration::of(&processes, &Rule::default(), &NoiseLimits::default());
            assert_eq!(found, None);
        }
    }

    #[test]
    fn the_smallest_gain_is_seen_about_four_times_in_five() {
        // One look at 64 pairs at the last look's level, which is what the formula speaks of.
        let mut rule = Rule::with_looks(&[64]);
        rule.lower_levels = vec![0.001];
        rule.confirm = None;
        for (between, per_process) in [(0.0, 2), (0.008, 2), (0.008, 1)] {
            let within = 0.012;
            let noise = Noise {
                pair_sd: f64::hypot(within, between),
                process_sd: between,
                pairs_per_process: per_process,
            };
            let smallest = noise.smallest_gain(64, 0.001, 0.005).unwrap();
            let kept = (0..400)
                .filter(|&seed| {
                    let r = per_process as usize;
                    let d = drawn(64 / r, r, within, between, seed);
                    let d: Vec<f64> = d.iter().flatten().map(|d| d + smallest).collect();
                    rule.judge(&d, &[]).is_keep()
                })
                .count();
            // Far out, ranks are a little wider than the first order says.
            assert!((288..=340).contains(&kept), "{between} {per_process}: {kept} of 400");
        }
    }

    #[test]
    fn the_smallest_gain_is_never_less_than_what_is_worth_having() {
        let noise = Noise { pair_sd: 0.0, process_sd: 0.0, pairs_per_process: 2 };
        assert_eq!(noise.smallest_gain(64, 0.001, 0.005), Some(0.005));
        assert_eq!(noise.smallest_gain(64, 0.0, 0.005), None);
        let infinite = Noise { pair_sd: f64::INFINITY, ..noise };
        assert_eq!(infinite.smallest_gain(64, 0.001, 0.005), None);
    }
}
