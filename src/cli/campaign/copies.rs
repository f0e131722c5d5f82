//! Where the copies of a campaign lie, and that nothing is left of them.

use std::path::{Path, PathBuf};

use super::which::unwritable;
use crate::campaign::store::{Driven, Stored};
use crate::campaign::trees;
use crate::cli::refusal::Refusal;
use crate::cli::ui::Ui;
use crate::host::Host;
use crate::project::host::Disk;

/// Makes the folder that they lie in.
pub(super) fn made(stored: &Stored, project: &Path) -> Result<PathBuf, Refusal> {
    let copies = trees::copies(&stored.folder, project, &|name| Disk.var(name));
    copies.map_err(|e| unwritable(&stored.folder, &std::io::Error::other(e)))
}

/// Removes those of a campaign that has ended. What cannot be removed takes room only.
pub(super) fn remove_if_ended(stored: &Stored, ui: &Ui) {
    if stored.has_ended()
        && let Err(error) = trees::remove_copies(&stored.folder)
    {
        ui.complain(&format!("warning: {error}"));
    }
}

/// Removes those that campaigns left which were killed between their last event and their end.
pub(super) fn remove_left(all: &[Stored], ui: &Ui) {
    for stored in all.iter().filter(|stored| trees::has_copies(&stored.folder)) {
        if let Ok(Driven::Here(_lock)) = stored.drive() {
            remove_if_ended(stored, ui);
        }
    }
}
