//! Empty windows: how a worker can be held, who writes its inputs, and what clocks say of a window whose
//! length is known. No kernel and nothing of the judge's is in it; `c/windows.c` says what it does.
#![expect(clippy::disallowed_methods, reason = "a compiler needs a PATH")]

use std::collections::BTreeMap;
use std::process::Command;

use optloop::backend::cpu::last_core;
use serde_json::json;

use crate::Asked;
use crate::numbers::{at, median};
use crate::world::World;

/// Work of windows, in nanoseconds: none but reading the inputs, and known lengths.
const WORK_NS: [u32; 4] = [0, 5_000, 20_000, 200_000];

/// What is written anew for each window.
const BYTES: usize = 64 << 10;

/// What a window's clocks say beyond what the worker saw itself, in nanoseconds.
#[derive(Default)]
struct Beyond {
    own: Vec<f64>,
    cpu: Vec<f64>,
    wall: Vec<f64>,
    /// How often the worker's CPU clock still ran when it was seen to be held.
    late: usize,
}

pub(crate) fn run(world: &World, asked: &Asked) {
    let program = world.own_program("windows.c");
    let worker = last_core().unwrap_or(0);
    let judge = worker.saturating_sub(1);
    println!(
        "\nWindows of a worker on core {worker}, seen from core {judge}; {BYTES} bytes of inputs are written \
         before each. Beyond what the worker itself saw, in µs: the middle, and from the 5th to the 95th of \
         100.\n"
    );
    println!(
        "| held by | fed by | work | worker's own | its CPU clock | the judge's clock | held late |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|");
    for hold in ["spin", "read", "stop", "notify"] {
        for feed in ["judge", "feeder"] {
            let windows = asked.reps(1000).to_string();
            let mut command = Command::new(&program);
            command.args([hold, feed, &BYTES.to_string(), &windows]);
            command.args([judge, worker].map(|core| core.to_string()));
            let done =
                command.args(WORK_NS.map(|ns| ns.to_string())).output().expect("it was built");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            for (work, beyond) in read(&String::from_utf8_lossy(&done.stdout)) {
                show(asked, hold, feed, work, &beyond);
            }
        }
    }
}

fn read(text: &str) -> BTreeMap<u32, Beyond> {
    let mut all: BTreeMap<u32, Beyond> = BTreeMap::new();
    for line in text.lines() {
        let numbers: Vec<u64> = line.split(' ').map(|n| n.parse().expect("a number")).collect();
        let [work, own, cpu, wall, late] = numbers[..] else { panic!("{line}") };
        let beyond = all.entry(work as u32).or_default();
        beyond.own.push(own as f64);
        beyond.cpu.push(cpu as f64 - own as f64);
        beyond.wall.push(wall as f64 - own as f64);
        beyond.late += usize::from(late > 0);
    }
    all
}

fn show(asked: &Asked, hold: &str, feed: &str, work: u32, beyond: &Beyond) {
    let us = |ns: f64| ns / 1e3;
    let spread = |values: &[f64]| {
        let [low, middle, high] = [0.05, 0.5, 0.95].map(|p| us(at(values, p)));
        format!("{middle:.2} ({low:.2} .. {high:.2})")
    };
    println!(
        "| {hold} | {feed} | {} | {:.2} | {} | {} | {} of {} |",
        us(f64::from(work)),
        us(median(&beyond.own)),
        spread(&beyond.cpu),
        spread(&beyond.wall),
        beyond.late,
        beyond.own.len(),
    );
    let of = |values: &[f64]| [0.05, 0.5, 0.95].map(|p| at(values, p));
    asked.record(&json!({ "study": "windows", "hold": hold, "feed": feed, "work_ns": work,
        "load": asked.load, "own_ns": median(&beyond.own), "cpu_ns": of(&beyond.cpu),
        "wall_ns": of(&beyond.wall), "late": beyond.late, "windows": beyond.own.len() }));
}
