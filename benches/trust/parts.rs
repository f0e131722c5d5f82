//! Where the seconds of a candidate stage go.

use std::time::Instant;

use optloop::problem::Role;
use serde_json::json;

use crate::Asked;
use crate::numbers::median;
use crate::subject::{Spent, measured, protocol};
use crate::world::{World, candidate};

const KERNELS: [&str; 5] = ["vector_add", "reduce_sum", "stencil2d", "softmax", "sgemm"];

pub(crate) fn run(world: &World, asked: &Asked) {
    let reps = asked.reps(10);
    println!("Milliseconds; medians of {reps} repetitions, all cases, 8 processes.\n");
    println!(
        "| kernel | inputs | reference | processes | staging | launching | of that running | \
         reading | comparing | ending | rest | sum | whole stage |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    // The shortest of kernels stages the most sets.
    let empty = world.own("empty", Role::Inout, &[1], &[]);
    let shipped = KERNELS.map(|name| world.shipped(name));
    for kernel in shipped.iter().chain([&empty]) {
        let name = &kernel.name;
        // What is known of the machine is found out once.
        drop(world.bench(kernel, candidate()));
        let (mut parts, mut whole) = (Vec::new(), Vec::new());
        for _ in 0..reps {
            parts.push(measured(world, kernel, &protocol()).1);
            let started = Instant::now();
            assert_eq!(world.bench(kernel, candidate()).failure, None);
            whole.push(1e3 * started.elapsed().as_secs_f64());
        }
        let of =
            |part: fn(&Spent) -> f64| 1e3 * median(&parts.iter().map(part).collect::<Vec<_>>());
        let columns = [
            of(|s| s.draw),
            of(|s| s.reference),
            of(|s| s.start),
            of(|s| s.staging),
            of(|s| s.launch),
            of(|s| s.running),
            of(|s| s.outputs),
            of(|s| s.compare),
            of(|s| s.finish),
            of(rest),
            of(|s| s.total),
            median(&whole),
        ];
        let cells: Vec<String> = columns.iter().map(|ms| format!("{ms:.1}")).collect();
        println!("| {name} | {} |", cells.join(" | "));
        asked.record(&json!({ "study": "parts", "kernel": name, "milliseconds": columns,
            "orders": of(|s| s.orders) / 1e3 }));
    }
}

/// What no part accounts for.
fn rest(s: &Spent) -> f64 {
    let parts = [s.draw, s.reference, s.start, s.staging, s.launch, s.outputs, s.compare, s.finish];
    s.total - parts.iter().sum::<f64>()
}
