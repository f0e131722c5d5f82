//! Many small results in one file: data appended to `pack.G`, and a fixed-size record for each in
//! `index.G`.
//!
//! A file per result would be simpler, but creating a file costs as much as starting a shell on
//! some file systems, and a first run of a thousand stages would create two thousand. A record is
//! appended after its data, so a kill leaves at most bytes that nothing points to; a record whose
//! checksum does not hold ends the index, which is cut there before anything is added.
//!
//! The index begins with a header and a sorted part, in which a question is answered by a few
//! small reads; records added since follow. A run that added many sorts them in at its end.

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
#[derive(Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(b);
        }
    }

    fn write_u64(&mut self, first: u64) {
        self.0 = first;
    }
}

impl Name {
    /// The first bytes of the digest, different in each room. Two names with the same first
    /// bytes are as good as impossible; the later one would hide the other, which then counts as
    /// absent.
    fn first_bytes(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.digest.0[..8]);
        u64::from_le_bytes(first) ^ (self.room as u64)
    }
}

impl Entry {
    /// As [`Name::first_bytes`].
    fn first_bytes(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.digest.0[..8]);
        u64::from_le_bytes(first) ^ u64::from(self.room)
    }

    fn name(&self) -> Option<Name> {
        let room = match self.room {
            1 => Room::Keys,
            2 => Room::Deps,
            3 => Room::Blobs,
            _ => return None,
        };
        (self.own_crc == own_crc(self)).then_some(Name { room, digest: self.digest })
    }
}

/// An open pack.
#[derive(Debug, Default)]
pub(super) struct Pack {
    sorted: Sorted,
    /// Records after the sorted part.
    tail: Vec<Entry>,
    /// From the first bytes of a name to its newest entry in the tail.
    places: HashMap<u64, u32, BuildHasherDefault<FirstBytes>>,
    /// Opened by the first read.
    reader: Option<File>,
    writer: Option<Writer>,
    dir: PathBuf,
    generation: u64,
    /// Bytes of the index that hold.
    good: u64,
    /// Bytes of the data that records point to.
    end: u64,
}

#[derive(Debug)]
struct Writer {
    data: File,
    index: File,
}

/// The sorted part: searched on disk at first, in memory once many ask.
#[derive(Debug, Default)]
struct Sorted {
    file: Option<File>,
    count: u64,
    asked: u32,
    loaded: Option<Vec<Entry>>,
}

impl Sorted {
    fn at(&mut self, i: u64) -> Option<Entry> {
        if let Some(loaded) = &self.loaded {
            return loaded.get(i as usize).copied();
        }
        let mut entry = Entry::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut entry);
        self.file.as_ref()?.read_exact_at(bytes, (1 + i) * ENTRY as u64).ok()?;
        Some(entry)
    }

    fn find(&mut self, name: &Name) -> Option<Entry> {
        const MANY: u32 = 64;
        self.asked += 1;
        if self.asked > MANY {
            self.all();
        }
        let wanted = name.first_bytes();
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.at(middle)?;
            match entry.first_bytes().cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(entry),
            }
        }
        None
    }

    fn all(&mut self) -> &[Entry] {
        let (file, count) = (&self.file, self.count);
        self.loaded.get_or_insert_with(|| {
            let mut entries: Vec<Entry> = bytemuck::zeroed_vec(count as usize);
            let bytes = bytemuck::cast_slice_mut(&mut entries);
            match file.as_ref().map(|f| f.read_exact_at(bytes, ENTRY as u64)) {
                Some(Ok(())) => entries,
                _ => Vec::new(),
            }
        })
    }
}

/// The first record of an index: how many sorted ones follow, and where the data ended then.
fn header(count: u64, end: u64) -> Entry {
    let mut digest = Digest::default();
    digest.0[..8].copy_from_slice(&end.to_le_bytes());
    let mut header = Entry { digest, start: count, ..Entry::zeroed() };
    header.own_crc = own_crc(&header);
    header
}

