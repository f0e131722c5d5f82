//! Decisions of the stage itself, on this machine: what becomes of the same code, of gains of a
//! known size, and of code that is twice as slow.

use std::path::{Path, PathBuf};
use std::time::Instant;

use optloop::engine::StageRecord;
use optloop::engine::account::ComparisonRecord;
use optloop::pipeline::{BenchWork, Purpose, RuleWork};
use optloop::stats::{Reason, Rule};
use serde_json::{Value, json};

use crate::Asked;
use crate::numbers::{at, mean, median, share};
use crate::scaled::Subject;
use crate::world::{Kernel, World, candidate};

/// Shares of its time that the candidate saves.
const GAINS: [f64; 3] = [0.016, 0.05, 0.10];

/// A gain is as wanted when it may be, by a long comparison, within this factor.
const NEAR: f64 = 1.15;

/// How often the extra work is fitted.
const FITS: usize = 4;

/// Seconds that a decision about nothing may take where launches are so short, in microseconds.
const SOON: f64 = 1.0;
const SHORT_US: f64 = 1_000.0;

pub(crate) fn run(world: &World, asked: &Asked) {
    let reps = asked.reps(20);
    let mut subjects = Subject::all_shipped(world);
    // What is known of the machine is found out once.
    drop(world.bench(&subjects[0].kernel, candidate()));
    calibrated(world, asked, &subjects);
    let wants = |part: &str| asked.part.as_deref().is_none_or(|asked| asked == part);
    if wants("same") {
        nothing(world, asked, (&subjects, reps));
    }
    subjects.push(Subject::spin(world));
    if wants("gains") {
        faster(world, asked, (&subjects, reps.div_ceil(2)));
    }
    if wants("twice") {
        slower(world, asked, (&subjects, reps.div_ceil(2)));
    }
}

/// The stage of a preset.
pub(crate) fn preset() -> BenchWork {
    BenchWork { repeats: Rule::default().looks, warmup: 2, ..candidate() }
}

/// As `compare --anchor` has it: 64 pairs, whatever the first ones say.
fn long() -> BenchWork {
    let rule = RuleWork {
        pairs_per_process: Some(8),
        gross: 0.0,
        confirm: false,
        lower_levels: vec![0.004],
        upper_levels: vec![0.1],
        ..RuleWork::default()
    };
    BenchWork { repeats: vec![64], rule, ..preset() }
}

/// What the stage said.
pub(crate) struct Decision {
    /// `None` when it failed.
    pub(crate) reason: Option<Reason>,
    /// Of both sides, for each case; a loop is one.
    pub(crate) launches: f64,
    pub(crate) seconds: f64,
    pub(crate) stage_seconds: f64,
    pub(crate) pair_sd: f64,
    pub(crate) gain: f64,
    interval: [f64; 2],
    /// The case that takes longest.
    longest_us: f64,
}

impl Decision {
    pub(crate) fn made(world: &World, kernel: &Kernel, incumbent: &Path, work: BenchWork) -> Self {
        let started = Instant::now();
        let outcome = world.beside(kernel, incumbent, work);
        let stage_seconds = started.elapsed().as_secs_f64();
        let told = outcome.detail.as_ref().and_then(StageRecord::comparison);
        if told.is_none() {
            eprintln!("{}: no decision: {:?}", kernel.name, outcome.failure);
        }
        let number =
            |of: fn(&ComparisonRecord) -> Option<f64>| told.and_then(of).unwrap_or(f64::NAN);
        let times = told.iter().flat_map(|told| &told.cases).map(|case| case.incumbent_us);
        Self {
            reason: told.map(|told| told.reason),
            launches: number(|c| Some(c.launches as f64)) / kernel.problem.cases.len() as f64,
            seconds: number(|c| Some(c.seconds)),
            stage_seconds,
            pair_sd: number(|c| c.pair_sd),
            gain: number(|c| c.gain),
            interval: [number(|c| c.gain_lower), number(|c| c.gain_upper)],
            longest_us: times.fold(0.0, f64::max),
        }
    }

