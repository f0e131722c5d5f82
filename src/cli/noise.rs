//! How far two runs of the same code differ here: a short A/A run on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::stats::quantile;

/// What an A/A run showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Noise {
    /// How often the same loop ran twice.
    pub(super) pairs: usize,
    /// How long one run of it took, microseconds.
    pub(super) run_us: f64,
    /// Between the two of a pair, in percent: the spread of a usual pair.
    pub(super) sd_percent: f64,
    /// Runs that took 5 % longer than the usual one, in percent of all.
    pub(super) disturbed_percent: f64,
}

/// What reading the clock costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ClockCost {
    /// One reading.
    pub(super) reading_ns: f64,
    /// The smallest difference that was seen.
    pub(super) step_ns: f64,
}

/// Runs the same loop in pairs on that core for so long; nothing when there was no time for it.
pub(super) fn measure(core: u32, time: Duration) -> Option<Noise> {
    // A thread of its own, so that only that one is bound to the core.
    let run = move || {
        pin(core);
        let until = Instant::now() + time;
        let rounds = calibrated(Duration::from_micros(500));
        let mut pairs = Vec::new();
        while Instant::now() < until {
            pairs.push((timed(rounds), timed(rounds)));
        }
        of_pairs(&pairs)
    };
    std::thread::spawn(run).join().ok().flatten()
}

/// A container may forbid it; then the run is as noisy as kernels would be.
fn pin(core: u32) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core as usize);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

/// Rounds of the loop that take about so long, at the speed of a core that has woken up.
fn calibrated(aim: Duration) -> u64 {
    const TRIAL: u64 = 20_000;
    let fastest = (0..10).map(|_| timed(TRIAL)).fold(f64::MAX, f64::min).max(1e-3);
    (TRIAL as f64 * aim.as_secs_f64() * 1e6 / fastest).max(1.0) as u64
}

/// Microseconds that the loop took.
fn timed(rounds: u64) -> f64 {
    let start = Instant::now();
    black_box(spin(black_box(rounds)));
    start.elapsed().as_secs_f64() * 1e6
}

/// Each round needs the one before; no memory is touched (Knuth's linear congruential generator).
fn spin(rounds: u64) -> u64 {
    (0..rounds).fold(1, |x: u64, _| {
        black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
}

/// The figures of pairs of times; the first pairs, which warm the core up, are left out.
fn of_pairs(pairs: &[(f64, f64)]) -> Option<Noise> {
    const WARMUP: usize = 4;
    let pairs = pairs.get(WARMUP..).filter(|pairs| !pairs.is_empty())?;
    let ratios: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).ln()).collect();
    let all = sorted(pairs.iter().flat_map(|(a, b)| [*a, *b]));
    let usual = quantile(&all, 0.5);
    let disturbed = all.iter().filter(|us| **us > 1.05 * usual).count();
    Some(Noise {
        pairs: pairs.len(),
        run_us: usual,
        sd_percent: robust_sd(&ratios) * 100.0,
        disturbed_percent: disturbed as f64 * 100.0 / all.len() as f64,
    })
}

/// 1.4826 times the median distance from the median, which is the standard deviation where the
/// values are normal (Rousseeuw and Croux, JASA 88, 1993); half of them may be anything.
fn robust_sd(values: &[f64]) -> f64 {
    let middle = quantile(&sorted(values.iter().copied()), 0.5);
    1.4826 * quantile(&sorted(values.iter().map(|v| (v - middle).abs())), 0.5)
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    all
}

/// Reads the clock often enough to know what that costs.
pub(super) fn clock_cost() -> ClockCost {
    const READINGS: u32 = 20_000;
    let start = Instant::now();
    let mut last = start;
    let mut step = Duration::MAX;
    for _ in 0..READINGS {
        let now = Instant::now();
        let passed = now - last;
        if !passed.is_zero() {
            step = step.min(passed);
        }
        last = now;
    }
    let reading = (last - start) / READINGS;
    // `Duration` divides to whole nanoseconds, too coarse for a fast clock.
    let exact = (last - start).as_secs_f64() * 1e9 / f64::from(READINGS);
    let step = if step == Duration::MAX { reading } else { step };
    ClockCost { reading_ns: exact, step_ns: step.as_secs_f64() * 1e9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_of_usual_pairs_and_the_rest_is_counted() {
        let mut pairs: Vec<(f64, f64)> = vec![(900.0, 100.0); 4];
        pairs.extend((0..100).map(|i| (100.0, 100.0 * (f64::from(i % 5) * 0.01 - 0.02).exp())));
        let noise = of_pairs(&pairs).expect("pairs");
        assert!((noise.sd_percent - 1.4826).abs() < 1e-6, "{noise:?}");
        assert_eq!((noise.pairs, noise.disturbed_percent), (100, 0.0));
        for pair in pairs.iter_mut().rev().take(10) {
            pair.1 = 900.0;
        }
        let noise = of_pairs(&pairs).expect("pairs");
        assert!((noise.disturbed_percent - 5.0).abs() < 1e-9, "{noise:?}");
        assert!(noise.sd_percent < 3.0, "{noise:?}");
        assert_eq!(of_pairs(&pairs[..4]), None);
    }

    #[test]
    fn this_machine_has_a_figure() {
        let core = crate::cli::hardware::usable_cores()[0];
        // A machine that is busy with other things may give it the core late.
        let seen = |power| measure(core, Duration::from_millis(1u64 << power));
        let mut seen = (6..12).filter_map(seen).filter(|noise| noise.pairs > 1);
        let noise = seen.next().expect("time for some pairs");
        assert!(noise.sd_percent.is_finite() && noise.run_us > 1.0, "{noise:?}");
        assert!((0.0..=100.0).contains(&noise.disturbed_percent), "{noise:?}");
        assert_eq!(measure(core, Duration::ZERO), None);
    }

    #[test]
    fn reading_the_clock_takes_time_and_moves_it_on() {
        let cost = clock_cost();
        assert!(cost.reading_ns > 0.0 && cost.step_ns >= 1.0, "{cost:?}");
    }
}
