//! The journal: what happened since the index was written.
//!
//! Append-only records of length, checksum and payload. A record counts when its checksum holds;
//! the first that does not ends the journal, which is cut there. *Started* without *Finished*
//! means the node's outputs are not to be trusted, whatever the files look like, so a kill is
//! always a rerun and never a wrong hit.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CacheError;
use super::entry::{Kind, Stat};
use super::id::{EntryId, NodeId};
use super::index::{Finish, Index, Status};
use crate::digest::Digest;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// An entry was looked at.
    Seen {
        /// Which.
        entry: EntryId,
        /// Its stat fields then.
        stat: Stat,
        /// Its digest.
        digest: Digest,
        /// The file system's clock just before.
        stamp_ns: i64,
    },
    /// An entry was discovered; its id is the next free one.
    Discovered {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// A node's command is about to start.
    Started {
        /// Which.
        node: NodeId,
    },
    /// A node ended.
    Finished(Finish),
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    generation: u64,
    len: u64,
    buffer: Vec<u8>,
}

const HEADER: u64 = 16;
const MAGIC: &[u8; 8] = b"optloopJ";

impl Journal {
    /// Reads the journal that continues `index` into it, and stays ready to append.
    ///
    /// Returns also the nodes that never finished, and whether a torn end was found. Nothing is written before the first [`Journal::append`].
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn replay(path: &Path, index: &mut Index) -> Result<(Self, Replayed), CacheError> {
        let mut journal = Self {
            path: path.to_owned(),
            file: None,
            generation: index.generation,
            len: HEADER,
            buffer: Vec::new(),
        };
        let mut replayed = Replayed::default();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((journal, replayed)),
            Err(e) => return Err(CacheError::io("cannot read", path)(e)),
        };
        let header = bytes.get(..HEADER as usize).unwrap_or_default();
        let ours = header.get(..8) == Some(MAGIC)
            && header.get(8..) == Some(&index.generation.to_le_bytes());
        if ours {
            let good = replay_records(&bytes[HEADER as usize..], index, &mut replayed);
            journal.len = HEADER + good as u64;
            replayed.torn = journal.len < bytes.len() as u64;
            replayed.damaged = is_whole(&bytes[journal.len as usize..]);
        } else {
            replayed.damaged = header.len() == HEADER as usize && header.get(..8) != Some(MAGIC);
        }
        Ok((journal, replayed))
    }

    /// A journal that keeps nothing: stands in while the real one is lent out.
    pub fn nowhere() -> Self {
        Self { path: PathBuf::new(), file: None, generation: 0, len: HEADER, buffer: Vec::new() }
    }

    /// Appends a record; it reaches the file with the next [`Journal::flush`].
    pub fn append(&mut self, record: &Record) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 8]);
        match postcard::to_extend(record, std::mem::take(&mut self.buffer)) {
            Ok(buffer) => self.buffer = buffer,
            // Writing into memory cannot fail; if it ever does, a lost record costs a rerun.
            Err(_) => return,
        }
        let payload = &self.buffer[start + 8..];
        let (len, crc) = (payload.len() as u32, crc32fast::hash(payload));
        self.buffer[start..start + 4].copy_from_slice(&len.to_le_bytes());
        self.buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Hands everything appended to the kernel: it then survives a kill of this process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), CacheError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.write_out().map_err(CacheError::io("cannot write", &self.path))
    }

    fn write_out(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let mut file =
                OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
            // Cuts a torn tail and records of an older index before anything is added.
            file.set_len(self.len)?;
            let mut header = [0; HEADER as usize];
            header[..8].copy_from_slice(MAGIC);
            header[8..].copy_from_slice(&self.generation.to_le_bytes());
            file.write_all(&header)?;
            file.seek(SeekFrom::Start(self.len))?;
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
        }
        self.len += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Bytes of records so far: a long journal is worth folding into the index.
    pub fn len(&self) -> u64 {
        self.len - HEADER + self.buffer.len() as u64
    }

    /// True when nothing was recorded since the index was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts again after the index was written with `generation`.
    ///
    /// # Errors
    /// When the file cannot be truncated.
    pub fn restart(&mut self, generation: u64) -> Result<(), CacheError> {
        self.generation = generation;
        self.buffer.clear();
        self.file = None;
        self.len = HEADER;
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::io("cannot remove", &self.path)(e))
            }
            _ => Ok(()),
        }
    }
}

/// What replaying found besides the index's state.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Nodes that started and never finished.
    pub unfinished: Vec<NodeId>,
    /// True when the end was torn.
    pub torn: bool,
    /// True when what ends it is no torn end, as a kill leaves it, but a whole record that is
    /// wrong.
    pub damaged: bool,
}

/// Applies every good record; returns how many bytes they took.
fn replay_records(mut bytes: &[u8], index: &mut Index, replayed: &mut Replayed) -> usize {
    let total = bytes.len();
    while let Some((record, rest)) = next_record(bytes) {
        if apply(record, index, replayed).is_none() {
            break;
        }
        bytes = rest;
    }
    total - bytes.len()
}

/// True when a record's length says that all of it is there.
fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|head| u32::from_le_bytes(*head) as usize);
    length.is_some_and(|length| bytes.len() >= 8 + length)
}

fn next_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (head, rest) = bytes.split_at_checked(8)?;
    let mut words = [0u32; 2];
    (&*head).read_exact(bytemuck::cast_slice_mut(&mut words)).ok()?;
    let (payload, rest) = rest.split_at_checked(words[0] as usize)?;
    (crc32fast::hash(payload) == words[1]).then_some(())?;
    Some((postcard::from_bytes(payload).ok()?, rest))
}

