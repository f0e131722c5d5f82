//! When a campaign ends.

use super::Checker;
use crate::campaign::file::{CampaignFile, Publish};
use crate::campaign::spent::Reported;
use crate::campaign::step::{Announce, Rules};
use crate::project::promotion::EVERY;

impl Checker<'_> {
    pub(super) fn rules(&mut self, file: &CampaignFile) -> Rules {
        let budget = &file.budget;
        let is_unlimited = file.unlimited.as_ref().is_some_and(|unlimited| unlimited.value);
        let has_budget = budget.iterations.is_some()
            || budget.hours.is_some()
            || budget.device_minutes.is_some()
            || is_money_a_limit(file);
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
        if let Some(dollars) =
            budget.dollars.as_ref().filter(|d| d.value.is_nan() || d.value <= 0.0)
        {
            self.tell("bad-budget", "no money is left", &dollars.span, "more than 0");
        }
        if let Some(tokens) = budget.tokens.as_ref().filter(|tokens| tokens.value == 0) {
            self.tell("bad-budget", "no tokens are left", &tokens.span, "more than 0");
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
            dollars: budget.dollars.as_ref().map(|dollars| dollars.value),
            tokens: budget.tokens.as_ref().map(|tokens| tokens.value),
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

/// A budget of money ends a campaign only where the agent says what it costs.
fn is_money_a_limit(file: &CampaignFile) -> bool {
    let usage = file.agent.as_ref().and_then(|agent| agent.usage.as_ref());
    let is_reported = usage.is_some_and(|usage| usage.value != Reported::Unavailable);
    is_reported && (file.budget.dollars.is_some() || file.budget.tokens.is_some())
}
