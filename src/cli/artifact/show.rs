//! `optloop artifact show`: everything of an artifact that people ask for, in 80 columns.

use std::path::Path;

use serde::Serialize;
use serde_json::json;

use super::account::{Account, Standing, find, headline, when};
use super::cases::Cases;
use super::facts::{fact, percent};
use super::{comparison, rest};
use crate::cli::args::Format;
use crate::cli::columns::{block, clean, number, pairs, paragraph};
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::lines::kept::AnalysisLine;
use crate::cli::picture::Charset;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::cli::{host, words};
use crate::engine::StageRecord;
use crate::engine::account::BenchRecord;
use crate::record::Artifact;
use crate::record::analysis::Analysis;

/// Shows one with its analyses; pictures in what the terminal says it shows, unless that is given.
pub(super) fn show(wanted: &str, charset: Option<Charset>, ui: &Ui) -> Result<(), Refusal> {
    let user = |message| Refusal::Words(message, None, Exit::User);
    let account = Account::read(find(wanted)?).map_err(user)?;
    if ui.format == Format::Json {
        ui.json(&account.artifact);
        for entry in account.analyses.iter().flat_map(|all| &all.entries) {
            let stale = account.standing(entry) == Standing::Stale;
            ui.json(&Line::Analysis(AnalysisLine { stale, analysis: entry.clone() }));
        }
    } else {
        let charset = charset.unwrap_or_else(of_terminal);
        ui.text(&shown(&account, &crate::project::shown(&account.path), charset));
    }
    for warning in account.warnings() {
        ui.complain(&format!("warning: {warning}"));
    }
    // The numbers were shown all the same: they are whole.
    account.analyses.map(|_| ()).map_err(user)
}

/// What the terminal says it shows.
fn of_terminal() -> Charset {
    let set = |name: &&str| host::text_variable(name).filter(|value| !value.is_empty());
    // The order that POSIX gives them, XBD 8.2.
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    Charset::of_terminal(&locale, &set(&"TERM").unwrap_or_default())
}

fn shown(account: &Account, path: &Path, charset: Charset) -> String {
    let artifact = &account.artifact;
    let record = artifact.result.as_ref();
    let cases = record.map(Cases::of).unwrap_or_default();
    let metrics: Vec<(String, String)> =
        artifact.metrics.iter().map(|(name, value)| (name.to_owned(), number(value))).collect();
    let mut text = title(artifact);
    for (title, body) in [
        ("what", pairs(&what(artifact, path))),
        ("where from", pairs(&origin(artifact))),
        ("verdict", verdict(artifact)),
        ("comparison", record.map(comparison::shown).unwrap_or_default()),
        ("cases", cases.numbers()),
        ("numbers", pairs(&metrics)),
        ("picture", cases.pictures(charset)),
        ("conditions", pairs(&record.map(rest::of).unwrap_or_default())),
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
    let status = artifact.status.word().replace('_', " ");
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
fn verdict(artifact: &Artifact) -> String {
    let mut rows = Vec::new();
    if !artifact.message.is_empty() {
        rows.push((artifact.status.word().replace('_', " "), clean(&artifact.message)));
    }
    rows.extend(artifact.exit_code.map(|code| ("exit code".to_owned(), code.to_string())));
    if let Some(bench) = artifact.result.as_ref().and_then(StageRecord::bench) {
        rows.push(estimate(bench));
        rows.extend(stopped(bench).map(|words| ("stopped".to_owned(), words)));
        rows.extend(fact("unstable", &json!(bench.unstable)));
    }
    pairs(&rows)
}

/// The headline number with its interval.
fn estimate(bench: &BenchRecord) -> (String, String) {
    let words = format!(
        "{}, {} ({} over {})",
        words::duration_us(bench.value_us),
        words::interval_us(bench.lower_us, bench.upper_us),
        percent(bench.level),
        word(&bench.basis),
    );
    (bench.metric.trim_end_matches("_us").to_owned(), words)
}

/// A plain enum's word.
fn word(value: &impl Serialize) -> String {
    // Our own types always encode.
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Why it ended before its last look, and what that saved.
fn stopped(bench: &BenchRecord) -> Option<String> {
    let why = word(&bench.stopped?).replace('_', " ");
    if bench.saved_launches == 0 {
        return Some(why);
    }
    let time = words::duration_us(bench.saved_seconds * 1e6);
    Some(format!("{why}, which saved {} launches, {time}", bench.saved_launches))
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
    use super::super::samples::{account, analysis, artifact};
    use super::*;
    use crate::backend::Timer;
    use crate::backend::cpu::conditions::Conditions;
    use crate::digest::Digest;
    use crate::engine::account::{CaseRecord, CommandRecord, OutliersRecord, samples};
    use crate::measure::Stopped;
    use crate::record::Status;

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
            "seed                 7",
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
        let processes: Vec<Vec<f64>> =
            (0..6).map(|p| (0..20).map(|i| f64::from(15_000 + p * 10 + i % 3)).collect()).collect();
        let case = |label: &str| CaseRecord {
            median_us: Some(15.2),
            outliers: OutliersRecord { mild: 2, severe: 1, slow_us: vec![20.0] },
            processes: processes.clone(),
            roofline: Some(samples::roofline()),
            ..samples::case(label)
        };
        let timer =
            Timer { step_ns: 20.0, overhead_ns: 25.0, handover_ns: 900.0, ..Timer::default() };
        let bench = BenchRecord {
            seed: u64::MAX,
            value_us: 15.2,
            lower_us: 15.1,
            upper_us: 15.3,
            stopped: Some(Stopped::Precise),
            saved_launches: 96,
            saved_seconds: 0.002,
            timer: Some(timer),
            conditions: Conditions {
                governor: "powersave".to_owned(),
                turbo: Some(true),
                ..Conditions::default()
            },
            unstable: vec!["the governor is powersave".to_owned()],
            ..samples::bench(vec![case("rows=16 cols=128"), case(&"rows=16 cols=128 ".repeat(5))])
        };
        let result = Some(StageRecord::Bench(Box::new(bench)));
        let text = text(Artifact { result, status: Status::Passed, ..artifact() }, Vec::new());
        for part in [
            "median         15.2 us, 15.1 us .. 15.3 us (95 % over processes)",
            "precise, which saved 96 launches, 2.00 ms",
            "the governor is powersave",
            "bound memory (L2), share 43.4 %",
            "turbo yes",
            "slow 20.0 us",
            "landlock abi 7, seccomp",
            "18446744073709551615",
            "in 6 processes",
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
        odd.metrics.set(&"n".repeat(90), 1.0);
        odd.result = Some(StageRecord::Command(Box::new(CommandRecord {
            warnings: vec!["r".repeat(100)],
            ..CommandRecord::of_number("level", None, 3)
        })));
        let text = text(odd, Vec::new());
        assert_narrow(&text);
        assert!(!text.contains('\x1b') && text.contains("matches   3"), "{text}");
    }
}
