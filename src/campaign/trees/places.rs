//! Where the copies of a campaign lie, and what of them stays when it has ended.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{TreeError, files};
use crate::tree::home::{self, Owner};

/// Where candidates are judged, and where what the judge keeps lies.
pub(super) const JUDGE: &str = "judge";
/// Links to the copies; the engine's own link to the trees of a command has the same name.
const TREES: &str = "trees";
/// What the judge's pipeline keeps: results and artifacts, which the log names.
const STATE: &str = ".optloop";

/// The folders of a campaign.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// What is kept of it.
    pub folder: &'a Path,
    /// Where the agent and the judge work; it can be made again.
    pub copies: &'a Path,
}

/// Where the copies of a campaign lie: outside of the project where that is possible. `var` is the
/// environment.
///
/// # Errors
/// When the folder cannot be made.
pub fn copies(
    folder: &Path,
    project: &Path,
    var: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, TreeError> {
    let link = folder.join(TREES);
    let made = home::of(&Owner { link: &link, project, var });
    made.map_err(files("making a folder for the copies of the project"))
}

/// Whether there are copies of a campaign.
pub fn has_copies(folder: &Path) -> bool {
    folder.join(TREES).symlink_metadata().is_ok()
}

/// Removes all copies of a campaign that has ended, those in which its judge compared commands, too.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_copies(folder: &Path) -> Result<(), TreeError> {
    let doing = "removing the copies of the project";
    let compared = state(folder).join(TREES);
    home::remove(&compared).map_err(files(doing))?;
    home::remove(&folder.join(TREES)).map_err(files(doing))
}

pub(super) fn state(folder: &Path) -> PathBuf {
    folder.join(JUDGE).join(STATE)
}

/// Makes the judge's tree a project of its own, whatever lies around it, whose results are kept in
/// the campaign's folder.
pub(super) fn keep_state(folder: &Path, judge: &Path) -> io::Result<()> {
    let state = state(folder);
    fs::create_dir_all(&state)?;
    let state = state.canonicalize()?;
    let link = judge.join(STATE);
    if fs::read_link(&link).is_ok_and(|to| to == state) {
        return Ok(());
    }
    // A guard or a command may have made something else of it.
    match link.symlink_metadata() {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&link)?,
        Ok(_) => fs::remove_file(&link)?,
        Err(_) => {}
    }
    std::os::unix::fs::symlink(state, link)
}
