//! What keys depend on, looked at: which entries are other than they were.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::error::EngineError;
use crate::cache::entry::{self, Clock};
use crate::cache::{EntryId, Index, Kind, Record, Stat};
use crate::digest::Digest;
use crate::host::Host;

/// What looking at the world found.
#[derive(Debug, Default)]
pub struct Look {
    /// Entries whose digest is not what it was.
    pub changed: Vec<EntryId>,
    /// Entries looked at again, changed or not: new stat fields, digests and stamps.
    pub seen: Vec<Seen>,
}

/// One entry as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub entry: EntryId,
    /// Its stat fields.
    pub stat: Stat,
    /// Its digest.
    pub digest: Digest,
    /// The clock just before.
    pub stamp_ns: i64,
}

impl Seen {
    pub(super) fn record(&self) -> Record {
        let Self { entry, stat, digest, stamp_ns } = *self;
        Record::Seen { entry, stat, digest, stamp_ns }
    }
}

/// Everything that keys depend on, about to be looked at.
pub(super) struct Looking<'a> {
    pub(super) root_fd: BorrowedFd<'a>,
    pub(super) index: &'a Index,
    pub(super) host: &'a dyn Host,
    /// The file that tells the file system's time; none where every byte stays as it is.
    pub(super) clock: Option<PathBuf>,
}

impl Looking<'_> {
    pub(super) fn look(&self) -> Result<Look, EngineError> {
        let index = self.index;
        let doubtful = entry::doubtful(self.root_fd, &index.entries, &index.text);
        let mut seen = if doubtful.is_empty() { Vec::new() } else { self.measure_all(&doubtful)? };
        seen.extend(index.entry_ids().filter_map(|id| self.value(id)));
        let differs = |s: &&Seen| {
            let e = index.entry(s.entry);
            e.differs(&s.stat, &s.digest) || e.fresh != 0
        };
        let changed = seen.iter().filter(differs).map(|s| s.entry).collect();
        Ok(Look { changed, seen })
    }

    /// An entry that is no file, where it is another than it was.
    fn value(&self, id: EntryId) -> Option<Seen> {
        let e = self.index.entry(id);
        if e.kind != Kind::Env as u32 && e.kind < Kind::Device as u32 {
            return None;
        }
        let (kind, name) = self.index.entry_name(id);
        let value = entry::measure_value(self.root_fd, kind, name, self.host);
        let digest = value.filter(|d| *d != e.digest || e.fresh != 0)?;
        Some(Seen { entry: id, stat: Stat::default(), digest, stamp_ns: 0 })
    }

    fn measure_all(&self, ids: &[EntryId]) -> Result<Vec<Seen>, EngineError> {
        use rayon::prelude::*;
        const WORTH_THREADS: usize = 64;
        // Without a state folder yet there is no clock; nothing can be trusted by its stat then.
        let now = |clock: &PathBuf| Clock::open(clock).ok()?.now_ns().ok();
        let stamp_ns = self.clock.as_ref().and_then(now).unwrap_or(i64::MIN);
        if ids.len() < WORTH_THREADS {
            ids.iter().map(|&id| self.measure(id, stamp_ns)).collect()
        } else {
            ids.par_iter().map(|&id| self.measure(id, stamp_ns)).collect()
        }
    }

    fn measure(&self, id: EntryId, stamp_ns: i64) -> Result<Seen, EngineError> {
        let (kind, name) = self.index.entry_name(id);
        let (stat, digest) = entry::measure(self.root_fd, kind, name, self.host)
            .map_err(|source| EngineError::Unreadable { path: name.to_owned(), source })?;
        Ok(Seen { entry: id, stat, digest, stamp_ns })
    }
}