/// `None` when the record names something the index does not have.
fn apply(record: Record, index: &mut Index, replayed: &mut Replayed) -> Option<()> {
    match record {
        Record::Seen { entry, stat, digest, stamp_ns } => {
            index.see(entry, stat, digest, stamp_ns)?;
        }
        Record::Discovered { kind, name } => {
            index.add_entry(kind, &name);
        }
        Record::Started { node } => {
            index.nodes.get_mut(node.place())?.status = Status::Started as u32;
            replayed.unfinished.push(node);
        }
        Record::Finished(finish) => {
            replayed.unfinished.retain(|&n| n != finish.node);
            index.end(&finish)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::index::Node;
    use bytemuck::Zeroable;

    fn base() -> Index {
        let mut index = Index { generation: 3, ..Index::default() };
        index.add_entry(Kind::File, "a");
        index.nodes.push(Node::zeroed());
        index.nodes.push(Node::zeroed());
        index
    }

    fn records() -> Vec<Record> {
        let finish = Finish {
            node: NodeId::at(0),
            status: Status::Passed,
            key: Digest::of(b"k"),
            duration_us: 5,
            finished_ms: 9,
            has_log: true,
            discovered: vec![EntryId::at(1)],
        };
        vec![
            Record::Started { node: NodeId::at(0) },
            Record::Discovered { kind: Kind::File, name: "b.h".to_owned() },
            Record::Finished(finish),
            Record::Started { node: NodeId::at(1) },
        ]
    }

    fn written(path: &Path) -> Vec<u8> {
        let (mut journal, _) = Journal::replay(path, &mut base()).expect("journal");
        for r in records() {
            journal.append(&r);
        }
        journal.flush().expect("flush");
        std::fs::read(path).expect("read")
    }

    #[test]
    fn a_start_without_an_end_leaves_the_node_started() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        written(&path);
        let mut index = base();
        let (_, replayed) = Journal::replay(&path, &mut index).expect("journal");
        assert_eq!(index.nodes[0].status(), Status::Passed);
        assert_eq!(index.nodes[0].key, Digest::of(b"k"));
        assert_eq!(index.nodes[1].status(), Status::Started);
        assert_eq!(replayed.unfinished, [NodeId::at(1)]);
        assert_eq!(index.reads(NodeId::at(0)).collect::<Vec<_>>(), [EntryId::at(1)]);
        assert_eq!(index.entry_name(EntryId::at(1)).1, "b.h");
    }

    #[test]
    fn a_changed_digest_makes_readers_doubtful_until_they_finish_again() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        let mut index = base();
        index.nodes[0].inputs = index.add_entries(&[EntryId::at(0)]);
        index.nodes[0].status = Status::Passed as u32;
        let (mut journal, _) = Journal::replay(&path, &mut index.clone()).expect("journal");
        let entry = EntryId::at(0);
        let seen = |digest| Record::Seen { entry, stat: Stat::default(), digest, stamp_ns: 1 };
        journal.append(&seen(Digest::of(b"new")));
        journal.flush().expect("flush");
        Journal::replay(&path, &mut index.clone()).expect("journal");
        let mut doubted = index.clone();
        Journal::replay(&path, &mut doubted).expect("journal");
        assert_eq!(doubted.nodes[0].status(), Status::Unknown);
        let Some(Record::Finished(finish)) = records().into_iter().nth(2) else {
            panic!("a finish is third");
        };
        journal.append(&Record::Finished(Finish { discovered: Vec::new(), ..finish }));
        journal.flush().expect("flush");
        Journal::replay(&path, &mut index).expect("journal");
        assert_eq!(index.nodes[0].status(), Status::Passed);
    }

    #[test]
    fn every_torn_length_replays_a_prefix_and_is_cut_before_the_next_record() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        let whole = written(&path);
        for len in 0..whole.len() {
            std::fs::write(&path, &whole[..len]).expect("write");
            let mut index = base();
            let (mut journal, _) = Journal::replay(&path, &mut index).expect("journal");
            journal.append(&Record::Started { node: NodeId::at(1) });
            journal.flush().expect("flush");
            let mut again = base();
            let (_, replayed) = Journal::replay(&path, &mut again).expect("journal");
            assert!(!replayed.torn, "cut at {len}");
            assert_eq!(again.nodes[1].status(), Status::Started, "cut at {len}");
        }
    }

    #[test]
    fn a_torn_end_is_no_damage_and_a_whole_record_that_is_wrong_is() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        let whole = written(&path);
        let damaged = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("write");
            Journal::replay(&path, &mut base()).expect("journal").1.damaged
        };
        for len in 0..=whole.len() {
            assert!(!damaged(&whole[..len]), "cut at {len}");
        }
        for at in [0, HEADER as usize + 8, whole.len() - 1] {
            let mut bad = whole.clone();
            bad[at] ^= 0x10;
            assert!(damaged(&bad), "byte {at}");
        }
    }

    #[test]
    fn a_journal_of_another_generation_says_nothing() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("journal");
        written(&path);
        let mut index = Index { generation: 4, ..base() };
        let (journal, _) = Journal::replay(&path, &mut index).expect("journal");
        assert!(journal.is_empty());
        assert_eq!(index.nodes[0].status(), Status::Unknown);
    }
}
