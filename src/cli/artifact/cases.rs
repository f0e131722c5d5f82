//! The cases of an artifact: their numbers in tables, what else is known, and their pictures.

use serde_json::Value;

use super::facts::{facts, percent, sentence};
use crate::cli::columns::{clean, pairs, paragraph, table};
use crate::cli::picture::{Charset, histogram, sparkline};
use crate::cli::words::{duration_us, interval_us};

/// Keys of a measured case that the tables and pictures show.
const SHOWN: [&str; 16] = [
    "label",
    "median_us",
    "lower_us",
    "upper_us",
    "level",
    "mean_us",
    "min_us",
    "max_us",
    "p10_us",
    "p90_us",
    "p99_us",
    "sd_us",
    "launches",
    "processes",
    "samples_ns",
    "reports",
];

/// Cases whose histograms are drawn; of more, the sparklines alone.
const DRAWN: usize = 4;

/// The cases of a result, or of the result that it chose.
pub(super) fn of(result: &Value) -> Vec<&Value> {
    let of = result.get("of").unwrap_or(result);
    let cases = of.get("cases").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    cases.iter().filter(|case| case.get("label").is_some()).collect()
}

/// Everything in numbers and words.
pub(super) fn numbers(cases: &[&Value]) -> String {
    let measured = cases.iter().any(|c| c.get("median_us").is_some());
    let mut text = String::new();
    if measured {
        text += &times(cases);
        text += &spread(cases);
    }
    let rest: Vec<(String, String)> = cases.iter().filter_map(|case| further(case)).collect();
    if !rest.is_empty() {
        if measured {
            text.push('\n');
        }
        text += &pairs(&rest);
    } else if !measured {
        for case in cases {
            text += &paragraph(&label(case), 2);
        }
    }
    text
}

fn label(case: &Value) -> String {
    clean(case["label"].as_str().unwrap_or_default())
}

fn number(case: &Value, name: &str) -> Option<f64> {
    case.get(name).and_then(Value::as_f64)
}

fn time(case: &Value, name: &str) -> String {
    number(case, name).map(duration_us).unwrap_or_default()
}

fn times(cases: &[&Value]) -> String {
    let rows: Vec<Vec<String>> = cases
        .iter()
        .map(|case| {
            let interval = match (number(case, "lower_us"), number(case, "upper_us")) {
                (Some(lower), Some(upper)) => interval_us(lower, upper),
                _ => String::new(),
            };
            let level = number(case, "level").map(percent).unwrap_or_default();
            let (median, min) = (time(case, "median_us"), time(case, "min_us"));
            vec![label(case), median, interval, level, min, time(case, "mean_us")]
        })
        .collect();
    table(&["case", "median", "interval", "level", "min", "mean"], &rows)
}

/// Quantiles and counts; nothing for records that have none.
fn spread(cases: &[&Value]) -> String {
    const NAMES: [&str; 6] = ["p10_us", "p90_us", "p99_us", "max_us", "sd_us", "launches"];
    if !cases.iter().any(|case| NAMES.iter().any(|name| case.get(name).is_some())) {
        return String::new();
    }
    let rows: Vec<Vec<String>> = cases
        .iter()
        .map(|case| {
            let launches = case.get("launches").map(Value::to_string).unwrap_or_default();
            let times = NAMES[..5].iter().map(|name| time(case, name));
            std::iter::once(label(case)).chain(times).chain([launches]).collect()
        })
        .collect();
    "\n".to_owned() + &table(&["case", "p10", "p90", "p99", "max", "sd", "launches"], &rows)
}

/// What the tables do not show of a case, under its label.
fn further(case: &Value) -> Option<(String, String)> {
    let facts = facts(case.as_object()?, &SHOWN);
    let of_one_line = |text: &String| text.replace('\n', "; ");
    let facts: Vec<(String, String)> =
        facts.iter().map(|(name, value)| (name.clone(), of_one_line(value))).collect();
    // Objects within would run into the next fact.
    let nested = case.as_object()?.values().any(Value::is_object);
    let words = if nested {
        let lines: Vec<String> = facts.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        lines.join("\n")
    } else {
        sentence(&facts)
    };
    (!words.is_empty()).then(|| (label(case), words))
}

/// The launches of each process of a case in microseconds; earlier versions kept one flat list.
fn samples(case: &Value) -> Vec<Vec<f64>> {
    let list = |value: &Value| -> Vec<f64> {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().filter_map(Value::as_f64).map(|ns| ns / 1e3).collect()
    };
    match (case.get("processes").and_then(Value::as_array), case.get("samples_ns")) {
        (Some(processes), _) => processes.iter().map(list).collect(),
        (None, Some(flat)) => vec![list(flat)],
        (None, None) => Vec::new(),
    }
}

/// Every case's samples in their order and by size.
pub(super) fn pictures(cases: &[&Value], charset: Charset) -> String {
    let drawn: Vec<(String, Vec<Vec<f64>>)> = cases
        .iter()
        .map(|case| (label(case), samples(case)))
        .filter(|(_, samples)| samples.iter().any(|process| !process.is_empty()))
        .collect();
    let texts: Vec<String> = drawn
        .iter()
        .map(|(label, processes)| picture(label, processes, drawn.len() <= DRAWN, charset))
        .collect();
    texts.join("\n")
}

fn picture(label: &str, processes: &[Vec<f64>], whole: bool, charset: Charset) -> String {
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
    if whole && all.len() >= ENOUGH {
        for line in histogram(&all, ROWS, BARS, charset) {
            text += &format!("    {line}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn samples_of_processes_and_flat_ones_are_both_drawn() {
        let flat = json!({"label": "n=1", "samples_ns": [12_000, 12_300, 13_000]});
        let split = json!({"label": "n=2", "processes": [[12_000, 13_000], [12_500, 12_000]]});
        let nothing = json!({"label": "n=3"});
        let text = pictures(&[&flat, &split, &nothing], Charset::Ascii);
        assert!(text.contains("n=1: 12.0 us to 13.0 us, a mark a launch\n    _:#\n"), "{text}");
        assert!(text.contains("in 2 processes\n    _#|=_\n"), "{text}");
        assert!(!text.contains("n=3"), "{text}");
    }

    #[test]
    fn what_no_table_shows_of_a_case_stands_under_its_label() {
        let case = json!({"label": "n=1", "median_us": 1.0, "loop": 4, "unstable": ["load"],
            "outliers": {"mild": 2, "severe": 0, "slow_us": [9.5]}, "roofline": null});
        let text = numbers(&[&case]);
        for part in ["loop: 4", "unstable: load", "outliers: mild 2, severe 0, slow 9.50 us"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("roofline"), "{text}");
        let checked = json!({"label": "n=1", "elements": 8, "max_abs": 0.5, "reports": []});
        assert_eq!(numbers(&[&checked]), "  n=1  elements 8, max abs 0.5\n");
    }
}
