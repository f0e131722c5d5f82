//! What a run would do: the first line and the reasons, and `pipeline --dry-run`.

use super::args::Format;
use super::exit::Exit;
use super::lines::{FORECAST_VERSION, ForecastLine, Line, WouldLine};
use super::refusal::Refusal;
use super::ui::Ui;
use super::words;
use crate::engine::explain::{Answer, Explanation, Field, Why};
use crate::project::Opened;

/// The first line of JSON about these stages of a pipeline.
pub(super) fn begin(line: fn(ForecastLine) -> Line, pipeline: &str, stages: usize, ui: &Ui) {
    if ui.format == Format::Json {
        let pipeline = pipeline.to_owned();
        ui.json(&line(ForecastLine { version: FORECAST_VERSION, pipeline, stages }));
    }
}

/// Says what a run of these stages (all when none is named) would do.
pub(super) fn dry_run(opened: &Opened<'_>, stages: &[String], ui: &Ui) -> Result<Exit, Refusal> {
    let selected = opened.select(stages)?;
    let forecast = opened.forecast(&selected)?;
    let counts = forecast.counts();
    let total = if selected.is_empty() { opened.state.index.nodes.len() } else { selected.len() };
    begin(Line::DryRunStarted, opened.title(), total, ui);
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
pub(super) fn because(why: &Why, changes: &[Field]) -> String {
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
