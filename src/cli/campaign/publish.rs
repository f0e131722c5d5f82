//! Kept changes, for the user's own repository.

use super::which::{chosen, unreadable};
use crate::campaign::log::Log;
use crate::campaign::publish::{self, Destination, PublishError};
use crate::cli::args::{Format, WhichCampaign};
use crate::cli::exit::Exit;
use crate::cli::lines::campaign::CampaignPublishedLine;
use crate::cli::lines::{self};
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::git::Outside;
use crate::process;
use crate::project::host::Disk;
use crate::project::state_folder;

/// Publishes what a campaign has kept.
pub(super) fn publish(which: &WhichCampaign, ui: &Ui) -> Result<Exit, Refusal> {
    let stored = chosen(which)?;
    let (log, _torn) = Log::open(&stored.folder).map_err(|e| unreadable(&e))?;
    let state = state_folder(&Disk)?;
    let root = state.parent().unwrap_or(&state);
    let cancel = process::install().unwrap_or_default();
    let outside = Outside::of(&Disk, cancel);
    let to = Destination { folder: &stored.folder, root, outside: &outside };
    let published = publish::publish(to, log.history()).map_err(|error| refused(&error))?;
    let branch = publish::branch(log.history());
    if ui.format == Format::Json {
        ui.json(&lines::Line::CampaignPublished(CampaignPublishedLine {
            branch,
            commit: published.commit,
            added: published.added as u32,
        }));
        return Ok(Exit::Ok);
    }
    ui.line(&match published.added {
        0 => format!("{branch} has everything already"),
        1 => format!("{branch}: 1 new commit"),
        added => format!("{branch}: {added} new commits"),
    });
    ui.line(&format!("  look       git log -p {branch}"));
    Ok(Exit::Ok)
}

fn refused(error: &PublishError) -> Refusal {
    Refusal::Words(error.to_string(), None, Exit::User)
}
