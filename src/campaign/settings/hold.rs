//! What `[hold]` means.

use std::time::Duration;

use super::{Checker, Hold};
use crate::campaign::file::{CampaignFile, HoldPolicy, Preset};

const PAUSE: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_mins(10);

impl Checker<'_> {
    pub(super) fn hold(&mut self, file: &CampaignFile) -> Option<Hold> {
        let hold = file.hold.as_ref()?;
        let is_empty = hold.allocate.is_empty() || hold.allocate.iter().any(Vec::is_empty);
        for (span, is_empty) in
            [(&hold.allocate.span, is_empty), (&hold.release.span, hold.release.is_empty())]
        {
            if is_empty {
                let label = "a command is a list of words; `allocate` is a list of commands";
                self.tell("empty", "a command is empty", span, label);
            }
        }
        let usual = match file.preset {
            Some(Preset::Resilient) => HoldPolicy::BestEffort,
            None => HoldPolicy::Required,
        };
        Some(Hold {
            pools: hold.allocate.value.clone(),
            release: hold.release.value.clone(),
            attempts: hold.attempts.unwrap_or(1).max(1),
            pause: self.duration(hold.pause.as_ref(), PAUSE),
            timeout: self.duration(hold.timeout.as_ref(), TIMEOUT),
            policy: hold.policy.unwrap_or(usual),
        })
    }
}
