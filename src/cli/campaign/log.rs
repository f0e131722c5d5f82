//! `optloop loop log`: the records of a campaign, shown, checked, exported and made anew.

use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};

use super::which::{chosen, history, shown, unwritable};
use crate::campaign::history::{History, Iteration};
use crate::campaign::lint::{self, Gravity};
use crate::campaign::report::{self, Record, number, percent};
use crate::campaign::store::{Driven, Stored};
use crate::campaign::{derived, export, summary};
use crate::cli::args::{Format, LogCommand, LogForm, ShowArgs, WhichCampaign};
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::engine::EngineError;

/// Runs one of its commands.
pub(super) fn run(command: &LogCommand, ui: &Ui) -> Result<Exit, Refusal> {
    match command {
        LogCommand::Show(args) => show(args, ui),
        LogCommand::Lint(which) => lint(which, ui),
        LogCommand::Export(args) => {
            let form = match args.form {
                LogForm::Advised => export::Form::Advised,
                LogForm::Interactive => export::Form::Interactive,
            };
            let history = history(&chosen(&args.which)?)?;
            ui.text(&export::lines(&history, form));
            Ok(Exit::Ok)
        }
        LogCommand::Rebuild(which) => rebuild(which, ui),
    }
}

/// All iterations, or one with everything that is known of it.
fn show(args: &ShowArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(&args.which)?;
    let history = history(&stored)?;
    let Some(number) = args.iteration else {
        match ui.format {
            Format::Json => ui.text(&report::records(&history)),
            Format::Human => ui.text(&table(&history)),
        }
        return Ok(Exit::Ok);
    };
    let iteration = history.iterations.iter().find(|iteration| iteration.number == number);
    let iteration = iteration.ok_or_else(|| {
        let what = format!("{} has no iteration {number}", stored.id);
        let hint = "`optloop loop log show` lists them".to_owned();
        Refusal::Words(what, Some(hint), Exit::User)
    })?;
    match report::record(&history, iteration) {
        Some(record) if ui.format == Format::Json => ui.json(&record),
        Some(record) => ui.text(&whole(&stored, iteration, &record)),
        None => {
            let what = format!("iteration {number} has not ended");
            let hint = "`optloop loop status` says how it is doing".to_owned();
            return Err(Refusal::Words(what, Some(hint), Exit::User));
        }
    }
    Ok(Exit::Ok)
}

fn table(history: &History) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["iteration", "status", "metric", "gain", "baseline", "time", "change"]);
    for column in [0, 2, 3, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for record in report::all(history) {
        table.add_row([
            record.iteration.to_string(),
            record.status.clone(),
            record.metric.map_or_else(|| "-".to_owned(), number),
            record.gain.map_or_else(|| "-".to_owned(), percent),
            record.delta.map_or_else(|| "-".to_owned(), percent),
            format!("{:.1} s", record.seconds),
            record.description,
        ]);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

/// One iteration.
fn whole(stored: &Stored, iteration: &Iteration, record: &Record) -> String {
    let mut rows = vec![
        ("iteration", format!("{}, {}", record.iteration, record.status)),
        ("ended", iteration.ended_at.clone()),
        ("time", format!("{:.1} s", record.seconds)),
        ("change", record.description.clone()),
        ("files", record.files.join(", ")),
        ("commit", record.commit.clone().unwrap_or_default()),
        ("metric", record.metric.map(number).unwrap_or_default()),
        ("gain", gain(record)),
        ("beside baseline", record.delta.map(percent).unwrap_or_default()),
        ("artifact", record.artifact.clone().unwrap_or_default()),
    ];
    if let Some(proposal) = &iteration.proposal {
        rows.push(("left behind", proposal.strays.join(", ")));
        rows.push(("agent", proposal.agent.message().unwrap_or_default().to_owned()));
    }
    rows.push(("why", why(record)));
    let folder = stored.folder.join(format!("iterations/{:04}", record.iteration));
    rows.push(("folder", shown(&folder).display().to_string()));
    rows.push(("there", names(&folder)));
    let filled = rows.into_iter().filter(|(_, value)| !value.trim().is_empty());
    let rows = filled.map(|(name, value)| {
        let value = value.trim().replace('\n', "\n                    ");
        format!("  {name:<16}  {value}\n")
    });
    rows.collect()
}

fn gain(record: &Record) -> String {
    match (record.gain, record.lower, record.upper) {
        (Some(gain), Some(lower), Some(upper)) => {
            format!("{}, between {} and {}", percent(gain), percent(lower), percent(upper))
        }
        (Some(gain), _, _) => percent(gain),
        _ => String::new(),
    }
}

fn why(record: &Record) -> String {
    if record.violations.is_empty() { record.reason.clone() } else { summary::why(record) }
}

fn names(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join(", ")
}

/// Whether its folder holds what its log says.
fn lint(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    if let Ok(Driven::Elsewhere(holder)) = stored.drive() {
        ui.note(&format!("note: {} is driven by {holder}: its files change meanwhile", stored.id));
    }
    let findings = lint::look(&stored.folder);
    let errors = findings.iter().filter(|finding| finding.gravity == Gravity::Error).count();
    let warnings = findings.len() - errors;
    for finding in findings {
        if ui.format == Format::Json {
            ui.json(&Line::CampaignFinding(finding));
            continue;
        }
        let word = if finding.gravity == Gravity::Error { "error" } else { "warning" };
        ui.line(&format!("{word}: {}: {}", finding.place, finding.message));
    }
    if ui.format == Format::Human {
        ui.line(&format!("{}: {errors} errors, {warnings} warnings", stored.id));
    }
    Ok(if errors + warnings > 0 { Exit::User } else { Exit::Ok })
}

/// Makes everything anew that the log says.
fn rebuild(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    let _lock = match stored.drive().map_err(EngineError::from)? {
        Driven::Here(lock) => lock,
        Driven::Elsewhere(holder) => {
            let what = format!("{} is driven by {holder}, who writes these files", stored.id);
            return Err(Refusal::Words(what, None, Exit::Infrastructure));
        }
    };
    let history = history(&stored)?;
    for file in derived::files(&history) {
        derived::write(&stored.folder, &file).map_err(|e| unwritable(&stored.folder, &e.source))?;
        if ui.format == Format::Human {
            ui.note(&shown(&stored.folder.join(&file.name)).display().to_string());
        }
    }
    Ok(Exit::Ok)
}
