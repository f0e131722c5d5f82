//! From numbers to what is done about them: the one place where a verdict becomes a decision, for runs,
//! replays, artifacts and `keep` alike.

use serde::{Deserialize, Serialize};

use crate::pipeline::Guard;
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

/// What a verdict means for the candidate. Pairs that ended before anything was proven leave it
/// open, and so does a gain that nobody has confirmed. A gain that harms single cases is none where
/// the guard says so.
pub fn decision(verdict: &Verdict, guard: Guard, harmed: &[Harmed]) -> Decision {
    match verdict.reason {
        Reason::Faster if verdict.pending => Decision::Undecided,
        Reason::Faster if guard == Guard::Revert && !harmed.is_empty() => Decision::Revert,
        Reason::Faster => Decision::Keep,
        Reason::Slower
        | Reason::GrosslySlower
        | Reason::NoWorthwhileDifference
        | Reason::NotConfirmed => Decision::Revert,
        Reason::Inconclusive => Decision::Undecided,
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
                assert_eq!(decision(&verdict, guard, &[]), expected, "{d} {guard:?}");
            }
            assert_eq!(expected == Decision::Keep, verdict.is_keep());
        }
        let open = Rule::default().judge(&[0.02; 7], &[]);
        assert_eq!(decision(&open, Guard::Off, &[]), Decision::Undecided);
    }

    #[test]
    fn a_gain_that_harms_a_case_goes_only_where_the_guard_says_so() {
        let decided = |d: f64, confirm: &[f64], guard| {
            decision(&Rule::default().judge(&[d; 16], confirm), guard, &harmed())
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
    fn decisions_are_words_in_either_case() {
        for decision in Decision::ALL {
            assert_eq!(Decision::of_word(&decision.word().to_lowercase()), Some(decision));
            let json = serde_json::to_value(decision).expect("encodes");
            assert_eq!(json, decision.word());
        }
        assert_eq!(Decision::of_word("KEPT"), None);
    }
}
