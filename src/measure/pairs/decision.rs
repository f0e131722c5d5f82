//! From numbers to what is done about them: the one place where a verdict becomes a decision, for runs,
//! replays, artifacts and `keep` alike.

use serde::{Deserialize, Serialize};

use crate::pipeline::Guard;
use crate::stats::Interval;
use crate::stats::block::Harmed;
use crate::stats::sequential::{Reason, Verdict};

/// What becomes of the candidate that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Decision {
    /// It stays.
    Keep,
    /// It goes.
    Revert,
    /// The numbers do not say.
    Undecided,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Revert, Self::Undecided];

    /// As it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "KEEP",
            Self::Revert => "REVERT",
            Self::Undecided => "UNDECIDED",
        }
    }

    /// The decision of a word, whatever its case.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.word().eq_ignore_ascii_case(word))
    }
}

/// Why that becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum DecisionReason {
    /// A gain worth having was proven, and confirmed where the rule asks for it.
    Faster,
    /// A gain was seen, and the pairs that would confirm it are not there.
    Unconfirmed,
    /// A gain was seen, and new pairs in fresh processes did not show it.
    NotConfirmed,
    /// A gain that harms single cases, where the guard says that it is none then.
    Harmed {
        /// Which surely got slower: their positions among the cases, from 0.
        cases: Vec<usize>,
    },
    /// It is slower.
    Slower,
    /// The first two pairs both say that it is slower by far.
    GrosslySlower,
    /// If it is faster, then by less than is worth having.
    NoWorthwhileDifference,
    /// The pairs ended before anything was proven.
    Inconclusive,
}

impl DecisionReason {
    fn of(verdict: &Verdict, guard: Guard, harmed: &[Harmed]) -> Self {
        match verdict.reason {
            Reason::Faster if verdict.pending => Self::Unconfirmed,
            Reason::Faster if guard == Guard::Revert && !harmed.is_empty() => {
                Self::Harmed { cases: harmed.iter().map(|harmed| harmed.case).collect() }
            }
            Reason::Faster => Self::Faster,
            Reason::Slower => Self::Slower,
            Reason::GrosslySlower => Self::GrosslySlower,
            Reason::NoWorthwhileDifference => Self::NoWorthwhileDifference,
            Reason::Inconclusive => Self::Inconclusive,
            Reason::NotConfirmed => Self::NotConfirmed,
        }
    }

    fn decision(&self) -> Decision {
        match self {
            Self::Faster => Decision::Keep,
            Self::NotConfirmed
            | Self::Harmed { .. }
            | Self::Slower
            | Self::GrosslySlower
            | Self::NoWorthwhileDifference => Decision::Revert,
            Self::Unconfirmed | Self::Inconclusive => Decision::Undecided,
        }
    }

    /// As it is written in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Unconfirmed => "unconfirmed",
            Self::NotConfirmed => "not_confirmed",
            Self::Harmed { .. } => "harmed",
            Self::Slower => "slower",
            Self::GrosslySlower => "grossly_slower",
            Self::NoWorthwhileDifference => "no_worthwhile_difference",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What was decided of a candidate: the only value that says whether it stays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Decided {
    /// What becomes of it.
    pub decision: Decision,
    /// Why.
    pub reason: DecisionReason,
    /// The gain with its 95 % interval, as a share of the incumbent's time or in the metric's own
    /// unit; none without pairs.
    pub gain: Option<Interval>,
}

impl Decided {
    /// What a verdict means for the candidate. Pairs that ended before anything was proven leave it
    /// open, and so does a gain that nobody has confirmed. A gain that harms single cases is none
    /// where the guard says so.
    pub fn of(verdict: &Verdict, guard: Guard, harmed: &[Harmed]) -> Self {
        let reason = DecisionReason::of(verdict, guard, harmed);
        Self { decision: reason.decision(), reason, gain: None }
    }

    /// With the gain that is reported.
    #[must_use]
    pub fn with_gain(self, gain: Option<Interval>) -> Self {
        Self { gain, ..self }
    }

    /// Whether only the guard keeps it from being a gain.
    pub fn is_guarded(&self) -> bool {
        matches!(self.reason, DecisionReason::Harmed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::sequential::Rule;

    const GUARDS: [Guard; 3] = [Guard::Off, Guard::Warn, Guard::Revert];

    fn harmed() -> Vec<Harmed> {
        vec![Harmed { case: 1, estimate: -0.5, upper: -0.4 }]
    }

    #[test]
    fn only_a_confirmed_gain_is_kept_and_only_what_is_open_is_undecided() {
        for (d, confirm, expected) in [
            (0.02, Some(0.02), Decision::Keep),
            (0.02, Some(0.0), Decision::Revert),
            (0.02, None, Decision::Undecided),
            (0.0, None, Decision::Revert),
            (-0.02, None, Decision::Revert),
            (-0.5, None, Decision::Revert),
        ] {
            let confirm = confirm.map_or(Vec::new(), |d| vec![d; 8]);
            let verdict = Rule::default().judge(&[d; 16], &confirm);
            for guard in GUARDS {
                assert_eq!(Decided::of(&verdict, guard, &[]).decision, expected, "{d} {guard:?}");
            }
            assert_eq!(expected == Decision::Keep, verdict.is_keep());
        }
        let open = Rule::default().judge(&[0.02; 7], &[]);
        assert_eq!(Decided::of(&open, Guard::Off, &[]).decision, Decision::Undecided);
    }

    #[test]
    fn a_gain_that_harms_a_case_goes_only_where_the_guard_says_so() {
        let decided = |d: f64, confirm: &[f64], guard| {
            Decided::of(&Rule::default().judge(&[d; 16], confirm), guard, &harmed()).decision
        };
        for (guard, expected) in
            GUARDS.into_iter().zip([Decision::Keep, Decision::Keep, Decision::Revert])
        {
            assert_eq!(decided(0.02, &[0.02; 8], guard), expected, "{guard:?}");
        }
        assert_eq!(decided(0.02, &[], Guard::Revert), Decision::Undecided);
        assert_eq!(decided(-0.02, &[], Guard::Warn), Decision::Revert);
    }

    #[test]
    fn a_guarded_gain_names_the_cases_that_it_harms() {
        let verdict = Rule::default().judge(&[0.02; 16], &[0.02; 8]);
        let decided = Decided::of(&verdict, Guard::Revert, &harmed());
        assert_eq!(decided.reason, DecisionReason::Harmed { cases: vec![1] });
        assert!(decided.is_guarded());
        assert!(!Decided::of(&verdict, Guard::Warn, &harmed()).is_guarded());
    }

    #[test]
    fn a_reason_is_recorded_by_its_word() {
        for reason in [
            DecisionReason::Faster,
            DecisionReason::Unconfirmed,
            DecisionReason::NotConfirmed,
            DecisionReason::Harmed { cases: vec![0] },
            DecisionReason::Slower,
            DecisionReason::GrosslySlower,
            DecisionReason::NoWorthwhileDifference,
            DecisionReason::Inconclusive,
        ] {
            let json = serde_json::to_value(&reason).expect("encodes");
            assert_eq!(json["why"], reason.word());
            let back: DecisionReason = serde_json::from_value(json).expect("decodes");
            assert_eq!(back, reason);
        }
    }

    #[test]
    fn decisions_are_words_in_either_case() {
        for decision in Decision::ALL {
            assert_eq!(Decision::of_word(&decision.word().to_lowercase()), Some(decision));
            let json = serde_json::to_value(decision).expect("encodes");
            assert_eq!(json, decision.word());
        }
        assert_eq!(Decision::of_word("KEPT"), None);
    }
}
