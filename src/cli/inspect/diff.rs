//! What changed between two lists of lines: the longest common subsequence, in unified form.

/// Lines kept around a change.
const CONTEXT: usize = 3;

/// Above this many pairs of lines, after equal beginnings and ends are taken off, everything
/// between counts as changed: a table of 4000 by 4000 lines is where waiting begins.
const MAX_PAIRS: usize = 16_000_000;

/// One line of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// In both: positions in the old and the new.
    Same(usize, usize),
    /// Only in the old.
    Removed(usize),
    /// Only in the new.
    Added(usize),
}

/// Compares by keys.
pub(super) fn edits<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Edit> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);
    let mut edits: Vec<Edit> = (0..start).map(|at| Edit::Same(at, at)).collect();
    if a.len().saturating_mul(b.len()) > MAX_PAIRS {
        edits.extend((0..a.len()).map(|i| Edit::Removed(start + i)));
        edits.extend((0..b.len()).map(|i| Edit::Added(start + i)));
    } else {
        middle(a, b, start, &mut edits);
    }
    let (olds, news) = (old.len() - end, new.len() - end);
    edits.extend((0..end).map(|at| Edit::Same(olds + at, news + at)));
    edits
}

/// The textbook's table of the longest common subsequences of all endings (Cormen, Leiserson,
/// Rivest, Stein, "Introduction to Algorithms", section 15.4).
fn middle<T: PartialEq>(a: &[T], b: &[T], start: usize, edits: &mut Vec<Edit>) {
    let width = b.len() + 1;
    let mut longest = vec![0_u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1].saturating_add(1)
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            edits.push(Edit::Same(start + i, start + j));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len()
            || (i < a.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            edits.push(Edit::Removed(start + i));
            i += 1;
        } else {
            edits.push(Edit::Added(start + j));
            j += 1;
        }
    }
}

/// A stretch of changes with what stands around it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunk<'a> {
    /// First line and number of lines in the old, counted from 1.
    pub(super) old: (usize, usize),
    /// The same in the new.
    pub(super) new: (usize, usize),
    /// Its lines.
    pub(super) edits: &'a [Edit],
}

/// The stretches with changes; those nearer than twice the context are one.
pub(super) fn hunks(edits: &[Edit]) -> Vec<Hunk<'_>> {
    let changed = |e: &Edit| !matches!(e, Edit::Same(..));
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (at, _) in edits.iter().enumerate().filter(|(_, e)| changed(e)) {
        let (from, to) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(edits.len()));
        match ranges.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => ranges.push((from, to)),
        }
    }
    let in_old = |e: &&Edit| !matches!(e, Edit::Added(_));
    let in_new = |e: &&Edit| !matches!(e, Edit::Removed(_));
    ranges
        .into_iter()
        .map(|(from, to)| Hunk {
            old: span(
                edits[..from].iter().filter(in_old).count(),
                edits[from..to].iter().filter(in_old).count(),
            ),
            new: span(
                edits[..from].iter().filter(in_new).count(),
                edits[from..to].iter().filter(in_new).count(),
            ),
            edits: &edits[from..to],
        })
        .collect()
}

/// As in unified diffs, nothing stands after the line before it.
fn span(before: usize, count: usize) -> (usize, usize) {
    (if count == 0 { before } else { before + 1 }, count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changes(old: &str, new: &str) -> String {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        let edits = edits(&old, &new);
        edits
            .iter()
            .map(|e| match e {
                Edit::Same(i, _) => format!("{}", old[*i]),
                Edit::Removed(i) => format!("-{}", old[*i]),
                Edit::Added(j) => format!("+{}", new[*j]),
            })
            .collect()
    }

    #[test]
    fn only_what_differs_is_changed() {
        for (old, new, expected) in [
            ("abc", "abc", "abc"),
            ("", "ab", "+a+b"),
            ("ab", "", "-a-b"),
            ("abcd", "abxd", "ab-c+xd"),
            ("axbxc", "abc", "a-xb-xc"),
            ("ab", "ba", "-ab+a"),
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
        let edits = edits(&old, &new);
        let hunks = hunks(&edits);
        let spans: Vec<_> = hunks.iter().map(|h| (h.old, h.new)).collect();
        assert_eq!(spans, [((2, 7), (2, 7)), ((23, 7), (23, 6))]);
        assert_eq!(super::hunks(&super::edits(&old, &old)), []);
    }

    #[test]
    fn lists_too_long_to_compare_are_replaced() {
        let old: Vec<u32> = (0..5000).collect();
        let new: Vec<u32> =
            (0..5000).map(|n| if n == 0 || n == 4999 { n } else { n * 2 + 1 }).collect();
        let same = edits(&old, &new).iter().filter(|e| matches!(e, Edit::Same(..))).count();
        assert_eq!(same, 2);
    }

    proptest! {
        #[test]
        fn both_lists_can_be_read_off(old in "[abc]{0,12}", new in "[abc]{0,12}") {
            let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
            let (mut left, mut right) = (String::new(), String::new());
            for edit in edits(&a, &b) {
                match edit {
                    Edit::Same(i, j) => {
                        prop_assert_eq!(a[i], b[j]);
                        left.push(a[i]);
                        right.push(b[j]);
                    }
                    Edit::Removed(i) => left.push(a[i]),
                    Edit::Added(j) => right.push(b[j]),
                }
            }
            prop_assert_eq!((left, right), (old, new));
        }
    }
}
