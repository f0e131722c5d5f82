//! Shared memory without names: nothing can stay behind, however a process ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rayon::prelude::*;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};

use super::writable::Writable;

/// From so many blocks of poison on, all cores write.
const PARALLEL_BLOCKS: u64 = 64;

/// A memory file that the judge writes and reads, and a worker maps. Its size is sealed, so
/// that nothing a worker does to it can make a judge that maps it fault.
#[derive(Debug)]
pub(in crate::backend) struct Segment {
    file: File,
    length: u64,
    /// The judge's own, from before nobody could map it to be written any more.
    view: Option<Writable>,
}

impl Segment {
    /// A segment of zeros whose size is fixed from now on.
    pub(in crate::backend) fn create(name: &str, length: u64) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create(name, flags)?);
        file.set_len(length)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
        Ok(Self { file, length, view: None })
    }

    /// Forbids all writing from now on, by anyone but through [`Self::writable`].
    ///
    /// The older seal waits until nobody holds a page, and on a busy machine gives up with EBUSY;
    /// the newer one has nothing to wait for. The older one takes the judge's own mapping, too.
    pub(in crate::backend) fn freeze(&mut self) -> io::Result<()> {
        match fcntl_add_seals(&self.file, SealFlags::FUTURE_WRITE | SealFlags::SEAL) {
            // Before Linux 5.1.
            Err(rustix::io::Errno::INVAL) => {
                self.view = None;
                self.freeze_patiently()
            }
            sealed => Ok(sealed?),
        }
    }

    /// Maps it for the judge to write to; before it is frozen.
    pub(in crate::backend) fn open_view(&mut self) -> io::Result<()> {
        if self.view.is_none() {
            self.view = Some(Writable::map(self.file.as_fd(), self.length)?);
        }
        Ok(())
    }

    /// A part for the judge to write to; `None` where there is no view, or no such part.
    pub(in crate::backend) fn writable(&mut self, at: u64, bytes: u64) -> Option<&mut [u8]> {
        self.view.as_mut()?.part(at, bytes)
    }

    /// Whether the judge can still write to it.
    pub(in crate::backend) fn is_open(&self) -> bool {
        self.view.is_some()
    }

    fn freeze_patiently(&self) -> io::Result<()> {
        let mut sealed = Ok(());
        for _ in 0..50 {
            sealed = fcntl_add_seals(&self.file, SealFlags::WRITE | SealFlags::SEAL);
            if sealed != Err(rustix::io::Errno::BUSY) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(sealed?)
    }

    /// Forbids further seals.
    pub(in crate::backend) fn fix(&self) -> io::Result<()> {
        fcntl_add_seals(&self.file, SealFlags::SEAL)?;
        Ok(())
    }

    pub(in crate::backend) fn length(&self) -> u64 {
        self.length
    }

    /// Writes at a place.
    pub(in crate::backend) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// Reads from a place as much as fits.
    pub(in crate::backend) fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at)
    }

    /// Fills everything with fresh random bytes, so that no earlier output is left and nobody can
    /// foresee what stands there.
    pub(in crate::backend) fn poison(&self) -> io::Result<Poison> {
        let poison = Poison::fresh(self.length)?;
        let block = poison.0.len() as u64;
        let write = |number: u64| {
            let at = number * block;
            let part = (self.length - at).min(block) as usize;
            self.file.write_all_at(&poison.0[..part], at)
        };
        // A large one on every core; for a small one it would not be worth waking them.
        let blocks = self.length.div_ceil(block);
        if blocks < PARALLEL_BLOCKS {
            (0..blocks).try_for_each(write)?;
        } else {
            (0..blocks as usize)
                .into_par_iter()
                .with_min_len(16)
                .try_for_each(|n| write(n as u64))?;
        }
        Ok(poison)
    }

    /// How a part of the segment differs from what it was poisoned with.
    pub(in crate::backend) fn changes(
        &self,
        poison: &Poison,
        at: u64,
        bytes: u64,
    ) -> io::Result<Changes> {
        let mut found = vec![0; bytes as usize];
        self.file.read_exact_at(&mut found, at)?;
        let mut changes = Changes::default();
        if poison.holds(at, &found) {
            return Ok(changes);
        }
        let differs = |&index: &usize| found[index] != poison.byte(at + index as u64);
        for index in (0..found.len()).filter(differs) {
            changes.count += 1;
            changes.first.get_or_insert(index as u64);
            changes.last = index as u64;
        }
        Ok(changes)
    }

    /// Another descriptor, to read and with a position and flags of its own: what a process does to
    /// the one that it was given, no other learns of.
    pub(in crate::backend) fn reader(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(File::open(path)?.into())
    }

    pub(in crate::backend) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The random block that a segment was filled with, again and again.
#[derive(Debug, Clone)]
pub(in crate::backend) struct Poison(Vec<u8>);

impl Poison {
    const BYTES: u64 = 64 * 1024;

