//! `optloop explain` and `pipeline --dry-run`: why stages would run, without running or writing.

use super::args::{ExplainArgs, Format};
use super::exit::Exit;
use super::lines::{FORECAST_VERSION, ForecastLine, Line, WouldLine};
use super::session::{Access, Refusal, Session};
use super::ui::Ui;
use super::words;
use super::world::Disk;
use crate::engine::explain::{Answer, Cause, Explanation, Field, Forecast, Why};

/// Explains one stage with its variants, or all stages.
pub(super) fn run(args: &ExplainArgs, ui: &Ui) -> Exit {
    match try_run(args, ui) {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn try_run(args: &ExplainArgs, ui: &Ui) -> Result<(), Refusal> {
    let session = Session::open(&args.which, Access::Read, ui)?;
    let wanted: Vec<String> = args.stage.iter().cloned().collect();
    let selected = session.select(&wanted)?;
    let forecast = forecast(&session, &selected)?;
    let index = &session.state.index;
    let shown: Vec<u32> = match &args.stage {
        Some(name) => {
            let member = format!("{name}[");
            let of = |n: &u32| {
                let node = index.node_name(*n);
                node == name || node.starts_with(&member)
            };
            (0..index.nodes.len() as u32).filter(of).collect()
        }
        None => (0..index.nodes.len() as u32).collect(),
    };
    begin(Line::ExplainStarted, &session, shown.len(), ui);
    for node in shown {
        let explanation = forecast.explanation(node);
        if ui.format == Format::Json {
            ui.json(&Line::Explanation(explanation));
        } else {
            ui.text(&human(&explanation));
        }
    }
    Ok(())
}

/// Says what a run of the selected stages would do.
pub(super) fn dry_run(session: &Session, selected: &[usize], ui: &Ui) -> Result<Exit, Refusal> {
    let forecast = forecast(session, selected)?;
    let counts = forecast.counts();
    let total = if selected.is_empty() { session.state.index.nodes.len() } else { selected.len() };
    begin(Line::DryRunStarted, session, total, ui);
    for node in forecast.notable() {
        let explanation = forecast.brief(node);
        let after = forecast.first_cause(node);
        if ui.format == Format::Json {
            ui.json(&Line::Would(WouldLine::of(&explanation, after)));
        } else {
            ui.line(&one_line(&explanation, after.as_deref()));
        }
    }
    if ui.format == Format::Json {
        ui.json(&Line::DryRunFinished(counts));
        return Ok(Exit::Ok);
    }
    let parts = [
        (counts.run, "would run"),
        (counts.may_run, "may run"),
        (counts.fail, "would fail"),
        (counts.put_back, "would be taken from the cache"),
        (counts.skipped, "would be skipped"),
        (counts.known, "known"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    ui.line(&if parts.is_empty() { "nothing to do".to_owned() } else { parts.join(", ") });
    Ok(Exit::Ok)
}

/// What a run of the selected stages would do.
pub(super) fn forecast<'a>(
    session: &'a Session,
    selected: &[usize],
) -> Result<Forecast<'a>, Refusal> {
    let mut flags = vec![selected.is_empty(); session.state.index.nodes.len()];
    for &node in selected {
        flags[node] = true;
    }
    Ok(Forecast::of(&session.state, &Disk, &flags)?)
}

fn begin(line: fn(ForecastLine) -> Line, session: &Session, stages: usize, ui: &Ui) {
    if ui.format == Format::Json {
        let index = &session.state.index;
        let pipeline = index.name(index.title.start, index.title.len).to_owned();
        ui.json(&line(ForecastLine { version: FORECAST_VERSION, pipeline, stages }));
    }
}

/// One line of a dry run.
fn one_line(explanation: &Explanation, after: Option<&str>) -> String {
    let Explanation { stage, changes, .. } = explanation;
    let after = after.unwrap_or("an earlier stage");
    match &explanation.answer {
        Answer::Known => format!("known     {stage}"),
        Answer::PutBack { files } if files.is_empty() => {
            format!("known     {stage}: a result is kept under its key")
        }
        Answer::PutBack { files } => {
            format!("put back  {stage}: {}", words::list(files))
        }
        Answer::Runs { why } => format!("run       {stage}: {}", because(why, changes)),
        Answer::Waits => match &explanation.condition {
            Some(when) => format!("may run   {stage}: if {when} then holds"),
            None => format!("may run   {stage}: if what it gets from {after} differs"),
        },
        Answer::Skipped { because } => format!("skip      {stage}: {because}"),
        Answer::Fails { message } => format!("fail      {stage}: {message}"),
    }
}

/// Why a stage's result is not known, in half a sentence.
fn because(why: &Why, changes: &[Field]) -> String {
    match why {
        Why::NeverRan => "it has no result yet".to_owned(),
        Why::Always => "it runs every time (cache = false)".to_owned(),
        Why::NoInputs => format!("it runs every time: {}", words::NO_INPUTS),
        Why::Unfinished => "it was running when the last run was killed".to_owned(),
        Why::NotPassed => "it did not pass the last time".to_owned(),
        Why::NotUnderstood { what } => format!("its kept result is not understood: {what}"),
        Why::OutputLost { file } => {
            format!("{file} is gone or damaged, and no good copy of it is kept")
        }
        Why::Changed => {
            let names: Vec<String> = changes.iter().map(|c| c.change.field.clone()).collect();
            format!("{} changed", words::list(&names))
        }
    }
}

/// Everything about one stage.
fn human(explanation: &Explanation) -> String {
    let mut text = format!("{}: {}\n", explanation.stage, headline(explanation));
    for cause in &explanation.causes {
        text += &cause_lines(cause);
    }
    if !explanation.changes.is_empty() {
        let place = if explanation.causes.is_empty() { "" } else { " of its own" };
        text += &format!("  changed fields{place} since its last good run:\n");
        text += &field_lines(&explanation.changes);
    }
    if !explanation.provided.is_empty() {
        let names = words::list(&explanation.provided);
        text += &format!("  it reads nothing of {names}, but needs that to pass first\n");
    }
    text
}

fn headline(explanation: &Explanation) -> String {
    let age = match explanation.finished_ms {
        0 => String::new(),
        ms => format!(", from {}", words::age(ms)),
    };
    match &explanation.answer {
        Answer::Known => format!("its result is known{age}: nothing would run"),
        Answer::PutBack { files } if files.is_empty() => {
            "its result under this key is kept: nothing will run".to_owned()
        }
        Answer::PutBack { files } => format!(
            "its result under this key is kept: nothing will run, outputs are put back ({})",
            words::list(files)
        ),
        Answer::Runs { why: Why::Changed } => "would run: its key changed".to_owned(),
        Answer::Runs { why } => format!("would run: {}", because(why, &[])),
        Answer::Waits => match (&explanation.condition, explanation.causes.first()) {
            (Some(when), _) => {
                format!("may run: whether `{when}` holds shows when what it reads has run")
            }
            (None, Some(first)) => {
                format!("may run: if what it gets from {} turns out different", first.stage)
            }
            (None, None) => "may run: if what it reads turns out different".to_owned(),
        },
        Answer::Skipped { because } => format!("would be skipped: {because}"),
        Answer::Fails { message } => format!("would fail: {message}"),
    }
}

fn cause_lines(cause: &Cause) -> String {
    let why = match cause.why {
        Why::Changed => "its key changed".to_owned(),
        ref why => because(why, &[]),
    };
    let mut text = format!("  it begins with {}, which would run: {why}\n", cause.stage);
    text += &field_lines(&cause.changes);
    let mut chain = cause.stage.clone();
    for link in &cause.chain {
        let reads = match link.reads.as_slice() {
            [] => "its result".to_owned(),
            files => words::list(files),
        };
        chain += &format!("\n    → {} (reads {reads})", link.stage);
    }
    text + "  chain: " + &chain + "\n"
}

fn field_lines(fields: &[Field]) -> String {
    fields.iter().map(field).collect()
}

/// One field, on one line when it fits, else old above new.
fn field(field: &Field) -> String {
    const SHORT: usize = 76;
    let name = &field.change.field;
    if name.starts_with("env:") {
        return format!("    {name}: {}\n", env(field));
    }
    let value = |value: Option<&String>, bytes: Option<u64>| {
        let value = words::short(value?);
        Some(bytes.map_or_else(|| value.clone(), |b| format!("{value} ({b} bytes)")))
    };
    let old = value(field.change.old.as_ref(), field.old_bytes);
    let new = value(field.change.new.as_ref(), field.new_bytes.filter(|_| is_digest(field)));
    let file = match &field.path {
        Some(path) if !name.ends_with(path.as_str()) => format!(" in {path}"),
        _ => String::new(),
    };
    let text = match (old, new) {
        (Some(old), Some(new))
            if (old.clone() + &new).contains('\n')
                || name.len() + old.len() + new.len() > SHORT =>
        {
            format!("{name}{file}:\n      was {}\n      now {}", indent(&old), indent(&new))
        }
        (Some(old), Some(new)) => format!("{name}{file}: {old} → {new}"),
        (None, Some(new)) => format!("{name}{file}: new, {}", indent(&new)),
        (Some(old), None) => format!("{name}{file}: gone, was {}", indent(&old)),
        (None, None) => name.clone(),
    };
    format!("    {text}\n")
}

fn is_digest(field: &Field) -> bool {
    field.change.new.as_ref().is_some_and(|v| v != "absent")
}

/// A variable's value is kept nowhere, only its digest.
fn env(field: &Field) -> &'static str {
    const ABSENT: Option<&str> = Some("absent");
    match (field.change.old.as_deref(), field.change.new.as_deref()) {
        (ABSENT, Some(_)) => "was not set, is set now",
        (Some(_), ABSENT) => "was set, is not set now",
        (None, Some(_)) => "is passed on now",
        (Some(_), None) => "is not passed on any more",
        _ => "has another value",
    }
}

fn indent(value: &str) -> String {
    value.trim_end().replace('\n', "\n          ")
}
