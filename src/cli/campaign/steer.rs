//! Changing what a campaign aims at while it runs.

use super::which::{chosen, history, unwritable};
use crate::campaign::steering::Steering;
use crate::campaign::store::Driven;
use crate::cli::args::{Budget, Format, SteerArgs};
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::lines::campaign::CampaignSteeredLine;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;

/// Leaves a request for the driver.
pub(super) fn steer(args: &SteerArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(&args.which)?;
    if history(&stored)?.end.is_some() {
        let what = format!("{} has ended", stored.id);
        let hint = "`optloop loop start` begins another".to_owned();
        return Err(Refusal::Words(what, Some(hint), Exit::User));
    }
    let asks = asks(args);
    if let Some(mistake) = asks.mistake() {
        return Err(Refusal::Words(mistake.to_owned(), None, Exit::Usage));
    }
    let request = stored.ask_to_steer(&asks).map_err(|e| unwritable(&stored.folder, &e))?;
    let is_driven = matches!(stored.drive(), Ok(Driven::Elsewhere(_)));
    match ui.format {
        Format::Json => {
            let id = stored.id.clone();
            ui.json(&Line::CampaignSteered(CampaignSteeredLine { id, request, asks }));
        }
        Format::Human if is_driven => {
            ui.note(&format!("{}: from its next iteration on: {}", stored.id, asks.words()));
        }
        Format::Human => ui.note(&format!(
            "{}: once `optloop loop resume {}` goes on: {}",
            stored.id,
            stored.id,
            asks.words()
        )),
    }
    Ok(Exit::Ok)
}

fn asks(args: &SteerArgs) -> Steering {
    let mut asks = Steering {
        say: args.say.clone(),
        target: args.target,
        stretch: args.stretch,
        approve: args.approve.clone(),
        ..Steering::default()
    };
    for budget in &args.budget {
        match *budget {
            Budget::Iterations(most) => asks.iterations = Some(most),
            Budget::Hours(most) => asks.hours = Some(most),
            Budget::Failures(most) => asks.failures = Some(most),
        }
    }
    asks
}
