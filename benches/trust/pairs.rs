//! What a decision about no change at all takes, and where its seconds go.

use optloop::problem::Role;
use serde_json::json;

use crate::Asked;
use crate::numbers::{mean, median};
use crate::subject::{Spent, compared};
use crate::world::World;

const KERNELS: [&str; 5] = ["vector_add", "reduce_sum", "stencil2d", "softmax", "sgemm"];

pub(crate) fn run(world: &World, asked: &Asked) {
    let reps = asked.reps(40);
    println!(
        "A kernel against itself, {reps} decisions each: kept, medians of pairs, launches and"
    );
    println!("processes, and milliseconds: the median, the 90 % quantile, the mean by part.\n");
    println!(
        "| kernel | kept | pairs | launches | processes | ms | 90 % | inputs | reference | \
         processes | staging | launching | of that running | pausing | reading | comparing | \
         ending | rest |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let empty = world.own("empty", Role::Inout, &[1], &[]);
    let _warm = compared(world, &empty);
    let shipped = KERNELS.map(|name| world.shipped(name));
    let wanted = |name: &str| asked.only.as_ref().is_none_or(|only| only == name);
    for kernel in shipped.iter().chain([&empty]).filter(|kernel| wanted(&kernel.name)) {
        let all: Vec<_> = (0..reps).map(|_| compared(world, kernel)).collect();
        let kept = all.iter().filter(|(paired, _)| paired.verdict.is_keep()).count();
        let middle = |of: &dyn Fn(usize) -> f64| median(&(0..reps).map(of).collect::<Vec<_>>());
        let mut seconds: Vec<f64> = all.iter().map(|(_, spent)| spent.total).collect();
        seconds.sort_unstable_by(f64::total_cmp);
        let part = |part: fn(&Spent) -> f64| {
            1e3 * mean(&all.iter().map(|(_, spent)| part(spent)).collect::<Vec<_>>())
        };
        let columns = [
            middle(&|i| f64::from(all[i].0.verdict.all_pairs())),
            middle(&|i| all[i].0.spent.launches as f64),
            middle(&|i| all[i].0.spent.processes as f64),
            1e3 * seconds[reps / 2],
            1e3 * seconds[reps * 9 / 10],
            part(|s| s.draw),
            part(|s| s.reference),
            part(|s| s.start),
            part(|s| s.staging),
            part(|s| s.launch),
            part(|s| s.running),
            part(|s| s.pause),
            part(|s| s.outputs),
            part(|s| s.compare),
            part(|s| s.finish),
            part(rest),
        ];
        let cells: Vec<String> = columns.iter().map(|value| format!("{value:.1}")).collect();
        println!("| {} | {kept} | {} |", kernel.name, cells.join(" | "));
        asked.record(&json!({ "study": "pairs", "kernel": kernel.name, "kept": kept,
            "columns": columns }));
    }
}

/// What no part accounts for.
fn rest(s: &Spent) -> f64 {
    let parts = [
        s.draw,
        s.reference,
        s.start,
        s.staging,
        s.launch,
        s.pause,
        s.outputs,
        s.compare,
        s.finish,
    ];
    s.total - parts.iter().sum::<f64>()
}
