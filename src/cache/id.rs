//! What names an entry or a node of an index, and the lists of them that it holds.

use std::fmt;
use std::ops::{Index, IndexMut};

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// An entry of one [`Index`](super::Index): its place among the entries.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable, Serialize, Deserialize,
)]
#[repr(transparent)]
#[serde(transparent)]
pub struct EntryId(u32);

/// A node of one [`Index`](super::Index) or plan: its place among the nodes, which is after those of
/// all nodes that it needs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable, Serialize, Deserialize,
)]
#[repr(transparent)]
#[serde(transparent)]
pub struct NodeId(u32);

impl EntryId {
    /// The entry at a place. An index holds fewer than 2^32 of them.
    pub const fn at(place: usize) -> Self {
        Self(place as u32)
    }

    /// Its place.
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

impl NodeId {
    /// The node at a place. An index holds fewer than 2^32 of them.
    pub const fn at(place: usize) -> Self {
        Self(place as u32)
    }

    /// Its place.
    pub const fn place(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A range of the index's text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TextRange {
    /// First byte.
    pub start: u32,
    /// How many.
    pub len: u32,
}

/// Entries, as a range of the index's links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct EntryList {
    start: u32,
    len: u32,
}

/// Nodes, as a range of the index's links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct NodeList {
    start: u32,
    len: u32,
}

impl EntryList {
    /// Appends the entries to the links of an index.
    pub(super) fn append(links: &mut Vec<u32>, ids: &[EntryId]) -> Self {
        let start = links.len() as u32;
        links.extend(ids.iter().map(|id| id.0));
        Self { start, len: ids.len() as u32 }
    }

    /// Those of an index's links; none where the range does not fit.
    pub(super) fn of(self, links: &[u32]) -> &[EntryId] {
        bytemuck::cast_slice(range(links, self.start, self.len))
    }
}

impl NodeList {
    /// Appends the nodes to the links of an index.
    pub(super) fn append(links: &mut Vec<u32>, ids: &[NodeId]) -> Self {
        let start = links.len() as u32;
        links.extend(ids.iter().map(|id| id.0));
        Self { start, len: ids.len() as u32 }
    }

    /// Those of an index's links; none where the range does not fit.
    pub(super) fn of(self, links: &[u32]) -> &[NodeId] {
        bytemuck::cast_slice(range(links, self.start, self.len))
    }
}

fn range(links: &[u32], start: u32, len: u32) -> &[u32] {
    let (start, len) = (start as usize, len as usize);
    links.get(start..start + len).unwrap_or(&[])
}

/// One value for each node of an index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PerNode<T>(Vec<T>);

impl<T> PerNode<T> {
    /// So many of the same.
    pub fn new(value: T, nodes: usize) -> Self
    where
        T: Clone,
    {
        Self(vec![value; nodes])
    }

    /// The value of a node; none where there is no such node.
    pub fn get(&self, node: NodeId) -> Option<&T> {
        self.0.get(node.place())
    }

    /// The values, in the order of the nodes.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// Each with its node.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &T)> {
        (0..).map(NodeId::at).zip(&self.0)
    }
}

impl<T> FromIterator<T> for PerNode<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(Vec::from_iter(values))
    }
}

impl<T> Index<NodeId> for PerNode<T> {
    type Output = T;

    fn index(&self, node: NodeId) -> &T {
        &self.0[node.place()]
    }
}

impl<T> IndexMut<NodeId> for PerNode<T> {
    fn index_mut(&mut self, node: NodeId) -> &mut T {
        &mut self.0[node.place()]
    }
}
