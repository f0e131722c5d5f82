//! Which kernel stands as the best after all that happened to a place: changes are taken back in
//! the order in which they were made, and nothing of a ledger is ever removed.

use super::{Ledger, Line, Place, What};

/// What a place's two names stand for, each the line that made it so, and the change that led there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stand<'a> {
    /// The change: a baseline, a keep, a set or a reset.
    pub change: &'a Line,
    /// The best.
    pub current: Option<&'a Line>,
    /// What gains are gains over.
    pub baseline: Option<&'a Line>,
}

impl Ledger {
    /// The changes of a place that have not been taken back, oldest first.
    pub fn stands(&self, place: &Place) -> Vec<Stand<'_>> {
        let mut stands: Vec<Stand<'_>> = Vec::new();
        for change in self.of(place) {
            let before = stands.last().and_then(|stand| stand.baseline);
            let (current, baseline) = match change.event {
                What::Baseline => (Some(change), Some(change)),
                What::Keep | What::Set => (Some(change), before.or(Some(change))),
                What::Reset => (None, None),
                What::Undo => {
                    stands.pop();
                    continue;
                }
                What::Revert | What::Undecided | What::Anchor => continue,
            };
            stands.push(Stand { change, current, baseline });
        }
        stands
    }

    /// The line that made the present incumbent of a place.
    pub fn standing(&self, place: &Place) -> Option<&Line> {
        self.stands(place).last()?.current
    }

    /// The keeps and sets since the present baseline.
    fn steps(&self, place: &Place) -> Vec<&Line> {
        let stands = self.stands(place);
        let begun = |stand: &Stand<'_>| !matches!(stand.change.event, What::Baseline | What::Reset);
        stands.iter().rev().take_while(|s| begun(s)).map(|s| s.change).collect()
    }
}

/// Keeps of a place since its last anchor or baseline: every tenth asks for an anchor.
pub fn keeps_since_anchor(ledger: &Ledger, place: &Place) -> usize {
    let anchor = ledger.of(place).rev().find(|line| line.event == What::Anchor);
    let since = anchor.map_or(0, |anchor| anchor.seq);
    let steps = ledger.steps(place).into_iter();
    steps.filter(|line| line.event == What::Keep && line.seq > since).count()
}

/// How many times faster the keeps since the last baseline claim to be together: the product of
/// 1 / (1 - gain), which an anchor is printed beside. A keep without a gain counts as no step; where
/// a best was set by hand, it is unknown.
pub fn product_of_steps(ledger: &Ledger, place: &Place) -> Option<f64> {
    let steps = ledger.steps(place);
    if steps.iter().any(|line| line.event == What::Set) {
        return None;
    }
    let gains = steps.iter().filter_map(|line| line.gain);
    let gains = gains.filter(|gain| gain.is_finite() && *gain < 1.0);
    Some(gains.map(|gain| 1.0 / (1.0 - gain)).product())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn changes_are_taken_back_one_after_the_other() {
        let [problem, device, metric, mode] = ["p", "d", "m", "hot"].map(Into::into);
        let place = Place { problem, question: Digest::of(b"p"), device, metric, mode };
        let mut ledger = Ledger::default();
        for (seq, (event, current, baseline)) in [
            (What::Set, Some(1), Some(1)),
            (What::Undo, None, None),
            (What::Baseline, Some(3), Some(3)),
            (What::Keep, Some(4), Some(3)),
            (What::Revert, Some(4), Some(3)),
            (What::Set, Some(6), Some(3)),
            (What::Undo, Some(4), Some(3)),
            (What::Reset, None, None),
            (What::Baseline, Some(9), Some(9)),
            (What::Undo, None, None),
            (What::Undo, Some(4), Some(3)),
            (What::Undo, Some(3), Some(3)),
            (What::Undo, None, None),
            (What::Undo, None, None),
        ]
        .into_iter()
        .enumerate()
        {
            let line = Line::new(event, place.clone(), Digest::of(b"k"), String::new());
            ledger.lines.push(Line { seq: seq as u64 + 1, gain: Some(0.5), ..line });
            let stands = ledger.stands(&place);
            let found = |of: fn(&Stand<'_>) -> Option<u64>| stands.last().and_then(of);
            let now = (found(|s| s.current.map(|l| l.seq)), found(|s| s.baseline.map(|l| l.seq)));
            assert_eq!(now, (current, baseline), "after line {}", seq + 1);
            let set = [1, 6].contains(&(seq + 1));
            assert_eq!(product_of_steps(&ledger, &place).is_none(), set, "line {}", seq + 1);
        }
    }
}
