//! Decisions about code that an edit only moved, and about gains of a known size beside them.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use optloop::backend::cpu::layouts::MOST;
use serde_json::{Value, json};

use crate::Asked;
use crate::live::{Decision, Decisions, Fitted, fitted, preset};
use crate::numbers::{at, mean, median};
use crate::scaled::Subject;
use crate::world::{World, candidate};

/// Shares of its time that the candidate saves.
const GAINS: [f64; 2] = [0.02, 0.05];

/// Rounds that make a thousand decisions of ten kernels and four edits.
const ROUNDS: usize = 25;

/// Edits that change no instruction of the kernel.
const EDITS: [Edit; 4] = [
    Edit { name: "unused function above", flags: &[], sides: || [below(&[]), below(&[1])] },
    Edit {
        name: "functions reordered",
        flags: &[],
        sides: || [below(&[1, 2, 3]), [functions(&[3]), functions(&[2, 1])]],
    },
    Edit {
        name: "string changed",
        flags: &[],
        sides: || [noted("softly"), noted("softly, and then not softly at all: see the notes")],
    },
    Edit {
        name: "32 bytes further on",
        // So that its loops are as far from its beginning as before.
        flags: &["-falign-functions=32", "-falign-loops=32"],
        sides: || [below(&[]), ["__asm__(\".text\\n.skip 32\\n\");".to_owned(), String::new()]],
    },
];

/// An edit: what stands above and below the kernel before it and after it.
struct Edit {
    name: &'static str,
    flags: &'static [&'static str],
    sides: fn() -> [[String; 2]; 2],
}

/// Unused functions of different sizes.
fn functions(which: &[usize]) -> String {
    which.iter().fold(String::new(), |mut text, &number| {
        let body = "x = x * x + 1.0f; ".repeat(3 * number);
        let _infallible = writeln!(
            text,
            "__attribute__((used, noinline)) static float unused_{number}(float x) {{ {body}return x; }}"
        );
        text
    })
}

fn below(which: &[usize]) -> [String; 2] {
    [functions(which), String::new()]
}

fn noted(words: &str) -> [String; 2] {
    [format!("__attribute__((used)) static const char note[] = \"{words}\";"), String::new()]
}

pub(crate) fn run(world: &World, asked: &Asked) {
    let mut known = Known::read(asked);
    let mut subjects = Subject::all_shipped(world);
    subjects.retain(|subject| asked.only.as_ref().is_none_or(|only| *only == subject.kernel.name));
    // What is known of the machine is found out once.
    drop(world.bench(&subjects[0].kernel, candidate()));
    let wants = |part: &str| asked.part.as_deref().map_or(part != "alone", |asked| asked == part);
    if wants("same") {
        println!("Each process of a side has one of {MOST} layouts by lot.\n");
        moved(world, (&subjects, MOST), &mut known);
    }
    if wants("alone") {
        println!("One layout a side.\n");
        moved(world, (&subjects, 1), &mut known);
    }
    if wants("gains") {
        gains(world, &subjects, &mut known);
    }
}

/// Decisions of this call, and of earlier ones with the same file of records.
struct Known<'a> {
    asked: &'a Asked,
    lines: Vec<Value>,
    until: Option<Instant>,
}

impl<'a> Known<'a> {
    fn read(asked: &'a Asked) -> Self {
        let text = asked.out.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let lines = text.unwrap_or_default();
        let lines = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let limit = asked.minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes));
        Self { asked, lines, until: limit.map(|limit| Instant::now() + limit) }
    }

    /// A decision that was made already, or one that is made now unless the time is over.
    fn decision(&self, place: &Value, make: impl FnOnce() -> Decision) -> Option<Decision> {
        let same = |line: &&Value| line["study"] == "layout" && line["place"] == *place;
        if let Some(known) = self.lines.iter().find(same) {
            return Some(Decision::read(&known["decision"]));
        }
        if self.until.is_some_and(|until| Instant::now() > until) {
            return None;
        }
        let decision = make();
        self.asked.record(&json!({ "study": "layout", "place": place, "load": self.asked.load,
                "decision": decision.json() }));
        Some(decision)
    }
}

