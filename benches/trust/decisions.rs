//! How often a rule keeps what is no faster, finds what is, and what that costs.

use std::path::Path;

use optloop::stats::block::Metric;
use optloop::stats::deterministic;
use optloop::stats::sequential::{Reason, Rule};
use rand::{Rng, RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::Asked;
use crate::noise::{Machine, SYNTHETIC, Source, recorded};
use crate::numbers::mean;
use crate::rules::{Decider, Outcome, Told, calibrate, remote};

/// Decisions between two calibrations.
const BLOCK: usize = 50;
/// Candidates of a campaign.
const CANDIDATES: usize = 150;

/// Speed-ups whose decisions are counted, as shares of the incumbent's time.
const GAINS: [f64; 9] = [0.0, -0.01, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, -1.0];

/// What came of many decisions about one gain on one source.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    decisions: usize,
    kept: usize,
    launches: f64,
    /// Of what was kept.
    bias: f64,
}

impl Tally {
    fn of(outcomes: &[Outcome], truth: f64) -> Self {
        let kept: Vec<&Outcome> = outcomes.iter().filter(|o| o.kept).collect();
        let launches: Vec<f64> = outcomes.iter().map(|o| o.launches as f64).collect();
        let bias: Vec<f64> = kept.iter().map(|o| o.gain - truth).collect();
        Self {
            decisions: outcomes.len(),
            kept: kept.len(),
            launches: mean(&launches),
            bias: if bias.is_empty() { 0.0 } else { mean(&bias) },
        }
    }

    fn share(&self) -> f64 {
        self.kept as f64 / self.decisions.max(1) as f64
    }
}

/// What came of one rule on one source, for each of [`GAINS`].
type Row = [Tally; GAINS.len()];

pub(crate) fn run(asked: &Asked) {
    let reps = asked.reps(3000);
    let sources = sources();
    println!("{} sources, {reps} decisions each and for each gain.\n", sources.len());
    let rules = rules();
    let rows: Vec<Vec<Row>> = rules.iter().map(|(_, rule)| all(rule, &sources, reps)).collect();
    print_rules(&rules, &rows, &sources);
    print_sources(&rows[0], &sources);
    print_quiet(&rows[0], &sources);
    print_test_alone(&sources, reps);
    print_campaigns(&sources, reps.div_ceil(CANDIDATES).max(2));
    print_remote(&sources, reps);
    print_deterministic(reps);
}

fn sources() -> Vec<Source> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/slots.csv");
    let recorded = recorded(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let made_up = SYNTHETIC.into_iter().map(Source::Synthetic);
    recorded.into_iter().map(Source::Recorded).chain(made_up).collect()
}

fn rules() -> Vec<(&'static str, Decider)> {
    vec![
        ("optloop", Decider::Ours(Rule::default())),
        ("optloop, up to 128 pairs", Decider::Ours(Rule::with_looks(&Rule::FINAL_LOOKS))),
        ("lower median", Decider::LowerMedian(0.0)),
        ("delta >= 0.1 %", Decider::LowerMedian(0.001)),
        ("delta >= 1 %", Decider::LowerMedian(0.01)),
        ("Mann-Whitney 5 %", Decider::MannWhitney),
        ("staged + final", Decider::StagedAndFinal),
    ]
}

/// The logarithmic speed-up of a gain.
fn d_of(gain: f64) -> f64 {
    -(-gain).ln_1p()
}

/// Decisions of one rule about every gain on every source.
fn all(rule: &Decider, sources: &[Source], reps: usize) -> Vec<Row> {
    let cell = |source: usize, gain: usize| {
        let outcomes = decisions(&sources[source], reps, (source * 100 + gain) as u64, |m, r| {
            rule.decide(m, d_of(GAINS[gain]), r)
        });
        Tally::of(&outcomes, GAINS[gain])
    };
    let row = |source: usize| std::array::from_fn(|gain| cell(source, gain));
    (0..sources.len()).into_par_iter().map(row).collect()
}

