//! From numbers to what is done about them: the one place where a verdict becomes a decision.

use super::Decision;
use crate::stats::sequential::{Reason, Verdict};

/// What a verdict means for the candidate. Pairs that ended before anything was proven leave it
/// open, and so does a gain that nobody has confirmed.
pub fn decision(verdict: &Verdict) -> Decision {
    match verdict.reason {
        Reason::Faster if verdict.pending => Decision::Undecided,
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
            let verdict = Rule::default().judge(&[d; 64], &confirm);
            assert_eq!(decision(&verdict), expected, "{d} {confirm:?}");
            assert_eq!(decision(&verdict) == Decision::Keep, verdict.is_keep());
        }
        assert_eq!(decision(&Rule::default().judge(&[0.02; 7], &[])), Decision::Undecided);
    }
}