    /// What [`Self::json`] wrote.
    pub(crate) fn read(value: &Value) -> Self {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        Self {
            reason: serde_json::from_value(value["reason"].clone()).ok(),
            launches: number(&value["launches"]),
            seconds: number(&value["seconds"]),
            stage_seconds: number(&value["stage_seconds"]),
            pair_sd: number(&value["pair_sd"]),
            gain: number(&value["gain"]),
            interval: [0, 1].map(|end| number(&value["interval"][end])),
            longest_us: number(&value["longest_us"]),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "reason": self.reason, "launches": self.launches, "seconds": self.seconds,
            "stage_seconds": self.stage_seconds, "pair_sd": self.pair_sd, "gain": self.gain,
            "interval": self.interval, "longest_us": self.longest_us })
    }

    pub(crate) fn kept(&self) -> bool {
        self.reason == Some(Reason::Faster)
    }
}

/// Many decisions of one kind.
#[derive(Default)]
pub(crate) struct Decisions(pub(crate) Vec<Decision>);

impl Decisions {
    pub(crate) fn count(&self, of: impl Fn(&Decision) -> bool) -> usize {
        self.0.iter().filter(|decision| of(decision)).count()
    }

    pub(crate) fn kept(&self) -> String {
        share(self.count(Decision::kept), self.0.len())
    }

    /// A number of each that came to an end.
    pub(crate) fn all(&self, number: fn(&Decision) -> f64) -> Vec<f64> {
        let values: Vec<f64> = self.0.iter().map(number).filter(|value| !value.is_nan()).collect();
        if values.is_empty() { vec![f64::NAN] } else { values }
    }

    /// `12 slower, 1 failed`, of those that were not kept.
    pub(crate) fn others(&self) -> String {
        let reasons = Reason::ALL.map(Some).into_iter().chain([None]);
        let counted =
            reasons.filter(|reason| *reason != Some(Reason::Faster)).filter_map(|reason| {
                let count = self.count(|decision| decision.reason == reason);
                let word =
                    reason.map_or("failed".to_owned(), |reason| reason.word().replace('_', " "));
                (count > 0).then(|| format!("{count} {word}"))
            });
        let counted: Vec<String> = counted.collect();
        if counted.is_empty() { "-".to_owned() } else { counted.join(", ") }
    }

    /// `0.21 | 0.30`: the mean and nine tenths, of the comparison and of the whole stage.
    pub(crate) fn seconds(&self) -> String {
        let told = |seconds: &[f64]| format!("{:.2} | {:.2}", mean(seconds), at(seconds, 0.9));
        format!("{} | {}", told(&self.all(|d| d.seconds)), told(&self.all(|d| d.stage_seconds)))
    }
}

fn record(asked: &Asked, (part, name): (&str, &str), decision: &Decision) {
    asked.record(&json!({ "study": "live", "part": part, "kernel": name, "load": asked.load,
        "decision": decision.json() }));
}

/// Every kernel beside itself, for how many pairs a process gives.
fn calibrated(world: &World, asked: &Asked, subjects: &[Subject]) {
    println!("Calibrations, which the decisions below rest on.\n");
    println!("| kernel | pair sd, % | process sd, % | pairs per process | smallest gain, % | |");
    println!("|---|--:|--:|--:|--:|---|");
    for subject in subjects {
        let name = &subject.kernel.name;
        let work = BenchWork { purpose: Purpose::Calibrate, ..preset() };
        let outcome = world.bench(&subject.kernel, work);
        let Some(told) = outcome.detail.as_ref().and_then(StageRecord::calibration) else {
            eprintln!("{name}: no calibration: {:?}", outcome.failure);
            continue;
        };
        println!(
            "| {name} | {:.2} | {:.2} | {} | {:.2} | {} |",
            100.0 * told.pair_sd,
            100.0 * told.process_sd,
            told.pairs_per_process,
            100.0 * told.smallest_gain,
            if outcome.failure.is_some() { "too noisy" } else { "" }
        );
        let mut told = json!(told);
        told["record"] = Value::Null;
        asked.record(&json!({ "study": "live", "part": "calibration", "kernel": name,
            "load": asked.load, "calibration": told }));
    }
    println!();
}

