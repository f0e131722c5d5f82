//! Many small results in one file: data appended to `pack.G`, and a fixed-size record for each in
//! `index.G`.
//!
//! A file per result would be simpler, but creating a file costs as much as starting a shell on
//! some file systems, and a first run of a thousand stages would create two thousand. A record is
//! appended after its data, so a kill leaves at most bytes that nothing points to; a record whose
//! checksum does not hold ends the index, which is cut there before anything is added.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};

use crate::digest::Digest;

/// What a record is, and under which digest it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) room: Room,
    pub(super) digest: Digest,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Room {
    /// Results under their keys.
    Keys = 1,
    /// Discovered names under what was declared.
    Deps = 2,
    /// Content under its own digest.
    Blobs = 3,
}

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    digest: Digest,
    start: u64,
    len: u32,
    /// Of the data.
    crc: u32,
    room: u32,
    /// Of the bytes before.
    own_crc: u32,
}

const ENTRY: usize = size_of::<Entry>();

/// Digests are uniform already: their first bytes are the hash.
#[derive(Default)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut first = [0; 8];
        let n = bytes.len().min(8);
        first[..n].copy_from_slice(&bytes[..n]);
        self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(first);
    }
}

/// An open pack.
#[derive(Debug, Default)]
pub(super) struct Pack {
    places: HashMap<Name, Entry, BuildHasherDefault<FirstBytes>>,
    /// Opened by the first read.
    reader: Option<File>,
    writer: Option<Writer>,
    dir: PathBuf,
    generation: u64,
    /// Bytes of the index that hold.
    good: u64,
    end: u64,
}

#[derive(Debug)]
struct Writer {
    data: File,
    index: File,
}

impl Pack {
    /// Reads the index of the pack in `dir`; an absent one is empty.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let generation = newest(dir);
        let mut pack = Self { dir: dir.to_owned(), generation, ..Self::default() };
        let bytes = match std::fs::read(pack.path("index")) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(pack),
            Err(e) => return Err(e),
        };
        for chunk in bytes.chunks_exact(ENTRY) {
            let entry: Entry = bytemuck::pod_read_unaligned(chunk);
            let room = match entry.room {
                1 => Room::Keys,
                2 => Room::Deps,
                3 => Room::Blobs,
                _ => break,
            };
            if entry.own_crc != own_crc(&entry) {
                break;
            }
            pack.good += ENTRY as u64;
            pack.end = pack.end.max(entry.start + u64::from(entry.len));
            pack.places.insert(Name { room, digest: entry.digest }, entry);
        }
        Ok(pack)
    }

    fn path(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{what}.{}", self.generation))
    }

    #[cfg(test)]
    fn has(&self, name: &Name) -> bool {
        self.places.contains_key(name)
    }

    /// The data of a name, if it is there whole.
    pub(super) fn get(&mut self, name: &Name) -> Option<Vec<u8>> {
        let entry = *self.places.get(name)?;
        if self.reader.is_none() {
            self.reader = Some(File::open(self.path("pack")).ok()?);
        }
        let mut bytes = vec![0; entry.len as usize];
        self.reader.as_ref()?.read_exact_at(&mut bytes, entry.start).ok()?;
        (crc32fast::hash(&bytes) == entry.crc).then_some(bytes)
    }

    /// Appends data under a name; what was there under it is superseded.
    pub(super) fn put(&mut self, name: Name, bytes: &[u8]) -> io::Result<()> {
        if self.writer.is_none() {
            self.writer = Some(self.open_writer()?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut entry = Entry {
            digest: name.digest,
            start: self.end,
            len: u32::try_from(bytes.len()).map_err(io::Error::other)?,
            crc: crc32fast::hash(bytes),
            room: name.room as u32,
            own_crc: 0,
        };
        entry.own_crc = own_crc(&entry);
        writer.data.write_all_at(bytes, entry.start)?;
        writer.index.write_all_at(bytemuck::bytes_of(&entry), self.good)?;
        self.good += ENTRY as u64;
        self.end += u64::from(entry.len);
        self.places.insert(name, entry);
        Ok(())
    }

    fn open_writer(&self) -> io::Result<Writer> {
        std::fs::create_dir_all(&self.dir)?;
        let open = |path: PathBuf| {
            OpenOptions::new().create(true).truncate(false).write(true).open(path)
        };
        let writer = Writer { data: open(self.path("pack"))?, index: open(self.path("index"))? };
        // A torn record is cut off; data that nothing points to is overwritten.
        writer.index.set_len(self.good)?;
        Ok(writer)
    }

    /// All names, in a fixed order, with the size of their data.
    pub(super) fn names(&self) -> Vec<(Name, u64)> {
        let mut all: Vec<(Name, u64)> =
            self.places.iter().map(|(n, e)| (*n, u64::from(e.len))).collect();
        all.sort_by_key(|(n, _)| (n.room, n.digest));
        all
    }

    /// Names whose data is not what was put, and how many whole records of the index lie past the
    /// first that does not hold. What a kill leaves is neither: less than a record at the end.
    pub(super) fn damage(&mut self) -> (Vec<Name>, u64) {
        let names: Vec<Name> = self.names().into_iter().map(|(n, _)| n).collect();
        let damaged = names.into_iter().filter(|n| self.get(n).is_none()).collect();
        let len = std::fs::metadata(self.path("index")).map_or(0, |m| m.len());
        (damaged, len.saturating_sub(self.good) / ENTRY as u64)
    }

    /// Bytes on disk, superseded data included.
    pub(super) fn bytes(&self) -> u64 {
        let len = |what| std::fs::metadata(self.path(what)).map_or(0, |m| m.len());
        len("pack") + len("index")
    }

    /// Keeps only what `keep` says, in files of the next generation. The index is renamed into
    /// place last: until then the old generation is the newest that is whole.
    pub(super) fn rewrite(&mut self, keep: impl Fn(&Name) -> bool) -> io::Result<()> {
        let next = self.generation + 1;
        std::fs::create_dir_all(&self.dir)?;
        let temporary = self.dir.join("index.new");
        let mut data = File::create(self.dir.join(format!("pack.{next}")))?;
        let mut index = File::create(&temporary)?;
        let mut places = HashMap::default();
        let mut end = 0;
        for (name, _) in self.names().into_iter().filter(|(n, _)| keep(n)) {
            let (Some(bytes), Some(&old)) = (self.get(&name), self.places.get(&name)) else {
                continue;
            };
            let mut entry = Entry { start: end, ..old };
            entry.own_crc = own_crc(&entry);
            data.write_all(&bytes)?;
            index.write_all(bytemuck::bytes_of(&entry))?;
            end += u64::from(entry.len);
            places.insert(name, entry);
        }
        data.sync_data()?;
        index.sync_data()?;
        std::fs::rename(&temporary, self.dir.join(format!("index.{next}")))?;
        for what in ["index", "pack"] {
            drop(std::fs::remove_file(self.path(what)));
        }
        let good = (places.len() * ENTRY) as u64;
        let dir = self.dir.clone();
        *self = Self { places, dir, generation: next, good, end, ..Self::default() };
        Ok(())
    }
}

/// The highest generation that has an index; 0 when there is none.
fn newest(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|e| e.file_name().to_str()?.strip_prefix("index.")?.parse().ok())
        .max()
        .unwrap_or(0)
}

