//! When a candidate stays or goes, beyond what the measurement says of it.

use super::event::{Judgement, Outcome};

/// Rules for candidates that were measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeepRules {
    /// How often a candidate that is better and that a guard refuses goes back to the agent.
    pub rework: u32,
    /// A gain below this share of the best's must be had with a small change.
    pub min_gain: f64,
    /// How many lines a small change adds and removes at most.
    pub max_lines: u32,
}

impl Default for KeepRules {
    fn default() -> Self {
        Self { rework: 2, min_gain: 0.001, max_lines: 50 }
    }
}

impl KeepRules {
    /// Decides against a candidate that is better by so little that its change is not worth it; any
    /// other judgement stays as it is. `lines`: how many the change adds and removes.
    pub fn weigh(&self, judged: Judgement, lines: u32) -> Judgement {
        let share = judged.share.filter(|share| *share < self.min_gain);
        let (Outcome::Better, Some(share)) = (judged.outcome, share) else { return judged };
        if lines <= self.max_lines {
            return judged;
        }
        let reason = format!(
            "a gain of {:.3} % is too small for {lines} changed lines: `keep` asks for {:.3} % \
             where there are more than {}",
            100.0 * share,
            100.0 * self.min_gain,
            self.max_lines
        );
        Judgement { outcome: Outcome::NotWorthIt, reason, ..judged }
    }
}

/// How many lines a patch adds and removes together.
pub fn changed_lines(patch: &str) -> u32 {
    let mut count = 0;
    // Names of files stand before a file's first hunk.
    let mut is_hunk = false;
    for line in patch.lines() {
        match line.as_bytes() {
            [b'@', b'@', ..] => is_hunk = true,
            [b'd', ..] => is_hunk = false,
            [b'+' | b'-', ..] if is_hunk => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_names_of_files_are_not() {
        let patch = "diff --git a/k.c b/k.c\nindex 1..2 100644\n--- a/k.c\n+++ b/k.c\n@@ -1,2 +1,3 @@\n \
                     same\n-old\n+new\n+++ more\ndiff --git a/n b/n\nnew file mode 100644\n\
                     --- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n";
        assert_eq!(changed_lines(patch), 4);
        assert_eq!(changed_lines(""), 0);
    }

    fn better(share: Option<f64>) -> Judgement {
        Judgement { share, ..Judgement::of(Outcome::Better) }
    }

    #[test]
    fn a_tiny_gain_by_a_large_change_is_not_worth_it_and_any_other_is() {
        let rules = KeepRules::default();
        let outcome = |share, lines| rules.weigh(better(share), lines).outcome;
        assert_eq!(outcome(Some(0.000_9), 51), Outcome::NotWorthIt);
        assert_eq!(outcome(Some(0.000_9), 50), Outcome::Better);
        assert_eq!(outcome(Some(0.001), 51), Outcome::Better);
        assert_eq!(outcome(Some(0.5), 5000), Outcome::Better);
        assert_eq!(outcome(None, 51), Outcome::Better, "nothing says how large its gain is");
        let reason = rules.weigh(better(Some(0.000_5)), 80).reason;
        assert!(reason.contains("0.050 %") && reason.contains("80 changed lines"), "{reason}");
    }

    #[test]
    fn what_was_not_better_anyway_is_left_as_it_was_judged() {
        for outcome in [Outcome::Worse, Outcome::Undecided, Outcome::Guard, Outcome::Failed] {
            let judged = Judgement { share: Some(0.0001), ..Judgement::of(outcome) };
            assert_eq!(KeepRules::default().weigh(judged, 1000).outcome, outcome);
        }
    }
}
