//! Estimates from several fresh processes with a few timed launches each.
//!
//! A process has a speed of its own (where its pages and its code lie), so launches of one process
//! are more alike than launches of two, and an interval over all launches as if they were
//! independent is too narrow: repeating at the level that varies is what counts (Georges, Buytaert
//! & Eeckhout 2007; Kalibera & Jones 2013). Here each process first becomes one number, its
//! statistic, and the interval is made over those numbers.
//!
//! **Which estimate.** The numbers are compared in logarithms, since noise multiplies. From six
//! processes on, the Hodges-Lehmann estimate and its exact signed-rank interval: six is the
//! smallest count at which ranks reach 95 %. It needs no more than symmetry, a wild process moves
//! it little, and it wastes 5 % of the data against 36 % for the median of medians when noise is
//! normal (Hollander & Wolfe, section 3.2). Below six, Student's t. The median
//! within a process stands between the launches that something else disturbed and the estimate.

use serde::{Deserialize, Serialize};

use super::signed_rank;
use super::student;
use super::summary::{
    Interval, LEVEL, combine_log_intervals, deviation, mean, quantile, quantile_ranks, sorted,
};

/// The fewest processes whose ranks reach 95 %: with five, the widest interval has 93.75 %.
const FEWEST_FOR_RANKS: usize = 6;
/// Launches this far apart at most are compared for the spread within a process: all pairs of a
/// usual process, and a bounded number of a long one.
const FARTHEST_PAIR: usize = 16;

/// What stands for the launches of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The middle.
    Median,
    /// The arithmetic mean.
    Mean,
    /// The fastest.
    Min,
    /// The 90 % quantile.
    P90,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Median, Self::Mean, Self::Min, Self::P90];

    /// The statistic of launches as they are; `None` without any, or when one is no finite number.
    pub fn of_slot(self, launches: &[f64]) -> Option<f64> {
        sorted(launches).map(|sorted| self.of(&sorted))
    }

    /// The statistic of launches that are sorted and not empty.
    fn of(self, sorted: &[f64]) -> f64 {
        match self {
            Self::Median => quantile(sorted, 0.5),
            Self::Mean => mean(sorted),
            Self::Min => sorted[0],
            Self::P90 => quantile(sorted, 0.9),
        }
    }
}

/// What an interval is over, and so what it speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Six or more processes: no shape of noise is assumed but symmetry.
    Processes,
    /// Two to five: holds as far as process effects are normal in logarithms, and is wide.
    FewProcesses,
    /// One process: says how it varied and nothing about the next.
    Launches,
}

/// A statistic with its interval and what varied.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// In the unit of the launches.
    pub interval: Interval,
    /// The level that the interval reaches: less than asked for only when there is too little.
    pub level: f64,
    /// What the interval is over.
    pub basis: Basis,
    /// Relative standard deviation from process to process, beyond what their launches explain.
    pub between_sd: f64,
    /// Relative standard deviation from launch to launch in one process, robust against outliers.
    pub within_sd: f64,
}

/// Launch times by process. Every process has launches, and every time is finite and above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// In the order in which they ran.
    launches: Vec<Vec<f64>>,
    /// The same, each process sorted.
    ordered: Vec<Vec<f64>>,
}

impl Levels {
    /// Takes launch times, processes outside; `None` when there is no process, one has no launch,
    /// or a time is not finite and above 0.
    pub fn of(processes: &[Vec<f64>]) -> Option<Self> {
        let ordered: Vec<Vec<f64>> =
            processes.iter().map(|p| sorted(p)).collect::<Option<Vec<_>>>()?;
        if ordered.is_empty() || ordered.iter().any(|p| p[0] <= 0.0) {
            return None;
        }
        Some(Self { launches: processes.to_vec(), ordered })
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.ordered.len()
    }

    /// The median launch of each process, in order.
    pub fn medians(&self) -> Vec<f64> {
        self.ordered.iter().map(|p| Statistic::Median.of(p)).collect()
    }

    /// The statistic with its interval at [`LEVEL`].
    pub fn estimate(&self, statistic: Statistic) -> Estimate {
        self.estimate_at(statistic, LEVEL)
    }

    /// The statistic with its interval at a chosen level, which is brought into 0..1.
    pub fn estimate_at(&self, statistic: Statistic, level: f64) -> Estimate {
        let level = proper(level);
        let located = match self.ordered.as_slice() {
            [one] => over_launches(one, statistic, level),
            _ => over_processes(&self.logs(statistic), level),
        };
        let spread = self.spread();
        located.with(spread.between(), spread.within)
    }

    /// The statistic of each process, in logarithms.
    fn logs(&self, statistic: Statistic) -> Vec<f64> {
        self.ordered.iter().map(|p| statistic.of(p).ln()).collect()
    }