fn own_crc(entry: &Entry) -> u32 {
    crc32fast::hash(&bytemuck::bytes_of(entry)[..ENTRY - 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name { room: Room::Blobs, digest: Digest::of(text.as_bytes()) }
    }

    fn filled(dir: &Path) -> Pack {
        let mut pack = Pack::open(dir).expect("open");
        for text in ["one", "two", "three"] {
            pack.put(name(text), text.as_bytes()).expect("put");
        }
        pack
    }

    #[test]
    fn what_was_put_is_found_by_whoever_opens_the_pack_later() {
        let dir = tempfile::tempdir().expect("tempdir");
        filled(dir.path());
        let mut again = Pack::open(dir.path()).expect("open");
        assert_eq!(again.get(&name("two")).as_deref(), Some(&b"two"[..]));
        assert_eq!(again.get(&Name { room: Room::Keys, ..name("two") }), None);
        again.put(name("two"), b"newer").expect("put");
        let mut third = Pack::open(dir.path()).expect("open");
        assert_eq!(third.get(&name("two")).as_deref(), Some(&b"newer"[..]));
    }

    #[test]
    fn every_torn_index_keeps_a_prefix_and_can_be_continued() {
        let dir = tempfile::tempdir().expect("tempdir");
        filled(dir.path());
        let index = dir.path().join("index.0");
        let whole = std::fs::read(&index).expect("read");
        for len in 0..whole.len() {
            std::fs::write(&index, &whole[..len]).expect("write");
            let mut pack = Pack::open(dir.path()).expect("open");
            assert_eq!(pack.has(&name("one")), len >= ENTRY, "cut at {len}");
            pack.put(name("four"), b"four").expect("put");
            let mut again = Pack::open(dir.path()).expect("open");
            assert_eq!(again.get(&name("four")).as_deref(), Some(&b"four"[..]), "cut at {len}");
            assert_eq!(again.get(&name("one")).is_some(), len >= ENTRY, "cut at {len}");
        }
    }

    #[test]
    fn damaged_data_counts_as_absent() {
        let dir = tempfile::tempdir().expect("tempdir");
        filled(dir.path());
        let data = dir.path().join("pack.0");
        std::fs::write(&data, b"onEtwothree").expect("write");
        let mut pack = Pack::open(dir.path()).expect("open");
        assert_eq!(pack.get(&name("one")), None);
        assert_eq!(pack.get(&name("two")).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn rewriting_keeps_what_is_wanted_and_frees_the_rest() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut pack = filled(dir.path());
        let before = pack.bytes();
        pack.rewrite(|n| *n == name("two")).expect("rewrite");
        pack.put(name("five"), b"five").expect("put");
        let mut again = Pack::open(dir.path()).expect("open");
        assert_eq!(again.get(&name("one")), None);
        assert_eq!(again.get(&name("two")).as_deref(), Some(&b"two"[..]));
        assert_eq!(again.get(&name("five")).as_deref(), Some(&b"five"[..]));
        assert!(again.bytes() < before);
    }
}
