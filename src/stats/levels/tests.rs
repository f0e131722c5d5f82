use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::*;

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1e-9 + a.abs().max(b.abs()))
}

fn of(processes: &[Vec<f64>]) -> Estimate {
    Levels::of(processes).unwrap().estimate(Statistic::Median)
}

/// Processes of one launch each, at these logarithms.
fn at_logs(logs: &[f64]) -> Vec<Vec<f64>> {
    logs.iter().map(|x: &f64| vec![x.exp()]).collect()
}

#[test]
fn the_basis_and_the_level_follow_the_number_of_processes() {
    let process = vec![10.0, 10.1, 9.9, 10.0];
    for (processes, basis, level) in [
        (1, Basis::Launches, 0.875),
        (2, Basis::FewProcesses, 0.95),
        (5, Basis::FewProcesses, 0.95),
        (6, Basis::Processes, 0.96875),
        (8, Basis::Processes, 0.9609375),
        (200, Basis::Processes, 0.95),
    ] {
        let found = of(&vec![process.clone(); processes]);
        assert_eq!(found.basis, basis, "{processes}");
        assert!(close(found.level, level), "{processes}: {}", found.level);
        assert!(close(found.interval.value, 10.0), "{processes}: {found:?}");
    }
}

#[test]
fn two_processes_have_students_interval_on_logarithms() {
    let found = of(&at_logs(&[0.0, 0.02])).interval;
    // Mean 0.01, sd 0.02 / sqrt 2, t 12.706, over sqrt 2.
    assert!(close(found.value, 0.01_f64.exp()), "{found:?}");
    assert!((found.upper.ln() - 0.01 - 0.127_062).abs() < 1e-6, "{found:?}");
    assert!((found.lower.ln() - 0.01 + 0.127_062).abs() < 1e-6, "{found:?}");
}

#[test]
fn eight_processes_have_the_fourth_walsh_averages() {
    let logs = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07];
    let found = of(&at_logs(&logs)).interval;
    // Walsh averages from below: 0, 0.005, 0.01, 0.01, …
    for (end, expected) in [(found.value, 0.035), (found.lower, 0.01), (found.upper, 0.06)] {
        assert!((end.ln() - expected).abs() < 1e-12, "{found:?}");
    }
}

#[test]
fn each_statistic_is_that_of_the_processes() {
    let slow = |by: f64| vec![10.0 * by, 11.0 * by, 12.0 * by, 31.0 * by];
    let levels = Levels::of(&(0..6).map(|_| slow(1.0)).collect::<Vec<_>>()).unwrap();
    for (statistic, expected) in [
        (Statistic::Median, 11.5),
        (Statistic::Mean, 16.0),
        (Statistic::Min, 10.0),
        (Statistic::P90, 25.3),
    ] {
        let found = levels.estimate(statistic).interval;
        assert!(close(found.value, expected), "{statistic:?}: {found:?}");
        assert!(close(found.lower, expected) && close(found.upper, expected), "{found:?}");
    }
    assert_eq!(levels.medians(), [11.5; 6]);
}

#[test]
fn one_process_has_order_statistics_and_says_how_sure_they_are() {
    let launches: Vec<f64> = (1..=20).map(f64::from).collect();
    let levels = Levels::of(&[launches]).unwrap();
    let median = levels.estimate(Statistic::Median);
    assert_eq!((median.interval.lower, median.interval.upper), (6.0, 15.0));
    assert!(median.level >= 0.95 && median.basis == Basis::Launches);
    // Nothing bounds the smallest from below: about half of the level is lost.
    let min = levels.estimate(Statistic::Min);
    assert_eq!((min.interval.value, min.interval.lower), (1.0, 1.0));
    assert!(min.interval.upper > 1.0 && (0.4..0.55).contains(&min.level), "{min:?}");
    let mean = levels.estimate(Statistic::Mean).interval;
    assert!(mean.lower < 10.5 && mean.upper > 10.5, "{mean:?}");
    for statistic in Statistic::ALL {
        let lone = Levels::of(&[vec![7.0]]).unwrap().estimate(statistic);
        assert!(lone.level <= 0.5, "{statistic:?}: {lone:?}");
        assert_eq!((lone.interval.value, lone.between_sd, lone.within_sd), (7.0, 0.0, 0.0));
    }
}

