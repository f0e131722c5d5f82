//! The judge's own mapping of memory that it shares: what is drawn straight into it is never copied.
#![expect(unsafe_code, reason = "maps memory and lends it out")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// A mapping to write to.
#[derive(Debug)]
pub(super) struct Writable {
    base: *mut u8,
    length: usize,
}

// SAFETY: a mapping of its own, lent out by the rules of references only.
unsafe impl Send for Writable {}
// SAFETY: as above; `&Writable` gives nothing away.
unsafe impl Sync for Writable {}

impl Writable {
    /// Maps a whole file of this length, which must not shrink.
    pub(super) fn map(file: BorrowedFd<'_>, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Self { base: null_mut(), length });
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address that the system picks.
        let base = unsafe { mmap(null_mut(), length, protection, MapFlags::SHARED, file, 0)? };
        // Fewer faults where the system gives shared memory huge pages; where not, nothing is lost.
        // SAFETY: the mapping just made; the advice changes no byte.
        let _refused = unsafe { madvise(base, length, Advice::LinuxHugepage) };
        Ok(Self { base: base.cast(), length })
    }

    /// A part of it.
    pub(super) fn part(&mut self, at: u64, bytes: u64) -> Option<&mut [u8]> {
        let (at, bytes) = (usize::try_from(at).ok()?, usize::try_from(bytes).ok()?);
        let inside = at.checked_add(bytes)? <= self.length;
        if !inside || self.length == 0 {
            return None;
        }
        // SAFETY: inside the mapping, which `self` is borrowed with. Other processes map the same
        // memory and can only read it: it is sealed against any other mapping that writes.
        Some(unsafe { std::slice::from_raw_parts_mut(self.base.add(at), bytes) })
    }
}

impl Drop for Writable {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping made in `map`, which nothing borrows any more.
            let _unmapped = unsafe { munmap(self.base.cast(), self.length) };
        }
    }
}