/// The same code on both sides.
fn nothing(world: &World, asked: &Asked, (subjects, reps): (&[Subject], usize)) {
    for (part, words) in [
        ("same", "The same code on both sides, in files that differ."),
        ("moved", "The same source on both sides, in one below a function that nobody calls."),
    ] {
        let others: Vec<PathBuf> = subjects
            .iter()
            .map(
                |subject| {
                    if part == "same" { subject.altered(world) } else { subject.moved(world) }
                },
            )
            .collect();
        let reps = if part == "same" { reps } else { reps.div_ceil(2) };
        let mut found: Vec<Decisions> = subjects.iter().map(|_| Decisions::default()).collect();
        for rep in 0..reps {
            for ((subject, other), found) in subjects.iter().zip(&others).zip(&mut found) {
                let decision = one_of_two(world, subject, (other, rep));
                record(asked, (part, &subject.kernel.name), &decision);
                found.0.push(decision);
            }
        }
        println!("{words}\n");
        print_nothing(subjects, found);
        println!();
    }
}

/// In turn either one is the candidate.
fn one_of_two(world: &World, subject: &Subject, (other, rep): (&Path, usize)) -> Decision {
    if rep.is_multiple_of(2) {
        return Decision::made(world, &subject.kernel, other, preset());
    }
    let kernel = subject.with_object(other.to_owned());
    Decision::made(world, &kernel, &subject.kernel.object, preset())
}

fn print_nothing(subjects: &[Subject], found: Vec<Decisions>) {
    println!(
        "| kernel | longest case, µs | kept | not kept | launches per case | seconds | p90 | whole \
         stage | p90 | over {SOON} s | pair sd, % |"
    );
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|");
    let print = |name: &str, decisions: &Decisions| {
        println!(
            "| {name} | {:.0} | {} of {} | {} | {:.0} | {} | {} | {:.2} |",
            median(&decisions.all(|d| d.longest_us)),
            decisions.count(Decision::kept),
            decisions.0.len(),
            decisions.others(),
            mean(&decisions.all(|d| d.launches)),
            decisions.seconds(),
            decisions.count(|d| d.seconds > SOON),
            100.0 * median(&decisions.all(|d| d.pair_sd)),
        );
    };
    for (subject, decisions) in subjects.iter().zip(&found) {
        print(&subject.kernel.name, decisions);
    }
    let all = Decisions(found.into_iter().flat_map(|decisions| decisions.0).collect());
    print("all", &all);
    let short = all.count(|d| d.longest_us <= SHORT_US);
    let soon = all.count(|d| d.longest_us <= SHORT_US && d.seconds <= SOON);
    println!(
        "\nKept of all: {}. Within {SOON} s where no launch takes over {SHORT_US} µs: {}.",
        all.kept(),
        share(soon, short)
    );
}

/// An incumbent that does more than the candidate.
fn faster(world: &World, asked: &Asked, (subjects, reps): (&[Subject], usize)) {
    println!("The candidate saves what the incumbent does besides; {reps} decisions each.\n");
    println!(
        "| kernel | gain, % | extra work, % | gain in 64 pairs, % | kept | not kept | gain \
         reported, % | launches per case | seconds | p90 | whole stage | p90 |"
    );
    println!("|---|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|");
    let mut sums: Vec<Decisions> = GAINS.map(|_| Decisions::default()).into();
    for subject in subjects {
        let kernel = subject.with_object(subject.with_more(world, 0.0));
        for (gain, sum) in GAINS.iter().zip(&mut sums) {
            let Fitted { incumbent, extra, truth } = fitted(world, (subject, &kernel), *gain);
            let name = &kernel.name;
            let part = format!("gain {gain}");
            record(asked, (&format!("{part} in truth"), name), &truth);
            let mut found = Decisions::default();
            for _ in 0..reps {
                let decision = Decision::made(world, &kernel, &incumbent, preset());
                record(asked, (&part, name), &decision);
                found.0.push(decision);
            }
            println!(
                "| {name} | {} | {:.2} | {:.2} ({:.2} – {:.2}) | {} of {reps} | {} | {:.2} | {:.0} \
                 | {} |",
                100.0 * gain,
                100.0 * extra,
                100.0 * truth.gain,
                100.0 * truth.interval[0],
                100.0 * truth.interval[1],
                found.count(Decision::kept),
                found.others(),
                100.0 * median(&found.all(|d| d.gain)),
                mean(&found.all(|d| d.launches)),
                found.seconds(),
            );
            sum.0.extend(found.0);
        }
    }
    println!();
    for (gain, sum) in GAINS.iter().zip(&sums) {
        println!("Kept at {} %: {}; not kept: {}.", 100.0 * gain, sum.kept(), sum.others());
    }
    println!();
}

