//! `optloop artifact`: the accounts of measured stages, listed and shown.

use std::path::{Path, PathBuf};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::args::{ArtifactCommand, Format};
use super::columns::{number, pairs};
use super::exit::Exit;
use super::session::Refusal;
use super::ui::Ui;
use super::{cache, devices, words, world};
use crate::diagnostic::nearest;
use crate::record::Artifact;

/// Rises when a reader of the JSON lines would have to change.
const VERSION: u32 = 1;

/// Runs one of them.
pub(super) fn run(command: &ArtifactCommand, ui: &Ui) -> Exit {
    let done = match command {
        ArtifactCommand::Ls { stage } => list(stage.as_deref(), ui),
        ArtifactCommand::Show { artifact } => show(artifact, ui),
        ArtifactCommand::Path { artifact } => find(artifact).map(|path| {
            ui.line(&path.display().to_string());
        }),
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn list(stage: Option<&str>, ui: &Ui) -> Result<(), Refusal> {
    let state = world::state_folder().ok_or_else(cache::no_state)?;
    let mut rows = Vec::new();
    for path in Artifact::list(&state) {
        match Artifact::read(&path) {
            Ok(artifact) if stage.is_none_or(|s| is_of(&artifact, s)) => {
                rows.push((path, artifact));
            }
            Ok(_) => {}
            Err(message) => ui.complain(&message),
        }
    }
    if ui.format == Format::Json {
        ui.json(&json!({ "event": "artifacts", "version": VERSION, "count": rows.len() }));
        for (path, a) in &rows {
            ui.json(&json!({
                "event": "artifact", "path": path, "at": a.at, "run": a.run, "stage": a.stage,
                "kind": a.kind, "status": a.status, "metrics": a.metrics,
            }));
        }
        return Ok(());
    }
    if rows.is_empty() {
        ui.note("there are no artifacts yet: stages that check or measure make them");
        return Ok(());
    }
    ui.text(&listing(&rows));
    Ok(())
}

/// The stage itself, or one point of its matrix.
fn is_of(artifact: &Artifact, stage: &str) -> bool {
    artifact.stage == stage
        || artifact.stage.strip_prefix(stage).is_some_and(|rest| rest.starts_with('['))
}

fn listing(rows: &[(PathBuf, Artifact)]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["when", "stage", "status", "result", "artifact"]);
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (path, artifact) in rows {
        let path = world::shown(path).display().to_string();
        let status = artifact.status.replace('_', " ");
        let row = [when(artifact), artifact.stage.clone(), status, headline(artifact), path];
        table.add_row(row);
    }
    devices::plain(&mut table)
}

fn when(artifact: &Artifact) -> String {
    let at: Option<jiff::Timestamp> = artifact.at.parse().ok();
    at.map_or_else(|| artifact.at.clone(), |at| words::age(at.as_millisecond()))
}

/// The one number that says most.
fn headline(artifact: &Artifact) -> String {
    let metric = |name: &str| artifact.metrics.get(name).copied();
    if let Some(us) = metric("median_us") {
        return words::duration_us(us);
    }
    if artifact.kind == "check" {
        return metric("cases").map(|n| format!("{n} cases")).unwrap_or_default();
    }
    let first = artifact.metrics.iter().next();
    first.map(|(name, value)| format!("{name} {}", number(*value))).unwrap_or_default()
}

/// The artifact of a path, RUN/STAGE, a run or `last`.
fn find(wanted: &str) -> Result<PathBuf, Refusal> {
    let given = Path::new(wanted);
    if given.is_file() {
        return Ok(std::path::absolute(given).unwrap_or_else(|_| given.to_owned()));
    }
    let state = world::state_folder().ok_or_else(cache::no_state)?;
    let all = Artifact::list(&state);
    if wanted == "last" {
        return all.last().cloned().ok_or_else(|| none("there are no artifacts yet", None));
    }
    let named = |path: &PathBuf| -> Option<(String, String)> {
        let run = path.parent()?.file_name()?.to_str()?.to_owned();
        Some((run, path.file_stem()?.to_str()?.to_owned()))
    };
    let (run, stage) = wanted.split_once('/').map_or((wanted, None), |(r, s)| (r, Some(s)));
    let stage = stage.map(|s| s.trim_end_matches(".json").replace(' ', "_"));
    let matches = |path: &&PathBuf| {
        named(path).is_some_and(|(r, s)| r == run && stage.as_ref().is_none_or(|w| *w == s))
    };
    // Of a run, its last: that is where a pipeline ends.
    if let Some(path) = all.iter().rev().find(matches) {
        return Ok(path.clone());
    }
    let names: Vec<String> =
        all.iter().filter_map(&named).map(|(r, s)| format!("{r}/{s}")).collect();
    let near = nearest(wanted, names.iter().map(String::as_str));
    Err(none(&format!("there is no artifact `{wanted}`"), near))
}

fn none(what: &str, near: Option<&str>) -> Refusal {
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`optloop artifact ls` lists them".to_owned(),
    };
    Refusal::Words(what.to_owned(), Some(hint), Exit::User)
}

fn show(wanted: &str, ui: &Ui) -> Result<(), Refusal> {
    let path = find(wanted)?;
    let read = Artifact::read(&path);
    let artifact = read.map_err(|message| Refusal::Words(message, None, Exit::User))?;
    if ui.format == Format::Json {
        ui.json(&artifact);
        return Ok(());
    }
    ui.text(&shown(&artifact, &world::shown(&path)));
    Ok(())
}

