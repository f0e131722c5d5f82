//! Small texts: durations, ages, reasons, counts.

use crate::engine::RunFinished;
use crate::engine::event::Reason;
use crate::engine::stage::FailureClass;
use crate::plan::key::Change;
use crate::record::ledger;

/// A duration in the unit that reads best, three digits.
pub(super) fn duration_us(us: f64) -> String {
    let (scale, unit) = unit_of(us);
    let digits = match us / scale {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{:.digits$} {unit}", us / scale)
}

/// An interval of durations in one unit: the one that its upper end reads best in.
pub(super) fn interval_us(lower: f64, upper: f64) -> String {
    let (scale, unit) = unit_of(upper);
    format!("{} .. {}", scaled(lower, scale, unit), scaled(upper, scale, unit))
}

/// How a duration is divided, and what it is called then.
fn unit_of(us: f64) -> (f64, &'static str) {
    match us {
        us if us < 1.0 => (1e-3, "ns"),
        us if us < 1e3 => (1.0, "us"),
        us if us < 1e6 => (1e3, "ms"),
        _ => (1e6, "s"),
    }
}

/// Three digits of it, or more of what is smaller than its unit.
fn scaled(us: f64, scale: f64, unit: &str) -> String {
    let value = us / scale;
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 || v <= 0.0 => 2,
        v => 2 + (-v.log10()).ceil() as usize,
    };
    format!("{value:.digits$} {unit}")
}

/// Now, ms since the epoch.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// How long ago that was.
pub(super) fn age(ms: i64) -> String {
    let seconds = (now_ms() - ms).max(0) / 1000;
    match seconds {
        0..2 => "just now".to_owned(),
        2..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// A list of names that stays on one line.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    if names.len() <= SHOWN {
        return names.join(", ");
    }
    format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN)
}

/// A class of failure.
pub(super) fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Failed => "failed",
        FailureClass::Wrong => "is wrong",
        FailureClass::Crashed => "crashed",
        FailureClass::TimedOut => "timed out",
        FailureClass::Cheating => "cheated",
        FailureClass::TooSlow => "is too slow",
        FailureClass::NotBetter => "is not better",
        FailureClass::Inconclusive => "is undecided",
        FailureClass::TooNoisy => "stopped",
        FailureClass::Incumbent => "has nothing to compare with",
        FailureClass::Implausible => "is faster than this machine can be",
        FailureClass::NoDevice => "has no device",
        FailureClass::Problem => "cannot judge",
        FailureClass::Infrastructure => "could not be run",
        FailureClass::Setup => "cannot be run",
        FailureClass::Defect => "met a defect of optloop",
        FailureClass::Interrupted => "was interrupted",
    }
}

/// What to do about a command that names no inputs.
pub(super) const NO_INPUTS: &str =
    "it declares no inputs; name them, or write `inputs = []` or `cache = true`";

/// What is said of fields that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    /// Which.
    Names,
    /// Old beside new, a line each.
    Values,
}

/// Why a stage runs.
pub(super) fn reason(reason: &Reason, changed: Changes) -> String {
    match reason {
        Reason::NeverRan => "has no result yet".to_owned(),
        Reason::Forced => "asked for by --rerun or --audit".to_owned(),
        Reason::Always => "runs every time (cache = false)".to_owned(),
        Reason::NoInputs => format!("runs every time: {NO_INPUTS}"),
        Reason::Unfinished => "did not finish the last time".to_owned(),
        Reason::NotPassed => "did not pass the last time".to_owned(),
        Reason::NotUnderstood { what } => format!("its kept result is not understood: {what}"),
        Reason::OutputLost { file } => format!("{file} is gone, and no good copy of it is kept"),
        Reason::Changed { changes } if changed == Changes::Values => {
            let lines: Vec<String> = changes.iter().map(change).collect();
            format!("changed\n  {}", lines.join("\n  "))
        }
        Reason::Changed { changes } => {
            let names: Vec<String> = changes.iter().map(|c| c.field.clone()).collect();
            format!("{} changed", list(&names))
        }
    }
}

