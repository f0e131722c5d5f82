//! Shared memory without names: nothing can stay behind, however a process ends.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};

use super::super::protocol::Extent;

/// A memory file that the judge writes and reads, and a worker maps. The judge never maps it, so
/// nothing that a worker does to it can make the judge fault.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    length: u64,
}

impl Segment {
    /// A segment of zeros whose size is fixed from now on.
    pub(super) fn create(name: &str, length: u64) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create(name, flags)?);
        file.set_len(length)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
        Ok(Self { file, length })
    }

    /// Forbids all writing from now on, by anyone.
    pub(super) fn freeze(&self) -> io::Result<()> {
        fcntl_add_seals(&self.file, SealFlags::WRITE | SealFlags::SEAL)?;
        Ok(())
    }

    /// Forbids further seals.
    pub(super) fn fix(&self) -> io::Result<()> {
        fcntl_add_seals(&self.file, SealFlags::SEAL)?;
        Ok(())
    }

    pub(super) fn write(&self, extent: &Extent, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, extent.position())
    }

    pub(super) fn read(&self, extent: &Extent) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; extent.bytes as usize];
        self.file.read_exact_at(&mut bytes, extent.position())?;
        Ok(bytes)
    }

    pub(super) fn read_u64s(&self, count: usize) -> io::Result<Vec<u64>> {
        let mut bytes = vec![0; count * size_of::<u64>()];
        self.file.read_exact_at(&mut bytes, 0)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_ne_bytes(*word)).collect())
    }

    /// Fills everything with fresh random bytes (a random block, repeated: the point is that no
    /// earlier output is left and that nobody can foresee what stands there).
    pub(super) fn poison(&self) -> io::Result<()> {
        let mut block = vec![0u8; 64 * 1024];
        random(&mut block)?;
        let mut at = 0;
        while at < self.length {
            let part = (self.length - at).min(block.len() as u64) as usize;
            self.file.write_all_at(&block[..part], at)?;
            at += part as u64;
        }
        Ok(())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
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

    #[test]
    fn a_frozen_segment_can_be_read_and_not_written() {
        let segment = Segment::create("test", 4096).unwrap();
        let extent = Extent::place(0, 3, 4096).unwrap();
        segment.write(&extent, &[1, 2, 3]).unwrap();
        segment.freeze().unwrap();
        assert_eq!(segment.read(&extent).unwrap(), [1, 2, 3]);
        assert!(segment.write(&extent, &[4]).is_err());
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
        let tail = Extent { offset: 3 * 65536, region: 4096, start: 0, bytes: 4096 };
        segment.poison().unwrap();
        let first = segment.read(&tail).unwrap();
        segment.poison().unwrap();
        assert_ne!(first, vec![0; 4096]);
        assert_ne!(first, segment.read(&tail).unwrap());
    }
}
