//! Rules that decide: ours, and those that loops around kernels use.

use optloop::stats::remote::{Calls, RemoteNext, RemoteRule};
use optloop::stats::sequential::{Next, Rule, gain};
use optloop::stats::{Calibration, NoiseLimits};
use rand::Rng;

use crate::noise::Machine;
use crate::numbers::{at, mean, median};

/// Launches of a slot pair, and the warm-up launches of a new pair of processes.
const OF_A_PAIR: usize = 8;
const OF_A_START: usize = 4;
/// Launches that the rules of others take in a process, and those before that they do not count.
const ALONE: usize = 32;
const WARM_UP: usize = 3;

/// How one decision went.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Outcome {
    pub(crate) kept: bool,
    pub(crate) launches: usize,
    /// The gain that it reports.
    pub(crate) gain: f64,
}

/// What decides.
#[derive(Debug, Clone)]
pub(crate) enum Decider {
    /// The sequential rule on pairs.
    Ours(Rule),
    /// Both sides once, each in a process: kept when its median is lower by more than this.
    LowerMedian(f64),
    /// The same, kept when a rank-sum test says so at 5 %.
    MannWhitney,
    /// Stages of 8, 16 and 32 launches and a final one of 64 against a stored number.
    StagedAndFinal,
}

impl Decider {
    /// Decides once about a candidate whose logarithmic speed-up is `d`.
    pub(crate) fn decide(&self, machine: &mut Machine<'_, impl Rng>, d: f64, r: usize) -> Outcome {
        match self {
            Self::Ours(rule) => ours(rule, machine, d, r),
            Self::LowerMedian(least) => {
                let (a, b) = both(machine, d);
                let gain = gain(median(&a) - median(&b));
                Outcome { kept: gain > *least, launches: 2 * (ALONE + WARM_UP), gain }
            }
            Self::MannWhitney => {
                let (a, b) = both(machine, d);
                let gain = gain(median(&a) - median(&b));
                let kept = rank_sum_z(&a, &b) > 1.645;
                Outcome { kept, launches: 2 * (ALONE + WARM_UP), gain }
            }
            Self::StagedAndFinal => staged(machine, d),
        }
    }
}

/// The pairs that a process may serve on this machine, and whether it is fit for decisions at all.
pub(crate) fn calibrate(machine: &mut Machine<'_, impl Rng>) -> Calibration {
    let mut processes = Vec::new();
    for _ in 0..12 {
        machine.fresh(4);
        processes.push((0..4).map(|_| machine.pair()).collect::<Vec<f64>>());
    }
    let calibration = Calibration::of(&processes, &Rule::default(), &NoiseLimits::default());
    calibration.expect("times are finite")
}

/// Pairs with new processes every r of them.
fn measure(machine: &mut Machine<'_, impl Rng>, d: f64, r: usize, pairs: &mut Vec<f64>) -> usize {
    let start = pairs.len().is_multiple_of(r);
    if start {
        machine.fresh(r);
    }
    let pair = machine.pair() + d;
    pairs.push(pair);
    OF_A_PAIR + if start { OF_A_START } else { 0 }
}

fn ours(rule: &Rule, machine: &mut Machine<'_, impl Rng>, d: f64, r: usize) -> Outcome {
    let (mut pairs, mut confirm, mut launches) = (Vec::new(), Vec::new(), 0);
    loop {
        match rule.next(&pairs) {
            Next::GoOn { .. } => launches += measure(machine, d, r, &mut pairs),
            Next::Confirm { .. } => {
                while let Some(wanted) = rule.wanted_to_confirm(&pairs, &confirm) {
                    while confirm.len() < wanted as usize {
                        launches += measure(machine, d, r, &mut confirm);
                    }
                }
                break;
            }
            Next::End(_) => break,
        }
    }
    let verdict = rule.judge(&pairs, &confirm);
    let gain = verdict.estimate().map_or(0.0, gain);
    Outcome { kept: verdict.is_keep(), launches, gain }
}

/// A process of each side, one after the other.
fn both(machine: &mut Machine<'_, impl Rng>, d: f64) -> (Vec<f64>, Vec<f64>) {
    let a = machine.alone(ALONE);
    (a, candidate(machine, d, ALONE))
}

fn candidate(machine: &mut Machine<'_, impl Rng>, d: f64, launches: usize) -> Vec<f64> {
    machine.alone(launches).iter().map(|time| time - d).collect()
}

/// The incumbent's number is stored from when it was the candidate. The candidate must beat it
/// after 32 launches and again after 64 in a new process, and is given up early when it is 2 %
/// behind after 8 or 16.
fn staged(machine: &mut Machine<'_, impl Rng>, d: f64) -> Outcome {
    let stored = median(&machine.alone(2 * ALONE));
    let stage = candidate(machine, d, ALONE);
    for (launches, behind) in [(8, 0.02), (16, 0.02), (32, 0.0)] {
        let seen = &stage[..launches.min(stage.len())];
        if median(seen) >= stored + behind {
            return Outcome { kept: false, launches: launches + WARM_UP, gain: 0.0 };
        }
    }
    let gain = gain(stored - median(&candidate(machine, d, 2 * ALONE)));
    Outcome { kept: gain > 0.0, launches: 3 * ALONE + 2 * WARM_UP, gain }
}

/// How far the candidate's ranks lie below the incumbent's, in standard errors (Mann & Whitney
/// 1947, the normal approximation).
fn rank_sum_z(incumbent: &[f64], candidate: &[f64]) -> f64 {
    let of = |b: &f64| -> f64 {
        let win = |a: &f64| if b < a { 1.0 } else { f64::from(u8::from(b <= a)) / 2.0 };
        incumbent.iter().map(win).sum()
    };
    let wins: f64 = candidate.iter().map(of).sum();
    let (n, m) = (incumbent.len() as f64, candidate.len() as f64);
    (wins - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// What a remote harness says of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Told {
    Median,
    Best,
    Mean,
}

impl Told {
    pub(crate) const ALL: [Self; 3] = [Self::Median, Self::Best, Self::Mean];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Best => "best",
            Self::Mean => "mean",
        }
    }

    /// A call: a process of its own, of which only one number is known.
    fn call(self, machine: &mut Machine<'_, impl Rng>) -> f64 {
        let times = machine.alone(ALONE);
        match self {
            Self::Median => median(&times),
            Self::Best => at(&times, 0.0),
            Self::Mean => mean(&times.iter().map(|t| t.exp()).collect::<Vec<f64>>()).ln(),
        }
    }
}

/// A decision by calls; its launches are calls, those that calibrate not counted.
pub(crate) fn remote(machine: &mut Machine<'_, impl Rng>, d: f64, told: Told) -> Outcome {
    let rule = RemoteRule::default();
    let mut calls = Calls::default();
    loop {
        match rule.next(&calls) {
            RemoteNext::Calibrate => calls.calibration.push(told.call(machine)),
            RemoteNext::Screen => calls.screen = Some(told.call(machine) - d),
            RemoteNext::Pair => {
                let first = told.call(machine);
                let second = told.call(machine);
                let (a, b) = if machine.coin() { (first, second) } else { (second, first) };
                calls.pairs.push((a, b - d));
            }
            RemoteNext::End(verdict) => {
                let gain = verdict.estimate().map_or(0.0, gain);
                return Outcome { kept: verdict.is_keep(), launches: calls.count(), gain };
            }
        }
    }
}
