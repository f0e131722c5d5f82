//! A study of the harness itself: is what it says of a kernel true, and what does it cost?
//!
//! `cargo bench --bench trust -- STUDY [--reps N] [--only KERNEL] [--load] [--out FILE]`, where STUDY is
//!
//! - `session`: one worker's clocks beside its kernel's own, and how fast it answers;
//! - `accuracy`: kernels that take a known time;
//! - `overhead`: kernels that take next to none;
//! - `loops`: shipped kernels beside a loop written by hand, and beside google-benchmark where its
//!   headers are installed;
//! - `coverage`: how often the 95 % interval holds the truth of a long run;
//! - `cost`: what giving up and stopping early save;
//! - `parts`: where a stage's seconds go;
//! - `pairs`: what a decision about no change takes, and where its seconds go;
//! - `decisions`: how often rules keep what is no faster and find what is, on recorded and made-up
//!   noise; needs no compiler;
//! - `live`: what the stage decides here about the same code, gains of a known size, and code that
//!   is twice as slow; `live same`, `live gains` or `live twice` is one of these alone;
//! - `layout`: what it decides about code that an edit only moved, 40 decisions a repetition, and about
//!   gains beside them; `layout same` or `layout gains` is one of these alone, `layout alone` the first with
//!   one layout a side;
//! - `campaign`: a whole campaign of candidates that do the best's work, and one with a real gain in ten;
//!   `campaign same` or `campaign gains` is one of these alone, `--reps` its candidates;
//! - `windows`: ways to hold a worker between launches, and what clocks say of empty windows; nothing of
//!   the judge's is in it.
//!
//! `--only` leaves the other kernels of `pairs` and `layout` out. `--minutes N` begins no decision of
//! `layout` later than that; with `--out` those of earlier calls are counted and not made again. `--load` keeps the other cores busy. `--out`
//! appends what was measured, one JSON value a line. Everything is printed as Markdown;
//! `docs/measurements/` holds what came out.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a study prints what it found")]

#[path = "trust/accuracy.rs"]
mod accuracy;
#[path = "../tests/session/built.rs"]
#[expect(dead_code, clippy::unwrap_used, clippy::disallowed_methods, reason = "written for tests")]
mod built;
#[path = "trust/campaign.rs"]
mod campaign;
#[path = "trust/cost.rs"]
mod cost;
#[path = "trust/coverage.rs"]
mod coverage;
#[path = "trust/decisions.rs"]
mod decisions;
#[path = "trust/layout.rs"]
mod layout;
#[path = "trust/live.rs"]
mod live;
#[path = "trust/loops.rs"]
mod loops;
#[path = "trust/noise.rs"]
mod noise;
#[path = "trust/numbers.rs"]
mod numbers;
#[path = "trust/overhead.rs"]
mod overhead;
#[path = "trust/pairs.rs"]
mod pairs;
#[path = "trust/parts.rs"]
mod parts;
#[path = "trust/rules.rs"]
mod rules;
#[path = "trust/scaled.rs"]
mod scaled;
#[path = "trust/session.rs"]
mod session;
#[path = "../tests/stages/mod.rs"]
mod stages;
#[path = "trust/subject.rs"]
mod subject;
#[path = "trust/windows.rs"]
mod windows;
#[path = "trust/world.rs"]
mod world;

use std::path::PathBuf;

use world::World;

/// What the command line asks for.
struct Asked {
    reps: Option<usize>,
    only: Option<String>,
    load: bool,
    minutes: Option<f64>,
    out: Option<PathBuf>,
    /// What follows the study's name.
    part: Option<String>,
}

impl Asked {
    /// The repetitions, or as many as the study needs for its table.
    fn reps(&self, usual: usize) -> usize {
        self.reps.unwrap_or(usual).max(1)
    }

    /// Appends one line to the file of records.
    fn record(&self, value: &serde_json::Value) {
        use std::io::Write as _;
        let Some(path) = &self.out else { return };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{value}"));
        if let Err(error) = written {
            eprintln!("cannot write {}: {error}", path.display());
        }
    }
}

fn main() {
    let mut asked =
        Asked { reps: None, only: None, load: false, minutes: None, out: None, part: None };
    let mut study: Option<String> = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // What cargo adds.
            "--bench" => {}
            "--load" => asked.load = true,
            "--reps" => asked.reps = args.next().and_then(|n| n.parse().ok()),
            "--minutes" => asked.minutes = args.next().and_then(|n| n.parse().ok()),
            "--only" => asked.only = args.next(),
            "--out" => asked.out = args.next().map(PathBuf::from),
            name if study.is_none() => study = Some(name.to_owned()),
            name => asked.part = Some(name.to_owned()),
        }
    }
    if study.as_deref() == Some("decisions") {
        return decisions::run(&asked);
    }
    let world = World::new();
    world.introduce();
    let _load = asked.load.then(|| world.load());
    match study.as_deref() {
        Some("session") => session::run(&asked),
        Some("accuracy") => accuracy::run(&world, &asked),
        Some("overhead") => overhead::run(&world, &asked),
        Some("loops") => loops::run(&world, &asked),
        Some("coverage") => coverage::run(&world, &asked),
        Some("cost") => cost::run(&world, &asked),
        Some("pairs") => pairs::run(&world, &asked),
        Some("parts") => parts::run(&world, &asked),
        Some("campaign") => campaign::run(&asked),
        Some("live") => live::run(&world, &asked),
        Some("layout") => layout::run(&world, &asked),
        Some("windows") => windows::run(&world, &asked),
        _ => eprintln!(
            "name a study: session, accuracy, overhead, loops, coverage, cost, pairs, parts, decisions, \
             live, layout, campaign or windows"
        ),
    }
}
