//! A whole campaign whose candidates do what the best does, and one with a real gain in ten.
#![expect(clippy::disallowed_methods, reason = "the program is driven as people drive it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::Asked;

/// Candidates of a campaign.
const CANDIDATES: usize = 200;
/// Candidates of which one does less work.
const ONE_IN: usize = 10;
/// Shares of the work that a better candidate leaves out, in percent.
const GAINS: [f64; 10] = [2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 25.0, 30.0];
/// The work of the first version, in loops over 256 elements.
const WORK: f64 = 1600.0;

const CAMPAIGN: &str = r#"
name = "study"
goal = "Find the gains among the changes that are none."
pipeline = "pipeline.toml"
[agent]
replay = "versions"
[budget]
iterations = 10000
"#;

const PIPELINE: &str = r#"
name = "study"
kernel = "kernel.c"
problem = "problem.toml"
[stages.smoke]
[stages.candidate]
needs = ["smoke"]
"#;

const PROBLEM: &str = r#"
name = "sums"
entry = "sums"
cases = [{ n = 4096 }, { n = 5000 }]
args = [
    { name = "a", dtype = "f32", shape = ["n"], fill = { normal = { mean = 0.0, std = 1.0 } } },
    { name = "b", dtype = "f32", shape = ["n"], fill = { normal = { mean = 0.0, std = 1.0 } } },
    { name = "out", dtype = "f32", shape = ["n"], role = "out" },
    { name = "n", dtype = "i32", value = "n" },
]
[reference]
source = "reference.c"
[tolerance]
rtol = 1e-6
atol = 1e-7
"#;

const REFERENCE: &str = "void sums(const float *a, const float *b, float *out, int n)\n\
    { for (int i = 0; i < n; i++) out[i] = a[i] + b[i]; }\n";

/// One candidate.
struct Version {
    text: String,
    /// How much work it does.
    work: f64,
}

pub(crate) fn run(asked: &Asked) {
    let count = asked.reps(CANDIDATES);
    let wants = |part: &str| asked.part.as_deref().is_none_or(|asked| asked == part);
    if wants("same") {
        let versions = (1..=count).map(|number| version(number, WORK)).collect::<Vec<_>>();
        println!("{count} candidates that alter the binary and not its work.\n");
        study(&versions);
    }
    if wants("gains") {
        println!(
            "{count} candidates, of which one in {ONE_IN} leaves out 2 to 30 % of the work.\n"
        );
        study(&with_gains(count));
    }
}

fn with_gains(count: usize) -> Vec<Version> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut gains: Vec<f64> = GAINS.iter().copied().cycle().take(count.div_ceil(ONE_IN)).collect();
    gains.shuffle(&mut rng);
    let places: Vec<usize> = gains.iter().map(|_| rng.random_range(0..ONE_IN)).collect();
    let mut work = WORK;
    (0..count)
        .map(|at| {
            if places[at / ONE_IN] == at % ONE_IN {
                work = (work * (1.0 - gains[at / ONE_IN] / 100.0)).round();
            }
            version(at + 1, work)
        })
        .collect()
}

/// A kernel that does so much work, with something around it that no other version has.
fn version(number: usize, work: f64) -> Version {
    let above = match number % 4 {
        0 => format!("__asm__(\".text\\n.skip {}\\n\");\n", 16 * (number % 64 + 1)),
        1 => format!(
            "__attribute__((used)) static const char note[] = \"{}{number}\";\n",
            "x".repeat(number % 97 + 1)
        ),
        _ => format!(
            "__attribute__((used, noinline)) static float unused(float x) {{ {}return x + {number}; }}\n",
            "x = x * x + 1.0f; ".repeat(number % 23 + 1)
        ),
    };
    let text = format!(
        "{above}void sums(const float *a, const float *b, float *out, int n)\n{{\n\
         \x20   for (int i = 0; i < n; i++) out[i] = a[i] + b[i];\n\
         \x20   for (int u = 0; u < {work}; u++) {{\n\
         \x20       float s = 0; for (int i = 0; i < 256; i++) s += a[i] * b[i];\n\
         \x20       __asm__ volatile(\"\" :: \"x\"(s) : \"memory\");\n    }}\n}}\n"
    );
    Version { text, work }
}

