//! A comparison or a calibration: its looks, what each case gained, and what it rests on.

use serde_json::json;

use super::facts::facts;
use crate::cli::columns::{pairs, paragraph, table};
use crate::cli::words::duration_us;
use crate::engine::StageRecord;
use crate::engine::account::{CalibrationRecord, ComparedCase, ComparisonRecord};
use crate::measure::pairs::Comparison;
use crate::stats::gain;

/// The section's text; empty for what compares nothing.
pub(super) fn shown(record: &StageRecord) -> String {
    let (launches, cases, rest) = match (record.comparison(), record.calibration()) {
        (Some(found), _) => (&found.record, &found.cases[..], of_comparison(found)),
        (None, Some(found)) => (&found.record, &[][..], of_calibration(found)),
        (None, None) => return String::new(),
    };
    let mut text = String::new();
    if let Some(words) = record.words() {
        text += &words.lines().map(|line| paragraph(line, 2)).collect::<String>();
        text.push('\n');
    }
    text += &looks(launches);
    text += &table_of(cases);
    text += &pairs(&rest);
    text
}

/// What the tables do not show of a comparison.
fn of_comparison(found: &ComparisonRecord) -> Vec<(String, String)> {
    facts(&[
        ("against", json!(found.against)),
        ("decision", json!(found.decision)),
        ("guard", json!(found.guard)),
        ("factor", json!(found.factor)),
        ("pairs", json!(found.pairs)),
        ("confirm_pairs", json!(found.confirm_pairs)),
        ("launches", json!(found.launches)),
        ("processes", json!(found.processes)),
        ("discarded_throttled", json!(found.discarded_throttled)),
        ("seconds", json!(found.seconds)),
        ("pair_sd", json!(found.pair_sd)),
        ("process_sd", json!(found.process_sd)),
        ("pairs_per_process", json!(found.pairs_per_process)),
        ("smallest_gain", json!(found.smallest_gain)),
        ("what_helps", json!(found.what_helps)),
    ])
}

/// And of a calibration.
fn of_calibration(found: &CalibrationRecord) -> Vec<(String, String)> {
    facts(&[
        ("against", json!(found.against)),
        ("device", json!(found.device)),
        ("pairs", json!(found.pairs)),
        ("processes", json!(found.processes)),
        ("pair_sd", json!(found.pair_sd)),
        ("process_sd", json!(found.process_sd)),
        ("pairs_per_process", json!(found.pairs_per_process)),
        ("smallest_gain", json!(found.smallest_gain)),
        ("identical_code", json!(found.identical_code)),
        ("too_noisy", json!(found.too_noisy)),
        ("launches", json!(found.launches)),
        ("seconds", json!(found.seconds)),
    ])
}

fn looks(launches: &Comparison) -> String {
    let gain_of = |d: Option<f64>| d.map(|d| percent(gain(d))).unwrap_or_default();
    let looks = launches.verdict.looks.iter();
    let rows: Vec<Vec<String>> = looks
        .map(|look| {
            let estimate = gain_of(Some(look.estimate));
            vec![look.pairs.to_string(), estimate, gain_of(look.lower), gain_of(look.upper)]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["pairs", "gain", "lower", "upper"], &rows) + "\n"
}

fn table_of(cases: &[ComparedCase]) -> String {
    let row = |case: &ComparedCase| {
        vec![
            case.label.clone(),
            duration_us(case.incumbent_us),
            duration_us(case.candidate_us),
            case.gain.map(percent).unwrap_or_default(),
            if case.harmed { "slower".to_owned() } else { String::new() },
        ]
    };
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    table(&["case", "incumbent", "candidate", "gain", ""], &rows) + "\n"
}

fn percent(share: f64) -> String {
    format!("{:+.2} %", 100.0 * share)
}
