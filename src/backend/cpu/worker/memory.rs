//! The memory that the judge staged, mapped with a guard page on both sides of every buffer.
#![expect(unsafe_code, reason = "maps memory and copies into it")]

use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::backend::link::control::Control;
use crate::backend::link::placement::{Place, Slot, Stride};
use crate::backend::link::protocol::{Reply, SEGMENTS};

/// Bytes of a cache line, or fewer.
const LINE: usize = 64;

/// Where the sets of a case lie in their segments.
pub(super) struct Layout {
    pub(super) slots: Vec<Slot>,
    pub(super) sets: u32,
    pub(super) sizes: (Stride, Stride),
}

/// Mapped memory of one case: one set of arguments per launch.
pub(super) struct Loaded {
    sets: Vec<Set>,
    // What the sets point into.
    arenas: Arenas,
}

/// Both segments, mapped.
struct Arenas {
    inputs: Arena,
    outputs: Arena,
}

/// The arguments of one launch.
#[derive(Default)]
pub(super) struct Set {
    /// What the trampoline is given: one pointer per argument, to the buffer or the value.
    pub(super) pointers: Vec<*mut c_void>,
    /// Copied before the launch.
    restores: Vec<Restore>,
    /// What the launch reads and writes.
    buffers: Vec<(*const u8, usize)>,
    /// What `pointers` point to, with buffers.
    #[expect(clippy::vec_box, reason = "a value stays in place while the list grows")]
    scalars: Vec<Box<Scalar>>,
}

/// A value, aligned for every type.
#[repr(C, align(16))]
struct Scalar([u8; 16]);

/// A buffer's pristine bytes and where they go.
struct Restore {
    from: *const u8,
    to: *mut u8,
    bytes: usize,
}

impl Loaded {
    pub(super) fn map(
        layout: &Layout,
        fds: Vec<OwnedFd>,
        control: &Control,
    ) -> Result<Self, Reply> {
        let [inputs, outputs]: [OwnedFd; SEGMENTS] =
            fds.try_into().map_err(|_| Reply::Failed("segments are missing".into()))?;
        let count = u64::from(layout.sets);
        let map = || {
            let inputs = Arena::reserve(layout.sizes.0, inputs, Access::Read)?;
            let outputs = Arena::reserve(layout.sizes.1, outputs, Access::Write)?;
            for slot in &layout.slots {
                let (input, output) = slot.places();
                input.map_or(Ok(()), |place| inputs.map(place, count))?;
                output.map_or(Ok(()), |place| outputs.map(place, count))?;
            }
            let arenas = Arenas { inputs, outputs };
            let mut sets = Vec::with_capacity(layout.sets as usize);
            for index in 0..count {
                let mut set = Set::default();
                for slot in &layout.slots {
                    set.add(slot, index, &arenas)?;
                }
                sets.push(set);
            }
            Ok::<_, Errno>(Self { sets, arenas })
        };
        let loaded = map().map_err(Reply::failed("mapping shared memory"))?;
        let Arenas { inputs, outputs } = &loaded.arenas;
        control.places.inputs.store(inputs.base as u64, Ordering::Relaxed);
        control.places.outputs.store(outputs.base as u64, Ordering::Relaxed);
        Ok(loaded)
    }

    /// The sets of an order; none where it asks for more than there are.
    pub(super) fn range(&self, first: u32, count: u32) -> &[Set] {
        let (first, count) = (first as usize, count as usize);
        first.checked_add(count).and_then(|end| self.sets.get(first..end)).unwrap_or_default()
    }
}

impl Set {
    fn add(&mut self, slot: &Slot, index: u64, arenas: &Arenas) -> rustix::io::Result<()> {
        let Arenas { inputs, outputs } = arenas;
        let pointer = match slot {
            Slot::Scalar(bytes) => self.scalar(bytes)?,
            Slot::In(place) => self.buffer(inputs.buffer(place, index)?, place),
            Slot::Out(place) => self.buffer(outputs.buffer(place, index)?, place),
            Slot::Inout(from, to) => {
                let source = inputs.buffer(from, index)?;
                let target = self.buffer(outputs.buffer(to, index)?, to);
                let bytes = from.bytes.min(to.bytes) as usize;
                self.restores.push(Restore { from: source.cast(), to: target.cast(), bytes });
                target
            }
        };
        self.pointers.push(pointer);
        Ok(())
    }