fn study(versions: &[Version]) {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path();
    project(root, versions);
    let started = std::time::Instant::now();
    let output = optloop(root, &["loop", "start", "campaign.toml", "--quiet"]);
    let seconds = started.elapsed().as_secs_f64();
    let campaign = only_folder(&root.join(".optloop/campaigns"));
    let Some(campaign) = campaign else { panic!("no campaign: {output}") };
    let records = fs::read_to_string(campaign.join("experiments.jsonl")).unwrap_or_default();
    let records: Vec<Value> =
        records.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    table(versions, &records);
    steps(&records);
    println!("\n{:.0} s in all, {:.2} s an iteration.\n", seconds, seconds / versions.len() as f64);
    let anchor =
        optloop(&campaign.join("judge"), &["compare", "--anchor", "--pipeline", "pipeline.toml"]);
    println!("```\n{}\n```\n", anchor.trim());
}

fn project(root: &Path, versions: &[Version]) {
    let write = |path: &str, text: &str| {
        let place = root.join(path);
        fs::create_dir_all(place.parent().expect("below the root")).expect("a folder");
        fs::write(place, text).expect("written");
    };
    write("campaign.toml", CAMPAIGN);
    write("pipeline.toml", PIPELINE);
    write("problem.toml", PROBLEM);
    write("reference.c", REFERENCE);
    write("kernel.c", &version(0, WORK).text);
    for (at, version) in versions.iter().enumerate() {
        write(&format!("versions/{:04}/kernel.c", at + 1), &version.text);
    }
}

fn optloop(dir: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_optloop"))
        .args(args)
        .current_dir(dir)
        .output()
        .expect("optloop starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn only_folder(place: &Path) -> Option<PathBuf> {
    fs::read_dir(place).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_dir())
}

/// How many times better the kept steps say the best is, with what their own intervals leave open: errors
/// of steps are independent, so their squares add up on the scale of logarithms.
fn steps(records: &[Value]) {
    let d = |gain: &Value| gain.as_f64().map(|gain| -(-gain).ln_1p());
    let mut sum = 0.0;
    let mut squares = [0.0; 2];
    for kept in records.iter().filter(|record| record["status"] == "kept") {
        let Some(gain) = d(&kept["gain"]) else { continue };
        sum += gain;
        for (square, end) in squares.iter_mut().zip([&kept["lower"], &kept["upper"]]) {
            *square += d(end).map_or(0.0, |end| (end - gain).powi(2));
        }
    }
    let [below, above] = squares.map(f64::sqrt);
    println!(
        "\nThe kept steps together: {:.3} x ({:.3} .. {:.3}).",
        sum.exp(),
        (sum - below).exp(),
        (sum + above).exp()
    );
}

/// What came of candidates whose true gain beside the best of their time lies in a range.
fn table(versions: &[Version], records: &[Value]) {
    let ranges = [(f64::MIN, 0.0), (0.0, 2.0), (2.0, 3.0), (3.0, 5.0), (5.0, 10.0), (10.0, 100.0)];
    let mut counts = [[0_usize; 4]; 6];
    let mut best = WORK;
    for record in records.iter().filter(|record| record["iteration"] != 0) {
        let number = record["iteration"].as_u64().unwrap_or(1) as usize;
        let Some(version) = versions.get(number - 1) else { continue };
        let truth = 100.0 * (1.0 - version.work / best);
        let range = ranges.iter().position(|(above, most)| *above < truth && truth <= *most);
        let place = match record["status"].as_str() {
            Some("kept") => 0,
            Some("reverted") => 1,
            Some("undecided") => 2,
            _ => 3,
        };
        counts[range.unwrap_or(0)][place] += 1;
        if place == 0 {
            best = version.work;
        }
        if place == 0 && truth <= 0.0 {
            println!("kept without a gain: {record}\n");
        }
    }
    println!("| work left out, % of the best's | kept | reverted | undecided | otherwise |");
    println!("|---|--:|--:|--:|--:|");
    let names = ["none", "up to 2", "2 to 3", "3 to 5", "5 to 10", "more"];
    for (name, count) in names.iter().zip(counts) {
        let [kept, reverted, undecided, other] = count;
        println!("| {name} | {kept} | {reverted} | {undecided} | {other} |");
    }
}
