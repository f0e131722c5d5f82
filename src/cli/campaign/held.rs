//! What is held while a campaign is driven, and where the user's HEAD is meanwhile.

use std::path::Path;

use crate::campaign::file::HoldPolicy;
use crate::campaign::hold::{self, Place};
use crate::campaign::settings::Settings;
use crate::campaign::step::Announce;
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::git::{Outside, State};
use crate::process::Cancel;
use crate::process::hold::{Held, HoldError};
use crate::project::host::Disk;

/// What is held from now on; none where nothing is to be held.
pub(super) fn held(
    settings: &Settings,
    place: Place<'_>,
) -> Result<Option<Result<Held, HoldError>>, Refusal> {
    let Some(asked) = &settings.hold else { return Ok(None) };
    match hold::take(asked, place) {
        Ok(held) => Ok(Some(Ok(held))),
        Err(HoldError::Interrupted) => {
            Err(Refusal::Words("interrupted".to_owned(), None, Exit::Interrupted))
        }
        Err(why) if asked.policy == HoldPolicy::BestEffort => Ok(Some(Err(why))),
        Err(why) => {
            let what = format!("no device is held: {why}");
            let hint = "try again later, or write [hold] policy = \"best-effort\" to go on without";
            Err(Refusal::Words(what, Some(hint.to_owned()), Exit::Infrastructure))
        }
    }
}

/// The commit that is checked out now, where that can be read.
pub(super) fn head(root: &Path, cancel: &Cancel) -> Option<String> {
    let state = State::of(root, &Outside::of(&Disk, cancel.clone()));
    state.ok().flatten().and_then(|state| state.head)
}

/// Refuses to begin where something is to follow each best and there is no commit to put it on.
pub(super) fn needs_commit(settings: &Settings, head: Option<&str>) -> Result<(), Refusal> {
    if head.is_some() || settings.rules.announce == Announce::Never {
        return Ok(());
    }
    let what = "`publish` and `on_best` need a git repository with a commit".to_owned();
    let hint = "make one: `git init`, `git add -A`, `git commit`".to_owned();
    Err(Refusal::Words(what, Some(hint), Exit::User))
}
