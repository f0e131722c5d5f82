//! The result table: one glance, one answer.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use super::words;
use crate::engine::Outcome;
use crate::engine::event::StageFinished;
use crate::engine::stage::FailureClass;
use crate::plan::StageKind;

/// The table of all stages with numbers or verdicts; empty when there are none.
pub(super) fn results(stages: &[StageFinished], state_dir: &Path) -> String {
    let shown: Vec<&StageFinished> = stages.iter().filter(|s| !s.implicit).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let bounds = shown.iter().any(|s| cases(s).iter().any(|c| bound(c).is_some()));
    let mut header = vec!["stage", "case", "median", "95% interval", "min", "verdict", "from"];
    if bounds {
        header.insert(5, "of bound");
    }
    table.set_header(header);
    for column in 2..5 + usize::from(bounds) {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for stage in &shown {
        for row in rows(stage) {
            table.add_row(row.cells(bounds));
        }
    }
    let lines: Vec<String> = table.lines().map(|l| l.trim_end().to_owned()).collect();
    let artifacts: Vec<String> = shown
        .iter()
        .filter(|s| !s.artifact.is_empty())
        .map(|s| format!("{}: {}", s.stage, state_dir.join(&s.artifact).display()))
        .collect();
    let mut text = lines.join("\n") + "\n";
    let notes: Vec<String> = shown.iter().flat_map(|s| notes(s)).collect();
    if !notes.is_empty() {
        text.push_str(&format!("\n{}\n", notes.join("\n")));
    }
    if !artifacts.is_empty() {
        text.push_str("\nartifacts\n  ");
        text.push_str(&artifacts.join("\n  "));
        text.push('\n');
    }
    text
}

/// One row: the cells that always stand there, and the share of the bound.
struct Row {
    /// Stage, case, median, interval, min, verdict, from.
    cells: [String; 7],
    bound: String,
}

impl Row {
    fn cells(self, with_bound: bool) -> Vec<String> {
        let mut cells = self.cells.to_vec();
        if with_bound {
            cells.insert(5, self.bound);
        }
        cells
    }
}

/// The account of a stage, or of the best point of its matrix.
fn account(stage: &StageFinished) -> &Value {
    stage.detail.get("of").filter(|_| stage.kind == StageKind::Best).unwrap_or(&stage.detail)
}

fn cases(stage: &StageFinished) -> &[Value] {
    account(stage).get("cases").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn rows(stage: &StageFinished) -> Vec<Row> {
    let from = match &stage.outcome {
        Outcome::Ran => "measured now".to_owned(),
        Outcome::Failed { .. } => "now".to_owned(),
        _ => format!("{}, {}", whose(stage), words::age(stage.finished_ms)),
    };
    let measured = cases(stage).iter().filter(|c| c.get("median_us").is_some());
    let mut rows: Vec<Row> = measured.map(|case| case_row(&stage.stage, case)).collect();
    let [median, interval, min] = summary_numbers(stage);
    let case = summary_case(stage, rows.len());
    let cells = [text(&stage.stage), case, median, interval, min, verdict(stage), from];
    rows.push(Row { cells, bound: String::new() });
    for row in rows.iter_mut().skip(1) {
        row.cells[0].clear();
    }
    rows
}

/// Where a number comes from that was not measured now: from an earlier run, or from the incumbent.
fn whose(stage: &StageFinished) -> &'static str {
    let numbers = account(stage).get("identical").and_then(|same| same.get("numbers")?.as_str());
    if numbers == Some("incumbents") { "the incumbent's" } else { "known" }
}

/// What the table cannot say: why a measurement ended early, and why it may not come again.
fn notes(stage: &StageFinished) -> Vec<String> {
    let account = account(stage);
    let name = &stage.stage;
    let mut notes = Vec::new();
    let stopped = account.get("stopped").and_then(Value::as_str);
    let number = |key: &str| account.get(key).and_then(Value::as_f64).unwrap_or_default();
    if stopped == Some("out_of_time") {
        notes.push(format!(
            "{name}: ended after {} of {} launches: its buffers are large, and more would have taken \
             long",
            number("launches"),
            number("launches") + number("saved_launches"),
        ));
    }
    if stopped == Some("precise") {
        let half = (number("upper_us") - number("lower_us")) / 2.0 / number("value_us");
        notes.push(format!(
            "{name}: precise enough (\u{b1}{:.2} %) after {} launches; {} more and {} saved",
            100.0 * half,
            number("launches"),
            number("saved_launches"),
            words::duration_us(1e6 * number("saved_seconds")),
        ));
    }
    if let Some(words) = account.get("words").and_then(Value::as_str) {
        notes.push(format!("{name}: {}{words}", decision(stage)));
    }
    let warnings = account.get("warnings").and_then(Value::as_array);
    let warnings = warnings.into_iter().flatten().filter_map(Value::as_str);
    notes.extend(warnings.map(|warning| format!("{name}: warning: {warning}")));
    for part in ["profile", "telemetry"] {
        let lines = account.get(part).and_then(|p| p.get("lines")?.as_array());
        let lines = lines.into_iter().flatten().filter_map(Value::as_str);
        notes.extend(lines.map(|line| format!("{name}: {line}")));
    }
    let reasons = account.get("unstable").and_then(Value::as_array);
    let reasons: Vec<&str> =
        reasons.map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    if !reasons.is_empty() {
        notes.push(format!("{name}: unstable: {}", reasons.join("; ")));
    }
    notes
}

/// What a comparison decided against a candidate; nothing for other failures.
pub(super) fn decided(class: FailureClass) -> Option<&'static str> {
    match class {
        FailureClass::NotBetter => Some("REVERT"),
        FailureClass::Inconclusive => Some("UNDECIDED"),
        _ => None,
    }
}

