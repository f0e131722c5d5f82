//! The index: all entries and nodes of one pipeline in flat arrays.
//!
//! A null run reads this one file, asks for the stat fields of every entry and is done: no TOML, no
//! graph, no allocation per stage. Node definitions lie in a second file, `defs`, of which only the
//! ranges of nodes that may run are read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytemuck::{Pod, Zeroable};

use super::CacheError;
use super::entry::{Entry, Kind, Stat};
use super::id::{EntryId, EntryList, NodeId, NodeList, TextRange};
pub use super::node::{Finish, Node, Status, flag};
use super::users::Users;
use crate::digest::Digest;

const MAGIC: u64 = u64::from_le_bytes(*b"optloopI");
/// Rises with any change to the layout; an index of another format is dropped, not read.
pub const FORMAT: u32 = 2;

#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: u64,
    generation: u64,
    plan: Digest,
    format: u32,
    crc: u32,
    entries: u32,
    nodes: u32,
    links: u32,
    text: u32,
    plan_inputs: EntryList,
    title: TextRange,
    origin: TextRange,
}

/// The index in memory: the same arrays as on disk.
#[derive(Debug, Default, Clone)]
pub struct Index {
    /// What keys depend on; those of the plan sorted by name, later ones appended.
    pub entries: Vec<Entry>,
    /// Nodes in an order in which everything comes after what it needs.
    pub nodes: Vec<Node>,
    /// The ids of all lists.
    pub(super) links: Vec<u32>,
    /// Names, each followed by a NUL.
    pub text: Vec<u8>,
    /// Entries that the plan itself was made from.
    pub plan_inputs: EntryList,
    /// The pipeline's name.
    pub title: TextRange,
    /// Where the plan comes from, as its maker encodes it.
    pub origin: TextRange,
    /// Rises with each write: ties the journal to the index it continues.
    pub generation: u64,
    /// What the plan was made by: the program's version and what the command line changed.
    pub plan: Digest,
    /// Made when the first entry changes.
    pub(super) users: OnceLock<Users>,
}

impl Index {
    /// Takes note of an entry as it is now. When its digest changed, every node that reads or
    /// writes it becomes one to look at again.
    ///
    /// Returns false when that was known already; `None` when there is no such entry.
    pub fn see(
        &mut self,
        entry: EntryId,
        stat: Stat,
        digest: Digest,
        stamp_ns: i64,
    ) -> Option<bool> {
        let e = self.entries.get_mut(entry.place())?;
        if (e.stat, e.digest, e.stamp_ns, e.fresh) == (stat, digest, stamp_ns, 0) {
            return Some(false);
        }
        let changed = e.differs(&stat, &digest);
        (e.stat, e.digest, e.stamp_ns, e.fresh) = (stat, digest, stamp_ns, 0);
        if changed {
            let users = self.take_users();
            for node in users.of_entry(entry) {
                self.node_mut(node).status = Status::Unknown as u32;
            }
            self.users = OnceLock::from(users);
        }
        Some(true)
    }

    /// Puts a node's end into the index. Whoever follows its result becomes one to look at again.
    ///
    /// Returns `None` when there is no such node.
    pub fn end(&mut self, finish: &Finish) -> Option<()> {
        let discovered = self.add_entries(&finish.discovered);
        let mut users = self.take_users();
        let node = self.nodes.get_mut(finish.node.place())?;
        let differs = node.key != finish.key || node.status() != finish.status;
        node.status = finish.status as u32;
        if finish.status == Status::Passed {
            node.key = finish.key;
            node.discovered = discovered;
            node.finished_ms = finish.finished_ms;
            node.flags &= !flag::LOG;
            node.flags |= if finish.has_log { flag::LOG } else { 0 };
        }
        if finish.duration_us > 0 {
            node.duration_us = finish.duration_us;
        }
        if differs {
            self.tell_followers(&users, finish.node);
        }
        users.more.extend(finish.discovered.iter().map(|&e| (e, finish.node)));
        self.users = OnceLock::from(users);
        Some(())
    }

    /// What follows the result of `node` is to be looked at again.
    fn tell_followers(&mut self, users: &Users, node: NodeId) {
        for &follower in &users.followers {
            if follower != node && self.needs(follower).contains(&node) {
                self.node_mut(follower).status = Status::Unknown as u32;
            }
        }
    }

    fn take_users(&mut self) -> Users {
        match self.users.take() {
            Some(users) if !users.starts.is_empty() => users,
            _ => Users::of(&self.nodes, &self.links, self.entries.len()),
        }
    }

    /// The format of the index in a file, whole or not; `None` when it is no index at all.
    pub fn format_of(path: &Path) -> Option<u32> {
        let mut header = Header::zeroed();
        File::open(path).ok()?.read_exact(bytemuck::bytes_of_mut(&mut header)).ok()?;
        (header.magic == MAGIC).then_some(header.format)
    }

