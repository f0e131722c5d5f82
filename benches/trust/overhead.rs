//! Kernels that take next to no time: what the harness adds to them.

use optloop::backend::{Argument, Mode, Order, Session, Timer};
use optloop::problem::Role;
use serde_json::json;

use crate::Asked;
use crate::loops;
use crate::numbers::{at, median};
use crate::subject;
use crate::world::{Kernel, World, candidate, measured};

/// Links of the chain of multiplications.
const LINKS: [i64; 5] = [0, 250, 1_000, 4_000, 16_000];

/// Launches of the empty kernel, each timed alone, in one process.
const SINGLES: u32 = 1_000;

pub(crate) fn run(world: &World, asked: &Asked) {
    let reps = asked.reps(20);
    alone(world, reps);
    let empty = world.own("empty", Role::Inout, &[1], &[]);
    let chain = world.own("chain", Role::Out, &LINKS, &[]);
    println!("| kernel | harness | loop by hand | difference | launches per sample |");
    println!("|---|--:|--:|--:|--:|");
    compared(world, asked, &empty, reps);
    compared(world, asked, &chain, reps);
}

/// Medians of the harness beside those of the loop, for every case.
fn compared(world: &World, asked: &Asked, kernel: &Kernel, reps: usize) {
    let cases = kernel.problem.cases.len();
    let (mut ours, mut by_hand) = (vec![Vec::new(); cases], vec![Vec::new(); cases]);
    let mut looped = vec![0; cases];
    let programs: Vec<_> =
        kernel.problem.cases.iter().map(|case| loops::by_hand(world, kernel, case)).collect();
    for rep in 0..reps {
        let outcome = world.bench(kernel, candidate());
        assert_eq!(outcome.failure, None);
        for case in 0..cases {
            let told = &measured(&outcome).cases[case];
            let us = told.median_us.unwrap_or(f64::NAN);
            looped[case] = told.looped;
            let hand = loops::batches(&world.output(&programs[case], &loops::args(9, 1_000)));
            asked.record(&json!({ "study": "overhead", "kernel": kernel.name, "rep": rep,
                "case": told.label, "median_us": us, "loop_ns": hand }));
            ours[case].push(us);
            by_hand[case].push(median(&hand) / 1e3);
        }
    }
    let size = |case: usize| kernel.problem.cases[case].sizes["n"];
    for case in 0..cases {
        let (us, hand) = (median(&ours[case]), median(&by_hand[case]));
        println!(
            "| {} {} | {:.1} ns | {:.1} ns | {:+.1} ns | {} |",
            kernel.name,
            size(case),
            1e3 * us,
            1e3 * hand,
            1e3 * (us - hand),
            looped[case]
        );
    }
}

/// What a session reports for the empty kernel launched singly, with its overhead taken off.
fn alone(world: &World, reps: usize) {
    let kernel = world.own("empty", Role::Inout, &[1], &[]);
    let (bytes, size) = ([0; 4], 1_i32.to_ne_bytes());
    let set = || vec![Argument::Inout(&bytes), Argument::Scalar(&size)];
    let (mut timers, mut left, mut judged): (Vec<Timer>, Vec<f64>, Vec<f64>) = Default::default();
    for _ in 0..reps {
        let mut session = subject::start(world, &kernel.object).expect("it was just built");
        let timer = session.timer();
        session.load(&[set(), set()]).expect("four bytes");
        for _ in 0..SINGLES {
            let order = Order { first: 0, count: 1, mode: Mode::Hot };
            let launched = session.launch(order).expect("nothing can go wrong");
            left.push(launched.reported_ns as f64 - timer.overhead_ns);
            judged
                .push(launched.judged_ns as f64 - launched.reported_ns as f64 - timer.handover_ns);
        }
        timers.push(timer);
        session.finish();
    }
    let of = |value: fn(&Timer) -> f64| {
        let values: Vec<f64> = timers.iter().map(value).collect();
        format!("{:.0} ({:.0} – {:.0})", median(&values), at(&values, 0.0), at(&values, 1.0))
    };
    let spread = |values: &[f64]| {
        format!("{:.0} (p10 {:.0}, p90 {:.0})", median(values), at(values, 0.1), at(values, 0.9))
    };
    println!("{reps} processes, {SINGLES} launches of the empty kernel each, timed singly.\n");
    println!("| | ns |\n|---|--:|");
    println!("| `step_ns` | {} |", of(|t| t.step_ns));
    println!("| `overhead_ns`, taken off every sample | {} |", of(|t| t.overhead_ns));
    println!("| `handover_ns` of the judge's clock | {} |", of(|t| t.handover_ns));
    println!("| a launch of the empty kernel, overhead taken off | {} |", spread(&left));
    println!("| the judge's clock beyond it, hand-over taken off | {} |\n", spread(&judged));
}
