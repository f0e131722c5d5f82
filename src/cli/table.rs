//! The result table: one glance, one answer.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::words;
use crate::engine::account::{BenchRecord, CaseRecord, NumbersOf};
use crate::engine::event::StageFinished;
use crate::engine::stage::FailureClass;
use crate::engine::{Outcome, StageRecord};
use crate::measure::Stopped;
use crate::plan::StageKind;
use crate::stats::Metrics;

/// The table of all stages with numbers or verdicts; empty when there are none.
pub(super) fn results(stages: &[&StageFinished], state_dir: &Path) -> String {
    let shown: Vec<&StageFinished> = stages.iter().copied().filter(|s| !s.implicit).collect();
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
            table.add_row(if bounds { row.with_bound() } else { row.cells.to_vec() });
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
    fn with_bound(self) -> Vec<String> {
        let mut cells = self.cells.to_vec();
        cells.insert(5, self.bound);
        cells
    }
}

/// What a stage recorded, or the best point of its matrix.
fn record(stage: &StageFinished) -> Option<&StageRecord> {
    stage.detail.as_ref()?.chosen()
}

/// The cases that were measured.
fn cases(stage: &StageFinished) -> &[CaseRecord] {
    record(stage).and_then(StageRecord::bench).map_or(&[], |bench| &bench.cases)
}

fn rows(stage: &StageFinished) -> Vec<Row> {
    let from = match &stage.outcome {
        Outcome::Ran => "measured now".to_owned(),
        Outcome::Failed { .. } => "now".to_owned(),
        _ => format!("{}, {}", whose(stage), words::age(stage.finished_ms)),
    };
    let mut rows: Vec<Row> = cases(stage).iter().map(|case| case_row(&stage.stage, case)).collect();
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
    let same = record(stage).and_then(StageRecord::identical);
    let is_theirs = same.is_some_and(|same| same.numbers == NumbersOf::Incumbents);
    if is_theirs { "the incumbent's" } else { "known" }
}

/// What the table cannot say: why a measurement ended early, and why it may not come again.
fn notes(stage: &StageFinished) -> Vec<String> {
    let name = &stage.stage;
    let Some(record) = record(stage) else { return Vec::new() };
    let bench = record.bench();
    let mut notes: Vec<String> = bench.and_then(ended).into_iter().collect();
    notes.extend(record.words().map(|words| format!("{}{words}", decision(stage))));
    notes.extend(record.warnings().iter().map(|warning| format!("warning: {warning}")));
    if let Some(bench) = bench {
        let profile = bench.profile.iter().flat_map(|profile| &profile.lines);
        let telemetry = bench.telemetry.iter().flat_map(|telemetry| &telemetry.lines);
        notes.extend(profile.chain(telemetry).cloned());
        if bench.is_unstable() {
            notes.push(format!("unstable: {}", bench.unstable.join("; ")));
        }
    }
    notes.iter().map(|note| format!("{name}: {note}")).collect()
}

/// Why a measurement ended before its last look, where people should know.
fn ended(bench: &BenchRecord) -> Option<String> {
    let BenchRecord { launches, saved_launches, .. } = bench;
    match bench.stopped? {
        Stopped::OutOfTime => Some(format!(
            "ended after {launches} of {} launches: its buffers are large, and more would have taken \
             long",
            launches + saved_launches,
        )),
        Stopped::Precise => {
            let half = (bench.upper_us - bench.lower_us) / 2.0 / bench.value_us;
            Some(format!(
                "precise enough (\u{b1}{:.2} %) after {launches} launches; {saved_launches} more and \
                 {} saved",
                100.0 * half,
                words::duration_us(1e6 * bench.saved_seconds),
            ))
        }
        Stopped::TooSlow | Stopped::GrosslySlow => None,
    }
}

/// `KEEP: `, before the words of a comparison.
fn decision(stage: &StageFinished) -> String {
    let decided = stage.decision.as_ref();
    decided.map_or_else(String::new, |decided| format!("{}: ", decided.decision.word()))
}

fn text(value: &str) -> String {
    value.to_owned()
}

fn case_row(stage: &str, case: &CaseRecord) -> Row {
    let time = |us: Option<f64>| us.map(words::duration_us).unwrap_or_default();
    Row {
        cells: [
            text(stage),
            text(&case.label),
            time(case.median_us),
            interval(case.lower_us, case.upper_us),
            time(Some(case.min_us)),
            String::new(),
            String::new(),
        ],
        bound: bound(case).unwrap_or_default(),
    }
}

/// `43 % memory (L2)`: how near a case is to the least time that this machine could need.
fn bound(case: &CaseRecord) -> Option<String> {
    let roof = case.roofline.as_ref()?;
    let digits = usize::from(roof.share < 0.1);
    Some(format!("{:.digits$} % {}", 100.0 * roof.share, roof.bound))
}

fn interval(lower: Option<f64>, upper: Option<f64>) -> String {
    match (lower, upper) {
        (Some(lower), Some(upper)) => words::interval_us(lower, upper),
        _ => String::new(),
    }
}

