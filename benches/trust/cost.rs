//! What giving up and stopping early save.

use std::time::Instant;

use optloop::engine::stage::FailureClass;
use serde_json::json;

use crate::coverage::{Rep, truth_of};
use crate::numbers::{at, mean, median, share};
use crate::subject::{measured, protocol};
use crate::world::{Kernel, World, candidate};
use crate::{Asked, accuracy};

const KERNELS: [&str; 5] = ["softmax", "sgemm", "stencil2d", "reduce_sum", "vector_add"];

/// Nanoseconds of the kernel that is slow.
const SLOW_NS: i64 = 5_000_000;

/// Kernels that are measured to a width, and the width.
const EASY: [&str; 2] = ["sgemm_fast", "softmax"];
const WIDTH: f64 = 0.02;

pub(crate) fn run(world: &World, asked: &Asked) {
    given_up(world, asked);
    println!();
    precise(world, asked);
}

/// A kernel that is twice as slow as `early_stop_us` beside its full measurement.
fn given_up(world: &World, asked: &Asked) {
    let reps = asked.reps(50).min(10);
    println!("{reps} repetitions, all cases, the whole stage.\n");
    println!(
        "| kernel | given up | launches | given up after | share | seconds | given up after | share |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let shipped = KERNELS.map(|name| world.shipped(name));
    // Launches that cost more than what a stage does besides.
    let (slow, _) = accuracy::spin(world, &[SLOW_NS]);
    for kernel in shipped.iter().chain([&slow]) {
        let name = &kernel.name;
        // What is known of the machine is found out once.
        drop(world.bench(kernel, candidate()));
        let (mut full, mut short) = (Vec::new(), Vec::new());
        for _ in 0..reps {
            let one = timed(world, kernel, None);
            short.push(timed(world, kernel, Some(one.median_us / 2.0)));
            full.push(one);
        }
        let of = |stages: &[Stage], value: fn(&Stage) -> f64| {
            median(&stages.iter().map(value).collect::<Vec<_>>())
        };
        let launches = [&full, &short].map(|stages| of(stages, |s| s.launches));
        let seconds = [&full, &short].map(|stages| of(stages, |s| s.seconds));
        let given_up = short.iter().filter(|stage| stage.given_up).count();
        println!(
            "| {name} | {given_up} of {reps} | {:.0} | {:.0} | {:.2} | {:.3} | {:.3} | {:.2} |",
            launches[0],
            launches[1],
            launches[1] / launches[0],
            seconds[0],
            seconds[1],
            seconds[1] / seconds[0]
        );
        asked.record(&json!({ "study": "given up", "kernel": name, "given_up": given_up,
            "launches": launches, "seconds": seconds }));
    }
}

/// One run of the stage.
struct Stage {
    median_us: f64,
    launches: f64,
    seconds: f64,
    given_up: bool,
}

fn timed(world: &World, kernel: &Kernel, limit: Option<f64>) -> Stage {
    let started = Instant::now();
    let mut work = candidate();
    work.early_stop_us = limit;
    let outcome = world.bench(kernel, work);
    let class = outcome.failure.as_ref().map(|failure| failure.class);
    let given_up = class == Some(FailureClass::TooSlow);
    assert!(given_up || class.is_none(), "{}: {:?}", kernel.name, outcome.failure);
    Stage {
        median_us: outcome.metrics.get("median_us").unwrap_or(f64::NAN),
        launches: outcome.metrics.get("launches").unwrap_or(f64::NAN),
        seconds: started.elapsed().as_secs_f64(),
        given_up,
    }
}

/// Kernels that are measured until the interval is as narrow as was asked for.
fn precise(world: &World, asked: &Asked) {
    let reps = asked.reps(50);
    println!("{reps} repetitions with `precision = {WIDTH}`, the largest case.\n");
    println!(
        "| kernel | stopped early | of those within ± {} % | launches | of | half-width | worst | \
         holds the truth |",
        100.0 * WIDTH
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for name in EASY {
        let kernel = world.shipped(name).largest();
        let mut way = protocol();
        way.precision = Some(WIDTH);
        let (mut taken, mut stopped, mut launches) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..reps {
            way.seed = rand::random();
            let (measurement, spent) = measured(world, &kernel, &way);
            let rep = Rep::of(&measurement.cases[0], spent.total);
            stopped.push(measurement.stopped.is_some());
            launches.push(measurement.launches as f64);
            asked.record(&json!({ "study": "precision", "kernel": name, "rep": number,
                "interval": rep.estimate.interval, "launches": measurement.launches,
                "stopped": measurement.stopped, "processes_us": rep.processes }));
            taken.push(rep);
        }
        let truth = truth_of(taken.iter());
        let early: Vec<f64> = taken
            .iter()
            .zip(&stopped)
            .filter(|(_, early)| **early)
            .map(|(rep, _)| rep.half_width())
            .collect();
        let widths: Vec<f64> = taken.iter().map(Rep::half_width).collect();
        let kept = early.iter().filter(|&&width| width <= WIDTH).count();
        println!(
            "| {name} | {} of {reps} | {kept} of {} | {:.1} | {} | ± {:.2} % | ± {:.2} % | {} |",
            early.len(),
            early.len(),
            mean(&launches),
            way.looks.last().copied().unwrap_or(0),
            100.0 * median(&widths),
            100.0 * at(&widths, 1.0),
            share(taken.iter().filter(|rep| rep.holds(truth)).count(), reps),
        );
    }
}
