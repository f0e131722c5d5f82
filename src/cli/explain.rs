//! `optloop explain`: why stages would run, without running or writing.

use super::args::{ExplainArgs, Format};
use super::exit::Exit;
use super::forecast::{because, begin};
use super::lines::Line;
use super::refusal::Refusal;
use super::ui::Ui;
use super::words;
use crate::cache::NodeId;
use crate::engine::explain::{Answer, Cause, Explanation, Field, Why};
use crate::project::Access;

/// Explains one stage with its variants, or all stages.
pub(super) fn run(args: &ExplainArgs, ui: &Ui) -> Exit {
    match try_run(args, ui) {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn try_run(args: &ExplainArgs, ui: &Ui) -> Result<(), Refusal> {
    let project = args.which.find()?;
    let opened = project.open(args.which.overrides(&project), Access::Read, &[ui])?;
    let wanted: Vec<String> = args.stage.iter().cloned().collect();
    let selected = opened.select(&wanted)?;
    let forecast = opened.forecast(&selected)?;
    let index = &opened.state.index;
    let shown: Vec<NodeId> = match &args.stage {
        Some(name) => {
            let member = format!("{name}[");
            let of = |n: &NodeId| {
                let node = index.node_name(*n);
                node == name || node.starts_with(&member)
            };
            index.node_ids().filter(of).collect()
        }
        None => index.node_ids().collect(),
    };
    begin(Line::ExplainStarted, opened.title(), shown.len(), ui);
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
