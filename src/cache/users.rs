//! Which nodes read or write an entry; made when the first entry changes.

use super::id::{EntryId, NodeId};
use super::node::{Node, flag};

/// Which nodes read or write an entry, and which follow the results of others.
#[derive(Debug, Default, Clone)]
pub(super) struct Users {
    pub(super) starts: Vec<u32>,
    nodes: Vec<NodeId>,
    /// Found later: entry and node.
    pub(super) more: Vec<(EntryId, NodeId)>,
    /// Nodes whose result follows from results of what they need.
    pub(super) followers: Vec<NodeId>,
}

impl Users {
    pub(super) fn of(nodes: &[Node], links: &[u32], entries: usize) -> Self {
        let uses = |node: &Node| node.reads(links).chain(node.outputs.of(links).iter().copied());
        let mut starts = vec![0u32; entries + 1];
        for entry in nodes.iter().flat_map(uses) {
            starts[entry.place() + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut users = vec![NodeId::at(0); starts.last().copied().unwrap_or(0) as usize];
        for (id, node) in (0..).map(NodeId::at).zip(nodes) {
            for entry in uses(node) {
                users[next[entry.place()] as usize] = id;
                next[entry.place()] += 1;
            }
        }
        let follows = |(_, node): &(NodeId, &Node)| node.has(flag::WHEN | flag::FOLLOWS);
        let followers =
            (0..).map(NodeId::at).zip(nodes).filter(follows).map(|(id, _)| id).collect();
        Self { starts, nodes: users, more: Vec::new(), followers }
    }

    pub(super) fn of_entry(&self, entry: EntryId) -> impl Iterator<Item = NodeId> + '_ {
        let at = entry.place();
        let range = match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&a), Some(&b)) => a as usize..b as usize,
            _ => 0..0,
        };
        let more = self.more.iter().filter(move |(e, _)| *e == entry).map(|(_, n)| *n);
        self.nodes[range].iter().copied().chain(more)
    }
}
