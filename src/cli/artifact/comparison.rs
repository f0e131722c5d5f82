//! A comparison or a calibration: its looks, what each case gained, and what it rests on.

use serde_json::{Map, Value};

use super::facts::facts;
use crate::cli::columns::{pairs, paragraph, table};
use crate::cli::words::duration_us;
use crate::stats::sequential::gain;

/// What the tables show, and the launches, which `optloop replay` reads.
const SHOWN: [&str; 8] =
    ["record", "cases", "reason", "better", "gain", "gain_lower", "gain_upper", "gain_level"];

/// The section's text; empty for what compares nothing.
pub(super) fn shown(result: &Map<String, Value>) -> String {
    let found =
        ["comparison", "calibration"].iter().find_map(|part| result.get(*part)?.as_object());
    let Some(found) = found else { return String::new() };
    let mut text = String::new();
    if let Some(words) = result.get("words").and_then(Value::as_str) {
        text += &words.lines().map(|line| paragraph(line, 2)).collect::<String>();
        text.push('\n');
    }
    text += &looks(found);
    text += &cases(found);
    text += &pairs(&facts(found, &SHOWN));
    text
}

fn looks(found: &Map<String, Value>) -> String {
    let looks = found.get("record").and_then(|r| r.get("verdict")?.get("looks")?.as_array());
    let rows: Vec<Vec<String>> = looks
        .into_iter()
        .flatten()
        .map(|look| {
            let d = |name: &str| look.get(name).and_then(Value::as_f64);
            let pairs = look.get("pairs").and_then(Value::as_u64).unwrap_or_default();
            let gain = |name: &str| d(name).map(|d| percent(gain(d))).unwrap_or_default();
            vec![pairs.to_string(), gain("estimate"), gain("lower"), gain("upper")]
        })
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        table(&["pairs", "gain", "lower", "upper"], &rows) + "\n"
    }
}

fn cases(found: &Map<String, Value>) -> String {
    let cases = found.get("cases").and_then(Value::as_array);
    let rows: Vec<Vec<String>> = cases
        .into_iter()
        .flatten()
        .map(|case| {
            let number = |name: &str| case.get(name).and_then(Value::as_f64);
            let time = |name: &str| number(name).map(duration_us).unwrap_or_default();
            let label = case.get("label").and_then(Value::as_str).unwrap_or_default();
            let harmed = case.get("harmed").and_then(Value::as_bool).unwrap_or(false);
            vec![
                label.to_owned(),
                time("incumbent_us"),
                time("candidate_us"),
                number("gain").map(percent).unwrap_or_default(),
                if harmed { "slower".to_owned() } else { String::new() },
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["case", "incumbent", "candidate", "gain", ""], &rows) + "\n"
}

fn percent(share: f64) -> String {
    format!("{:+.2} %", 100.0 * share)
}