/// Everything of an artifact that people ask for; the file has the rest.
fn shown(artifact: &Artifact, path: &Path) -> String {
    let mut text = header(artifact, path);
    let cases = cases(&artifact.result);
    if !cases.is_empty() {
        text += &section("cases", &cases);
    }
    let metrics: Vec<(String, String)> =
        artifact.metrics.iter().map(|(n, v)| (n.clone(), number(*v))).collect();
    text += &section("numbers", &pairs(&metrics));
    text += &section("key", &pairs(&key_fields(artifact)));
    let diff = &artifact.provenance.kernel_diff;
    if !diff.is_empty() {
        text += &section("difference from the commit", &indented(diff));
    }
    if !artifact.output.trim().is_empty() {
        text += &section("output", &indented(&artifact.output));
    }
    text
}

fn header(artifact: &Artifact, path: &Path) -> String {
    let from = &artifact.provenance;
    let status = artifact.status.replace('_', " ");
    let mut text = format!("{} ({}): {status}", artifact.stage, artifact.kind);
    match headline(artifact) {
        number if number.is_empty() => {}
        number => text += &format!(", {number}"),
    }
    text.push('\n');
    if !artifact.message.is_empty() {
        text += &indented(&artifact.message);
    }
    let optional =
        |name: &str, value: &str| (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()));
    let rows = [
        optional("at", &format!("{} ({})", artifact.at, when(artifact))),
        optional("took", &words::duration_us(artifact.seconds * 1e6)),
        optional("file", &path.display().to_string()),
        optional("pipeline", &from.pipeline),
        optional("kernel", &from.kernel.join(", ")),
        optional("problem", &from.problem),
        optional("device", &format!("{} {}", from.device, from.device_identity)),
        optional("commit", &from.commit),
        optional("command", &artifact.command.join(" ")),
        optional("run as", &from.command.join(" ")),
        optional("optloop", &from.optloop),
        optional("key", artifact.key.get(..12).unwrap_or(&artifact.key)),
    ];
    let rows: Vec<(String, String)> = rows.into_iter().flatten().collect();
    text + &pairs(&rows)
}

fn section(title: &str, body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("\n{title}\n{body}") }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| "  ".to_owned() + line + "\n").collect()
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

/// One row a case, of whatever kind of stage.
fn cases(result: &Value) -> String {
    let of = result.get("of").unwrap_or(result);
    let cases = of.get("cases").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let labels = cases.iter().filter(|c| c.get("label").is_some());
    let measured = cases.iter().any(|c| c.get("median_us").is_some());
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if measured {
        table.set_header(["  case", "median", "95% interval", "mean", "min", "p90"]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut any = false;
    for case in labels {
        any = true;
        let label = format!("  {}", case["label"].as_str().unwrap_or_default());
        let value = |name: &str| case.get(name).and_then(Value::as_f64);
        let time = |name: &str| value(name).map(words::duration_us).unwrap_or_default();
        if measured {
            let interval = match (value("lower_us"), value("upper_us")) {
                (Some(_), Some(_)) => format!("{} .. {}", time("lower_us"), time("upper_us")),
                _ => String::new(),
            };
            let row = [
                label,
                time("median_us"),
                interval,
                time("mean_us"),
                time("min_us"),
                time("p90_us"),
            ];
            table.add_row(row);
        } else {
            table.add_row([label, case_in_words(case)]);
        }
    }
    if any { devices::plain(&mut table) } else { String::new() }
}

/// The plain values of a case that was compared.
fn case_in_words(case: &Value) -> String {
    let Some(case) = case.as_object() else {
        return String::new();
    };
    let plain = |(name, value): (&String, &Value)| match value {
        _ if name == "label" => None,
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(text) => Some(format!("{name} {text}")),
        other => {
            Some(format!("{name} {}", other.as_f64().map_or_else(|| other.to_string(), number)))
        }
    };
    case.iter().filter_map(plain).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Provenance;

    fn artifact() -> Artifact {
        let fields =
            [("definition.run.Shell", "x"), ("definition.salt", ""), ("input:a", &"ab".repeat(32))];
        Artifact {
            version: 1,
            run: "r1".to_owned(),
            at: "2020-01-01T00:00:00Z".to_owned(),
            stage: "candidate".to_owned(),
            kind: "bench".to_owned(),
            provenance: Provenance { commit: "c".repeat(40), ..Provenance::default() },
            command: vec!["sh".to_owned(), "word ".repeat(40)],
            exit_code: None,
            status: "too_slow".to_owned(),
            message: "surely slower".to_owned(),
            output: "one\ntwo\n".to_owned(),
            key: "d".repeat(64),
            key_fields: fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            seconds: 1.5,
            metrics: [("median_us".to_owned(), 12.345_678_9)].into(),
            result: json!({"cases": [{"label": "n=1", "median_us": 12.3, "lower_us": 12.0,
                "upper_us": 13.0, "mean_us": 12.4, "min_us": 11.0, "p90_us": 14.0}]}),
        }
    }

    #[test]
    fn an_artifact_is_shown_in_eighty_columns_with_all_its_parts() {
        let text = shown(&artifact(), Path::new("runs/r1/candidate.json"));
        for part in ["too slow, 12.3 us", "surely slower", "n=1", "12.3457", "abababababab", "two"]
        {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        assert!(!text.contains("salt") && !text.contains("definition."), "{text}");
        let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > 80).collect();
        assert_eq!(wide, Vec::<&str>::new());
    }

    #[test]
    fn a_stage_takes_in_the_points_of_its_matrix_and_no_other_stage() {
        let named = |stage: &str| Artifact { stage: stage.to_owned(), ..artifact() };
        assert!(is_of(&named("sweep[B=1]"), "sweep") && is_of(&named("sweep"), "sweep"));
        assert!(!is_of(&named("sweeper"), "sweep"));
    }
}