/// The same code before and after each edit.
fn moved(world: &World, (subjects, layouts): (&[Subject], u32), known: &mut Known<'_>) {
    let built: Vec<Vec<[PathBuf; 2]>> = subjects
        .iter()
        .map(|subject| {
            let both = |edit: &Edit| {
                let sides = (edit.sides)();
                [0, 1].map(|side| {
                    let [above, below] = &sides[side];
                    let what = format!("{} {layouts} {side}", edit.name);
                    subject.within(world, &what, ([above, below], edit.flags, layouts))
                })
            };
            EDITS.iter().map(both).collect()
        })
        .collect();
    let mut found: Vec<Vec<Decisions>> =
        subjects.iter().map(|_| EDITS.iter().map(|_| Decisions::default()).collect()).collect();
    'all: for round in 0..known.asked.reps(ROUNDS) {
        for ((subject, built), found) in subjects.iter().zip(&built).zip(&mut found) {
            for ((edit, sides), found) in EDITS.iter().zip(built).zip(found) {
                let place = json!([layouts, edit.name, subject.kernel.name, round]);
                // In turn either one is the candidate.
                let (candidate, incumbent) = (&sides[round % 2], &sides[1 - round % 2]);
                let decision = known.decision(&place, || {
                    let kernel = subject.with_object(candidate.clone());
                    Decision::made(world, &kernel, incumbent, preset())
                });
                let Some(decision) = decision else { break 'all };
                found.0.push(decision);
            }
        }
    }
    print_moved(subjects, found);
}

fn print_moved(subjects: &[Subject], found: Vec<Vec<Decisions>>) {
    let names: Vec<&str> = EDITS.iter().map(|edit| edit.name).collect();
    println!(
        "| kernel | {} | all | largest gain seen, % | seconds | p90 | whole stage | p90 | pair sd, % |",
        names.join(" | ")
    );
    println!("|---|{}--:|--:|--:|--:|--:|--:|--:|", "--:|".repeat(names.len()));
    let print = |name: &str, by_edit: &[Vec<&Decision>]| {
        let cells = by_edit
            .iter()
            .map(|some| format!("{} of {}", some.iter().filter(|d| d.kept()).count(), some.len()));
        let all: Vec<&Decision> = by_edit.iter().flatten().copied().collect();
        let numbers = |number: fn(&Decision) -> f64| {
            let numbers = all.iter().map(|d| number(d)).filter(|value| !value.is_nan());
            let numbers: Vec<f64> = numbers.collect();
            if numbers.is_empty() { vec![f64::NAN] } else { numbers }
        };
        let seconds = |of: &[f64]| format!("{:.2} | {:.2}", mean(of), at(of, 0.9));
        println!(
            "| {name} | {} | {} of {} | {:.2} | {} | {} | {:.2} |",
            cells.collect::<Vec<_>>().join(" | "),
            all.iter().filter(|d| d.kept()).count(),
            all.len(),
            100.0 * at(&numbers(|d| d.gain.abs()), 1.0),
            seconds(&numbers(|d| d.seconds)),
            seconds(&numbers(|d| d.stage_seconds)),
            100.0 * median(&numbers(|d| d.pair_sd)),
        );
    };
    for (subject, decisions) in subjects.iter().zip(&found) {
        let by_edit: Vec<Vec<&Decision>> = decisions.iter().map(|d| d.0.iter().collect()).collect();
        print(&subject.kernel.name, &by_edit);
    }
    let by_edit: Vec<Vec<&Decision>> = (0..EDITS.len())
        .map(|edit| found.iter().flat_map(|decisions| &decisions[edit].0).collect())
        .collect();
    print("all", &by_edit);
    let all = Decisions(found.into_iter().flatten().flat_map(|decisions| decisions.0).collect());
    println!("\nKept of all: {}; not kept: {}.\n", all.kept(), all.others());
}

/// An incumbent that does more than the candidate.
fn gains(world: &World, subjects: &[Subject], known: &mut Known<'_>) {
    let reps = known.asked.reps(ROUNDS).div_ceil(5);
    println!("The candidate saves what the incumbent does besides; {reps} decisions each.\n");
    println!(
        "| kernel | gain, % | gain in 64 pairs, % | kept | not kept | seconds | p90 | whole stage | p90 |"
    );
    println!("|---|--:|--:|--:|---|--:|--:|--:|--:|");
    let mut sums: Vec<Decisions> = GAINS.map(|_| Decisions::default()).into();
    for subject in subjects {
        for (gain, sum) in GAINS.iter().zip(&mut sums) {
            if known.until.is_some_and(|until| Instant::now() > until) {
                break;
            }
            let kernel = subject.with_object(subject.with_more(world, 0.0));
            let Fitted { incumbent, truth, .. } = fitted(world, (subject, &kernel), *gain);
            let mut found = Decisions::default();
            for rep in 0..reps {
                let place = json!([MOST, format!("gain {gain}"), kernel.name, rep]);
                let make = || Decision::made(world, &kernel, &incumbent, preset());
                found.0.extend(known.decision(&place, make));
            }
            println!(
                "| {} | {} | {:.2} | {} of {} | {} | {} |",
                kernel.name,
                100.0 * gain,
                100.0 * truth.gain,
                found.count(Decision::kept),
                found.0.len(),
                found.others(),
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
