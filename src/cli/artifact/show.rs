//! `optloop artifact show`: everything of an artifact that people ask for, in 80 columns.

use std::path::Path;

use serde_json::{Map, Value};

use super::facts::{fact, facts, percent};
use super::{
    Account, Analysis, Artifact, Exit, Refusal, Standing, Ui, analysis_json, cases, comparison,
    find, headline, number, when, words, world,
};
use crate::cli::args::Format;
use crate::cli::columns::{block, clean, pairs, paragraph};
use crate::cli::picture::Charset;

/// Keys of a result that have a section of their own, or would only repeat one.
const ELSEWHERE: [&str; 7] =
    ["cases", "of", "conditions", "unstable", "comparison", "calibration", "words"];
/// Keys of a result that say how the measurement came out.
const VERDICT: [&str; 9] = [
    "metric",
    "value_us",
    "lower_us",
    "upper_us",
    "level",
    "basis",
    "stopped",
    "stopped_early",
    "saved_launches",
];

/// Shows one with its analyses.
pub(super) fn show(wanted: &str, ascii: bool, ui: &Ui) -> Result<(), Refusal> {
    let user = |message| Refusal::Words(message, None, Exit::User);
    let account = Account::read(find(wanted)?).map_err(user)?;
    if ui.format == Format::Json {
        ui.json(&account.artifact);
        for entry in account.analyses.iter().flat_map(|all| &all.entries) {
            ui.json(&analysis_json(entry, account.standing(entry)));
        }
    } else {
        let charset = if ascii { Charset::Ascii } else { charset() };
        ui.text(&shown(&account, &world::shown(&account.path), charset));
    }
    for warning in account.warnings() {
        ui.complain(&format!("warning: {warning}"));
    }
    // The numbers were shown all the same: they are whole.
    account.analyses.map(|_| ()).map_err(user)
}

/// What the terminal says it shows.
fn charset() -> Charset {
    let set = |name: &&str| world::text_variable(name).filter(|value| !value.is_empty());
    // The order that POSIX gives them, XBD 8.2.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    Charset::of_terminal(&locale, &set(&"TERM").unwrap_or_default())
}

fn shown(account: &Account, path: &Path, charset: Charset) -> String {
    let artifact = &account.artifact;
    let nothing = Map::new();
    let result = artifact.result.as_object().unwrap_or(&nothing);
    let cases = cases::of(&artifact.result);
    let metrics: Vec<(String, String)> =
        artifact.metrics.iter().map(|(n, v)| (n.clone(), number(*v))).collect();
    let mut text = title(artifact);
    for (title, body) in [
        ("what", pairs(&what(artifact, path))),
        ("where from", pairs(&origin(artifact))),
        ("verdict", verdict(artifact, result)),
        ("comparison", comparison::shown(result)),
        ("cases", cases::numbers(&cases)),
        ("numbers", pairs(&metrics)),
        ("picture", cases::pictures(&cases, charset)),
        ("conditions", pairs(&conditions(result))),
        ("analysis", analyses(account)),
        ("key", pairs(&key_fields(artifact))),
        ("difference from the commit", block(&artifact.provenance.kernel_diff)),
        ("output", block(&artifact.output)),
    ] {
        if !body.is_empty() {
            text += &format!("\n{title}\n{body}");
        }
    }
    text
}

fn title(artifact: &Artifact) -> String {
    let status = artifact.status.replace('_', " ");
    let mut text = format!("{} ({}): {status}", artifact.stage, artifact.kind);
    match headline(artifact) {
        number if number.is_empty() => {}
        number => text += &format!(", {number}"),
    }
    paragraph(&text, 0)
}

