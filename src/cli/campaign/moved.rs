//! Where the user's HEAD is, and what a campaign was started with in each of its epochs.

use std::path::Path;

use super::ready::Ready;
use super::which::unwritable;
use crate::campaign::history::History;
use crate::campaign::publish;
use crate::campaign::store::{ABOUT_VERSION, About, Stored};
use crate::cli::ui::Ui;
use crate::git::{self, Outside, State};

/// The commit that is checked out now, where that can be read; none where it is the campaign's own
/// work: what it published.
pub(super) fn head(root: &Path, history: &History, outside: &Outside) -> Option<String> {
    let head = State::of(root, outside).ok().flatten()?.head?;
    let start = history.begun.as_ref().and_then(|begun| begun.head.as_deref())?;
    let branch = format!("refs/heads/{}", publish::branch(history));
    let is_before = |two| git::is_ancestor(root, two, outside).unwrap_or_default();
    let is_own = head != start && is_before([start, &head]) && is_before([&head, &branch]);
    Some(if is_own { start.to_owned() } else { head })
}

/// What an epoch of a campaign was started with.
pub(super) fn about(ready: &Ready, epoch: u32, head: Option<String>) -> About {
    About {
        version: ABOUT_VERSION,
        file: ready.file.clone(),
        approved: ready.approved.clone(),
        optloop: env!("CARGO_PKG_VERSION").to_owned(),
        given: ready.given.clone(),
        settings: ready.sources.clone(),
        epoch,
        head,
    }
}

/// Writes it down where that was not done yet. The log has what counts.
pub(super) fn note_epoch(stored: &Stored, ready: &Ready, history: &History, ui: &Ui) {
    let epoch = history.epoch();
    if stored.about().is_ok_and(|known| known.epoch >= epoch) {
        return;
    }
    let head = history.begun.as_ref().and_then(|begun| begun.head.clone());
    if let Err(error) = stored.write_about(&about(ready, epoch, head)) {
        ui.refuse(&unwritable(&stored.folder, &error));
    }
}