/// An incumbent that is slower by about what was wanted.
pub(crate) struct Fitted {
    pub(crate) incumbent: PathBuf,
    /// What it does more, as a share.
    pub(crate) extra: f64,
    /// A long comparison.
    pub(crate) truth: Decision,
}

/// Extra work need not cost its share: what it reads lies in a nearer cache the second time, and
/// sizes are whole numbers. It is changed as long as the gain is surely another, in proportion and
/// then by halving what is between too little and too much; the nearest is taken.
pub(crate) fn fitted(world: &World, (subject, kernel): (&Subject, &Kernel), gain: f64) -> Fitted {
    let mut extra = 1.0 / (1.0 - gain) - 1.0;
    let (mut little, mut much) = (0.0, f64::INFINITY);
    let mut tried: Vec<(f64, Fitted)> = Vec::new();
    for _ in 0..=FITS {
        let incumbent = subject.with_more(world, extra);
        let truth = Decision::made(world, kernel, &incumbent, long());
        let off = gain / truth.gain.max(gain / 3.0);
        let [lower, upper] = truth.interval;
        *if truth.gain < gain { &mut little } else { &mut much } = extra;
        let near = lower < gain * NEAR && upper > gain / NEAR;
        tried.push((off.ln().abs(), Fitted { incumbent, extra, truth }));
        if near {
            break;
        }
        extra = if little > 0.0 && much.is_finite() { little.midpoint(much) } else { extra * off };
    }
    let nearest = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    nearest.expect("there is a first one").1
}

/// A candidate that does everything twice.
fn slower(world: &World, asked: &Asked, (subjects, reps): (&[Subject], usize)) {
    println!("The candidate does everything twice; {reps} decisions each.\n");
    println!(
        "| kernel | times as long, in 64 pairs | reverted | why | launches per case | at most | \
         seconds | p90 | whole stage | p90 |"
    );
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|");
    let print = |name: &str, times: &str, found: &Decisions| {
        let reverted = found.count(|d| d.reason.is_some() && !d.kept());
        let launches = found.all(|d| d.launches);
        println!(
            "| {name} | {times} | {reverted} of {} | {} | {:.1} | {:.1} | {} |",
            found.0.len(),
            found.others(),
            mean(&launches),
            at(&launches, 1.0),
            found.seconds(),
        );
    };
    let mut all = Decisions::default();
    for subject in subjects {
        let incumbent = subject.with_more(world, 0.0);
        let kernel = subject.with_object(subject.with_more(world, 1.0));
        let truth = Decision::made(world, &kernel, &incumbent, long());
        record(asked, ("twice in truth", &kernel.name), &truth);
        let mut found = Decisions::default();
        for _ in 0..reps {
            let decision = Decision::made(world, &kernel, &incumbent, preset());
            record(asked, ("twice", &kernel.name), &decision);
            found.0.push(decision);
        }
        print(&kernel.name, &format!("{:.2}", 1.0 - truth.gain), &found);
        all.0.extend(found.0);
    }
    print("all", "", &all);
    println!();
}
