//! What to do after a run: how to keep what was better, and what is odd about the best.

use super::incumbents::Incumbents;
use super::session::Session;
use super::ui::Ui;
use super::world;
use crate::engine::Event;
use crate::engine::event::StageFinished;
use crate::project::promotion;
use crate::record::{Decision, incumbent};

/// How kernels that are compared with the best call it.
const BEST: &str = "the best so far";

/// Says where the best is not in what is checked out, for a run that compared with it.
pub(super) fn on_history(session: &Session, ui: &Ui) {
    let Some(stage) = ui.last_scored().filter(|stage| against(stage) == Some(BEST)) else { return };
    let incumbents = Incumbents { located: &session.located, overrides: &session.overrides };
    let Ok(place) = incumbents.place(&stage.stage) else { return };
    let Ok(Some(best)) = incumbent::current(&session.state.paths.state, &place) else { return };
    if let Some(why) =
        promotion::not_in_history(&session.located.root, &best, &world::git_to_read())
    {
        let text = format!(
            "the best so far of {} is not in this history: {why}. {}",
            place.words(),
            way_out(&session.located.file.display().to_string())
        );
        ui.event(&Event::Notice { text });
    }
}

/// What to do about a best that is not in this history.
pub(super) fn way_out(pipeline: &str) -> String {
    format!(
        "To begin from here: `optloop best set HEAD --pipeline {pipeline}`, or `optloop best reset \
         --pipeline {pipeline}`"
    )
}

/// How to make the kernel that was just shown to be better the best; the last line of a run.
pub(super) fn on_keeping(session: &Session, ui: &Ui) -> Option<String> {
    let stage = ui.last_scored()?;
    let own = session.overrides.kernel.as_ref().is_none_or(|kernel| !kernel.contains(".optloop/"));
    let kept = stage.decision.as_ref().is_some_and(|decided| decided.decision == Decision::Keep);
    let better = kept && against(&stage) == Some(BEST);
    let file = session.state.paths.state.join(&stage.artifact);
    let named = world::state_folder().is_none_or(|state| state != session.state.paths.state);
    let artifact =
        if named { format!(" {}", world::shown(&file).display()) } else { String::new() };
    (own && better).then(|| format!("to make it the best: optloop keep{artifact} --summary '...'"))
}

fn against(stage: &StageFinished) -> Option<&str> {
    Some(&stage.detail.as_ref()?.comparison()?.against)
}
