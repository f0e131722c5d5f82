//! `optloop revert`: a candidate goes, and the incumbent's files are put back.

use super::args::{Format, RevertArgs};
use super::decided::{decidable, open, rationale, verdict, warn};
use super::exit::Exit;
use super::lines::{DecisionLine, Line, RevertedLine};
use super::refusal::Refusal;
use super::ui::Ui;
use super::words;
use crate::project::promotion::Reverted;
use crate::project::shown;

/// Puts the incumbent's files back.
pub(super) fn run(args: &RevertArgs, ui: &Ui) -> Exit {
    match revert(args, ui) {
        Ok(()) => Exit::Ok,
        Err(refusal) => ui.refuse(&refusal),
    }
}

fn revert(args: &RevertArgs, ui: &Ui) -> Result<(), Refusal> {
    let decidable = decidable(&args.decided.artifact, ui)?;
    let opened = open(&decidable, ui)?;
    let candidate = opened.candidate(&decidable.artifacts)?;
    let reverted = candidate.revert(&rationale(&args.decided.said))?;
    warn(&reverted.warnings, ui);
    if ui.format == Format::Json {
        ui.json(&line(&reverted));
        return Ok(());
    }
    ui.line(&verdict(&candidate, reverted.decision(), &reverted.line));
    ui.line(&format!("  artifact   {}", shown(&candidate.artifact).display()));
    match &reverted.kept {
        Some(kept) => {
            ui.line(&format!("  put back   {}", words::list(&reverted.restored)));
            ui.line(&format!("  candidate  is kept in {}", shown(kept).display()));
        }
        None => ui.line("  put back   nothing: the files are the incumbent's already"),
    }
    Ok(())
}

/// As a line of JSON.
fn line(reverted: &Reverted) -> Line {
    Line::Reverted(RevertedLine {
        decision: reverted.decision(),
        about: DecisionLine::of(&reverted.line),
        reason: reverted.line.reason.clone(),
        restored: reverted.restored.clone(),
        kept: reverted.kept.as_ref().map(|kept| kept.to_string_lossy().into_owned()),
    })
}
