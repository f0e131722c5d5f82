//! What a run comes to: what was found, what became the baseline, what to do next, the exit code.

use super::args::{Format, Logs};
use super::exit::{self, Exit};
use super::ui::Ui;
use super::{refusal, words};
use crate::engine::Event;
use crate::process::{self, Cancel};
use crate::project::host::Disk;
use crate::project::promotion::{Differs, Former};
use crate::project::{
    Baseline, CachedStages, Opened, RunReport, StrayBest, is_against_best, shown, state_folder,
};
use crate::record::Decision;

/// What Ctrl-C asks to stop.
pub(super) fn interrupts() -> Cancel {
    process::install().unwrap_or_default()
}

/// What the terminal shows of stages when everything is cached.
pub(super) fn cached(ui: &Ui) -> CachedStages {
    match (ui.format, ui.logs) {
        (Format::Json, _) => CachedStages::All,
        (Format::Human, Logs::All) => CachedStages::Logs,
        (Format::Human, Logs::New | Logs::None) => CachedStages::Results,
    }
}

/// Prints what a run found; returns the exit code.
pub(super) fn print(opened: &Opened<'_>, report: &RunReport, ui: &Ui) -> Exit {
    if let Some(failure) = &report.unrecorded {
        ui.unrecorded(failure);
    }
    for baseline in &report.baselines {
        print_baseline(baseline, ui);
    }
    if let Some(stray) = opened.stray_best(report) {
        ui.show(&Event::Notice { text: stray_words(&stray, opened) });
    }
    ui.answer(report, &shown(&opened.state.paths.state));
    let says = ui.format == Format::Human && !ui.quiet && !ui.mute;
    if let Some(how) = how_to_keep(opened, report).filter(|_| says) {
        ui.line(&how);
    }
    exit::of_run(report)
}

fn print_baseline(Baseline { place, result }: &Baseline, ui: &Ui) {
    let of = place.words();
    match result {
        Ok(None) => ui.note(&format!("{of}: this kernel is the baseline")),
        Ok(Some(former)) => ui.note(&format!("{of}: {}", new_line(former))),
        Err(error) => match refusal::what_next(error) {
            Some(to_do) => ui.note(&format!("{of}: no baseline is set: {error}; {to_do}")),
            None => ui.complain(&format!("warning: {of}: no baseline is set: {error}")),
        },
    }
}

/// Says that there was a best of the same name, and why this kernel is not compared with it.
fn new_line(Former { incumbent, differs }: &Former) -> String {
    let what = match differs {
        Differs::Problem => "the problem changed",
        Differs::Command => "the command changed",
        Differs::Machine => "the machine or a setting of it changed",
    };
    let at: Option<jiff::Timestamp> = incumbent.at.parse().ok();
    let at = at.map_or_else(|| incumbent.at.clone(), |at| words::age(at.as_millisecond()));
    format!(
        "{what} since the best so far was set ({at}): this kernel is the baseline of a new line; \
         the old one stays in {}",
        shown(incumbent.folder()).display()
    )
}

fn stray_words(StrayBest { place, why }: &StrayBest, opened: &Opened<'_>) -> String {
    let pipeline = opened.project.file.display();
    format!(
        "the best so far of {} is not in this history: {why}. To begin from here: `optloop best \
         set HEAD --pipeline {pipeline}`, or `optloop best reset --pipeline {pipeline}`",
        place.words()
    )
}

/// How to make the kernel that was just shown to be better the best; the last line of a run.
fn how_to_keep(opened: &Opened<'_>, report: &RunReport) -> Option<String> {
    let stage = report.last_compared()?;
    let kept = stage.decision.as_ref().is_some_and(|decided| decided.decision == Decision::Keep);
    let is_copy = |file: &String| file.contains(".optloop/");
    let kernel = opened.overrides.kernel.as_ref();
    let own = kernel.is_none_or(|kernel| !kernel.files().iter().any(is_copy));
    if !(own && kept && is_against_best(stage)) {
        return None;
    }
    let state = &opened.state.paths.state;
    // Where the state is that of this folder, the last artifact need not be named.
    let is_last = state_folder(&Disk).is_ok_and(|here| here == *state);
    let artifact = if is_last {
        String::new()
    } else {
        format!(" {}", shown(&state.join(&stage.artifact)).display())
    };
    Some(format!("to make it the best: optloop keep{artifact} --summary '...'"))
}