/// Decisions on a source in blocks, each after a calibration on the machine it runs on.
fn decisions(
    source: &Source,
    reps: usize,
    seed: u64,
    decide: impl Fn(&mut Machine<'_, ChaCha8Rng>, usize) -> Outcome + Sync,
) -> Vec<Outcome> {
    let block = |block: usize| {
        let rng = ChaCha8Rng::seed_from_u64(seed * 1_000_000 + block as u64);
        let mut machine = Machine::new(source, rng);
        let r = calibrate(&mut machine).pairs_per_process as usize;
        let these = BLOCK.min(reps - block * BLOCK);
        (0..these).map(|_| decide(&mut machine, r)).collect::<Vec<Outcome>>()
    };
    (0..reps.div_ceil(BLOCK)).into_par_iter().flat_map(block).collect()
}

/// The column of a gain.
fn column(gain: f64) -> usize {
    GAINS.iter().position(|&g| (g - gain).abs() < 1e-12).expect("a gain that is counted")
}

fn percent(share: f64) -> String {
    let share = 100.0 * share;
    if share < 9.95 { format!("{share:.2}") } else { format!("{share:.1}") }
}

fn average(rows: &[Row], value: impl Fn(&Row) -> f64) -> f64 {
    mean(&rows.iter().map(value).collect::<Vec<f64>>())
}

fn print_rules(rules: &[(&str, Decider)], rows: &[Vec<Row>], sources: &[Source]) {
    println!("## Rules side by side\n");
    println!(
        "| rule | A/A kept, % | worst source, % | -1 % kept, % | +1 % | +2 % | +5 % | +10 % | +30 % \
         | launches, no-op | -1 % | +2 % | 2x slower | bias at +2 %, points | at +0.5 % |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for ((name, _), rows) in rules.iter().zip(rows) {
        let kept = |gain: f64| percent(average(rows, |row| row[column(gain)].share()));
        let launches = |gain: f64| format!("{:.0}", average(rows, |r| r[column(gain)].launches));
        let bias = |gain: f64| {
            // Each keep counts alike: on a source that keeps one lucky thing, it is no average.
            let at = column(gain);
            let all: usize = rows.iter().map(|row| row[at].kept).sum();
            let sum: f64 = rows.iter().map(|row| row[at].bias * row[at].kept as f64).sum();
            format!("{:+.2}", 100.0 * sum / all.max(1) as f64)
        };
        let worst = (0..sources.len()).max_by_key(|&s| rows[s][0].kept).expect("sources");
        println!(
            "| {name} | {} | {} ({}) | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} | {} |",
            kept(0.0),
            percent(rows[worst][0].share()),
            sources[worst].name(),
            kept(-0.01),
            kept(0.01),
            kept(0.02),
            kept(0.05),
            kept(0.1),
            kept(0.3),
            launches(0.0),
            launches(-0.01),
            launches(0.02),
            average(rows, |row| row[column(-1.0)].launches),
            bias(0.02),
            bias(0.005),
        );
    }
}

/// What a calibration says of a source, in the middle of many.
struct Seen {
    pair_sd: f64,
    process_sd: f64,
    smallest: f64,
    too_noisy: f64,
}

fn seen(source: &Source) -> Seen {
    let all: Vec<_> = (0..200)
        .map(|seed| {
            let mut machine = Machine::new(source, ChaCha8Rng::seed_from_u64(seed));
            calibrate(&mut machine)
        })
        .collect();
    let of = |value: &dyn Fn(&optloop::stats::Calibration) -> f64| {
        mean(&all.iter().map(value).collect::<Vec<f64>>())
    };
    Seen {
        pair_sd: of(&|c| c.pair_sd),
        process_sd: of(&|c| c.process_sd),
        smallest: of(&|c| c.smallest_gain),
        too_noisy: of(&|c| f64::from(u8::from(c.too_noisy.is_some()))),
    }
}

fn print_sources(rows: &[Row], sources: &[Source]) {
    println!("\n## optloop on each source\n");
    println!(
        "| source | pair sd, % | process sd, % | smallest gain, % | too noisy, % | A/A kept, % \
         | -1 % kept, % | +1 % | +2 % | +5 % | +10 % | launches, no-op |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (source, row) in sources.iter().zip(rows) {
        let noise = seen(source);
        let kept = |gain: f64| percent(row[column(gain)].share());
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} |",
            source.name(),
            percent(noise.pair_sd),
            percent(noise.process_sd),
            percent(noise.smallest),
            percent(noise.too_noisy),
            kept(0.0),
            kept(-0.01),
            kept(0.01),
            kept(0.02),
            kept(0.05),
            kept(0.1),
            row[0].launches,
        );
    }
}

fn print_quiet(rows: &[Row], sources: &[Source]) {
    let quiet: Vec<Row> = rows
        .iter()
        .zip(sources)
        .filter(|(_, source)| seen(source).pair_sd <= 0.011)
        .map(|(row, _)| *row)
        .collect();
    let kept = |gain: f64| percent(average(&quiet, |row| row[column(gain)].share()));
    println!(
        "\nOn the {} sources with a pair sd of at most 1.1 %: {} / {} / {} % kept at +1 / +2 / +5 %.",
        quiet.len(),
        kept(0.01),
        kept(0.02),
        kept(0.05)
    );
}

/// The bounds by themselves: any gain is worth having, and none has to be confirmed.
fn print_test_alone(sources: &[Source], reps: usize) {
    let rule = Decider::Ours(Rule { minimum_effect: 0.0, confirm: None, ..Rule::default() });
    let alike: Vec<&Source> = sources.iter().filter(|s| !s.has_process_effect()).collect();
    let share = |(at, source): (usize, &&Source)| {
        let outcomes = decisions(source, reps, 70_000 + at as u64, |m, r| rule.decide(m, 0.0, r));
        Tally::of(&outcomes, 0.0).share()
    };
    let shares: Vec<f64> = alike.iter().enumerate().map(share).collect();
    println!(
        "\nThe test alone (m = 0, no confirmation) on the {} sources without a process effect: \
         {} % of identical code kept, worst source {} %.",
        alike.len(),
        percent(mean(&shares)),
        percent(shares.iter().copied().fold(0.0, f64::max))
    );
}