    fn spread(&self) -> Spread {
        let within = within(&self.launches);
        let shares: Vec<f64> = self.ordered.iter().map(|p| median_variance(p.len())).collect();
        let explained = within * within * mean(&shares);
        Spread { medians: self.logs(Statistic::Median), within, explained }
    }
}

/// The headline over cases: the geometric mean of the statistic, with one interval.
///
/// When every case has the same number of processes, two or more, the r-th of each must be one
/// process, and the geometric mean is formed within it first: what slows all cases of a process
/// then counts once, as it should, and not as if it could cancel out. Otherwise the cases'
/// intervals are combined as independent ones, which is too narrow as far as they are not; the
/// basis is then the weakest and the level the lowest of theirs.
///
/// `None` when there is no case, or one has no estimate.
pub fn combined(cases: &[Vec<Vec<f64>>], statistic: Statistic) -> Option<Estimate> {
    let cases: Vec<Levels> = cases.iter().map(|c| Levels::of(c)).collect::<Option<_>>()?;
    let first = cases.first()?;
    if cases.len() == 1 {
        return Some(first.estimate(statistic));
    }
    let shared = first.processes();
    if shared < 2 || cases.iter().any(|case| case.processes() != shared) {
        return independent(&cases, statistic);
    }
    let by_case: Vec<Vec<f64>> = cases.iter().map(|case| case.logs(statistic)).collect();
    let spreads: Vec<Spread> = cases.iter().map(Levels::spread).collect();
    let medians: Vec<Vec<f64>> = spreads.iter().map(|s| s.medians.clone()).collect();
    let number = cases.len() as f64;
    let spread = Spread {
        medians: across(&medians, shared),
        within: root_mean_square(spreads.iter().map(|s| s.within)),
        explained: spreads.iter().map(|s| s.explained).sum::<f64>() / (number * number),
    };
    let located = over_processes(&across(&by_case, shared), LEVEL);
    Some(located.with(spread.between(), spread.within))
}

/// The mean over cases for each process.
fn across(cases: &[Vec<f64>], processes: usize) -> Vec<f64> {
    let of = |process: usize| cases.iter().map(|case| case[process]).collect::<Vec<_>>();
    (0..processes).map(|process| mean(&of(process))).collect()
}

fn independent(cases: &[Levels], statistic: Statistic) -> Option<Estimate> {
    let parts: Vec<Estimate> = cases.iter().map(|case| case.estimate(statistic)).collect();
    let intervals: Vec<Interval> = parts.iter().map(|p| p.interval).collect();
    let weakest = |basis: &Basis| match basis {
        Basis::Launches => 0,
        Basis::FewProcesses => 1,
        Basis::Processes => 2,
    };
    let between = root_mean_square(parts.iter().map(|p| p.between_sd));
    Some(Estimate {
        interval: combine_log_intervals(&intervals)?,
        level: parts.iter().map(|p| p.level).fold(1.0, f64::min),
        basis: parts.iter().map(|p| p.basis).min_by_key(weakest)?,
        between_sd: between / (parts.len() as f64).sqrt(),
        within_sd: root_mean_square(parts.iter().map(|p| p.within_sd)),
    })
}

fn root_mean_square(values: impl Iterator<Item = f64>) -> f64 {
    mean(&values.map(|x| x * x).collect::<Vec<_>>()).sqrt()
}

/// Half of an interval's width as a share of its value: the "± 1 %" of a report. `None` when the
/// value is 0 or the result is not finite.
pub fn relative_half_width(interval: &Interval) -> Option<f64> {
    let half = interval.upper / 2.0 - interval.lower / 2.0;
    Some(half / interval.value.abs()).filter(|width| width.is_finite())
}

/// An estimate without its spreads.
struct Located {
    interval: Interval,
    level: f64,
    basis: Basis,
}

impl Located {
    fn with(self, between_sd: f64, within_sd: f64) -> Estimate {
        let Self { interval, level, basis } = self;
        Estimate { interval, level, basis, between_sd, within_sd }
    }
}

/// A level that a quantile exists for.
fn proper(level: f64) -> f64 {
    if level.is_nan() { LEVEL } else { level.clamp(0.0, 1.0 - f64::EPSILON) }
}

/// The location of two or more processes' logarithms, taken back to times.
fn over_processes(logs: &[f64], level: f64) -> Located {
    let ranks = FEWEST_FOR_RANKS..=signed_rank::MAX;
    if ranks.contains(&logs.len())
        && let Some(centre) = signed_rank::interval(logs, level)
    {
        let interval = exponential(centre.interval);
        return Located { interval, level: centre.level, basis: Basis::Processes };
    }
    let middle = mean(logs);
    let half = t_half_width(logs, middle, level);
    let around = Interval { value: middle, lower: middle - half, upper: middle + half };
    // Of more processes than ranks are tabulated for, a mean is normal whatever they are.
    let many = logs.len() > signed_rank::MAX;
    let basis = if many { Basis::Processes } else { Basis::FewProcesses };
    Located { interval: exponential(around), level, basis }
}

