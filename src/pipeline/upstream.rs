//! Which stages come before which.

use std::collections::HashSet;

/// Which stages a stage comes after.
pub(super) struct Upstream<'a> {
    needs: &'a [Vec<usize>],
}

impl<'a> Upstream<'a> {
    pub(super) fn new(needs: &'a [Vec<usize>]) -> Self {
        Self { needs }
    }

    /// True when `from` needs `to`, directly or through others.
    pub(super) fn reaches(&self, from: usize, to: usize) -> bool {
        if self.needs[from].contains(&to) {
            return true;
        }
        let mut seen = HashSet::new();
        let mut next = self.needs[from].clone();
        while let Some(index) = next.pop() {
            if self.needs[index].contains(&to) {
                return true;
            }
            if seen.insert(index) {
                next.extend_from_slice(&self.needs[index]);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Upstream;

    #[test]
    fn needs_are_followed_through_others_and_around_cycles() {
        let needs = [vec![], vec![0], vec![1], vec![4], vec![3]];
        let graph = Upstream::new(&needs);
        assert!(graph.reaches(2, 1) && graph.reaches(2, 0));
        assert!(!graph.reaches(0, 2) && !graph.reaches(2, 2));
        assert!(graph.reaches(3, 3) && !graph.reaches(3, 0));
    }
}