#[test]
fn what_is_no_time_has_no_levels() {
    for bad in [
        &[][..],
        &[vec![]],
        &[vec![1.0], vec![]],
        &[vec![1.0, f64::NAN]],
        &[vec![f64::INFINITY]],
        &[vec![0.0]],
        &[vec![1.0], vec![-1.0]],
    ] {
        assert_eq!(Levels::of(bad), None, "{bad:?}");
        assert_eq!(combined(&[vec![vec![1.0]], bad.to_vec()], Statistic::Median), None);
    }
    assert_eq!(combined(&[], Statistic::Median), None);
}

#[test]
fn a_slow_process_counts_once_over_all_its_cases() {
    // Both cases are 10 % slower in every second process: nothing cancels.
    let case = |base: f64| -> Vec<Vec<f64>> {
        (0..8).map(|p| vec![base * if p % 2 == 0 { 1.0 } else { 1.1 }]).collect()
    };
    let alone = of(&case(1.0));
    let both = combined(&[case(100.0), case(400.0)], Statistic::Median).unwrap();
    assert!(close(both.interval.value / 200.0, alone.interval.value), "{both:?}");
    assert!(close(
        both.interval.upper / both.interval.lower,
        alone.interval.upper / alone.interval.lower
    ));
    assert!(close(both.between_sd, alone.between_sd));
    // Opposite effects cancel, as they do in the headline of each process.
    let turned: Vec<Vec<f64>> = case(400.0).into_iter().rev().collect();
    let none = combined(&[case(100.0), turned], Statistic::Median).unwrap();
    assert!(none.interval.upper / none.interval.lower < 1.0 + 1e-9, "{none:?}");
}

#[test]
fn cases_with_different_processes_are_combined_as_independent() {
    let eight: Vec<Vec<f64>> = (0..8).map(|p| vec![100.0 + f64::from(p)]).collect();
    let two = eight[..2].to_vec();
    let found = combined(&[eight.clone(), two.clone()], Statistic::Median).unwrap();
    assert_eq!((found.basis, found.level), (Basis::FewProcesses, 0.95));
    let parts = [of(&eight).interval, of(&two).interval];
    assert_eq!(Some(found.interval), combine_log_intervals(&parts));
    let lone = combined(&[vec![vec![1.0, 2.0]], vec![vec![3.0, 4.0]]], Statistic::Median).unwrap();
    assert_eq!((lone.basis, lone.level), (Basis::Launches, 0.5));
    assert_eq!(
        combined(&[two.clone()], Statistic::Min),
        Some(Levels::of(&two).unwrap().estimate(Statistic::Min))
    );
}

#[test]
fn the_half_width_is_a_share_of_the_value() {
    let interval = Interval { value: 100.0, lower: 99.0, upper: 103.0 };
    assert_eq!(relative_half_width(&interval), Some(0.02));
    let zero = Interval { value: 0.0, lower: 0.0, upper: 0.0 };
    assert_eq!(relative_half_width(&zero), None);
    let widest = Interval { value: 1.0, lower: 0.0, upper: f64::MAX };
    assert_eq!(relative_half_width(&widest), Some(f64::MAX / 2.0));
}

#[test]
fn the_variance_of_medians_agrees_with_drawn_ones() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for m in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 25] {
        let squares: Vec<f64> = (0..40_000)
            .map(|_| {
                let draw: Vec<f64> = (0..m).map(|_| rng.sample(StandardNormal)).collect();
                quantile(&sorted(&draw).unwrap(), 0.5).powi(2)
            })
            .collect();
        let ratio = mean(&squares) / median_variance(m);
        assert!((ratio - 1.0).abs() < 0.05, "m = {m}: {ratio}");
    }
}

/// Noise as on a shared machine: processes of unequal speed, launches that vary, some disturbed.
struct Noise {
    between: f64,
    within: f64,
    spikes: f64,
}

impl Noise {
    const SHARED: Self = Self { between: 0.005, within: 0.01, spikes: 0.05 };

