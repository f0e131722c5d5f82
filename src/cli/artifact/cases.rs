//! The cases of an artifact: their numbers in tables, what else is known, and their pictures.

use serde_json::json;

use super::facts::{facts, percent, sentence};
use crate::cli::columns::{clean, pairs, paragraph, table};
use crate::cli::picture::{Charset, histogram, sparkline};
use crate::cli::words::{duration_us, interval_us};
use crate::engine::StageRecord;
use crate::engine::account::{CaseRecord, CheckedCase};

/// Cases whose histograms are drawn; of more, the sparklines alone.
const DRAWN: usize = 4;

/// The cases of a record, or of the one that was chosen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Cases<'a> {
    /// It has none.
    #[default]
    None,
    /// With times.
    Measured(&'a [CaseRecord]),
    /// With what differs from the reference.
    Checked(&'a [CheckedCase]),
}

impl<'a> Cases<'a> {
    /// Those of a record.
    pub(super) fn of(record: &'a StageRecord) -> Self {
        match record.chosen() {
            Some(StageRecord::Bench(bench)) => Self::Measured(&bench.cases),
            Some(StageRecord::Check(check)) => Self::Checked(&check.cases),
            _ => Self::None,
        }
    }

    /// Everything in numbers and words.
    pub(super) fn numbers(self) -> String {
        match self {
            Self::None | Self::Measured([]) => String::new(),
            Self::Checked(cases) => pairs(&cases.iter().map(checked).collect::<Vec<_>>()),
            Self::Measured(cases) => {
                let rest: Vec<(String, String)> = cases.iter().map(further).collect();
                format!("{}\n{}\n{}", times(cases), spread(cases), pairs(&rest))
            }
        }
    }

    /// Every case's samples in their order and by size.
    pub(super) fn pictures(self, charset: Charset) -> String {
        let Self::Measured(cases) = self else { return String::new() };
        let drawn: Vec<(String, Vec<Vec<f64>>)> = cases
            .iter()
            .map(|case| (clean(&case.label), samples(case)))
            .filter(|(_, samples)| samples.iter().any(|process| !process.is_empty()))
            .collect();
        let extent = if drawn.len() <= DRAWN { Extent::Whole } else { Extent::Line };
        let texts: Vec<String> = drawn
            .iter()
            .map(|(label, processes)| picture(label, processes, extent, charset))
            .collect();
        texts.join("\n")
    }
}

/// How much of a case is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// The samples in their order.
    Line,
    /// These, and by size.
    Whole,
}

fn times(cases: &[CaseRecord]) -> String {
    let time = |us: Option<f64>| us.map(duration_us).unwrap_or_default();
    let row = |case: &CaseRecord| {
        let interval = case.lower_us.zip(case.upper_us);
        let interval = interval.map(|(lower, upper)| interval_us(lower, upper));
        vec![
            clean(&case.label),
            time(case.median_us),
            interval.unwrap_or_default(),
            case.level.map(percent).unwrap_or_default(),
            duration_us(case.min_us),
            time(case.mean_us),
        ]
    };
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    table(&["case", "median", "interval", "level", "min", "mean"], &rows)
}

/// Quantiles and counts.
fn spread(cases: &[CaseRecord]) -> String {
    let row = |case: &CaseRecord| {
        let times = [case.p10_us, case.p90_us, case.p99_us, case.max_us, case.sd_us];
        let times = times.into_iter().map(duration_us);
        let launches = case.launches.to_string();
        std::iter::once(clean(&case.label)).chain(times).chain([launches]).collect()
    };
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    table(&["case", "p10", "p90", "p99", "max", "sd", "launches"], &rows)
}

