//! When a campaign ends.

use super::Checker;
use crate::campaign::file::{CampaignFile, Publish};
use crate::campaign::step::{Announce, Rules};
use crate::project::promotion::EVERY;

impl Checker<'_> {
    pub(super) fn rules(&mut self, file: &CampaignFile) -> Rules {
        let budget = &file.budget;
        let is_unlimited = file.unlimited.as_ref().is_some_and(|unlimited| unlimited.value);
        let has_budget = budget.iterations.is_some()
            || budget.hours.is_some()
            || budget.device_minutes.is_some();
        match (&file.unlimited, has_budget) {
            (Some(unlimited), true) if is_unlimited => {
                let label = "there is a budget, too: leave out one of them";
                self.tell("conflict", "unlimited, with a budget", &unlimited.span, label);
            }
            (_, false) if !is_unlimited => {
                let label = "`[budget]` needs `iterations`, `hours` or `device_minutes`; or write \
                             `unlimited = true`";
                self.tell("missing-key", "nothing limits this campaign", &(0..0), label);
            }
            _ => {}
        }
        for time in [&budget.hours, &budget.device_minutes].into_iter().flatten() {
            if time.value.is_nan() || time.value <= 0.0 {
                self.tell("bad-budget", "no time is left", &time.span, "more than 0");
            }
        }
        Rules {
            iterations: budget.iterations,
            seconds: budget.hours.as_ref().map(|hours| hours.value * 3600.0),
            failures: self.failures(budget.failures.as_ref()),
            no_gain: file.stop.no_gain,
            target: file.target.as_ref().map(|target| target.value),
            anchor: Some(file.anchor.as_ref().map_or(EVERY as u32, |anchor| anchor.value))
                .filter(|every| *every > 0),
            device_seconds: budget.device_minutes.as_ref().map(|minutes| minutes.value * 60.0),
            keep: self.keep(file),
            announce: match (file.publish, &file.on_best) {
                (None | Some(Publish::None), None) => Announce::Never,
                _ => Announce::EachBest,
            },
            on_moved: file.on_moved.unwrap_or_default(),
            agent_retries: 0,
            on_infra: file.on_infra.unwrap_or_default(),
        }
    }
}