/// Names with values, without those that hold nothing.
fn filled<const N: usize>(rows: [(&str, String); N]) -> Vec<(String, String)> {
    let filled = rows.into_iter().filter(|(_, value)| !value.trim().is_empty());
    filled.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn what(artifact: &Artifact, path: &Path) -> Vec<(String, String)> {
    let from = &artifact.provenance;
    filled([
        ("kernel", from.kernel.join(", ")),
        ("problem", from.problem.clone()),
        ("device", format!("{} {}", from.device, digests_shortened(&from.device_identity))),
        ("at", format!("{} ({})", artifact.at, when(&artifact.at))),
        ("took", words::duration_us(artifact.seconds * 1e6)),
        ("file", path.display().to_string()),
    ])
}

fn digests_shortened(text: &str) -> String {
    text.split_whitespace().map(words::short).collect::<Vec<_>>().join(" ")
}

fn origin(artifact: &Artifact) -> Vec<(String, String)> {
    let from = &artifact.provenance;
    let short = |digest: &str, length: usize| digest.get(..length).unwrap_or(digest).to_owned();
    filled([
        ("pipeline", from.pipeline.clone()),
        ("commit", from.commit.clone()),
        ("command", artifact.command.join(" ")),
        ("run as", from.command.join(" ")),
        ("optloop", from.optloop.clone()),
        ("key", short(&artifact.key, 12)),
    ])
}

/// How it came out, the reasons for doubt with it.
fn verdict(artifact: &Artifact, result: &Map<String, Value>) -> String {
    let mut rows = Vec::new();
    if !artifact.message.is_empty() {
        rows.push((artifact.status.replace('_', " "), clean(&artifact.message)));
    }
    rows.extend(artifact.exit_code.map(|code| ("exit code".to_owned(), code.to_string())));
    rows.extend(estimate(result));
    rows.extend(stopped(result).map(|words| ("stopped".to_owned(), words)));
    rows.extend(result.get("unstable").and_then(|reasons| fact("unstable", reasons)));
    pairs(&rows)
}

/// The headline number with its interval.
fn estimate(result: &Map<String, Value>) -> Option<(String, String)> {
    let value = |name: &str| result.get(name).and_then(Value::as_f64);
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut words = words::duration_us(value("value_us")?);
    if let (Some(lower), Some(upper)) = (value("lower_us"), value("upper_us")) {
        words += &format!(", {}", words::interval_us(lower, upper));
        let level = value("level").map(percent).unwrap_or_default();
        let basis = text("basis");
        words += &match (level.as_str(), basis) {
            ("", "") => String::new(),
            (level, "") => format!(" ({level})"),
            ("", basis) => format!(" (over {basis})"),
            (level, basis) => format!(" ({level} over {basis})"),
        };
    }
    Some((text("metric").trim_end_matches("_us").to_owned(), words))
}

/// Why it ended before its last look, and what that saved.
fn stopped(result: &Map<String, Value>) -> Option<String> {
    let early = result.get("stopped_early").and_then(Value::as_bool).unwrap_or(false);
    let why = match result.get("stopped").and_then(Value::as_str) {
        Some(why) => why.replace('_', " "),
        None if early => "too slow".to_owned(),
        None => return None,
    };
    let launches = result.get("saved_launches").and_then(Value::as_u64).unwrap_or(0);
    let seconds = result.get("saved_seconds").and_then(Value::as_f64).unwrap_or(0.0);
    if launches == 0 {
        return Some(why);
    }
    let time = words::duration_us(seconds * 1e6);
    Some(format!("{why}, which saved {launches} launches, {time}"))
}

/// What the machine did meanwhile, and all else that the stage kind recorded.
fn conditions(result: &Map<String, Value>) -> Vec<(String, String)> {
    let without: Vec<&str> =
        ELSEWHERE.iter().chain(&VERDICT).chain(&["saved_seconds"]).copied().collect();
    let mut rows = Vec::new();
    if let Some(conditions) = result.get("conditions").and_then(Value::as_object) {
        rows.extend(facts(conditions, &[]));
    }
    // What is not measured has its value under the same names, and no section above.
    let without = if result.contains_key("value_us") { &without[..] } else { &ELSEWHERE[..] };
    rows.extend(facts(result, without));
    rows
}

/// Oldest first, as they were written.
fn analyses(account: &Account) -> String {
    let all = account.analyses.as_ref().map_or(&[][..], |all| &all.entries);
    let texts: Vec<String> = all.iter().map(|a| analysis(a, account.standing(a))).collect();
    texts.join("\n")
}

fn analysis(analysis: &Analysis, standing: Standing) -> String {
    let mut title = format!("{}, {}", analysis.decision.word(), when(&analysis.at));
    if !analysis.by.is_empty() {
        title += &format!(", by {}", analysis.by);
    }
    if standing == Standing::Stale {
        title += " (of other numbers: the artifact has changed since)";
    }
    let mut rows = vec![("summary".to_owned(), analysis.summary.clone())];
    rows.extend(analysis.feedback.iter().map(|text| ("feedback".to_owned(), text.clone())));
    if !analysis.next_step.is_empty() {
        rows.push(("next step".to_owned(), analysis.next_step.clone()));
    }
    paragraph(&title, 2) + &pairs(&rows)
}

/// Fields of the key with digests shortened; nothing and empty lists are left out.
fn key_fields(artifact: &Artifact) -> Vec<(String, String)> {
    let shown = |(name, value): &(String, String)| {
        let name = name.strip_prefix("definition.").unwrap_or(name);
        let value = words::short(value);
        let nothing = matches!(value.as_str(), "" | "null" | "[]" | "{}");
        (!nothing).then(|| (name.to_owned(), value))
    };
    artifact.key_fields.iter().filter_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::{account, analysis, artifact};
    use super::*;
    use crate::digest::Digest;

    fn text(artifact: Artifact, entries: Vec<Analysis>) -> String {
        shown(&account(artifact, entries), Path::new("runs/r1/candidate.json"), Charset::Unicode)
    }

    fn assert_narrow(text: &str) {
        let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
        assert_eq!(wide, Vec::<&str>::new());
    }

    #[test]
    fn an_artifact_is_shown_in_eighty_columns_with_all_its_parts() {
        let text = text(artifact(), vec![analysis()]);
        for part in [
            "too slow, 12.3 us",
            "surely slower",
            "n=1",
            "12.3457",
            "abababababab",
            "two",
            "▁",
            "REVERT, ",
            ", by someone",
            "next step  unroll",
            "seed  7",
            "stopped   too slow",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("salt") && !text.contains("definition."), "{text}");
        assert!(!text.contains("has changed"), "{text}");
        assert_narrow(&text);
    }

    #[test]
    fn analyses_stand_below_the_numbers_and_say_when_the_artifact_is_another() {
        let stale = Analysis { artifact: Digest::of(b"then"), ..analysis() };
        let account = account(artifact(), vec![analysis(), stale]);
        let text = shown(&account, Path::new("x.json"), Charset::Ascii);
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}:\n{text}"));
        assert!(place("\ncases\n") < place("\nanalysis\n"));
        assert_eq!(text.matches("(of other numbers").count(), 1);
        assert!(account.warnings()[0].contains("1 of its 2 analyses"), "{:?}", account.warnings());
    }

    #[test]
    fn a_measurement_over_processes_is_shown_with_what_it_says_of_itself() {
        let samples: Vec<Vec<u64>> =
            (0..6).map(|p| (0..20).map(|i| 15_000 + p * 10 + i % 3).collect()).collect();
        let case = |label: &str| {
            json!({"label": label, "median_us": 15.2, "lower_us": 15.1, "upper_us": 15.3,
                "level": 0.95, "mean_us": 15.2, "min_us": 15.0, "max_us": 20.0, "p10_us": 15.1,
                "p90_us": 15.4, "p99_us": 18.0, "sd_us": 0.1, "launches": 120,
                "processes": samples, "loop": 1,
                "outliers": {"mild": 2, "severe": 1, "slow_us": [20.0]}, "unconfirmed": 0,
                "warmup_launches": 4, "unstable": ["turbo is on"],
                "roofline": {"floor_us": 6.5, "bound": "memory (L2)", "share": 0.43,
                    "headroom_us": 8.7}})
        };
        let result = json!({"seed": u64::MAX, "core": 1, "metric": "median_us", "value_us": 15.2,
            "lower_us": 15.1, "upper_us": 15.3, "level": 0.95, "basis": "processes",
            "launches": 240, "processes": 6, "looks": [8, 16, 32], "looks_used": 2,
            "stopped": "precise", "saved_launches": 96, "saved_seconds": 0.002, "mode": "hot",
            "sandbox": "landlock abi 7, seccomp",
            "timer": {"step_ns": 20, "overhead_ns": 25, "handover_ns": 900}, "staged_sets": 64,
            "conditions": {"governor": "powersave", "turbo": true, "load_before": 0.5,
                "steal_ms": 10}, "unstable": ["the governor is powersave"],
            "cases": [case("rows=16 cols=128"), case(&"rows=16 cols=128 ".repeat(5))]});
        let text = text(Artifact { result, status: "passed".into(), ..artifact() }, Vec::new());
        for part in [
            "median         15.2 us, 15.1 us .. 15.3 us (95 % over processes)",
            "precise, which saved 96 launches, 2.00 ms",
            "the governor is powersave",
            "bound memory (L2), share 43 %",
            "steal  10.0 ms",
            "slow 20.0 us",
            "landlock abi 7, seccomp",
            "18446744073709551615",
            "in 6 processes",
            "unstable: turbo is on",
            "step 20.0 ns, overhead 25.0 ns, handover 900 ns",
        ] {
            let squeezed = |t: &str| t.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(squeezed(&text).contains(&squeezed(part)), "{part}:\n{text}");
        }
        assert_narrow(&text);
    }

    #[test]
    fn long_lines_of_others_stay_within_the_terminal() {
        let mut odd = artifact();
        odd.message = "m".repeat(300);
        odd.output = format!("\x1b[31m{}\x1b[0m\n\tx", "o".repeat(300));
        odd.provenance.kernel_diff = format!("+{}", "d".repeat(300));
        odd.stage = "sweep[A=1,B=2]".repeat(9);
        odd.metrics.insert("n".repeat(90), 1.0);
        odd.result = json!({"rows": [{"name": "r".repeat(100), "rank": 1}], "level": 3});
        let text = text(odd, Vec::new());
        assert_narrow(&text);
        assert!(!text.contains('\x1b') && text.contains("level  3"), "{text}");
    }
}
