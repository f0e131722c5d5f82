//! A best that was given up or brought back, in words and as JSON.

use super::args::Format;
use super::lines::{BestChangedLine, Line, OfBest};
use super::ui::Ui;
use crate::project::promotion::Changed;
use crate::record::ledger::What;

/// Prints it, as JSON or in these words.
pub(super) fn print(changed: &Changed, ui: &Ui, words: impl FnOnce() -> Vec<String>) {
    if ui.format == Format::Json {
        ui.json(&line(changed));
        return;
    }
    for line in words() {
        ui.line(&line);
    }
}

/// What an undo took back, and what the best is now.
pub(super) fn undone(changed: &Changed) -> Vec<String> {
    let what = changed.undone.as_ref().map_or("change", |line| line.event.word());
    let now = match &changed.standing {
        Some(line) => format!("  best       {} again", line.candidate.short()),
        None => "  best       none: the next run sets the baseline".to_owned(),
    };
    vec![format!("UNDONE {}: the last {what}", changed.line.place.words()), now]
}

fn line(changed: &Changed) -> Line {
    let about = &changed.line;
    let best = changed.standing.as_ref().map(|line| line.candidate.hex());
    let undone = changed.undone.as_ref();
    let line = BestChangedLine {
        about: OfBest::at(&about.place, best),
        undone: undone.map(|line| line.event.word().to_owned()),
        commit: undone.and_then(|line| line.commit.clone()),
        line: about.seq,
    };
    match about.event {
        What::Reset => Line::BestReset(line),
        _ => Line::BestUndone(line),
    }
}
