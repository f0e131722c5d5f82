//! What changed between two lists of lines, in unified form.

use std::hash::Hash;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

/// Lines kept around a change.
const CONTEXT: usize = 3;

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// In both: its position in the new.
    Same(usize),
    /// Only in the old.
    Removed(usize),
    /// Only in the new.
    Added(usize),
}

/// All that changed.
pub(super) struct Changes {
    steps: Vec<DiffOp>,
}

/// A stretch of changes with what stands around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    /// First line and number of lines in the old, counted from 1.
    pub(super) old: (usize, usize),
    /// The same in the new.
    pub(super) new: (usize, usize),
    /// Its lines.
    pub(super) edits: Vec<Edit>,
}

impl Changes {
    /// Compares by keys.
    pub(super) fn between<T: Hash + Eq>(old: &[T], new: &[T]) -> Self {
        Self { steps: capture_diff_slices(Algorithm::Myers, old, new) }
    }

    /// How many lines are only in the old.
    pub(super) fn removed(&self) -> usize {
        self.steps.iter().filter(|step| is_change(step)).map(|step| step.old_range().len()).sum()
    }

    /// How many lines are only in the new.
    pub(super) fn added(&self) -> usize {
        self.steps.iter().filter(|step| is_change(step)).map(|step| step.new_range().len()).sum()
    }

    /// The stretches with changes; those nearer than twice the context are one.
    pub(super) fn hunks(&self) -> Vec<Hunk> {
        let groups = group_diff_ops(self.steps.clone(), CONTEXT);
        let hunk = |group: Vec<DiffOp>| {
            let (first, last) = (group.first()?, group.last()?);
            Some(Hunk {
                old: lines(first.old_range().start..last.old_range().end),
                new: lines(first.new_range().start..last.new_range().end),
                edits: group.iter().flat_map(edits).collect(),
            })
        };
        groups.into_iter().filter_map(hunk).collect()
    }
}

fn is_change(step: &DiffOp) -> bool {
    !matches!(step, DiffOp::Equal { .. })
}

fn edits(step: &DiffOp) -> Vec<Edit> {
    if !is_change(step) {
        return step.new_range().map(Edit::Same).collect();
    }
    let removed = step.old_range().map(Edit::Removed);
    removed.chain(step.new_range().map(Edit::Added)).collect()
}

/// As in unified diffs, nothing stands after the line before it.
fn lines(range: Range<usize>) -> (usize, usize) {
    (if range.is_empty() { range.start } else { range.start + 1 }, range.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(old: &str, new: &str) -> String {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        let hunks = Changes::between(&old, &new).hunks();
        let edits = hunks.iter().flat_map(|hunk| &hunk.edits);
        edits
            .map(|edit| match edit {
                Edit::Same(at) => format!("{}", new[*at]),
                Edit::Removed(at) => format!("-{}", old[*at]),
                Edit::Added(at) => format!("+{}", new[*at]),
            })
            .collect()
    }

    #[test]
    fn only_what_differs_is_changed() {
        for (old, new, expected) in [
            ("abc", "abc", ""),
            ("", "ab", "+a+b"),
            ("ab", "", "-a-b"),
            ("abcd", "abxd", "ab-c+xd"),
            ("axbxc", "abc", "a-xb-xc"),
        ] {
            assert_eq!(changes(old, new), expected, "{old} {new}");
        }
    }

    #[test]
    fn far_changes_are_stretches_of_their_own() {
        let old: Vec<u32> = (0..30).collect();
        let mut new = old.clone();
        new[4] = 100;
        new.remove(25);
        let changes = Changes::between(&old, &new);
        assert_eq!((changes.removed(), changes.added()), (2, 1));
        let spans: Vec<_> = changes.hunks().iter().map(|hunk| (hunk.old, hunk.new)).collect();
        assert_eq!(spans, [((2, 7), (2, 7)), ((23, 7), (23, 6))]);
        let inserted = Changes::between(&old[..0], &old[..1]).hunks();
        assert_eq!((inserted[0].old, inserted[0].new), ((0, 0), (1, 1)));
    }

    #[test]
    fn long_lists_without_a_line_in_common_are_compared_soon() {
        let old: Vec<u32> = (0..50_000).collect();
        let new: Vec<u32> = old.iter().map(|n| n + 50_000).collect();
        let changes = Changes::between(&old, &new);
        assert_eq!((changes.removed(), changes.added()), (50_000, 50_000));
    }

    proptest! {
        #[test]
        fn hunks_make_the_new_of_the_old(old in "[abc]{0,40}", new in "[abc]{0,40}") {
            let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
            let (mut made, mut at) = (String::new(), 0);
            for hunk in Changes::between(&a, &b).hunks() {
                let (first, count) = hunk.old;
                let start = if count == 0 { first } else { first - 1 };
                made.extend(&a[at..start]);
                at = start + count;
                made.extend(hunk.edits.iter().filter_map(|edit| match edit {
                    Edit::Same(at) | Edit::Added(at) => Some(b[*at]),
                    Edit::Removed(_) => None,
                }));
                let removed = hunk.edits.iter().filter(|e| matches!(e, Edit::Removed(_))).count();
                let added = hunk.edits.iter().filter(|e| matches!(e, Edit::Added(_))).count();
                prop_assert_eq!(count + added, hunk.new.1 + removed);
            }
            made.extend(&a[at..]);
            prop_assert_eq!(made, new);
        }
    }
}