impl Pack {
    /// Opens the pack in `dir`; an absent one, or one whose index does not begin well, is empty.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let generation = newest(dir);
        let mut pack = Self { dir: dir.to_owned(), generation, ..Self::default() };
        let file = match File::open(pack.path("index")) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(pack),
            Err(e) => return Err(e),
        };
        let records = file.metadata()?.len() / ENTRY as u64;
        let mut first = Entry::zeroed();
        let begins = file.read_exact_at(bytemuck::bytes_of_mut(&mut first), 0).is_ok();
        if !begins || first.own_crc != own_crc(&first) || first.start >= records {
            return Ok(pack);
        }
        let mut tail: Vec<Entry> = bytemuck::zeroed_vec((records - 1 - first.start) as usize);
        let behind = (1 + first.start) * ENTRY as u64;
        file.read_exact_at(bytemuck::cast_slice_mut(&mut tail), behind)?;
        // Only the end can be torn; anything else that is damaged shows when it is read.
        while tail.last().is_some_and(|e| e.name().is_none()) {
            tail.pop();
        }
        let mut end = [0; 8];
        end.copy_from_slice(&first.digest.0[..8]);
        pack.end = u64::from_le_bytes(end);
        pack.good = behind;
        pack.sorted = Sorted { file: Some(file), count: first.start, ..Sorted::default() };
        for entry in tail {
            pack.end = pack.end.max(entry.start.saturating_add(u64::from(entry.len)));
            pack.add(entry);
        }
        Ok(pack)
    }

    fn add(&mut self, entry: Entry) {
        self.places.insert(entry.first_bytes(), self.tail.len() as u32);
        self.tail.push(entry);
        self.good += ENTRY as u64;
    }

    fn entry(&mut self, name: &Name) -> Option<Entry> {
        let entry = match self.places.get(&name.first_bytes()) {
            Some(&place) => self.tail[place as usize],
            None => self.sorted.find(name)?,
        };
        (entry.name() == Some(*name)).then_some(entry)
    }

    fn path(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{what}.{}", self.generation))
    }

    /// The data of a name, if it is there whole.
    pub(super) fn get(&mut self, name: &Name) -> Option<Vec<u8>> {
        let entry = self.entry(name)?;
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
            let writer = self.open_writer()?;
            // A damaged record may point far beyond the data.
            self.end = self.end.min(writer.data.metadata()?.len());
            self.writer = Some(writer);
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
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
        self.end += u64::from(entry.len);
        self.add(entry);
        Ok(())
    }

    fn open_writer(&mut self) -> io::Result<Writer> {
        std::fs::create_dir_all(&self.dir)?;
        let open =
            |path: PathBuf| OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let writer = Writer { data: open(self.path("pack"))?, index: open(self.path("index"))? };
        if self.good == 0 {
            writer.index.write_all_at(bytemuck::bytes_of(&header(0, 0)), 0)?;
            self.good = ENTRY as u64;
        }
        // A torn record is cut off; data that nothing points to is overwritten.
        writer.index.set_len(self.good)?;
        Ok(writer)
    }

    /// The newest record of every name, in the order of the sorted part.
    fn newest(&mut self) -> Vec<Entry> {
        let places = &self.places;
        let old = self.sorted.all().iter().filter(|e| !places.contains_key(&e.first_bytes()));
        let mut all: Vec<Entry> = old.copied().collect();
        all.extend(places.values().map(|&i| self.tail[i as usize]));
        all.retain(|e| e.name().is_some());
        all.sort_unstable_by_key(Entry::first_bytes);
        all
    }

    /// Sorts in what was added, when that is much.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        const MUCH: usize = 512;
        if self.tail.len() < MUCH {
            return Ok(());
        }
        let all = self.newest();
        write_index(&self.dir, self.generation, &all, self.end)?;
        *self = Self::open(&self.dir)?;
        Ok(())
    }

    /// All names, in a fixed order, with the size of their data.
    pub(super) fn names(&mut self) -> Vec<(Name, u64)> {
        let all = self.newest();
        let mut all: Vec<(Name, u64)> =
            all.iter().filter_map(|e| Some((e.name()?, u64::from(e.len)))).collect();
        all.sort_by_key(|(n, _)| (n.room, n.digest));
        all
    }

    /// Names whose data is not what was put, and how many whole records of the index do not hold.
    /// What a kill leaves is neither: less than a record at the end.
    pub(super) fn damage(&mut self) -> (Vec<Name>, u64) {
        let names: Vec<Name> = self.names().into_iter().map(|(n, _)| n).collect();
        let damaged = names.into_iter().filter(|n| self.get(n).is_none()).collect();
        let len = std::fs::metadata(self.path("index")).map_or(0, |m| m.len());
        let tail = self.tail.iter().filter(|e| e.name().is_none()).count();
        let sorted = self.sorted.all().iter().filter(|e| e.name().is_none()).count();
        (damaged, (tail + sorted) as u64 + len.saturating_sub(self.good) / ENTRY as u64)
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
        let mut data = File::create(self.dir.join(format!("pack.{next}")))?;
        let (mut kept, mut end) = (Vec::new(), 0);
        for old in self.newest() {
            let Some(name) = old.name().filter(|n| keep(n)) else { continue };
            let Some(bytes) = self.get(&name) else { continue };
            let mut entry = Entry { start: end, ..old };
            entry.own_crc = own_crc(&entry);
            data.write_all(&bytes)?;
            end += u64::from(entry.len);
            kept.push(entry);
        }
        data.sync_data()?;
        write_index(&self.dir, next, &kept, end)?;
        for what in ["index", "pack"] {
            drop(std::fs::remove_file(self.path(what)));
        }
        *self = Self::open(&self.dir)?;
        Ok(())
    }
}