    fn buffer(&mut self, pointer: *mut c_void, place: &Place) -> *mut c_void {
        self.buffers.push((pointer.cast(), place.bytes as usize));
        pointer
    }

    fn scalar(&mut self, bytes: &[u8]) -> rustix::io::Result<*mut c_void> {
        let mut scalar = Box::new(Scalar([0; 16]));
        let target = scalar.0.get_mut(..bytes.len()).ok_or(Errno::INVAL)?;
        target.copy_from_slice(bytes);
        let pointer = scalar.0.as_mut_ptr().cast();
        self.scalars.push(scalar);
        Ok(pointer)
    }

    /// Gives `Inout` buffers their staged bytes.
    pub(super) fn restore(&self) {
        for restore in &self.restores {
            // SAFETY: two mappings of at least `bytes` bytes, which never overlap.
            unsafe {
                restore.from.copy_to_nonoverlapping(restore.to, restore.bytes);
            }
        }
    }

    /// Reads one byte of every cache line that the launch will use.
    pub(super) fn touch(&self) {
        for &(start, bytes) in &self.buffers {
            for at in (0..bytes).step_by(LINE) {
                // SAFETY: inside a buffer of `bytes` bytes that stays mapped with `Loaded`.
                unsafe { start.add(at).read_volatile() };
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// Address space for a whole segment, of which only buffers' regions can be touched.
struct Arena {
    base: *mut c_void,
    length: usize,
    segment: OwnedFd,
    access: Access,
}

impl Arena {
    fn reserve(all: Stride, segment: OwnedFd, access: Access) -> rustix::io::Result<Self> {
        let length = all.mapped(rustix::param::page_size()).ok_or(Errno::INVAL)?;
        let length = usize::try_from(length).map_err(|_| Errno::INVAL)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a fresh reservation; the system picks the address.
        let base = unsafe { mmap_anonymous(null_mut(), length, ProtFlags::empty(), flags)? };
        Ok(Self { base, length, segment, access })
    }

    /// Maps all regions of a place, each between two guard pages.
    fn map(&self, place: &Place, sets: u64) -> rustix::io::Result<()> {
        for region in 0..place.regions(sets) {
            let before = place.before(region).ok_or(Errno::INVAL)?;
            let at = before.mapped(rustix::param::page_size()).ok_or(Errno::INVAL)?;
            let fits = at.checked_add(place.region).is_some_and(|end| end <= self.length as u64);
            if !fits {
                return Err(Errno::INVAL);
            }
            let (protection, sharing) = match self.access {
                // Private, because a sealed segment may not be mapped shared before Linux 6.7.
                Access::Read => (ProtFlags::READ, MapFlags::PRIVATE),
                Access::Write => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
            };
            let flags = sharing | MapFlags::FIXED | MapFlags::POPULATE;
            let length = place.region as usize;
            // SAFETY: replaces a part of this reservation, and nothing else.
            unsafe {
                let inside = self.base.cast::<u8>().add(at as usize).cast();
                mmap(inside, length, protection, flags, &self.segment, before.bytes)?;
            }
        }
        Ok(())
    }

    /// The first byte of a set's buffer, which [`Arena::map`] has mapped.
    fn buffer(&self, place: &Place, set: u64) -> rustix::io::Result<*mut c_void> {
        let extent = place.extent(set).ok_or(Errno::INVAL)?;
        let region = extent.mapped(rustix::param::page_size()).ok_or(Errno::INVAL)?;
        let at = region.checked_add(extent.start).ok_or(Errno::INVAL)?;
        if at.checked_add(extent.bytes).is_none_or(|end| end > self.length as u64) {
            return Err(Errno::INVAL);
        }
        // SAFETY: inside the reservation.
        Ok(unsafe { self.base.cast::<u8>().add(at as usize) }.cast())
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the reservation made in `reserve`; pointers into it end with `Loaded`.
        let _unmapped = unsafe { munmap(self.base, self.length) };
    }
}
