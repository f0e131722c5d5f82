//! One worker, driven as the judge drives it: how true its clocks are, and how fast it answers.

use std::time::Instant;

use optloop::backend::{Argument, Launched, Mode, Order, Session};
use serde_json::json;

use crate::Asked;
use crate::built::{Built, CpuSession, floats, launches, load, once};
use crate::numbers::{at, median};

/// Microseconds that a kernel spins for, and how often it is launched.
const SPINS: [(u32, usize); 5] = [(5, 101), (50, 51), (500, 21), (5_000, 11), (50_000, 5)];

pub(crate) fn run(asked: &Asked) {
    clocks(asked);
    println!();
    answers(asked);
}

/// What worker and judge say, beside what the kernel says by itself.
fn clocks(asked: &Asked) {
    let body = "long t = now(); spin((long)x[0] * 1000); *(long *)y = now() - t;";
    let built = Built::new(body);
    let mut session = built.start().expect("a worker");
    let timer = session.timer();
    println!("{timer:?}\n\n| spin | reported beside the kernel's own | judge, at least | judge |");
    println!("|--:|--:|--:|--:|");
    for (us, count) in SPINS {
        let (x, n) = ((us as f32).to_ne_bytes(), 1i32.to_ne_bytes());
        let set = vec![Argument::In(&x), Argument::Out(8), Argument::Scalar(&n)];
        session.load(&[set]).expect("loaded");
        let (mut off, mut least, mut judged) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count * asked.reps(1) {
            let launched = once(&mut session, 0).expect("launched");
            let outputs = session.outputs(0).expect("outputs");
            let own = own_ns(&outputs[0]);
            let reported = launched.reported_ns as f64;
            off.push(100.0 * ((reported - timer.overhead_ns) / own - 1.0));
            least.push(launched.at_least_ns as f64 / reported);
            judged.push(launched.judged_ns as f64 / reported);
        }
        let (off, least, judged) = (median(&off), median(&least), median(&judged));
        println!("| {us} µs | {off:+.2} % | {least:.4} | {judged:.4} |");
        asked.record(&json!({ "study": "session", "spin_us": us, "off_percent": off,
            "at_least": least, "judged": judged }));
    }
}

fn own_ns(output: &[u8]) -> f64 {
    i64::from_ne_bytes(output[..8].try_into().expect("eight bytes")) as f64
}

/// How long what a stage does all the time takes.
fn answers(asked: &Asked) {
    let double = Built::new("for (int i = 0; i < n; i++) y[i] = 2 * x[i];");
    let sum = Built::new("float s = 0; for (int i = 0; i < n; i += 16) s += x[i]; y[0] = s;");
    let reported = |l: &Launched| l.reported_ns as f64 / 1e3;
    let of = |mode| {
        let launched = launches(&mut sum.loaded(1, 4096), mode, 51);
        launched.iter().map(reported).collect::<Vec<f64>>()
    };
    let mut session = double.loaded(1, 16);
    let mut nothing = Built::new("").loaded(1, 16);
    let empty = launches(&mut nothing, Mode::Hot, 101);
    println!("| what | median | least | most |\n|---|--:|--:|--:|");
    for (what, times) in [
        ("a launch of nothing, as reported", empty.iter().map(reported).collect()),
        ("16 KiB read with hot caches, as reported", of(Mode::Hot)),
        ("with cold ones", of(Mode::Cold)),
        ("a worker started and ended", timed(9, || double.start().expect("a worker").finish())),
        ("one set loaded", timed(101, || load(&mut session, 1, 4).expect("loaded"))),
        ("launched", timed(101, || once(&mut session, 0).expect("launched"))),
        ("read", timed(101, || session.outputs(0).expect("outputs"))),
        ("600 sets loaded", timed(9, || load(&mut session, 600, 4).expect("loaded"))),
        ("launched in one order", timed(9, || all(&mut session, 600))),
        ("3 sets of 4 MiB loaded", timed(9, || load(&mut session, 3, 1 << 20).expect("loaded"))),
    ] {
        let (least, most) = (at(&times, 0.0), at(&times, 1.0));
        println!("| {what} | {:.2} µs | {least:.2} µs | {most:.2} µs |", median(&times));
        asked.record(&json!({ "study": "session", "what": what, "us": times }));
    }
    assert_eq!(floats(&session.outputs(0).expect("outputs")[0]).len(), 1 << 20);
}

fn all(session: &mut CpuSession, count: u32) {
    session.launch(Order { first: 0, count, mode: Mode::Hot }).expect("launched");
}

/// Microseconds that each of so many calls takes.
fn timed<T>(count: usize, mut call: impl FnMut() -> T) -> Vec<f64> {
    let one = |_| {
        let started = Instant::now();
        drop(call());
        started.elapsed().as_secs_f64() * 1e6
    };
    (0..count).map(one).collect()
}
