//! What was staged for a kernel, on the device: buffers with red zones between them, and what was
//! written where nothing may be.
//!
//! Buffers lie as in the worker of a processor's kernel, with a red zone where that has a guard
//! page. Before a launch each zone is filled from a key that is drawn here, and a keyed sum over the
//! inputs is kept: afterwards both must be as they were.
#![expect(unsafe_code, reason = "maps what the judge staged")]

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::null_mut;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::super::link::placement::{Extent, Place, Slot, Stride};
use super::driver::{self, Memory};
use super::helpers::{Span, ZONE_WORDS, Zones};
use super::tools::Tools;

/// Bytes of a red zone.
const ZONE: u64 = ZONE_WORDS * 8;

/// Why something could not be loaded or collected.
#[derive(Debug)]
pub(super) enum Refusal {
    Driver(driver::Error),
    System(Errno),
}

impl From<driver::Error> for Refusal {
    fn from(error: driver::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

/// A segment of the judge's, mapped as it is.
pub(super) struct View {
    base: *mut c_void,
    length: usize,
}

impl View {
    /// `writable` for what goes back to the judge; what is sealed can only be mapped privately.
    pub(super) fn map(segment: &OwnedFd, writing: Writing) -> rustix::io::Result<Self> {
        let length = rustix::fs::fstat(segment)?.st_size as usize;
        let (protection, sharing) = match writing {
            Writing::Never => (ProtFlags::READ, MapFlags::PRIVATE),
            Writing::ByJudge => (ProtFlags::READ, MapFlags::SHARED),
            Writing::ByWorker => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        };
        if length == 0 {
            return Ok(Self { base: null_mut(), length });
        }
        // SAFETY: a fresh mapping at an address that the system picks.
        let base = unsafe { mmap(null_mut(), length, protection, sharing, segment.as_fd(), 0)? };
        Ok(Self { base, length })
    }

    fn range(&self, at: u64, bytes: u64) -> rustix::io::Result<(*mut u8, usize)> {
        let end = at.checked_add(bytes).ok_or(Errno::INVAL)?;
        if end > self.length as u64 {
            return Err(Errno::INVAL);
        }
        // SAFETY: inside the mapping.
        Ok((unsafe { self.base.cast::<u8>().add(at as usize) }, bytes as usize))
    }

    /// Bytes of the segment.
    pub(super) fn bytes(&self, at: u64, bytes: u64) -> rustix::io::Result<&[u8]> {
        if bytes == 0 {
            return Ok(&[]);
        }
        let (start, length) = self.range(at, bytes)?;
        // SAFETY: mapped until drop. The judge writes only between orders, this worker only below.
        Ok(unsafe { std::slice::from_raw_parts(start, length) })
    }

    fn bytes_mut(&mut self, at: u64, bytes: u64) -> rustix::io::Result<&mut [u8]> {
        if bytes == 0 {
            return Ok(&mut []);
        }
        let (start, length) = self.range(at, bytes)?;
        // SAFETY: mapped writable until drop, and borrowed alone.
        Ok(unsafe { std::slice::from_raw_parts_mut(start, length) })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: the mapping made in `map`.
            let _unmapped = unsafe { munmap(self.base, self.length) };
        }
    }
}

/// Who writes to a mapped segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Never,
    ByJudge,
    ByWorker,
}

/// What a segment holds.
pub(super) struct Content {
    /// What all sets take.
    pub(super) size: Stride,
    pub(super) sets: u64,
    /// Where the buffers of each argument lie.
    pub(super) places: Vec<Place>,
}

/// One segment's buffers on the device.
pub(super) struct Arena {
    memory: Memory,
    offsets: Memory,
    zones: u64,
    key: u64,
    pub(super) view: View,
    places: Vec<Place>,
    sets: u64,
}

impl Arena {
    /// Copies everything that was staged, red zones between.
    pub(super) fn stage(content: Content, view: View, tools: &Tools) -> Result<Self, Refusal> {
        let Content { size, sets, places } = content;
        let length = size.mapped(ZONE as usize).ok_or(Errno::INVAL)?;
        let memory = Memory::of(usize::try_from(length).map_err(|_| Errno::INVAL)?)?;
        let mut offsets: Vec<u64> = Vec::new();
        for place in &places {
            for region in 0..place.regions(sets) {
                let before = place.before(region).ok_or(Errno::INVAL)?;
                let at = before.mapped(ZONE as usize).ok_or(Errno::INVAL)?;
                memory.write(memory.at + at, view.bytes(before.bytes, place.region)?)?;
                offsets.push(at - ZONE);
            }
        }
        offsets.push(length - ZONE);
        let bytes: &[u8] = bytemuck::cast_slice(&offsets);
        let list = Memory::of(bytes.len())?;
        list.write(list.at, bytes)?;
        let zones = offsets.len() as u64;
        let arena = Self { memory, offsets: list, zones, key: rand::random(), view, places, sets };
        tools.helpers.fill_zones(&arena.zones(), &tools.stream)?;
        tools.stream.wait()?;
        Ok(arena)
    }

    fn zones(&self) -> Zones<'_> {
        Zones { arena: self.memory.at, offsets: &self.offsets, count: self.zones, key: self.key }
    }

    /// The device address of a set's buffer.
    pub(super) fn buffer(&self, place: &Place, set: u64) -> rustix::io::Result<u64> {
        let extent = place.extent(set).ok_or(Errno::INVAL)?;
        let region = extent.mapped(ZONE as usize).ok_or(Errno::INVAL)?;
        Ok(self.memory.at + region + extent.start)
    }

    /// The first changed zone and its first changed word, and how many words are changed at all.
    pub(super) fn changed_zones(&self, tools: &Tools) -> driver::Result<Option<(u64, u64, u64)>> {
        let (count, first) =
            tools.helpers.check_zones(&self.zones(), &tools.found, &tools.stream)?;
        Ok((count > 0).then_some((first / ZONE_WORDS, first % ZONE_WORDS, count)))
    }

    /// The keyed sum over each place's buffers.
    pub(super) fn sums(&self, tools: &Tools) -> Result<Vec<u64>, Refusal> {
        let mut sums = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let first = place.before(0).and_then(|b| b.mapped(ZONE as usize));
            let regions = place.regions(self.sets);
            let last = place.before(regions.saturating_sub(1));
            let end = last.and_then(|b| b.mapped(ZONE as usize));
            let (first, end) =
                (first.ok_or(Errno::INVAL)?, end.ok_or(Errno::INVAL)? + place.region);
            let span = Span { at: self.memory.at + first, bytes: end - first };
            sums.push(tools.helpers.hash(span, self.key, &tools.found, &tools.stream)?);
        }
        Ok(sums)
    }

    /// Brings the regions of a set back to the segment.
    pub(super) fn collect(&mut self, set: u64) -> Result<(), Refusal> {
        for place in &self.places {
            let extent = place.extent(set).ok_or(Errno::INVAL)?;
            let Extent { before, .. } = extent;
            let at = extent.mapped(ZONE as usize).ok_or(Errno::INVAL)?;
            let into = self.view.bytes_mut(before.bytes, place.region)?;
            self.memory.read(self.memory.at + at, into)?;
        }
        Ok(())
    }
}

/// The places of a segment's buffers, in argument order.
pub(super) fn places(slots: &[Slot]) -> (Vec<Place>, Vec<Place>) {
    let inputs = slots.iter().filter_map(|slot| slot.places().0.copied()).collect();
    let outputs = slots.iter().filter_map(|slot| slot.places().1.copied()).collect();
    (inputs, outputs)
}