    fn measurement(
        &self,
        rng: &mut ChaCha8Rng,
        processes: usize,
        launches: usize,
    ) -> Vec<Vec<f64>> {
        let mut process = || {
            let effect = self.between * rng.sample::<f64, _>(StandardNormal);
            let mut launch = || {
                let log = effect + self.within * rng.sample::<f64, _>(StandardNormal);
                let spike: bool = rng.random_bool(self.spikes);
                100.0 * log.exp() * if spike { rng.random_range(1.05..2.0) } else { 1.0 }
            };
            (0..launches).map(|_| launch()).collect()
        };
        (0..processes).map(|_| process()).collect()
    }

    /// The statistic over very many processes: the middle one's.
    fn truth(&self, rng: &mut ChaCha8Rng, launches: usize, statistic: Statistic) -> f64 {
        let many = self.measurement(rng, 60_000, launches);
        let logs = Levels::of(&many).unwrap().logs(statistic);
        quantile(&sorted(&logs).unwrap(), 0.5).exp()
    }
}

/// How often 1 000 intervals hold `truth`, and their median relative half-width.
fn coverage(
    rng: &mut ChaCha8Rng,
    shape: (usize, usize),
    statistic: Statistic,
    truth: f64,
) -> (f64, f64) {
    let found: Vec<(bool, f64)> = (0..1000)
        .map(|_| {
            let measured = Noise::SHARED.measurement(rng, shape.0, shape.1);
            let interval = Levels::of(&measured).unwrap().estimate(statistic).interval;
            let holds = interval.lower <= truth && truth <= interval.upper;
            (holds, relative_half_width(&interval).unwrap())
        })
        .collect();
    let widths = sorted(&found.iter().map(|f| f.1).collect::<Vec<_>>()).unwrap();
    (found.iter().filter(|f| f.0).count() as f64 / 1000.0, quantile(&widths, 0.5))
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let mut rng = ChaCha8Rng::seed_from_u64(2026);
    // The truth of the median is that of a long interleaved run: one launch per process.
    let long_run = Noise::SHARED.truth(&mut rng, 1, Statistic::Median);
    for (processes, least) in [(2, 0.90), (4, 0.90), (6, 0.93), (8, 0.93), (16, 0.93)] {
        let (share, width) = coverage(&mut rng, (processes, 4), Statistic::Median, long_run);
        println!("{processes} x 4 median: holds {share:.3}, half-width {:.2} %", width * 100.0);
        assert!(share >= least, "{processes} processes: {share}");
    }
    for statistic in [Statistic::Mean, Statistic::Min, Statistic::P90] {
        let truth = Noise::SHARED.truth(&mut rng, 4, statistic);
        for processes in [4, 8] {
            let (share, width) = coverage(&mut rng, (processes, 4), statistic, truth);
            println!(
                "{processes} x 4 {statistic:?}: holds {share:.3}, half-width {:.2} %",
                width * 100.0
            );
        }
    }
}

#[test]
fn the_spreads_come_out_near_those_that_were_put_in() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let middle = |values: Vec<f64>| quantile(&sorted(&values).unwrap(), 0.5);
    for (between, within) in [(0.02, 0.01), (0.0, 0.01), (0.01, 0.001)] {
        let noise = Noise { between, within, spikes: 0.02 };
        let found: Vec<Estimate> =
            (0..100).map(|_| of(&noise.measurement(&mut rng, 12, 4))).collect();
        let got_within = middle(found.iter().map(|e| e.within_sd).collect());
        let got_between = middle(found.iter().map(|e| e.between_sd).collect());
        assert!((got_within / within - 1.0).abs() < 0.15, "{within}: {got_within}");
        assert!((got_between - between).abs() < 0.15 * between + 0.002, "{between}: {got_between}");
    }
}

fn measurements() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let process = prop::collection::vec(50.0..200.0_f64, 1..6);
    prop::collection::vec(process, 1..12)
}

fn statistics() -> impl Strategy<Value = Statistic> {
    prop::sample::select(Statistic::ALL.to_vec())
}