/// What the tables do not show of a case, under its label.
fn further(case: &CaseRecord) -> (String, String) {
    let facts = facts(&[
        ("basis", json!(case.basis)),
        ("between_sd", json!(case.between_sd)),
        ("within_sd", json!(case.within_sd)),
        ("loop", json!(case.looped)),
        ("staged_sets", json!(case.staged_sets)),
        ("warmup_launches", json!(case.warmup_launches)),
        ("unconfirmed", json!(case.unconfirmed)),
        ("outliers", json!(case.outliers)),
        ("roofline", json!(case.roofline)),
    ]);
    // A line each: what has parts would run into the next.
    let lines: Vec<String> =
        facts.iter().map(|(name, value)| format!("{name}: {}", in_a_line(value))).collect();
    (clean(&case.label), lines.join("\n"))
}

/// What differs from the reference, under the case's label.
fn checked(case: &CheckedCase) -> (String, String) {
    let facts = facts(&[
        ("elements", json!(case.elements)),
        ("mismatches", json!(case.mismatches)),
        ("max_abs", json!(case.max_abs)),
        ("max_rel", json!(case.max_rel)),
    ]);
    (clean(&case.label), sentence(&facts))
}

fn in_a_line(text: &str) -> String {
    text.replace('\n', "; ")
}

/// The launches of each process of a case, µs.
fn samples(case: &CaseRecord) -> Vec<Vec<f64>> {
    let in_us = |process: &Vec<f64>| process.iter().map(|ns| ns / 1e3).collect();
    case.processes.iter().map(in_us).collect()
}

fn picture(label: &str, processes: &[Vec<f64>], extent: Extent, charset: Charset) -> String {
    const WIDTH: usize = 76;
    const BARS: usize = 60;
    const ROWS: usize = 7;
    /// Fewer are told apart in the sparkline.
    const ENOUGH: usize = 8;
    let Some(spark) = sparkline(processes, WIDTH, charset) else {
        return String::new();
    };
    let mut words = vec![
        format!("{label}:"),
        format!("{} to {},", duration_us(spark.low), duration_us(spark.high)),
        match spark.bucket {
            1 => "a mark a launch".to_owned(),
            bucket => format!("a mark the median of up to {bucket} launches"),
        },
    ];
    let ran = processes.iter().filter(|process| !process.is_empty()).count();
    if ran > 1 {
        words.push(format!("in {ran} processes"));
    }
    if spark.beyond > 0 {
        words.push(format!("and {} beyond", spark.beyond));
    }
    let mut text = paragraph(&words.join(" "), 2);
    text += &format!("    {}\n", spark.marks);
    let all = processes.concat();
    if extent == Extent::Whole && all.len() >= ENOUGH {
        for line in histogram(&all, ROWS, BARS, charset) {
            text += &format!("    {line}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::account::{OutliersRecord, samples::case};

    #[test]
    fn the_samples_of_processes_are_drawn() {
        let one = CaseRecord { processes: vec![vec![12e3, 12.3e3, 13e3]], ..case("n=1") };
        let two =
            CaseRecord { processes: vec![vec![12e3, 13e3], vec![12.5e3, 12e3]], ..case("n=2") };
        let none = CaseRecord { processes: Vec::new(), ..case("n=3") };
        let text = Cases::Measured(&[one, two, none]).pictures(Charset::Ascii);
        assert!(text.contains("n=1: 12.0 us to 13.0 us, a mark a launch\n    _:#\n"), "{text}");
        assert!(text.contains("in 2 processes\n    _#|=_\n"), "{text}");
        assert!(!text.contains("n=3"), "{text}");
    }

    #[test]
    fn what_no_table_shows_of_a_case_stands_under_its_label() {
        let outliers = OutliersRecord { mild: 2, severe: 0, slow_us: vec![9.5] };
        let text = Cases::Measured(&[CaseRecord { looped: 4, outliers, ..case("n=1") }]).numbers();
        for part in ["loop: 4", "outliers: mild 2, severe 0, slow 9.50 us"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("roofline"), "{text}");
        let checked = CheckedCase {
            label: "n=1".to_owned(),
            elements: 8,
            mismatches: 0,
            max_abs: Some(0.5),
            max_rel: None,
            reports: Vec::new(),
        };
        let text = Cases::Checked(&[checked]).numbers();
        assert_eq!(text, "  n=1  elements 8, mismatches 0, max abs 0.5\n");
    }
}
