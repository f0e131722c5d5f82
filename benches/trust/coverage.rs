//! How often the 95 % interval holds the truth of a long run, over fresh processes.

use optloop::measure::{CaseResult, Statistic};
use optloop::stats::{Estimate, relative_half_width};
use serde_json::json;

use crate::Asked;
use crate::numbers::{deviation, lag_correlation, location, mean, median, share};
use crate::subject::{measured, protocol};
use crate::world::World;

const KERNELS: [&str; 3] = ["softmax", "sgemm_fast", "reduce_sum_fast"];

/// Above this relative half-width a stage calls its result unstable.
const UNSTABLE: f64 = 0.05;

/// Repetitions before and after one that stand for the machine at that time.
const NEAR: usize = 15;

/// One repetition.
pub(crate) struct Rep {
    pub(crate) estimate: Estimate,
    /// The median of each process.
    pub(crate) processes: Vec<f64>,
    /// All launches that count.
    pub(crate) launches: Vec<f64>,
    pub(crate) unconfirmed: u64,
    pub(crate) seconds: f64,
}

impl Rep {
    pub(crate) fn of(case: &CaseResult, seconds: f64) -> Self {
        let counted = |samples: &Vec<_>| {
            let alone = CaseResult { processes: vec![samples.clone()], ..case.clone() };
            median(&alone.times_us())
        };
        Self {
            estimate: case.estimate(Statistic::Median).expect("a case has samples"),
            processes: case.processes.iter().map(counted).collect(),
            launches: case.times_us(),
            unconfirmed: case.unconfirmed,
            seconds,
        }
    }

    pub(crate) fn holds(&self, truth: f64) -> bool {
        self.estimate.interval.lower <= truth && truth <= self.estimate.interval.upper
    }

    pub(crate) fn half_width(&self) -> f64 {
        relative_half_width(&self.estimate.interval).unwrap_or(f64::INFINITY)
    }
}

/// The location of all processes of some repetitions.
pub(crate) fn truth_of<'a>(reps: impl Iterator<Item = &'a Rep>) -> f64 {
    location(&reps.flat_map(|rep| rep.processes.iter().copied()).collect::<Vec<_>>())
}

pub(crate) fn run(world: &World, asked: &Asked) {
    let count = asked.reps(300);
    let kernels = KERNELS.map(|name| world.shipped(name).largest());
    let mut reps = KERNELS.map(|_| Vec::new());
    for number in 0..count {
        for (kernel, reps) in kernels.iter().zip(&mut reps) {
            let (measurement, spent) = measured(world, kernel, &protocol());
            let rep = Rep::of(&measurement.cases[0], spent.total);
            asked.record(&json!({ "study": "coverage", "load": asked.load, "kernel": kernel.name,
                "rep": number, "interval": rep.estimate.interval, "processes_us": rep.processes,
                "launches_us": rep.launches, "unconfirmed": rep.unconfirmed }));
            reps.push(rep);
        }
        if number % 20 == 19 {
            eprintln!("{} of {count}", number + 1);
        }
    }
    let load = if asked.load { "the other cores busy" } else { "quiet" };
    println!("{count} repetitions of 8 processes × 4 launches, {load}.\n");
    println!(
        "| kernel | truth µs | holds it | holds the median launch | holds the truth of its time | \
         mean half-width | unstable | s a repetition |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    kernels.iter().zip(&reps).for_each(|(kernel, reps)| coverage(&kernel.name, reps));
    println!(
        "\n| kernel | from launch to launch | from process to process | from repetition to \
              repetition | expected of that | correlation of neighbours | not counted |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    kernels.iter().zip(&reps).for_each(|(kernel, reps)| variation(&kernel.name, reps));
}

fn coverage(name: &str, reps: &[Rep]) {
    let truth = truth_of(reps.iter());
    let pooled = median(&reps.iter().flat_map(|r| r.launches.iter().copied()).collect::<Vec<_>>());
    let held = |truth: f64| reps.iter().filter(|rep| rep.holds(truth)).count();
    let near = (0..reps.len()).filter(|&i| reps[i].holds(truth_near(reps, i))).count();
    let widths: Vec<f64> = reps.iter().map(Rep::half_width).collect();
    let unstable = widths.iter().filter(|&&width| width > UNSTABLE).count();
    println!(
        "| {name} | {truth:.3} | {} | {} | {} | ± {:.2} % | {:.1} % | {:.2} |",
        share(held(truth), reps.len()),
        share(held(pooled), reps.len()),
        share(near, reps.len()),
        100.0 * mean(&widths),
        100.0 * unstable as f64 / reps.len() as f64,
        mean(&reps.iter().map(|rep| rep.seconds).collect::<Vec<_>>()),
    );
}

/// What the neighbours in time of a repetition say, without it.
fn truth_near(reps: &[Rep], index: usize) -> f64 {
    let near = index.saturating_sub(NEAR)..(index + NEAR + 1).min(reps.len());
    let others = near.filter(|&other| other != index || reps.len() == 1);
    truth_of(others.map(|other| &reps[other]))
}

/// What varies: where results of neighbours are alike and spread more than their own processes
/// explain, the machine changed its speed meanwhile.
fn variation(name: &str, reps: &[Rep]) {
    let values: Vec<f64> = reps.iter().map(|rep| rep.estimate.interval.value.ln()).collect();
    let logs = |rep: &Rep| rep.processes.iter().map(|us| us.ln()).collect::<Vec<_>>();
    let between: Vec<f64> = reps.iter().map(|rep| deviation(&logs(rep))).collect();
    let within: Vec<f64> = reps.iter().map(|rep| rep.estimate.within_sd).collect();
    let processes = reps[0].processes.len() as f64;
    let unconfirmed: u64 = reps.iter().map(|rep| rep.unconfirmed).sum();
    let launches: usize = reps.iter().map(|rep| rep.launches.len()).sum();
    println!(
        "| {name} | {:.2} % | {:.2} % | {:.2} % | {:.2} % | {:+.2} | {:.1} % |",
        100.0 * median(&within),
        100.0 * median(&between),
        100.0 * deviation(&values),
        100.0 * median(&between) / processes.sqrt(),
        lag_correlation(&values),
        100.0 * unconfirmed as f64 / (launches as f64 + unconfirmed as f64),
    );
}
