//! What `[keep]` and `[retry]` mean.

use std::time::Duration;

use super::{AgentKind, AgentSettings, Checker, Retry};
use crate::campaign::file::{CampaignFile, Failures, Preset};
use crate::campaign::keep::KeepRules;
use crate::diagnostic::Spanned;

const AGENT_PAUSE: Duration = Duration::from_secs(30);

impl Checker<'_> {
    pub(super) fn keep(&mut self, file: &CampaignFile) -> KeepRules {
        let usual = KeepRules::default();
        let min_gain = file.keep.min_gain.as_ref();
        if let Some(share) = min_gain.filter(|share| !(0.0..1.0).contains(&share.value)) {
            let label = "a share of the metric: 0.001 is 0.1 %";
            self.tell("bad-gain", "this is no share", &share.span, label);
        }
        KeepRules {
            rework: file.keep.rework.as_ref().map_or(usual.rework, |most| most.value),
            min_gain: min_gain.map_or(usual.min_gain, |share| share.value),
            max_lines: file.keep.max_lines.unwrap_or(usual.max_lines),
        }
    }

    /// A key of it that means something to commands alone has no effect on a replay.
    pub(super) fn retry(&mut self, file: &CampaignFile, agent: Option<&AgentSettings>) -> Retry {
        let retry = &file.retry;
        let is_replay = agent.is_some_and(|agent| matches!(agent.kind, AgentKind::Replay(_)));
        let spans = [
            retry.agent.as_ref().map(|key| &key.span),
            retry.agent_pause.as_ref().map(|k| &k.span),
        ];
        for span in spans.into_iter().flatten().filter(|_| is_replay) {
            let label = "a replay calls no agent: leave this out";
            self.tell("no-effect", "this key has no effect here", span, label);
        }
        let (agent, judge) = match file.preset {
            Some(Preset::Resilient) => (2, 2),
            None => (0, 1),
        };
        Retry {
            agent: retry.agent.as_ref().map_or(agent, |most| most.value),
            agent_pause: self.duration(retry.agent_pause.as_ref(), AGENT_PAUSE),
            judge: retry.judge.unwrap_or(judge),
            judge_pause: self.duration(retry.judge_pause.as_ref(), Duration::ZERO),
        }
    }

    /// The most failures; none for any number.
    pub(super) fn failures(&mut self, failures: Option<&Spanned<Failures>>) -> Option<u32> {
        let failures = failures?;
        let most = match &failures.value {
            Failures::Word(word) if word == "unlimited" => return None,
            Failures::Most(-1) => return None,
            Failures::Most(most) => u32::try_from(*most).ok(),
            Failures::Word(_) => None,
        };
        if most.is_none() {
            let label = "a number from 0, or \"unlimited\"";
            self.tell("bad-failures", "this is no number of failures", &failures.span, label);
        }
        most
    }
}
