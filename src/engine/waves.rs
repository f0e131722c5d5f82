//! Which nodes may go next: what is doubted, what waits for it, and what lies on the longest path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cache::index::flag;
use crate::cache::{Index, NodeId, PerNode};

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
    stands: PerNode<Stand>,
    /// Times something: runs when nothing else does.
    times: PerNode<bool>,
    dependents: Dependents,
    /// The time from a node's start to the end of everything that needs it.
    priority: PerNode<u64>,
    ready: BinaryHeap<(u64, Reverse<NodeId>)>,
    alone: BinaryHeap<(u64, Reverse<NodeId>)>,
}

impl Waves {
    /// Doubted nodes and everything selected downstream of them wait; the rest is clean.
    pub(super) fn new(index: &Index, selected: &PerNode<bool>, doubted: &[NodeId]) -> Self {
        let mut waves = Self {
            stands: PerNode::new(Stand::Clean, index.nodes.len()),
            times: index.nodes.iter().map(|n| n.has(flag::ALONE)).collect(),
            dependents: Dependents::of(index),
            priority: PerNode::default(),
            ready: BinaryHeap::new(),
            alone: BinaryHeap::new(),
        };
        waves.priority = waves.critical_path(index);
        waves.spread(index, selected, doubted);
        waves
    }

    /// Where a node stands.
    pub(super) fn stand(&self, node: NodeId) -> Stand {
        self.stands[node]
    }

    /// The ready node on the longest path that times nothing.
    pub(super) fn next(&mut self) -> Option<NodeId> {
        self.ready.pop().map(|(_, Reverse(node))| node)
    }

    /// The same for nodes that time something.
    pub(super) fn next_alone(&mut self) -> Option<NodeId> {
        self.alone.pop().map(|(_, Reverse(node))| node)
    }

    /// A node that was to run will not.
    pub(super) fn put_back(&mut self, node: NodeId) {
        self.make_ready(node);
    }

    /// A node is on a job thread now.
    pub(super) fn run(&mut self, node: NodeId) {
        self.stands[node] = Stand::Running;
    }

    /// A node has ended: those that waited for it wait for one less.
    pub(super) fn settle(&mut self, node: NodeId, stand: Stand) {
        self.stands[node] = stand;
        for dependent in self.dependents.on(node).to_vec() {
            if let Stand::Waiting(count) = self.stands[dependent] {
                if count <= 1 {
                    self.make_ready(dependent);
                } else {
                    self.stands[dependent] = Stand::Waiting(count - 1);
                }
            }
        }
    }

    /// How many were never started.
    pub(super) fn unstarted(&self) -> usize {
        self.stands.values().filter(|s| matches!(s, Stand::Waiting(_) | Stand::Ready)).count()
    }

    fn critical_path(&self, index: &Index) -> PerNode<u64> {
        const UNKNOWN_US: u64 = 1000;
        let mut priority = PerNode::new(0, index.nodes.len());
        for node in index.node_ids().rev() {
            let own = match index.node(node).duration_us {
                0 => UNKNOWN_US,
                known => known,
            };
            let below = self.dependents.on(node).iter().map(|&d| priority[d]);
            priority[node] = own + below.max().unwrap_or(0);
        }
        priority
    }

    /// Nodes lie in order, so one sweep is enough.
    fn spread(&mut self, index: &Index, selected: &PerNode<bool>, doubted: &[NodeId]) {
        for &node in doubted {
            self.stands[node] = Stand::Waiting(0);
        }
        for node in index.node_ids().filter(|&n| selected[n]) {
            let needs = index.needs(node);
            let waiting =
                |n: &&NodeId| matches!(self.stands[**n], Stand::Waiting(_) | Stand::Ready);
            let count = needs.iter().filter(waiting).count() as u32;
            if count > 0 {
                self.stands[node] = Stand::Waiting(count);
            } else if matches!(self.stands[node], Stand::Waiting(_)) {
                self.make_ready(node);
            }
        }
    }

    fn make_ready(&mut self, node: NodeId) {
        self.stands[node] = Stand::Ready;
        let item = (self.priority[node], Reverse(node));
        if self.times[node] {
            self.alone.push(item);
        } else {
            self.ready.push(item);
        }
    }
}

/// For each node, those that need it, one node's after the other's.
struct Dependents {
    /// Where those of a node begin; one more than there are nodes.
    starts: Vec<usize>,
    nodes: Vec<NodeId>,
}

impl Dependents {
    fn of(index: &Index) -> Self {
        let mut starts = vec![0; index.nodes.len() + 1];
        for needed in index.node_ids().flat_map(|node| index.needs(node)) {
            starts[needed.place() + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut nodes = vec![NodeId::at(0); starts.last().copied().unwrap_or(0)];
        for node in index.node_ids() {
            for needed in index.needs(node) {
                nodes[next[needed.place()]] = node;
                next[needed.place()] += 1;
            }
        }
        Self { starts, nodes }
    }

    fn on(&self, node: NodeId) -> &[NodeId] {
        &self.nodes[self.starts[node.place()]..self.starts[node.place() + 1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Node;

    /// Nodes with what they need and how long they took.
    fn index(nodes: &[(&[usize], u64)]) -> Index {
        let mut index = Index::default();
        for (needs, duration_us) in nodes {
            let needs: Vec<NodeId> = needs.iter().copied().map(NodeId::at).collect();
            let needs = index.add_nodes(&needs);
            index.nodes.push(Node { needs, duration_us: *duration_us, ..Node::default() });
        }
        index
    }

    #[test]
    fn only_what_is_doubted_and_what_follows_takes_part() {
        let index = index(&[(&[], 1), (&[0], 1), (&[], 1), (&[2], 1)]);
        let [first, second, third] = [0, 1, 2].map(NodeId::at);
        let mut waves = Waves::new(&index, &PerNode::new(true, 4), &[first]);
        assert_eq!(waves.next(), Some(first));
        assert_eq!(waves.next(), None);
        assert_eq!([waves.stand(second), waves.stand(third)], [Stand::Waiting(1), Stand::Clean]);
        waves.settle(first, Stand::Passed);
        assert_eq!(waves.next(), Some(second));
    }

    #[test]
    fn the_longest_path_goes_first_and_what_is_not_selected_does_not_wait() {
        let index = index(&[(&[], 5), (&[], 1), (&[1], 100), (&[0], 1)]);
        let [first, second] = [0, 1].map(NodeId::at);
        let mut waves = Waves::new(&index, &PerNode::new(true, 4), &[first, second]);
        assert_eq!([waves.next(), waves.next()], [Some(second), Some(first)]);
        let selected = PerNode::from_iter([true, false, false, true]);
        let waves = Waves::new(&index, &selected, &[first]);
        assert_eq!(waves.unstarted(), 2);
    }

    #[test]
    fn what_times_something_is_kept_apart() {
        let mut index = index(&[(&[], 1), (&[], 9)]);
        index.nodes[1].flags = flag::ALONE;
        let [first, second] = [0, 1].map(NodeId::at);
        let mut waves = Waves::new(&index, &PerNode::new(true, 2), &[first, second]);
        assert_eq!([waves.next(), waves.next()], [Some(first), None]);
        assert_eq!(waves.next_alone(), Some(second));
    }
}
