//! Nodes of a plan as the index holds them, with what is known of their last run.

use bytemuck::{Pod, Zeroable};

use super::id::{EntryId, EntryList, NodeId, NodeList, TextRange};
use crate::digest::Digest;

/// How a node ended last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u32)]
pub enum Status {
    /// Never ran, failed, or its definition changed: it must be looked at.
    Unknown = 0,
    /// Passed with the key it carries.
    Passed = 1,
    /// Its `when` did not hold.
    Skipped = 2,
    /// Started and never finished: its outputs are not to be trusted.
    Started = 3,
}

/// How a node ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Finish {
    /// Which.
    pub node: NodeId,
    /// How.
    pub status: Status,
    /// Under which key.
    pub key: Digest,
    /// How long it took; 0 keeps what was known.
    pub duration_us: u64,
    /// When, ms since the epoch.
    pub finished_ms: i64,
    /// True when its recorded output is not empty.
    pub has_log: bool,
    /// Entries it was seen to read.
    pub discovered: Vec<EntryId>,
}

/// One node of the plan with what is known of its last run.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Node {
    /// Of its definition's bytes in `defs`.
    pub def_digest: Digest,
    /// Of its last good run; all zero when there is none.
    pub key: Digest,
    /// Definition: where in `defs`.
    pub def_start: u64,
    /// How long its last run took.
    pub duration_us: u64,
    /// When it ended, ms since the epoch.
    pub finished_ms: i64,
    /// Name.
    pub name: TextRange,
    /// Length of the definition.
    pub def_len: u32,
    /// [`Status`] as a number.
    pub status: u32,
    /// [`flag`] bits.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// Entries it declares to read.
    pub inputs: EntryList,
    /// Entries it was seen to read (includes).
    pub discovered: EntryList,
    /// Entries it writes.
    pub outputs: EntryList,
    /// Nodes that must pass first.
    pub needs: NodeList,
}

/// Bits of [`Node::flags`].
pub mod flag {
    /// Runs every time.
    pub const ALWAYS: u32 = 1;
    /// Has a condition.
    pub const WHEN: u32 = 2;
    /// Its recorded output is not empty.
    pub const LOG: u32 = 4;
    /// Yields numbers or verdicts, so it has a row in the result table.
    pub const RESULT: u32 = 8;
    /// Times something: runs alone.
    pub const ALONE: u32 = 16;
    /// Reads entries it did not declare (includes).
    pub const DISCOVERS: u32 = 32;
    /// Made by the plan, not written by the user.
    pub const IMPLICIT: u32 = 64;
    /// Its result follows from results, not only from files, of what it needs.
    pub const FOLLOWS: u32 = 128;
    /// Is to be compared with the best, and there is none: what passes first is the baseline.
    pub const FIRST: u32 = 256;
}

impl Node {
    /// How it ended last.
    pub fn status(&self) -> Status {
        match self.status {
            1 => Status::Passed,
            2 => Status::Skipped,
            3 => Status::Started,
            _ => Status::Unknown,
        }
    }

    /// Everything it reads: declared, then discovered.
    pub fn reads<'a>(&self, links: &'a [u32]) -> impl Iterator<Item = EntryId> + use<'a> {
        self.inputs.of(links).iter().chain(self.discovered.of(links)).copied()
    }

    /// True when a [`flag`] is set.
    pub fn has(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }
}