/// `KEEP: `, before the words of a comparison.
fn decision(stage: &StageFinished) -> String {
    let word = match &stage.outcome {
        _ if account(stage).get("comparison").is_none() => None,
        Outcome::Failed { failure } => decided(failure.class),
        _ => Some("KEEP"),
    };
    word.map_or_else(String::new, |word| format!("{word}: "))
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn case_row(stage: &str, case: &Value) -> Row {
    let number = |name: &str| case.get(name).and_then(Value::as_f64);
    let time = |name: &str| number(name).map(words::duration_us).unwrap_or_default();
    let label = case.get("label").and_then(Value::as_str).unwrap_or_default();
    Row {
        cells: [
            text(stage),
            text(label),
            time("median_us"),
            interval(number("lower_us"), number("upper_us")),
            time("min_us"),
            String::new(),
            String::new(),
        ],
        bound: bound(case).unwrap_or_default(),
    }
}

/// `43 % memory (L2)`: how near a case is to the least time that this machine could need.
fn bound(case: &Value) -> Option<String> {
    let roof = case.get("roofline")?;
    let share = roof.get("share")?.as_f64()?;
    let digits = usize::from(share < 0.1);
    Some(format!("{:.digits$} % {}", 100.0 * share, roof.get("bound")?.as_str()?))
}

fn interval(lower: Option<f64>, upper: Option<f64>) -> String {
    match (lower, upper) {
        (Some(lower), Some(upper)) => words::interval_us(lower, upper),
        _ => String::new(),
    }
}

fn summary_case(stage: &StageFinished, cases: usize) -> String {
    if let Some(best) = stage.detail.get("best").and_then(Value::as_str) {
        return format!("best: {best}");
    }
    match (stage.kind, cases) {
        (StageKind::Bench, n) if n > 1 => text("geometric mean"),
        (StageKind::Check, _) => {
            let cases = stage.metrics.get("cases").copied().unwrap_or_default();
            format!("{cases} cases")
        }
        _ => String::new(),
    }
}

fn summary_numbers(stage: &StageFinished) -> [String; 3] {
    let number = |name: &str| stage.metrics.get(name).copied();
    let time = |name: &str| number(name).map(words::duration_us).unwrap_or_default();
    if stage.kind == StageKind::Command {
        // One that compares has a gain besides.
        let named = account(stage).get("metric").and_then(Value::as_str);
        let named = named.and_then(|name| stage.metrics.get_key_value(name));
        let first = named.or_else(|| stage.metrics.iter().next());
        let value = first.map(|(name, value)| format!("{name} {value}")).unwrap_or_default();
        return [value, String::new(), String::new()];
    }
    let interval = interval(number("median_lower_us"), number("median_upper_us"));
    [time("median_us"), interval, time("min_us")]
}

fn verdict(stage: &StageFinished) -> String {
    match &stage.outcome {
        Outcome::Failed { failure } => match (decided(failure.class), failure.class) {
            (Some(word), _) => text(word),
            (None, FailureClass::TooNoisy) => text("TOO NOISY"),
            (None, class) => words::class(class).to_uppercase(),
        },
        Outcome::Skipped { .. } | Outcome::Blocked { .. } => text("not run"),
        _ if stage.kind == StageKind::Check => text("correct"),
        _ if account(stage).get("comparison").is_some() => text("KEEP"),
        _ if account(stage).get("identical").is_some() => text("identical"),
        _ if matches!(stage.kind, StageKind::Bench | StageKind::Best) => text("measured"),
        _ => text("passed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stage::Failure;

    #[test]
    fn a_command_that_compares_shows_its_own_number() {
        let mut count = stage("lines", StageKind::Command, Outcome::Ran);
        count.metrics = [("gain".to_owned(), 0.5), ("lines".to_owned(), 131.0)].into();
        count.detail = serde_json::json!({"metric": "lines", "comparison": {}});
        assert_eq!(summary_numbers(&count)[0], "lines 131");
    }

    #[test]
    fn a_decision_stands_before_the_words_of_a_comparison_and_no_other() {
        let told = |detail: Value, outcome| {
            let mut bench = stage("candidate", StageKind::Bench, outcome);
            bench.detail = detail;
            notes(&bench).join("\n")
        };
        let failed = |class| Outcome::Failed { failure: Failure { class, message: String::new() } };
        let compared = || serde_json::json!({"comparison": {}, "words": "w"});
        assert_eq!(told(compared(), Outcome::Ran), "candidate: KEEP: w");
        assert_eq!(told(compared(), failed(FailureClass::NotBetter)), "candidate: REVERT: w");
        assert_eq!(told(compared(), failed(FailureClass::Inconclusive)), "candidate: UNDECIDED: w");
        assert_eq!(told(compared(), failed(FailureClass::TooSlow)), "candidate: w");
        let calibrated = serde_json::json!({"calibration": {}, "words": "w"});
        assert_eq!(told(calibrated, Outcome::Ran), "candidate: w");
    }

    fn stage(name: &str, kind: StageKind, outcome: Outcome) -> StageFinished {
        StageFinished {
            stage: name.to_owned(),
            finished_ms: words::now_ms(),
            ..StageFinished::empty(kind, outcome)
        }
    }

    #[test]
    fn the_table_shows_cases_then_the_stage_and_its_verdict() {
        let mut bench = stage("candidate", StageKind::Bench, Outcome::Ran);
        bench.artifact = "runs/r/candidate.json".to_owned();
        bench.detail = serde_json::json!({"cases": [
            {"label": "n=1", "median_us": 1.0, "lower_us": 0.9, "upper_us": 1.1, "min_us": 0.8,
             "roofline": {"share": 0.434, "bound": "memory (L2)"}},
            {"label": "n=2", "median_us": 4.0, "lower_us": 3.9, "upper_us": 4.1, "min_us": 3.8},
        ], "stopped": "precise", "value_us": 2.0, "lower_us": 1.9, "upper_us": 2.1, "launches": 32,
           "saved_launches": 64, "saved_seconds": 0.25, "unstable": ["turbo is on"]});
        for (name, value) in [
            ("median_us", 2.0),
            ("median_lower_us", 1.9),
            ("median_upper_us", 2.1),
            ("min_us", 1.7),
        ] {
            bench.metrics.insert(name.to_owned(), value);
        }
        let mut check = stage("smoke", StageKind::Check, Outcome::Cached);
        check.metrics.insert("cases".to_owned(), 2.0);
        let failure = Failure { class: FailureClass::TooSlow, message: String::new() };
        let slow = stage("final", StageKind::Bench, Outcome::Failed { failure });
        let hidden =
            StageFinished { implicit: true, ..stage("compile", StageKind::Compile, Outcome::Ran) };
        insta::assert_snapshot!(results(&[hidden, check, bench, slow], Path::new(".optloop")));
    }
}