proptest! {
    #[test]
    fn the_unit_goes_through(processes in measurements(), s in statistics(), unit in 1e-3..1e3_f64) {
        let before = Levels::of(&processes).unwrap().estimate(s);
        let scaled: Vec<Vec<f64>> =
            processes.iter().map(|p| p.iter().map(|x| x * unit).collect()).collect();
        let after = Levels::of(&scaled).unwrap().estimate(s);
        prop_assert!(close(after.interval.value, before.interval.value * unit));
        prop_assert!(close(after.interval.lower, before.interval.lower * unit));
        prop_assert!(close(after.interval.upper, before.interval.upper * unit));
        prop_assert!((after.between_sd - before.between_sd).abs() < 1e-6);
        prop_assert!((after.within_sd - before.within_sd).abs() < 1e-9);
        prop_assert_eq!((after.level, after.basis), (before.level, before.basis));
    }

    #[test]
    fn the_order_of_processes_and_launches_does_not_matter(
        processes in measurements(), s in statistics(), by in 0..12_usize,
    ) {
        let before = Levels::of(&processes).unwrap().estimate(s);
        let mut moved = processes;
        let len = moved.len();
        moved.rotate_left(by % len);
        for process in &mut moved {
            process.reverse();
        }
        let after = Levels::of(&moved).unwrap().estimate(s);
        prop_assert!(close(after.interval.value, before.interval.value));
        prop_assert!(close(after.interval.lower, before.interval.lower));
        prop_assert!(close(after.interval.upper, before.interval.upper));
        prop_assert_eq!(after.within_sd, before.within_sd);
    }

    #[test]
    fn a_factor_per_process_moves_only_what_lies_between(
        processes in measurements(), factors in prop::collection::vec(0.5..2.0_f64, 12),
    ) {
        let before = of(&processes);
        let moved: Vec<Vec<f64>> = processes
            .iter()
            .zip(&factors)
            .map(|(p, factor)| p.iter().map(|x| x * factor).collect())
            .collect();
        let after = of(&moved);
        prop_assert!((after.within_sd - before.within_sd).abs() < 1e-9);
        let reach = |e: &Estimate| (e.interval.lower, e.interval.upper);
        if processes.len() >= FEWEST_FOR_RANKS {
            // The ranks' bounds lie among the processes themselves.
            let medians = Levels::of(&moved).unwrap().medians();
            let lowest = medians.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = medians.iter().copied().fold(0.0, f64::max);
            let (lower, upper) = reach(&after);
            prop_assert!(lower >= lowest * (1.0 - 1e-12) && upper <= highest * (1.0 + 1e-12));
        }
    }

    #[test]
    fn a_higher_level_is_never_narrower(
        processes in measurements(), s in statistics(), a in 0.0..1.0_f64, b in 0.0..1.0_f64,
    ) {
        let levels = Levels::of(&processes).unwrap();
        let (less, more) = (levels.estimate_at(s, a.min(b)), levels.estimate_at(s, a.max(b)));
        for e in [&less, &more] {
            let i = e.interval;
            prop_assert!(i.lower <= i.value && i.value <= i.upper, "{:?}", e);
            prop_assert!((0.0..=1.0).contains(&e.level));
        }
        // Ranks that cannot reach a level give way to t: only within one basis is there an order.
        if less.basis == more.basis {
            prop_assert!(more.interval.lower <= less.interval.lower);
            prop_assert!(more.interval.upper >= less.interval.upper);
            prop_assert!(more.level >= less.level);
        }
    }

    #[test]
    fn extreme_times_give_finite_numbers(
        processes in prop::collection::vec(prop::collection::vec(f64::MIN_POSITIVE..f64::MAX, 1..5), 1..9),
        s in statistics(),
    ) {
        let e = Levels::of(&processes).unwrap().estimate(s);
        let i = e.interval;
        for x in [i.value, i.lower, i.upper, e.level, e.between_sd, e.within_sd] {
            prop_assert!(x.is_finite(), "{:?}", e);
        }
        prop_assert!(i.lower > 0.0);
        prop_assert!(combined(&[processes.clone(), processes], s).is_some());
    }
}