    /// Reads an index; `None` when there is none, or it is of another format or damaged.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>, CacheError> {
        let mut file = match File::open(path) {
            Ok(f) => f,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(CacheError::io("cannot open", path)(e)),
        };
        match Self::read_from(&mut file) {
            Ok(index) => Ok(index),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(CacheError::io("cannot read", path)(e)),
        }
    }

    fn read_from(file: &mut File) -> io::Result<Option<Self>> {
        let size = file.metadata()?.len();
        let mut header = Header::zeroed();
        file.read_exact(bytemuck::bytes_of_mut(&mut header))?;
        let known = header.magic == MAGIC && header.format == FORMAT;
        if !known || size != header.total_bytes() {
            return Ok(None);
        }
        let mut index = Self {
            entries: bytemuck::zeroed_vec(header.entries as usize),
            nodes: bytemuck::zeroed_vec(header.nodes as usize),
            links: vec![0; header.links as usize],
            text: vec![0; header.text as usize],
            plan_inputs: header.plan_inputs,
            title: header.title,
            origin: header.origin,
            generation: header.generation,
            plan: header.plan,
            users: OnceLock::new(),
        };
        file.read_exact(bytemuck::cast_slice_mut(&mut index.entries))?;
        file.read_exact(bytemuck::cast_slice_mut(&mut index.nodes))?;
        file.read_exact(bytemuck::cast_slice_mut(&mut index.links))?;
        file.read_exact(&mut index.text)?;
        Ok((index.crc(header) == header.crc).then_some(index))
    }

    fn crc(&self, mut header: Header) -> u32 {
        header.crc = 0;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(bytemuck::bytes_of(&header));
        hasher.update(bytemuck::cast_slice(&self.entries));
        hasher.update(bytemuck::cast_slice(&self.nodes));
        hasher.update(bytemuck::cast_slice(&self.links));
        hasher.update(&self.text);
        hasher.finalize()
    }

    /// Replaces the file in one step (temporary name, fsync, rename).
    ///
    /// # Errors
    /// When it cannot be written; the old file is then still there.
    pub fn write(&self, path: &Path) -> Result<(), CacheError> {
        let mut header = Header {
            magic: MAGIC,
            generation: self.generation,
            plan: self.plan,
            format: FORMAT,
            crc: 0,
            entries: self.entries.len() as u32,
            nodes: self.nodes.len() as u32,
            links: self.links.len() as u32,
            text: self.text.len() as u32,
            plan_inputs: self.plan_inputs,
            title: self.title,
            origin: self.origin,
        };
        header.crc = self.crc(header);
        replace(path, |file| {
            file.write_all(bytemuck::bytes_of(&header))?;
            file.write_all(bytemuck::cast_slice(&self.entries))?;
            file.write_all(bytemuck::cast_slice(&self.nodes))?;
            file.write_all(bytemuck::cast_slice(&self.links))?;
            file.write_all(&self.text)?;
            file.sync_data()
        })
        .map_err(CacheError::io("cannot write", path))
    }

    /// A piece of the text.
    pub fn text_of(&self, range: TextRange) -> &str {
        let (start, len) = (range.start as usize, range.len as usize);
        let bytes = self.text.get(start..start + len).unwrap_or(b"?");
        std::str::from_utf8(bytes).unwrap_or("?")
    }

    /// A node of this index.
    pub fn node(&self, node: NodeId) -> &Node {
        &self.nodes[node.place()]
    }

    /// A node of this index, to be changed.
    pub fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[node.place()]
    }

    /// An entry of this index.
    pub fn entry(&self, entry: EntryId) -> &Entry {
        &self.entries[entry.place()]
    }

    /// All nodes, each after those that it needs.
    pub fn node_ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId::at)
    }

    /// All entries.
    pub fn entry_ids(&self) -> impl DoubleEndedIterator<Item = EntryId> + use<> {
        (0..self.entries.len()).map(EntryId::at)
    }

    /// A node's name.
    pub fn node_name(&self, node: NodeId) -> &str {
        self.text_of(self.node(node).name)
    }

    /// An entry's kind and name.
    pub fn entry_name(&self, entry: EntryId) -> (Kind, &str) {
        let e = self.entry(entry);
        let name = TextRange { start: e.name, len: e.name_len };
        (Kind::from_byte(e.kind as u8).unwrap_or(Kind::File), self.text_of(name))
    }

    /// The nodes that must pass before a node.
    pub fn needs(&self, node: NodeId) -> &[NodeId] {
        self.node(node).needs.of(&self.links)
    }

    /// The entries that a node declares to read.
    pub fn inputs(&self, node: NodeId) -> &[EntryId] {
        self.node(node).inputs.of(&self.links)
    }

    /// The entries that a node was seen to read.
    pub fn discovered(&self, node: NodeId) -> &[EntryId] {
        self.node(node).discovered.of(&self.links)
    }

    /// The entries that a node writes.
    pub fn outputs(&self, node: NodeId) -> &[EntryId] {
        self.node(node).outputs.of(&self.links)
    }

    /// Kinds and names of a list of entries.
    pub fn list_names(&self, list: EntryList) -> impl Iterator<Item = (Kind, &str)> {
        list.of(&self.links).iter().map(|&entry| self.entry_name(entry))
    }

    /// Names of a list of nodes.
    pub fn list_node_names(&self, list: NodeList) -> impl Iterator<Item = &str> {
        list.of(&self.links).iter().map(|&node| self.node_name(node))
    }

    /// The entries that the plan itself was made from.
    pub fn plan_inputs(&self) -> &[EntryId] {
        self.plan_inputs.of(&self.links)
    }

    /// The node of a name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.node_ids().find(|&n| self.node_name(n) == name)
    }

    /// Appends an entry that was never looked at; names with a NUL cannot be on disk.
    pub fn add_entry(&mut self, kind: Kind, name: &str) -> EntryId {
        let TextRange { start, len } = self.add_text(name);
        let entry =
            Entry { name: start, name_len: len, kind: kind as u32, fresh: 1, ..Entry::zeroed() };
        self.entries.push(entry);
        EntryId::at(self.entries.len() - 1)
    }

    /// Appends a name and its NUL.
    pub fn add_text(&mut self, name: &str) -> TextRange {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(0);
        TextRange { start, len: name.len() as u32 }
    }

    /// Appends a list of entries.
    pub fn add_entries(&mut self, ids: &[EntryId]) -> EntryList {
        EntryList::append(&mut self.links, ids)
    }

    /// Appends a list of nodes.
    pub fn add_nodes(&mut self, ids: &[NodeId]) -> NodeList {
        NodeList::append(&mut self.links, ids)
    }

    /// Everything a node reads: declared, then discovered.
    pub fn reads(&self, node: NodeId) -> impl Iterator<Item = EntryId> + use<'_> {
        self.node(node).reads(&self.links)
    }
}

