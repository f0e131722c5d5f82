//! Looking at a campaign: how it is doing, what was tried, what was changed.

use super::which::{chosen, history, shown};
use super::words;
use crate::campaign::event::Status;
use crate::campaign::history::History;
use crate::campaign::report;
use crate::campaign::store::Driven;
use crate::campaign::trees;
use crate::cli::args::{DiffArgs, Format, WhichCampaign};
use crate::cli::exit::Exit;
use crate::cli::lines::campaign::CampaignStatusLine;
use crate::cli::lines::{self};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;

/// How it is doing.
pub(super) fn status(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    let history = history(&stored)?;
    let driver = match stored.drive() {
        Ok(Driven::Elsewhere(holder)) => Some(holder),
        Ok(Driven::Here(_)) | Err(_) => None,
    };
    if ui.format == Format::Json {
        ui.json(&lines::Line::CampaignStatus(CampaignStatusLine {
            id: stored.id.clone(),
            phase: words::phase(&history).to_owned(),
            driver,
            iterations: history.iterations.len() as u32,
            kept: history.count(&[Status::Kept]) as u32,
            baseline: history.baseline.as_ref().map(|baseline| baseline.value),
            best: history.best.as_ref().map(|best| best.value),
            best_iteration: history.best.as_ref().map(|best| best.iteration),
            metric: history.baseline.as_ref().map(|baseline| baseline.metric.clone()),
            end: history.end,
            folder: stored.folder.to_string_lossy().into_owned(),
        }));
        return Ok(Exit::Ok);
    }
    ui.line(&format!("{}  {}", stored.id, words::phase(&history)));
    match (driver, history.end) {
        (Some(holder), _) => {
            ui.line(&format!("  driven by  {holder}"));
        }
        (None, None) => {
            ui.line(&format!("  driven by  nothing: `optloop loop resume {}` goes on", stored.id));
        }
        (None, Some(_)) => {}
    }
    ui.line(&words::summary(&history));
    ui.line(&format!("  folder     {}", shown(&stored.folder).display()));
    Ok(Exit::Ok)
}

/// What was tried, and what came of it.
pub(super) fn results(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    let history = history(&stored)?;
    match ui.format {
        Format::Json => ui.text(&report::records(&history)),
        Format::Human => ui.text(&report::text(&history)),
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
    ui.text(&patch);
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
