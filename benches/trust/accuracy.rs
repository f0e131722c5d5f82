//! Kernels that take a known time: what the harness says of them.

use optloop::problem::Role;
use serde_json::json;

use crate::numbers::{at, median};
use crate::world::{Kernel, World, candidate, measured, own_source};
use crate::{Asked, loops};

/// Nanoseconds that the kernel spins for.
const TRUTHS: [i64; 6] = [5_000, 20_000, 100_000, 1_000_000, 10_000_000, 50_000_000];

/// A kernel that takes as many nanoseconds as a size says, and the ticks in a microsecond that it
/// counts by.
pub(crate) fn spin(world: &World, sizes: &[i64]) -> (Kernel, String) {
    let ticks = ticks_per_us(world);
    (world.own("spin", Role::Out, sizes, &[("TICKS_PER_US", ticks.clone())]), ticks)
}

fn ticks_per_us(world: &World) -> String {
    let program = world.program("cc", &[own_source("ticks.c")], &[]).expect("a C compiler");
    world.output(&program, &[]).trim().to_owned()
}

pub(crate) fn run(world: &World, asked: &Asked) {
    let reps = asked.reps(20);
    let (kernel, before) = spin(world, &TRUTHS);
    // The kernel looks at its counter now and then and so takes a little longer than it should:
    // what a loop says of it is nearer to the truth than its name.
    let by_hand: Vec<f64> = kernel
        .problem
        .cases
        .iter()
        .map(|case| {
            let program = loops::by_hand(world, &kernel, case);
            median(&loops::batches(&world.output(&program, &loops::args(9, 2_000))))
        })
        .collect();
    let mut medians = vec![Vec::new(); TRUTHS.len()];
    let mut widths = vec![Vec::new(); TRUTHS.len()];
    for rep in 0..reps {
        let outcome = world.bench(&kernel, candidate());
        assert_eq!(outcome.failure, None);
        for (case, &truth) in TRUTHS.iter().enumerate() {
            let told = &measured(&outcome).cases[case];
            let us = |us: Option<f64>| us.unwrap_or(f64::NAN);
            let (median, lower, upper) = (us(told.median_us), us(told.lower_us), us(told.upper_us));
            medians[case].push(median);
            widths[case].push((upper - lower) / 2.0 / median);
            asked.record(&json!({ "study": "accuracy", "rep": rep, "truth_ns": truth,
                "median_us": median, "lower_us": lower, "upper_us": upper,
                "unconfirmed": told.unconfirmed }));
        }
    }
    println!("Ticks per µs before {before}, after {}; {reps} repetitions.\n", ticks_per_us(world));
    println!(
        "| truth | median | error | worst error | error, ns | half-width | loop by hand, ns |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for (case, &truth) in TRUTHS.iter().enumerate() {
        let truth_us = truth as f64 / 1e3;
        let off = |us: f64| 100.0 * (us / truth_us - 1.0);
        let middle = median(&medians[case]);
        let (low, high) = (off(at(&medians[case], 0.0)), off(at(&medians[case], 1.0)));
        let worst = if low.abs() > high.abs() { low } else { high };
        println!(
            "| {truth_us} µs | {middle:.4} µs | {:+.3} % | {worst:+.3} % | {:+.1} | ± {:.3} % | {:+.1} |",
            off(middle),
            1e3 * (middle - truth_us),
            100.0 * median(&widths[case]),
            by_hand[case] - truth as f64,
        );
    }
}