impl Header {
    fn total_bytes(&self) -> u64 {
        let array = |n: u32, size: usize| u64::from(n) * size as u64;
        size_of::<Self>() as u64
            + array(self.entries, size_of::<Entry>())
            + array(self.nodes, size_of::<Node>())
            + array(self.links, 4)
            + array(self.text, 1)
    }
}

/// Writes a file under a temporary name beside `path`, then renames it into place.
///
/// # Errors
/// When writing or renaming fails; the temporary file is removed then.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut temporary = PathBuf::from(path);
    temporary.set_extension(format!("tmp{}", std::process::id()));
    let mut file = File::create(&temporary)?;
    let result = write(&mut file).and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        drop(std::fs::remove_file(&temporary));
    }
    result
}

/// Reads one node's definition from the `defs` file and proves that it is the one meant.
///
/// # Errors
/// When the file cannot be read or the bytes are not those the index names.
pub fn read_def(defs: &Path, node: &Node) -> io::Result<Vec<u8>> {
    let mut file = File::open(defs)?;
    file.seek(SeekFrom::Start(node.def_start))?;
    let mut bytes = vec![0; node.def_len as usize];
    file.read_exact(&mut bytes)?;
    if Digest::of(&bytes) != node.def_digest {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a stage definition is damaged"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let mut index = Index { generation: 7, plan: Digest::of(b"plan"), ..Index::default() };
        let a = index.add_entry(Kind::File, "in/a");
        let b = index.add_entry(Kind::Env, "CC");
        let name = index.add_text("build");
        let inputs = index.add_entries(&[a, b]);
        let known = Node { status: 1, flags: flag::LOG, ..Node::zeroed() };
        index.nodes.push(Node { name, inputs, ..known });
        index
    }

    #[test]
    fn an_index_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("index");
        sample().write(&path).expect("write");
        let back = Index::read(&path).expect("read").expect("index");
        assert_eq!(back.generation, 7);
        assert_eq!(back.node_name(NodeId::at(0)), "build");
        assert_eq!(back.entry_name(EntryId::at(1)), (Kind::Env, "CC"));
        assert_eq!(back.reads(NodeId::at(0)).collect::<Vec<_>>(), [0, 1].map(EntryId::at));
        assert_eq!(back.nodes[0].status(), Status::Passed);
        assert!(back.nodes[0].has(flag::LOG) && !back.nodes[0].has(flag::WHEN));
    }

    #[test]
    fn any_damaged_byte_or_length_makes_an_index_count_as_absent() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("index");
        sample().write(&path).expect("write");
        let good = std::fs::read(&path).expect("read");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).expect("write");
            assert!(Index::read(&path).expect("read").is_none(), "byte {at}");
        }
        for len in [0, 10, good.len() - 1] {
            std::fs::write(&path, &good[..len]).expect("write");
            assert!(Index::read(&path).expect("read").is_none(), "length {len}");
        }
    }

    #[test]
    fn a_definition_that_is_not_the_one_meant_is_refused() {
        let dir = tempfile::tempdir().expect("tempdir");
        let defs = dir.path().join("defs");
        std::fs::write(&defs, b"..hello..").expect("write");
        let mut node = Node { def_start: 2, def_len: 5, ..Node::zeroed() };
        node.def_digest = Digest::of(b"hello");
        assert_eq!(read_def(&defs, &node).expect("def"), b"hello");
        node.def_digest = Digest::of(b"other");
        assert!(read_def(&defs, &node).is_err());
    }
}