    /// For a segment of so many bytes.
    pub(in crate::backend) fn fresh(length: u64) -> io::Result<Self> {
        let mut block = vec![0u8; length.clamp(1, Self::BYTES) as usize];
        random(&mut block)?;
        Ok(Self(block))
    }

    /// What stands at `at` and behind it.
    pub(in crate::backend) fn fill(&self, at: u64, bytes: &mut [u8]) {
        let length = self.0.len();
        let start = (at % length as u64) as usize;
        let (first, rest) = bytes.split_at_mut(bytes.len().min(length - start));
        first.copy_from_slice(&self.0[start..start + first.len()]);
        for part in rest.chunks_mut(length) {
            part.copy_from_slice(&self.0[..part.len()]);
        }
    }

    /// Whether these bytes are what stood at `position`.
    #[inline]
    pub(in crate::backend) fn holds(&self, position: u64, bytes: &[u8]) -> bool {
        let length = self.0.len();
        let start = (position % length as u64) as usize;
        let (first, rest) = bytes.split_at(bytes.len().min(length - start));
        first == &self.0[start..start + first.len()]
            && rest.chunks(length).all(|part| part == &self.0[..part.len()])
    }

    fn byte(&self, position: u64) -> u8 {
        self.0[(position % self.0.len() as u64) as usize]
    }
}

/// Bytes of a part that are not what they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::backend) struct Changes {
    pub(in crate::backend) count: u64,
    /// The first of them, from the part's beginning.
    pub(in crate::backend) first: Option<u64>,
    pub(in crate::backend) last: u64,
}

/// Fills `bytes` from the operating system's generator.
fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(segment: &Segment, at: u64, bytes: usize) -> Vec<u8> {
        let mut found = vec![0; bytes];
        segment.read(at, &mut found).unwrap();
        found
    }

    #[test]
    fn a_frozen_segment_can_be_read_and_not_written() {
        let mut segment = Segment::create("test", 4096).unwrap();
        segment.write(7, &[1, 2, 3]).unwrap();
        segment.freeze().unwrap();
        assert_eq!(read(&segment, 7, 3), [1, 2, 3]);
        assert!(segment.write(7, &[4]).is_err());
        let older = Segment::create("test", 4096).unwrap();
        older.freeze_patiently().unwrap();
        assert!(older.write(7, &[4]).is_err());
    }

    #[test]
    fn readers_read_the_same_each_from_its_own_place() {
        use std::io::{Read, Seek, SeekFrom, Write};
        let mut segment = Segment::create("test", 4096).unwrap();
        segment.write(7, &[1, 2, 3]).unwrap();
        segment.freeze().unwrap();
        let reader = || File::from(segment.reader().unwrap());
        let (mut one, mut other) = (reader(), reader());
        one.seek(SeekFrom::Start(7)).unwrap();
        let mut found = [0; 3];
        one.read_exact(&mut found).unwrap();
        assert_eq!(found, [1, 2, 3]);
        assert_eq!(other.stream_position().unwrap(), 0);
        assert!(one.write(&[4]).is_err());
    }

    #[test]
    fn only_the_judges_own_mapping_can_write_to_what_is_frozen() {
        let mut segment = Segment::create("test", 4096).unwrap();
        segment.open_view().unwrap();
        segment.freeze().unwrap();
        segment.writable(7, 3).unwrap().copy_from_slice(&[1, 2, 3]);
        assert_eq!(read(&segment, 7, 3), [1, 2, 3]);
        assert!(segment.write(7, &[4]).is_err());
        assert!(Writable::map(segment.fd(), 4096).is_err(), "nobody else maps it to be written");
        assert!(segment.writable(4096, 1).is_none());
    }

    #[test]
    fn the_size_cannot_be_changed() {
        let segment = Segment::create("test", 4096).unwrap();
        segment.fix().unwrap();
        assert!(segment.file.set_len(1).is_err());
        assert!(segment.file.set_len(8192).is_err());
    }

    #[test]
    fn poison_is_fresh_each_time_and_reaches_the_end() {
        let segment = Segment::create("test", 3 * 65536 + 4096).unwrap();
        segment.poison().unwrap();
        let first = read(&segment, 3 * 65536, 4096);
        segment.poison().unwrap();
        assert_ne!(first, vec![0; 4096]);
        assert_ne!(first, read(&segment, 3 * 65536, 4096));
    }

    #[test]
    fn a_changed_byte_of_the_poison_is_found_wherever_it_is() {
        let segment = Segment::create("test", 2 * 65536).unwrap();
        let poison = segment.poison().unwrap();
        let part = (65536 - 10, 100);
        assert_eq!(segment.changes(&poison, part.0, part.1).unwrap(), Changes::default());
        for (at, changed) in [(0, (1, Some(0), 0)), (99, (2, Some(0), 99)), (10, (3, Some(0), 99))]
        {
            let position = part.0 + at;
            segment.file.write_all_at(&[!poison.byte(position)], position).unwrap();
            let found = segment.changes(&poison, part.0, part.1).unwrap();
            assert_eq!((found.count, found.first, found.last), changed, "{at}");
        }
    }
}
