//! Looking at a campaign: what was tried, what was changed.

use super::which::{chosen, history};
use crate::campaign::history::History;
use crate::campaign::{report, summary, trees};
use crate::cli::args::{DiffArgs, Format, WhichCampaign};
use crate::cli::exit::Exit;
use crate::cli::lines::Line;
use crate::cli::lines::campaign::CampaignDiffLine;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;

/// What was tried, and what came of it.
pub(super) fn results(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    let history = history(&stored)?;
    match ui.format {
        Format::Json => ui.text(&report::records(&history)),
        Format::Human => ui.text(&summary::text(&history)),
    }
    Ok(Exit::Ok)
}

/// What an iteration, or all kept ones together, changed.
pub(super) fn diff(args: &DiffArgs, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(&args.which)?;
    let history = history(&stored)?;
    let (from, to) = match args.iteration {
        None => kept(&history),
        Some(number) => one(&history, number)?,
    };
    let patch = trees::patch(&stored.folder, &from, &to);
    let patch = patch.map_err(|e| Refusal::Words(e.to_string(), None, Exit::User))?;
    match ui.format {
        Format::Human => ui.text(&patch),
        Format::Json => {
            let iteration = args.iteration;
            let id = stored.id;
            ui.json(&Line::CampaignDiff(CampaignDiffLine { id, iteration, from, to, patch }));
        }
    }
    Ok(Exit::Ok)
}

fn kept(history: &History) -> (String, String) {
    let base = history.begun.as_ref().map(|begun| begun.base.clone()).unwrap_or_default();
    let best = history.best.as_ref().map_or_else(|| base.clone(), |best| best.commit.clone());
    (base, best)
}

fn one(history: &History, number: u32) -> Result<(String, String), Refusal> {
    let asked = history.iterations.iter().find(|iteration| iteration.number == number);
    let commit = asked.and_then(|iteration| iteration.commit.clone());
    let commit = commit.ok_or_else(|| {
        let what = format!("iteration {number} changed nothing that was judged");
        let hint = "`optloop loop results` lists them".to_owned();
        Refusal::Words(what, Some(hint), Exit::User)
    })?;
    Ok((format!("{commit}^"), commit))
}
