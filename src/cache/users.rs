//! Which nodes read or write an entry; made when the first entry changes.

use super::index::{Index, flag};

/// Which nodes read or write an entry, and which follow the results of others.
#[derive(Debug, Default, Clone)]
pub(super) struct Users {
    pub(super) starts: Vec<u32>,
    nodes: Vec<u32>,
    /// Found later: entry and node.
    pub(super) more: Vec<(u32, u32)>,
    /// Nodes whose result follows from results of what they need.
    pub(super) followers: Vec<u32>,
}

impl Users {
    pub(super) fn of(index: &Index) -> Self {
        let mut starts = vec![0u32; index.entries.len() + 1];
        let pairs = |node: u32| {
            let n = &index.nodes[node as usize];
            index.reads(node).chain(index.ids(n.outputs).iter().copied())
        };
        for node in 0..index.nodes.len() as u32 {
            pairs(node).for_each(|e| starts[e as usize + 1] += 1);
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut nodes = vec![0; starts.last().copied().unwrap_or(0) as usize];
        for node in 0..index.nodes.len() as u32 {
            for e in pairs(node) {
                nodes[next[e as usize] as usize] = node;
                next[e as usize] += 1;
            }
        }
        let follows = |n: &u32| index.nodes[*n as usize].has(flag::WHEN | flag::FOLLOWS);
        let followers = (0..index.nodes.len() as u32).filter(follows).collect();
        Self { starts, nodes, more: Vec::new(), followers }
    }

    pub(super) fn of_entry(&self, entry: u32) -> impl Iterator<Item = u32> + '_ {
        let at = entry as usize;
        let range = match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&a), Some(&b)) => a as usize..b as usize,
            _ => 0..0,
        };
        let more = self.more.iter().filter(move |(e, _)| *e == entry).map(|(_, n)| *n);
        self.nodes[range].iter().copied().chain(more)
    }
}
