//! What is held while a campaign is driven.

use crate::campaign::file::HoldPolicy;
use crate::campaign::hold::{self, Place};
use crate::campaign::settings::Settings;
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::plan::Definition;
use crate::process::hold::{HELD, Held, HoldError};
use crate::project::Opened;

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

/// Stages that measure elsewhere than on what is held.
pub(super) fn warnings(name: &str, opened: &Opened<'_>) -> Vec<String> {
    let index = &opened.state.index;
    let warning = |node| {
        let stage = index.node_name(node);
        match opened.state.definition(node).ok()?.definition {
            Definition::Command(command) if command.metric.is_some() => {
                let gets_it = command.pass_env.iter().any(|one| one == HELD);
                (!gets_it).then(|| {
                    format!(
                        "the stage `{stage}` measures and does not know which device is held: write \
                         pass_env = [\"{HELD}\"] in it, and measure on that device"
                    )
                })
            }
            Definition::Bench(bench) => {
                let device = bench.target.device();
                (!name.contains(&device) && !device.contains(name)).then(|| {
                    format!("the stage `{stage}` measures on {device}, and {name} is held")
                })
            }
            _ => None,
        }
    };
    index.node_ids().filter_map(warning).collect()
}