fn summary_case(stage: &StageFinished, cases: usize) -> String {
    if let Some(StageRecord::Best(best)) = &stage.detail {
        return format!("best: {}", best.best);
    }
    match (stage.kind, cases) {
        (StageKind::Bench, n) if n > 1 => text("geometric mean"),
        (StageKind::Check, _) => {
            let cases = stage.metrics.get(Metrics::CASES).unwrap_or_default();
            format!("{cases} cases")
        }
        _ => String::new(),
    }
}

fn summary_numbers(stage: &StageFinished) -> [String; 3] {
    let number = |name: &str| stage.metrics.get(name);
    let time = |name: &str| number(name).map(words::duration_us).unwrap_or_default();
    if stage.kind == StageKind::Command {
        // One that compares has a gain besides.
        let command = record(stage).and_then(StageRecord::command);
        let named = command.and_then(|c| Some((c.metric.as_str(), number(&c.metric)?)));
        let first = named.or_else(|| stage.metrics.iter().next());
        let value = first.map(|(name, value)| format!("{name} {value}")).unwrap_or_default();
        return [value, String::new(), String::new()];
    }
    let (lower, upper) = (number(Metrics::MEDIAN_LOWER_US), number(Metrics::MEDIAN_UPPER_US));
    [time(Metrics::MEDIAN_US), interval(lower, upper), time(Metrics::MIN_US)]
}

fn verdict(stage: &StageFinished) -> String {
    if let Some(decided) = &stage.decision {
        return text(decided.decision.word());
    }
    let is_identical = || record(stage).is_some_and(|record| record.identical().is_some());
    match &stage.outcome {
        Outcome::Failed { failure } => match failure.class {
            FailureClass::TooNoisy => text("TOO NOISY"),
            class => words::class(class).to_uppercase(),
        },
        Outcome::Skipped { .. } | Outcome::Blocked { .. } => text("not run"),
        _ if stage.kind == StageKind::Check => text("correct"),
        _ if is_identical() => text("identical"),
        _ if matches!(stage.kind, StageKind::Bench | StageKind::Best) => text("measured"),
        _ => text("passed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::account::samples;
    use crate::engine::stage::Failure;
    use crate::measure::pairs::Decision;

    #[test]
    fn a_command_that_compares_shows_its_own_number() {
        let mut count = stage("lines", StageKind::Command, Outcome::Ran);
        count.metrics = [(Metrics::GAIN, 0.5), ("lines", 131.0)].into();
        count.detail = Some(StageRecord::Command(Box::new(samples::command("lines"))));
        assert_eq!(summary_numbers(&count)[0], "lines 131");
    }

    #[test]
    fn a_decision_stands_before_the_words_of_a_comparison_and_no_other() {
        let told = |outcome, decision: Option<Decision>| {
            let mut lines = stage("candidate", StageKind::Command, outcome);
            lines.detail = Some(StageRecord::Command(Box::new(samples::command("lines"))));
            lines.decision = decision.map(samples::decided);
            notes(&lines).join("\n")
        };
        let failed = |class| Outcome::Failed { failure: Failure { class, message: String::new() } };
        assert_eq!(told(Outcome::Ran, Some(Decision::Keep)), "candidate: KEEP: w");
        for (class, decision, words) in [
            (FailureClass::NotBetter, Some(Decision::Revert), "candidate: REVERT: w"),
            (FailureClass::Inconclusive, Some(Decision::Undecided), "candidate: UNDECIDED: w"),
            (FailureClass::TooSlow, None, "candidate: w"),
        ] {
            assert_eq!(told(failed(class), decision), words);
        }
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
        let case = |label: &str, us: [f64; 4]| CaseRecord {
            median_us: Some(us[0]),
            lower_us: Some(us[1]),
            upper_us: Some(us[2]),
            min_us: us[3],
            ..samples::case(label)
        };
        let first = case("n=1", [1.0, 0.9, 1.1, 0.8]);
        let first = CaseRecord { roofline: Some(samples::roofline()), ..first };
        bench.detail = Some(StageRecord::Bench(Box::new(BenchRecord {
            stopped: Some(Stopped::Precise),
            value_us: 2.0,
            lower_us: 1.9,
            upper_us: 2.1,
            saved_launches: 64,
            saved_seconds: 0.25,
            unstable: vec!["turbo is on".to_owned()],
            ..samples::bench(vec![first, case("n=2", [4.0, 3.9, 4.1, 3.8])])
        })));
        for (name, value) in [
            (Metrics::MEDIAN_US, 2.0),
            (Metrics::MEDIAN_LOWER_US, 1.9),
            (Metrics::MEDIAN_UPPER_US, 2.1),
            (Metrics::MIN_US, 1.7),
        ] {
            bench.metrics.set(name, value);
        }
        let mut check = stage("smoke", StageKind::Check, Outcome::Cached);
        check.metrics.set(Metrics::CASES, 2.0);
        let failure = Failure { class: FailureClass::TooSlow, message: String::new() };
        let slow = stage("final", StageKind::Bench, Outcome::Failed { failure });
        let hidden =
            StageFinished { implicit: true, ..stage("compile", StageKind::Compile, Outcome::Ran) };
        insta::assert_snapshot!(results(&[&hidden, &check, &bench, &slow], Path::new(".optloop")));
    }
}