/// Half the width of Student's interval for the mean of two or more values; 0 for one.
fn t_half_width(values: &[f64], mean: f64, level: f64) -> f64 {
    let n = values.len();
    let t = student::two_sided(n.saturating_sub(1), level).unwrap_or(0.0);
    t * deviation(values, mean) / (n as f64).sqrt()
}

/// Back from logarithms, within the numbers that have one.
fn exponential(logs: Interval) -> Interval {
    let back = |x: f64| x.exp().clamp(f64::MIN_POSITIVE, f64::MAX);
    Interval { value: back(logs.value), lower: back(logs.lower), upper: back(logs.upper) }
}

/// One process: the interval is over its launches.
///
/// Quantiles have order statistics. The smallest of m launches estimates the value that the
/// smallest of m lies below half of the time, which is the quantile 1 - 2^(-1/m); nothing observed
/// bounds it from below, and the level says so. The mean has Student's t on the relative scale.
fn over_launches(sorted: &[f64], statistic: Statistic, level: f64) -> Located {
    let n = sorted.len();
    let value = statistic.of(sorted);
    let p = match statistic {
        Statistic::Median => 0.5,
        Statistic::P90 => 0.9,
        Statistic::Min => 1.0 - (-1.0 / n as f64).exp2(),
        Statistic::Mean => {
            let half = t_half_width(sorted, value, level) / value;
            let interval =
                Interval { value, lower: value * (-half).exp(), upper: value * half.exp() };
            let level = if n > 1 { level } else { 0.0 };
            return Located { interval: bounded(interval), level, basis: Basis::Launches };
        }
    };
    let ranks = quantile_ranks(n, p, level);
    // An interpolated quantile may lie beside the ranks of a low level.
    let (lower, upper) = (sorted[ranks.lower - 1].min(value), sorted[ranks.upper - 1].max(value));
    Located {
        interval: Interval { value, lower, upper },
        level: ranks.level,
        basis: Basis::Launches,
    }
}

/// Within the positive finite numbers, as [`exponential`] gives them.
fn bounded(interval: Interval) -> Interval {
    let within = |x: f64| x.clamp(f64::MIN_POSITIVE, f64::MAX);
    Interval { lower: within(interval.lower), upper: within(interval.upper), ..interval }
}

/// What varies at which level, in logarithms.
struct Spread {
    /// The median of each process.
    medians: Vec<f64>,
    /// Standard deviation of launches within a process.
    within: f64,
    /// The variance that launches alone give to a process's median.
    explained: f64,
}

impl Spread {
    /// The standard deviation of process effects: the variance of medians less the part that
    /// launches explain, as in an analysis of variance with random effects; never below 0.
    fn between(&self) -> f64 {
        let observed = deviation(&self.medians, mean(&self.medians));
        (observed * observed - self.explained).max(0.0).sqrt()
    }
}

/// The spread of launches in one process: 1.4826 times the median of `|a - b| / sqrt 2` over pairs
/// of launches of one process (Shamos 1976; Rousseeuw & Croux 1993, section 1). Like the median
/// absolute deviation it bears a quarter of wild launches; unlike it, it needs no centre and so is
/// not too small when a process has only a few launches. 0 when no process has two.
fn within(launches: &[Vec<f64>]) -> f64 {
    let mut differences = Vec::new();
    for process in launches {
        let logs: Vec<f64> = process.iter().map(|x| x.ln()).collect();
        for (i, a) in logs.iter().enumerate() {
            let near = logs[i + 1..].iter().take(FARTHEST_PAIR);
            differences.extend(near.map(|b| (a - b).abs()));
        }
    }
    sorted(&differences).map_or(0.0, |d| 1.4826 / std::f64::consts::SQRT_2 * quantile(&d, 0.5))
}

/// The variance of the median of `m` independent standard normal values: for few values from the
/// moments of order statistics (Sarhan & Greenberg 1962, table 10C.1), then pi / 2 (m + 1), which
/// is within 3 % of them.
fn median_variance(m: usize) -> f64 {
    const FEW: [f64; 10] =
        [1.0, 0.5, 0.4487, 0.2982, 0.2868, 0.2147, 0.2104, 0.1682, 0.1661, 0.1383];
    FEW.get(m.saturating_sub(1))
        .copied()
        .unwrap_or_else(|| std::f64::consts::FRAC_PI_2 / (m as f64 + 1.0))
}

#[cfg(test)]
mod tests;