/// One changed field, old beside new; digests are shortened.
pub(super) fn change(change: &Change) -> String {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("{}: {} → {}", change.field, short(old), short(new)),
        (None, Some(new)) => format!("{}: new, {}", change.field, short(new)),
        (Some(old), None) => format!("{}: gone, was {}", change.field, short(old)),
        (None, None) => change.field.clone(),
    }
}

/// A value of a key: a digest shortened, anything else as it is.
pub(super) fn short(value: &str) -> String {
    let digest = value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit());
    if digest { value[..12].to_owned() } else { value.to_owned() }
}

/// Counts of a run on one line.
pub(super) fn summary(finished: &RunFinished) -> String {
    let parts = [
        (finished.ran, "ran"),
        (finished.cached, "known"),
        (finished.failed, "failed"),
        (finished.skipped, "skipped"),
        (finished.blocked, "not run"),
    ];
    let counts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let wall = duration_us(finished.wall_ms as f64 * 1e3);
    let end = if finished.interrupted { ", interrupted" } else { "" };
    match (counts.is_empty(), finished.ran + finished.failed + finished.blocked) {
        (true, _) => format!("nothing to do{end}"),
        (false, 0) => format!("{}: everything is up to date{end}", counts.join(", ")),
        _ => format!("{} in {wall}{end}", counts.join(", ")),
    }
}

/// What a gain is given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GainUnit {
    /// Per cent, for metrics that are compared by their ratio.
    Percent,
    /// The metric's own unit.
    Metric,
}

/// A gain with its interval.
pub(super) fn gain(line: &ledger::Line, unit: GainUnit) -> String {
    let one = |gain: f64| match unit {
        GainUnit::Percent => format!("{:.2} %", 100.0 * gain),
        GainUnit::Metric => format!("{gain}"),
    };
    let gain = line.gain.map_or_else(|| "unknown".to_owned(), one);
    match (line.lower, line.upper) {
        (Some(lower), Some(upper)) if lower < upper => {
            format!("{gain} (95 %: {} .. {})", one(lower), one(upper))
        }
        _ => gain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_in_their_best_unit() {
        for (us, text) in [
            (0.25, "250 ns"),
            (3.256, "3.26 us"),
            (999.9, "1000 us"),
            (12_345.0, "12.3 ms"),
            (2.5e6, "2.50 s"),
        ] {
            assert_eq!(duration_us(us), text);
        }
    }

    #[test]
    fn an_interval_has_one_unit() {
        for (lower, upper, text) in [
            (14.4, 14.5, "14.4 us .. 14.5 us"),
            (950.0, 1020.0, "0.950 ms .. 1.02 ms"),
            (0.9, 1.1, "0.900 us .. 1.10 us"),
            (55.0, 120_000.0, "0.0550 ms .. 120 ms"),
            (0.0, 3.0, "0.00 us .. 3.00 us"),
        ] {
            assert_eq!(interval_us(lower, upper), text);
        }
    }

    #[test]
    fn a_summary_leaves_out_what_did_not_happen() {
        let cached = RunFinished { cached: 3, ..RunFinished::default() };
        assert_eq!(summary(&cached), "3 known: everything is up to date");
        let skipped = RunFinished { cached: 3, skipped: 1, ..RunFinished::default() };
        assert_eq!(summary(&skipped), "3 known, 1 skipped: everything is up to date");
        let mixed = RunFinished { ran: 1, failed: 1, wall_ms: 1500, ..RunFinished::default() };
        assert_eq!(summary(&mixed), "1 ran, 1 failed in 1.50 s");
    }

    #[test]
    fn digests_are_shortened_and_other_values_are_not() {
        let long = "a".repeat(64);
        let c = Change {
            field: "input:k.c".to_owned(),
            old: Some(long),
            new: Some("absent".to_owned()),
        };
        assert_eq!(change(&c), "input:k.c: aaaaaaaaaaaa → absent");
    }
}