/// Writes a whole index of sorted records and renames it into place.
fn write_index(dir: &Path, generation: u64, sorted: &[Entry], end: u64) -> io::Result<()> {
    let temporary = dir.join("index.new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytemuck::bytes_of(&header(sorted.len() as u64, end)))?;
    file.write_all(bytemuck::cast_slice(sorted))?;
    file.sync_data()?;
    std::fs::rename(&temporary, dir.join(format!("index.{generation}")))
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
        let data = std::fs::read(dir.path().join("pack.0")).expect("read");
        for len in 0..whole.len() {
            std::fs::write(&index, &whole[..len]).expect("write");
            std::fs::write(dir.path().join("pack.0"), &data).expect("write");
            let mut pack = Pack::open(dir.path()).expect("open");
            assert_eq!(pack.entry(&name("one")).is_some(), len >= 2 * ENTRY, "cut at {len}");
            pack.put(name("four"), b"four").expect("put");
            let mut again = Pack::open(dir.path()).expect("open");
            assert_eq!(again.get(&name("four")).as_deref(), Some(&b"four"[..]), "cut at {len}");
            assert_eq!(again.get(&name("one")).is_some(), len >= 2 * ENTRY, "cut at {len}");
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
    fn a_damaged_record_is_counted_and_does_not_move_the_end_of_the_data() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert_eq!(filled(dir.path()).damage(), (Vec::new(), 0));
        let index = dir.path().join("index.0");
        let mut bytes = std::fs::read(&index).expect("read");
        bytes[ENTRY + std::mem::offset_of!(Entry, start) + 7] = 0x7f;
        std::fs::write(&index, bytes).expect("write");
        let mut pack = Pack::open(dir.path()).expect("open");
        assert_eq!(pack.damage(), (Vec::new(), 1));
        assert_eq!(pack.get(&name("one")), None);
        pack.put(name("one"), b"one").expect("put again");
        let mut again = Pack::open(dir.path()).expect("open");
        assert_eq!(again.get(&name("one")).as_deref(), Some(&b"one"[..]));
        assert_eq!(again.get(&name("three")).as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn an_index_that_does_not_begin_well_is_empty_and_begun_anew() {
        let dir = tempfile::tempdir().expect("tempdir");
        filled(dir.path());
        let index = dir.path().join("index.0");
        let mut bytes = std::fs::read(&index).expect("read");
        bytes[3] ^= 1;
        std::fs::write(&index, bytes).expect("write");
        let mut pack = Pack::open(dir.path()).expect("open");
        assert_eq!((pack.get(&name("one")), pack.damage()), (None, (Vec::new(), 4)));
        pack.put(name("one"), b"one").expect("put");
        let mut again = Pack::open(dir.path()).expect("open");
        assert_eq!(again.get(&name("one")).as_deref(), Some(&b"one"[..]));
        assert_eq!(again.damage(), (Vec::new(), 0));
    }

    #[test]
    fn many_records_are_sorted_in_and_found_on_disk_and_in_memory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut pack = filled(dir.path());
        let names: Vec<String> = (0..600).map(|i| format!("entry {i}")).collect();
        for text in &names {
            pack.put(name(text), text.as_bytes()).expect("put");
        }
        pack.settle().expect("settle");
        pack.put(name("entry 7"), b"newer").expect("put");
        let mut again = Pack::open(dir.path()).expect("open");
        assert_eq!((again.tail.len(), again.sorted.count), (1, 603));
        assert_eq!(again.get(&name("entry 7")).as_deref(), Some(&b"newer"[..]));
        assert_eq!(again.get(&name("absent")), None);
        // More questions than are answered from disk.
        for text in names.iter().filter(|n| *n != "entry 7") {
            assert_eq!(again.get(&name(text)).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!((again.names().len(), again.damage()), (603, (Vec::new(), 0)));
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