/// What came of a campaign.
#[derive(Debug, Clone, Copy, Default)]
struct Campaign {
    false_keeps: usize,
    gains: usize,
    found: usize,
    /// The logarithms of the product of reported gains, and of what is true of what was kept.
    claimed: f64,
    truth: f64,
    launches: usize,
}

/// A candidate's gain: 60 % change nothing, 20 % are slower by 1 to 30 %, 10 % are twice as slow,
/// and 10 % are faster by 2, 3, 5, 10 or 20 %.
fn draw(rng: &mut impl Rng) -> f64 {
    match rng.random_range(0..10) {
        0..6 => 0.0,
        6..8 => -rng.random_range(0.01..0.3),
        8 => -1.0,
        _ => [0.02, 0.03, 0.05, 0.1, 0.2][rng.random_range(0..5)],
    }
}

fn campaign(source: &Source, rule: &Decider, seed: u64) -> Campaign {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut machine = Machine::new(source, ChaCha8Rng::seed_from_u64(seed + 1));
    let mut all = Campaign::default();
    let mut r = 2;
    for at in 0..CANDIDATES {
        if at % BLOCK == 0 {
            r = calibrate(&mut machine).pairs_per_process as usize;
        }
        let gain = draw(&mut rng);
        let outcome = rule.decide(&mut machine, d_of(gain), r);
        all.launches += outcome.launches;
        all.gains += usize::from(gain > 0.0);
        if outcome.kept {
            all.false_keeps += usize::from(gain <= 0.0);
            all.found += usize::from(gain > 0.0);
            all.claimed += d_of(outcome.gain);
            all.truth += d_of(gain);
        }
    }
    all
}

fn print_campaigns(sources: &[Source], each: usize) {
    println!("\n## Campaigns of {CANDIDATES} candidates\n");
    println!("| rule | false keeps | gains found, % | claimed : true | launches |");
    println!("|---|--:|--:|--:|--:|");
    for (name, rule) in rules().iter().filter(|(name, _)| !name.contains("128")) {
        let one = |at: usize| campaign(&sources[at % sources.len()], rule, 90_000 + 2 * at as u64);
        let all: Vec<Campaign> = (0..each * sources.len()).into_par_iter().map(one).collect();
        let of =
            |value: &dyn Fn(&Campaign) -> f64| mean(&all.iter().map(value).collect::<Vec<_>>());
        let gains = of(&|c| c.gains as f64);
        println!(
            "| {name} | {:.2} | {:.1} | {:.3} | {:.0} |",
            of(&|c| c.false_keeps as f64),
            100.0 * of(&|c| c.found as f64) / gains,
            of(&|c| c.claimed - c.truth).exp(),
            of(&|c| c.launches as f64),
        );
    }
}

fn print_remote(sources: &[Source], reps: usize) {
    println!("\n## A harness elsewhere that returns one number a call\n");
    println!(
        "| it returns | A/A kept, % | worst source, % | +2 % | +5 % | +10 % | calls, no-op | +5 % \
         | 2x slower |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for told in Told::ALL {
        let tallies = |gain: f64| -> Vec<Tally> {
            let of = |(at, source): (usize, &Source)| {
                let seed = 80_000 + at as u64 * 100 + column(gain) as u64;
                let outcomes = decisions(source, reps, seed, |m, _| remote(m, d_of(gain), told));
                Tally::of(&outcomes, gain)
            };
            sources.iter().enumerate().map(of).collect()
        };
        let kept =
            |gain: f64| percent(mean(&tallies(gain).iter().map(Tally::share).collect::<Vec<_>>()));
        let calls = |gain: f64| {
            let all: Vec<f64> = tallies(gain).iter().map(|t| t.launches).collect();
            format!("{:.1}", mean(&all))
        };
        let same = tallies(0.0);
        let worst = (0..same.len()).max_by_key(|&at| same[at].kept).expect("sources");
        println!(
            "| {} | {} | {} ({}) | {} | {} | {} | {} | {} | {} |",
            told.word(),
            kept(0.0),
            percent(same[worst].share()),
            sources[worst].name(),
            kept(0.02),
            kept(0.05),
            kept(0.1),
            calls(0.0),
            calls(0.05),
            calls(-1.0),
        );
    }
}

/// Counts that repeat, better or worse by one or the same.
fn print_deterministic(reps: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut errors = 0;
    for _ in 0..reps {
        let a = f64::from(rng.random_range(1000..1_000_000_u32));
        let change = f64::from(rng.random_range(-1..=1_i32));
        let found = deterministic::decide(&Metric::default(), &[a; 2], &[a + change; 2], 0.0);
        let reason = found.ok().flatten().map(|verdict| verdict.reason);
        let expected = match change {
            c if c < 0.0 => Reason::Faster,
            c if c > 0.0 => Reason::Slower,
            _ => Reason::NoWorthwhileDifference,
        };
        errors += usize::from(reason != Some(expected));
    }
    println!(
        "\nCounts that repeat, changed by -1, 0 or 1: {errors} of {reps} decided wrongly, 4 runs each."
    );
}
