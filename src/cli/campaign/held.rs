//! What is held while a campaign is driven.

use crate::campaign::file::HoldPolicy;
use crate::campaign::hold::{self, Place};
use crate::campaign::settings::Settings;
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::process::hold::{Held, HoldError};

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
