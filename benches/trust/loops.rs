//! Shipped kernels beside a loop written by hand and beside google-benchmark, in turn.

use std::path::PathBuf;

use optloop::backend::cpu::last_core;
use optloop::problem::{Arg, ArgKind, Case};
use serde_json::json;

use crate::Asked;
use crate::numbers::{median, relative_iqr};
use crate::world::{Kernel, World, candidate, measured, own_source};

const KERNELS: [&str; 3] = ["softmax", "sgemm", "stencil2d"];

/// What every built kernel exports.
const LAUNCH_SYMBOL: &str = "optloop_launch";

/// What one way of measuring said of one kernel: a result per turn, and the launches of each.
#[derive(Default)]
struct Said {
    results: Vec<f64>,
    within: Vec<f64>,
}

impl Said {
    /// Takes one turn's values in microseconds; their median is the result.
    fn add(&mut self, values: &[f64]) {
        self.results.push(median(values));
        self.within.push(relative_iqr(values));
    }

    fn row(&self, kernel: &str, way: &str, first: f64) {
        let middle = median(&self.results);
        println!(
            "| {kernel} | {way} | {middle:.3} | {:+.2} % | {:.2} % | {:.2} % |",
            100.0 * (middle / first - 1.0),
            100.0 * relative_iqr(&self.results),
            100.0 * median(&self.within),
        );
    }
}

pub(crate) fn run(world: &World, asked: &Asked) {
    let reps = asked.reps(30);
    println!("{reps} turns; every way is one process or one stage a turn.\n");
    println!("| kernel | way | median µs | beside the loop | IQR of results | IQR in a turn |");
    println!("|---|---|--:|--:|--:|--:|");
    for name in KERNELS {
        let kernel = world.shipped(name).largest();
        one(world, asked, &kernel, reps);
    }
}

fn one(world: &World, asked: &Asked, kernel: &Kernel, reps: usize) {
    let case = &kernel.problem.cases[0];
    let hand = by_hand(world, kernel, case);
    let google = google(world, kernel, case);
    let [mut ours, mut batch, mut single, mut theirs]: [Said; 4] = Default::default();
    for rep in 0..reps {
        let outcome = world.bench(kernel, candidate());
        assert_eq!(outcome.failure, None);
        let told = &measured(&outcome).cases[0];
        let launches: Vec<f64> = told.processes.iter().flatten().map(|ns| ns / 1e3).collect();
        ours.add(&launches);
        // The stage's own estimate, not the median of all launches.
        let estimate = told.median_us.unwrap_or(f64::NAN);
        *ours.results.last_mut().expect("just added") = estimate;
        let printed = world.output(&hand, &args(9, 10_000));
        let us = |ns: Vec<f64>| ns.into_iter().map(|ns| ns / 1e3).collect::<Vec<f64>>();
        batch.add(&us(batches(&printed)));
        single.add(&us(lines(&printed, "single")));
        if let Some(google) = &google {
            theirs.add(&us(google_times(&world.output(google, &google_args()))));
        }
        asked.record(&json!({ "study": "loops", "kernel": kernel.name, "rep": rep,
            "ours_us": estimate, "loop_us": batch.results.last(), "single_us": single.results.last(),
            "google_us": theirs.results.last(), "launches_us": launches }));
    }
    let first = median(&batch.results);
    ours.row(&kernel.name, "optloop", first);
    batch.row(&kernel.name, "loop by hand, batches", first);
    single.row(&kernel.name, "loop by hand, single launches", first);
    if google.is_some() {
        theirs.row(&kernel.name, "google-benchmark", first);
    }
}

/// Builds the loop around a kernel at a case.
pub(crate) fn by_hand(world: &World, kernel: &Kernel, case: &Case) -> PathBuf {
    let source = [own_source("loop.c")];
    world.program("cc", &source, &macros(kernel, case)).expect("a C compiler")
}

/// Builds google-benchmark around it, where that is installed.
fn google(world: &World, kernel: &Kernel, case: &Case) -> Option<PathBuf> {
    let mut more = macros(kernel, case);
    more.extend(["-lbenchmark".into(), "-lpthread".into()]);
    world.program("c++", &[own_source("google.cc")], &more)
}

/// The built kernel, its arguments at a case in the order of its signature, and the core.
fn macros(kernel: &Kernel, case: &Case) -> Vec<String> {
    let size = |word: &String| case.sizes.get(word).copied().or_else(|| word.parse().ok());
    let known = |word: &String| size(word).expect("sizes of these problems are names and numbers");
    let argument = |arg: &Arg| match &arg.kind {
        ArgKind::Scalar(word) => format!("value({})", known(word)),
        ArgKind::Buffer { shape, .. } => {
            format!("buffer({})", shape.iter().map(known).product::<i64>())
        }
    };
    let arguments: Vec<String> = kernel.problem.args.iter().map(argument).collect();
    vec![
        format!("-DOBJECT=\"{}\"", kernel.object.display()),
        format!("-DSYMBOL=\"{LAUNCH_SYMBOL}\""),
        format!("-DARGUMENTS={}", arguments.join(",")),
        format!("-DCORE={}", last_core().unwrap_or(0)),
    ]
}

/// Arguments of the loop.
pub(crate) fn args(batches: u32, batch_us: u32) -> Vec<String> {
    [batches, batch_us, 32].map(|number| number.to_string()).to_vec()
}

/// Nanoseconds per launch of every batch.
pub(crate) fn batches(printed: &str) -> Vec<f64> {
    lines(printed, "batch")
}

fn lines(printed: &str, word: &str) -> Vec<f64> {
    let times = printed.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    times.collect()
}

fn google_args() -> Vec<String> {
    ["--benchmark_min_time=0.02", "--benchmark_repetitions=9", "--benchmark_format=csv"]
        .map(str::to_owned)
        .to_vec()
}

/// Nanoseconds per iteration of every repetition: the third column of rows named after the kernel,
/// without those of aggregates.
fn google_times(printed: &str) -> Vec<f64> {
    let rows = printed.lines().filter(|line| line.starts_with("\"run\""));
    rows.filter_map(|row| row.split(',').nth(2)?.parse().ok()).collect()
}
