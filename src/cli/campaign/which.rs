//! Which campaign is meant, and what is said where that cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use crate::campaign::history::History;
use crate::campaign::log::{Log, LogError};
use crate::campaign::store::Stored;
use crate::cli::args::WhichCampaign;
use crate::cli::exit::{self, Exit};
use crate::cli::refusal::Refusal;
use crate::project::host::Disk;
use crate::project::{self, ProjectError, state_folder};

/// The campaign that is meant: by its name, or the last.
pub(super) fn chosen(which: &WhichCampaign) -> Result<Stored, Refusal> {
    let mut all = match state_folder(&Disk) {
        Ok(state) => Stored::all(&state),
        Err(ProjectError::NoState { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if let Some(name) = &which.campaign {
        let known: Vec<String> = all.iter().map(|stored| stored.id.clone()).collect();
        all.retain(|stored| stored.is_called(name));
        if all.is_empty() {
            let hint = match &known[..] {
                [] => "none was started here yet".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            let what = format!("there is no campaign `{name}`");
            return Err(Refusal::Words(what, Some(hint), Exit::User));
        }
    }
    all.pop().ok_or_else(|| {
        let hint = "start one: `optloop loop start campaign.toml`".to_owned();
        Refusal::Words("no campaign was started here yet".to_owned(), Some(hint), Exit::User)
    })
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Refusal {
    let what = format!("cannot write below {}: {error}", path.display());
    Refusal::Words(what, None, exit::of_io(error))
}

/// Refuses with a log that cannot be read.
pub(super) fn unreadable(error: &LogError) -> Refusal {
    Refusal::Words(error.to_string(), None, Exit::User)
}

/// What is known of a campaign.
pub(super) fn history(stored: &Stored) -> Result<History, Refusal> {
    let (log, _torn) = Log::open(&stored.folder).map_err(|e| unreadable(&e))?;
    Ok(log.history().clone())
}

/// A campaign's files, as people would write them from here.
pub(super) fn shown(path: &Path) -> PathBuf {
    project::shown(path)
}
