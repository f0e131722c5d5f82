//! Dropping buffers from every cache, from the judge's side, so that no kernel can avoid it.
#![expect(unsafe_code, reason = "maps buffers and drops their lines")]

use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::super::link::placement::{Extent, Place};
use super::super::link::{Memory, Segment};

/// What is staged, mapped so that its lines can be dropped.
pub(super) struct Views {
    inputs: View,
    outputs: View,
}

impl Views {
    pub(super) fn map(memory: &Memory) -> io::Result<Self> {
        Ok(Self { inputs: View::map(&memory.inputs)?, outputs: View::map(&memory.outputs)? })
    }

    /// Drops the buffers of these sets from all caches.
    pub(super) fn flush(&self, memory: &Memory, first: u32, count: u32) {
        for set in first..first.saturating_add(count) {
            let extent = |place: Option<Place>| place?.extent(set.into());
            for buffer in &memory.layout.buffers {
                // What an output is restored from is not the launch's.
                if let Some(output) = extent(buffer.output) {
                    self.outputs.flush(&output);
                } else if let Some(input) = extent(buffer.input) {
                    self.inputs.flush(&input);
                }
            }
        }
        settle();
    }
}

/// A segment as the judge sees it: for its lines in the caches, not for its bytes.
struct View {
    base: *mut c_void,
    length: usize,
}

// SAFETY: a mapping of its own that is only flushed; any thread may do that.
unsafe impl Send for View {}

impl View {
    fn map(segment: &Segment) -> io::Result<Self> {
        let length = usize::try_from(segment.length()).map_err(io::Error::other)?;
        if length == 0 {
            return Ok(Self { base: null_mut(), length });
        }
        // Private, because a sealed segment may not be mapped shared before Linux 6.7; as nothing
        // is written, it shows the same memory.
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        // SAFETY: a fresh mapping at an address that the system picks.
        let base = unsafe { mmap(null_mut(), length, ProtFlags::READ, flags, segment.fd(), 0)? };
        Ok(Self { base, length })
    }

    /// Drops a buffer from the caches of all cores; [`settle`] waits for it.
    fn flush(&self, extent: &Extent) {
        let start = extent.position().min(self.length as u64) as usize;
        let bytes = extent.bytes.min((self.length - start) as u64) as usize;
        // SAFETY: cut to the inside of the mapping, whose file cannot shrink.
        unsafe { drop_lines(self.base.cast::<u8>().add(start), bytes) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping made in `map`, which nothing points into any more.
            let _unmapped = unsafe { munmap(self.base, self.length) };
        }
    }
}

/// # Safety
/// The bytes are mapped.
#[cfg(target_arch = "x86_64")]
unsafe fn drop_lines(start: *const u8, bytes: usize) {
    use std::arch::asm;
    use std::arch::x86_64::_mm_clflush;

    const LINE: usize = 64;
    let ordered = !has_clflushopt();
    let skew = start as usize % LINE;
    for at in (0..bytes + skew).step_by(LINE) {
        // SAFETY: the first byte of a line that holds one of the buffer's.
        unsafe {
            let line = start.sub(skew).add(at);
            if ordered {
                _mm_clflush(line);
            } else {
                asm!("clflushopt [{}]", in(reg) line, options(nostack, preserves_flags));
            }
        }
    }
}

/// Waits until all that was flushed is gone.
#[cfg(target_arch = "x86_64")]
fn settle() {
    // SAFETY: every processor of this kind has it.
    unsafe { std::arch::x86_64::_mm_mfence() };
}

/// Whether the flush that does not wait for the one before is there: leaf 7, EBX bit 23 (Intel SDM
/// volume 2, CPUID).
#[cfg(target_arch = "x86_64")]
fn has_clflushopt() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    use std::sync::LazyLock;

    static HAS: LazyLock<bool> =
        LazyLock::new(|| __cpuid(0).eax >= 7 && __cpuid_count(7, 0).ebx & (1 << 23) != 0);
    *HAS
}

/// # Safety
/// The bytes are mapped.
#[cfg(target_arch = "aarch64")]
unsafe fn drop_lines(start: *const u8, bytes: usize) {
    use std::arch::asm;

    /// No cache of this architecture has shorter lines than this in use.
    const LINE: usize = 32;
    let skew = start as usize % LINE;
    for at in (0..bytes + skew).step_by(LINE) {
        // SAFETY: cleans and drops a line that holds one of the buffer's bytes; Linux allows it
        // to programs.
        unsafe {
            let line = start.sub(skew).add(at);
            asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags));
        }
    }
}

/// Waits until all that was flushed is gone.
#[cfg(target_arch = "aarch64")]
fn settle() {
    // SAFETY: a barrier.
    unsafe { std::arch::asm!("dsb ish", options(nostack, preserves_flags)) };
}

/// Nothing to do for a buffer by itself: [`settle`] drops all.
///
/// # Safety
/// None is needed: the buffer is not touched.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn drop_lines(_start: *const u8, _bytes: usize) {}

/// Reads more than any cache holds, so that what was in them is gone.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn settle() {
    /// Twice the last level of large machines.
    const BYTES: usize = 256 << 20;
    static LARGE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| vec![1; BYTES]);
    let sum: u64 = LARGE.iter().step_by(64).map(|&byte| u64::from(byte)).sum();
    std::hint::black_box(sum);
}
