//! What the last update left in a tree.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::listing::{Item, Stat};

/// Rises when older lists cannot be read.
const VERSION: u32 = 1;

/// A file with its copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    /// Its path below the root.
    name: Vec<u8>,
    /// The file that was copied.
    source: Stat,
    /// Its copy.
    copy: Stat,
    /// The permission bits that it was to have.
    mode: u32,
    /// The clock when the file was looked at: changes in that very instant do not show in its times.
    seen_ns: i64,
}

#[derive(Serialize, Deserialize)]
struct List {
    version: u32,
    held: Vec<Held>,
}

impl Held {
    pub(super) fn new(item: &Item, place: &Path, seen_ns: i64) -> io::Result<Self> {
        let copy = Stat::at(place)?;
        // A file that changed while it was copied is compared by its content the next time.
        let now = if item.stat.is_link() { Stat::at(&item.from) } else { followed(&item.from) };
        let same = now.is_ok_and(|now| now == item.stat);
        let source = if same { item.stat } else { Stat::default() };
        let name = item.name.as_os_str().as_bytes().to_vec();
        Ok(Self { name, source, copy, mode: item.mode, seen_ns })
    }

    pub(super) fn name(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.name))
    }

    /// The name's bytes: to look it up by them costs a fraction of comparing paths part by part.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn copied(&self) -> Stat {
        self.copy
    }

    /// Whether nobody changed the copy since it was made.
    pub(super) fn is_untouched(&self, place: &Path) -> bool {
        Stat::at(place).is_ok_and(|copy| copy == self.copy)
    }

    /// Whether it was made from the very file that `item` names.
    pub(super) fn is_source(&self, item: &Item) -> bool {
        let newest_ns = item.stat.mtime_ns.max(item.stat.ctime_ns);
        self.mode == item.mode && self.source == item.stat && newest_ns < self.seen_ns
    }

    /// Whether the copy has the bytes of the file that `item` names.
    pub(super) fn has_content_of(&self, item: &Item, place: &Path) -> bool {
        let alike = item.stat.is_file() && self.copy.is_file() && self.mode == item.mode;
        alike && item.stat.size == self.copy.size && same_bytes(&item.from, place).unwrap_or(false)
    }

    pub(super) fn mtime_ns(&self) -> i64 {
        self.copy.mtime_ns
    }

    /// The same, of the file as it is now; one that was trusted stays so.
    pub(super) fn seen_again(&self, item: &Item, seen_ns: i64) -> Self {
        let seen_ns = if self.is_source(item) { self.seen_ns } else { seen_ns };
        Self { source: item.stat, seen_ns, ..self.clone() }
    }
}

fn followed(path: &Path) -> io::Result<Stat> {
    fs::metadata(path).map(|found| Stat::of(&found))
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    const CHUNK: usize = 64 << 10;
    let (mut one, mut other) = (fs::File::open(one)?, fs::File::open(other)?);
    let (mut a, mut b) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
    loop {
        a.clear();
        b.clear();
        (&mut one).take(CHUNK as u64).read_to_end(&mut a)?;
        (&mut other).take(CHUNK as u64).read_to_end(&mut b)?;
        if a != b {
            return Ok(false);
        }
        if a.is_empty() {
            return Ok(true);
        }
    }
}

/// What a list says; nothing where it cannot be understood.
pub(super) fn read(list: &Path) -> Vec<Held> {
    let bytes = fs::read(list).unwrap_or_default();
    let found: Option<List> = postcard::from_bytes(&bytes).ok();
    found.filter(|list| list.version == VERSION).map(|list| list.held).unwrap_or_default()
}

/// Writes a list anew, in one step.
pub(super) fn write(list: &Path, held: &[Held]) -> io::Result<()> {
    let all = List { version: VERSION, held: held.to_vec() };
    let bytes = postcard::to_stdvec(&all).map_err(io::Error::other)?;
    let beside = list.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, list)
}
