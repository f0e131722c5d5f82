//! Which nodes may go next: what is doubted, what waits for it, and what lies on the longest path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cache::Index;
use crate::cache::index::flag;

/// Where a node stands during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// Known, and nothing it depends on is doubted.
    Clean,
    /// Waits for this many nodes that it needs.
    Waiting(u32),
    /// Nothing keeps it from being looked at.
    Ready,
    /// On a job thread.
    Running,
    /// Passed in this run.
    Passed,
    /// Its condition did not hold, or that of something it needs.
    Skipped,
    /// It, or something it needs, did not pass.
    Failed,
}

/// The nodes of a run.
pub(super) struct Waves {
    stands: Vec<Stand>,
    /// Times something: runs when nothing else does.
    times: Vec<bool>,
    /// Who needs a node: starts, then ids.
    dependents: (Vec<u32>, Vec<u32>),
    /// The time from a node's start to the end of everything that needs it.
    priority: Vec<u64>,
    ready: BinaryHeap<(u64, Reverse<u32>)>,
    alone: BinaryHeap<(u64, Reverse<u32>)>,
}

impl Waves {
    /// Doubted nodes and everything selected downstream of them wait; the rest is clean.
    pub(super) fn new(index: &Index, selected: &[bool], doubted: &[u32]) -> Self {
        let mut waves = Self {
            stands: vec![Stand::Clean; index.nodes.len()],
            times: index.nodes.iter().map(|n| n.has(flag::ALONE)).collect(),
            dependents: dependents(index),
            priority: Vec::new(),
            ready: BinaryHeap::new(),
            alone: BinaryHeap::new(),
        };
        waves.priority = waves.critical_path(index);
        waves.spread(index, selected, doubted);
        waves
    }

    /// Where a node stands.
    pub(super) fn stand(&self, node: u32) -> Stand {
        self.stands[node as usize]
    }

    /// The ready node on the longest path that times nothing.
    pub(super) fn next(&mut self) -> Option<u32> {
        self.ready.pop().map(|(_, Reverse(node))| node)
    }

    /// The same for nodes that time something.
    pub(super) fn next_alone(&mut self) -> Option<u32> {
        self.alone.pop().map(|(_, Reverse(node))| node)
    }

    /// A node that was to run will not.
    pub(super) fn put_back(&mut self, node: u32) {
        self.make_ready(node);
    }

    /// A node is on a job thread now.
    pub(super) fn run(&mut self, node: u32) {
        self.stands[node as usize] = Stand::Running;
    }

    /// A node has ended: those that waited for it wait for one less.
    pub(super) fn settle(&mut self, node: u32, stand: Stand) {
        self.stands[node as usize] = stand;
        for dependent in self.dependents_of(node).to_vec() {
            if let Stand::Waiting(count) = self.stands[dependent as usize] {
                if count <= 1 {
                    self.make_ready(dependent);
                } else {
                    self.stands[dependent as usize] = Stand::Waiting(count - 1);
                }
            }
        }
    }

    /// How many were never started.
    pub(super) fn unstarted(&self) -> usize {
        self.stands.iter().filter(|s| matches!(s, Stand::Waiting(_) | Stand::Ready)).count()
    }

    fn dependents_of(&self, node: u32) -> &[u32] {
        let (starts, ids) = &self.dependents;
        &ids[starts[node as usize] as usize..starts[node as usize + 1] as usize]
    }

    fn critical_path(&self, index: &Index) -> Vec<u64> {
        const UNKNOWN_US: u64 = 1000;
        let mut priority = vec![0; index.nodes.len()];
        for node in (0..index.nodes.len()).rev() {
            let own = match index.nodes[node].duration_us {
                0 => UNKNOWN_US,
                known => known,
            };
            let below = self.dependents_of(node as u32).iter().map(|&d| priority[d as usize]);
            priority[node] = own + below.max().unwrap_or(0);
        }
        priority
    }

    /// Nodes lie in order, so one sweep is enough.
    fn spread(&mut self, index: &Index, selected: &[bool], doubted: &[u32]) {
        for &node in doubted {
            self.stands[node as usize] = Stand::Waiting(0);
        }
        for node in (0..self.stands.len() as u32).filter(|&n| selected[n as usize]) {
            let needs = index.ids(index.nodes[node as usize].needs);
            let waiting =
                |n: &&u32| matches!(self.stands[**n as usize], Stand::Waiting(_) | Stand::Ready);
            let count = needs.iter().filter(waiting).count() as u32;
            if count > 0 {
                self.stands[node as usize] = Stand::Waiting(count);
            } else if matches!(self.stands[node as usize], Stand::Waiting(_)) {
                self.make_ready(node);
            }
        }
    }

    fn make_ready(&mut self, node: u32) {
        self.stands[node as usize] = Stand::Ready;
        let item = (self.priority[node as usize], Reverse(node));
        if self.times[node as usize] {
            self.alone.push(item);
        } else {
            self.ready.push(item);
        }
    }
}

/// For each node, who needs it.
fn dependents(index: &Index) -> (Vec<u32>, Vec<u32>) {
    let count = index.nodes.len();
    let mut starts = vec![0u32; count + 1];
    let needs = |n: usize| index.ids(index.nodes[n].needs);
    (0..count).flat_map(needs).for_each(|&n| starts[n as usize + 1] += 1);
    for i in 0..count {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut ids = vec![0; starts[count] as usize];
    for node in 0..count {
        for &needed in needs(node) {
            ids[next[needed as usize] as usize] = node as u32;
            next[needed as usize] += 1;
        }
    }
    (starts, ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Node;

    /// Nodes with what they need and how long they took.
    fn index(nodes: &[(&[u32], u64)]) -> Index {
        let mut index = Index::default();
        for (needs, duration_us) in nodes {
            let needs = index.add_links(needs);
            index.nodes.push(Node { needs, duration_us: *duration_us, ..Node::default() });
        }
        index
    }

    #[test]
    fn only_what_is_doubted_and_what_follows_takes_part() {
        let index = index(&[(&[], 1), (&[0], 1), (&[], 1), (&[2], 1)]);
        let mut waves = Waves::new(&index, &[true; 4], &[0]);
        assert_eq!(waves.next(), Some(0));
        assert_eq!(waves.next(), None);
        assert_eq!([waves.stand(1), waves.stand(2)], [Stand::Waiting(1), Stand::Clean]);
        waves.settle(0, Stand::Passed);
        assert_eq!(waves.next(), Some(1));
    }

    #[test]
    fn the_longest_path_goes_first_and_what_is_not_selected_does_not_wait() {
        let index = index(&[(&[], 5), (&[], 1), (&[1], 100), (&[0], 1)]);
        let mut waves = Waves::new(&index, &[true; 4], &[0, 1]);
        assert_eq!([waves.next(), waves.next()], [Some(1), Some(0)]);
        let waves = Waves::new(&index, &[true, false, false, true], &[0]);
        assert_eq!(waves.unstarted(), 2);
    }

    #[test]
    fn what_times_something_is_kept_apart() {
        let mut index = index(&[(&[], 1), (&[], 9)]);
        index.nodes[1].flags = flag::ALONE;
        let mut waves = Waves::new(&index, &[true; 2], &[0, 1]);
        assert_eq!([waves.next(), waves.next()], [Some(0), None]);
        assert_eq!(waves.next_alone(), Some(1));
    }
}
