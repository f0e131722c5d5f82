//! Where the buffers of arguments lie in the segments that judge and worker share.

use serde::{Deserialize, Serialize};

/// Buffers start on a cache line, as far as their size lets them end at a guard page.
pub(crate) const ALIGNMENT: u64 = 64;

/// Where buffers start on a CUDA device, as its allocator would have it.
pub(crate) const DEVICE_ALIGNMENT: u64 = 256;

/// Where an argument comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Slot {
    /// A value of 1 to 16 bytes.
    Scalar(Vec<u8>),
    /// In the inputs segment, read-only.
    In(Place),
    /// In the outputs segment.
    Out(Place),
    /// Copied from the first (inputs) to the second (outputs) before each launch.
    Inout(Place, Place),
}

impl Slot {
    /// Where its bytes are staged, and where they are written.
    pub(crate) fn places(&self) -> (Option<&Place>, Option<&Place>) {
        match self {
            Self::Scalar(_) => (None, None),
            Self::In(input) => (Some(input), None),
            Self::Out(output) => (None, Some(output)),
            Self::Inout(input, output) => (Some(input), Some(output)),
        }
    }
}

/// A stretch of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Stride {
    /// Its length in the segment.
    pub(crate) bytes: u64,
    /// How many regions lie in it; where it is mapped, a guard page stands before each.
    pub(crate) regions: u64,
}

impl Stride {
    /// With so many regions of `region` bytes behind it.
    fn and(&self, regions: u64, region: u64) -> Option<Self> {
        let bytes = self.bytes.checked_add(region.checked_mul(regions)?)?;
        Some(Self { bytes, regions: self.regions.checked_add(regions)? })
    }

    /// How long it is where it is mapped, with the guard page behind it.
    pub(crate) fn mapped(&self, page: usize) -> Option<u64> {
        self.regions.checked_add(1)?.checked_mul(page as u64)?.checked_add(self.bytes)
    }
}

/// In what units buffers lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grain {
    /// Regions are multiples of it.
    pub(crate) page: usize,
    /// Buffers start at multiples of it: a power of two.
    pub(crate) alignment: u64,
}

/// Where the buffers of one argument lie, one per set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// What lies before its first region.
    pub(crate) before: Stride,
    /// Length of each region, a multiple of the page size, never 0.
    pub(crate) region: u64,
    /// Where a region's first buffer starts inside it; further ones lie before it.
    pub(crate) start: u64,
    /// Length of each buffer.
    pub(crate) bytes: u64,
    /// Buffers in a region.
    pub(crate) each: u64,
    /// From the start of one to the start of the one before it.
    pub(crate) pitch: u64,
}

/// Where there are at least so many sets, small buffers share regions: each in pages of its own
/// would be far apart, and a loop over them would time the caches' ways and the system's calls.
const MANY: u64 = 32;

/// The length of such regions.
const SHARED: u64 = 64 * 1024;

impl Place {
    #[cfg(test)]
    fn of(before: Stride, bytes: usize, sets: u64, page: usize) -> Option<Self> {
        Self::aligned(before, bytes, sets, Grain { page, alignment: ALIGNMENT })
    }

    /// The place of a buffer of `bytes` bytes for each of `sets` sets, in regions that follow on
    /// `before`. In each the first is as close to the region's end, where the guard page is, as
    /// the alignment, a power of two, allows.
    pub(crate) fn aligned(before: Stride, bytes: usize, sets: u64, grain: Grain) -> Option<Self> {
        let (length, page, alignment) = (bytes as u64, grain.page as u64, grain.alignment);
        if length >= page || sets < MANY {
            let region = length.max(1).checked_next_multiple_of(page)?;
            let start = (region - length) / alignment * alignment;
            return Some(Self { before, region, start, bytes: length, each: 1, pitch: 0 });
        }
        let region = SHARED.next_multiple_of(page);
        // A whole line between two shows what is written beside a buffer.
        let pitch = length.next_multiple_of(alignment) + alignment;
        let start = (region - length) / alignment * alignment;
        Some(Self { before, region, start, bytes: length, each: start / pitch + 1, pitch })
    }

    /// The place of one buffer that all sets have in turn.
    pub(crate) fn in_turn(before: Stride, bytes: usize, sets: u64, grain: Grain) -> Option<Self> {
        let alone = Self::aligned(before, bytes, 1, grain)?;
        Some(Self { each: sets.max(1), pitch: 0, ..alone })
    }

    /// All up to the end of its last region.
    pub(crate) fn end(&self, sets: u64) -> Option<Stride> {
        self.before.and(self.regions(sets), self.region)
    }

    /// How many regions so many sets take.
    pub(crate) fn regions(&self, sets: u64) -> u64 {
        sets.div_ceil(self.each.max(1))
    }

    /// What lies before one of its regions.
    pub(crate) fn before(&self, region: u64) -> Option<Stride> {
        self.before.and(region, self.region)
    }

    /// The buffer of a set; nothing where numbers make no sense.
    pub(crate) fn extent(&self, set: u64) -> Option<Extent> {
        let each = self.each.max(1);
        let (region, within) = (set / each, set % each);
        let start = self.start.checked_sub(self.pitch.checked_mul(within)?)?;
        let end = start.checked_add(self.bytes)?;
        // Without a pitch there is one buffer, which all have in turn.
        let shared = self.pitch > 0;
        let clear = (
            if shared && within + 1 < each { end.checked_sub(self.pitch)? } else { 0 },
            if shared && within > 0 { start.checked_add(self.pitch)? } else { self.region },
        );
        let inside = clear.0 <= start && end <= clear.1 && clear.1 <= self.region;
        let before = self.before(region)?;
        inside.then_some(Extent { before, start, bytes: self.bytes, clear })
    }
}

/// A buffer's place in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// What lies before its region.
    pub(crate) before: Stride,
    /// First byte of the buffer inside the region.
    pub(crate) start: u64,
    /// Length of the buffer.
    pub(crate) bytes: u64,
    /// Inside the region, from the first of these to the second there is only this buffer and
    /// what nobody may write.
    pub(crate) clear: (u64, u64),
}

impl Extent {
    /// First byte of the buffer in the segment.
    pub(crate) fn position(&self) -> u64 {
        self.before.bytes.saturating_add(self.start)
    }

    /// First byte of the region where the segment is mapped.
    pub(crate) fn mapped(&self, page: usize) -> Option<u64> {
        self.before.mapped(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAIN: Grain = Grain { page: 4096, alignment: ALIGNMENT };

    #[test]
    fn a_buffer_ends_at_its_guard_page_when_alignment_allows() {
        let before = Stride { bytes: 4096, regions: 1 };
        for (bytes, region, start) in [
            (0, 4096, 4096),
            (1, 4096, 4032),
            (64, 4096, 4032),
            (4096, 4096, 0),
            (4100, 8192, 4032),
            (8192, 8192, 0),
        ] {
            let place = Place::of(before, bytes, 1, 4096).unwrap();
            assert_eq!((place.region, place.start), (region, start), "{bytes} bytes");
            let extent = place.extent(0).unwrap();
            assert_eq!((extent.before, extent.clear), (before, (0, region)));
            assert_eq!(place.extent(1).unwrap().before.bytes, 4096 + region);
        }
        assert_eq!(Place::of(before, usize::MAX, 1, 4096), None);
    }

    #[test]
    fn many_small_buffers_share_regions_with_a_line_between_them() {
        for bytes in [0, 1, 64, 100, 2000, 4095] {
            let sets = 5_000;
            let place = Place::of(Stride::default(), bytes, sets, 4096).unwrap();
            assert!(place.regions(sets) <= sets.div_ceil(15), "{bytes}: {place:?}");
            let extents: Vec<Extent> = (0..sets).map(|set| place.extent(set).unwrap()).collect();
            let last = extents.last().unwrap();
            assert!(last.position() + last.bytes <= place.end(sets).unwrap().bytes);
            for pair in extents.windows(2) {
                assert_eq!(pair[0].start % ALIGNMENT, 0);
                if pair[0].before == pair[1].before {
                    let gap = pair[0].start - pair[1].start - pair[1].bytes;
                    assert!(gap >= ALIGNMENT, "{bytes}: {gap} bytes between two");
                    assert_eq!(pair[0].clear.0, pair[1].start + pair[1].bytes);
                    assert_eq!(pair[1].clear.1, pair[0].start);
                }
            }
        }
    }

    #[test]
    fn a_guard_page_stands_before_each_mapped_region_and_behind_the_last() {
        let page = 4096;
        let first = Place::of(Stride::default(), 5000, 2, page).unwrap();
        let second = Place::of(first.end(2).unwrap(), 1, 2, page).unwrap();
        let mapped = |place: &Place, set| place.extent(set).unwrap().mapped(page).unwrap();
        assert_eq!((mapped(&first, 0), mapped(&first, 1)), (4096, 4096 + 8192 + 4096));
        assert_eq!(mapped(&second, 0), 2 * 8192 + 3 * 4096);
        let all = second.end(2).unwrap();
        assert_eq!(all, Stride { bytes: 2 * 8192 + 2 * 4096, regions: 4 });
        assert_eq!(all.mapped(page), Some(all.bytes + 5 * 4096));
        assert_eq!(first.end(u64::MAX), None);
    }

    #[test]
    fn what_sets_have_in_turn_lies_in_one_place() {
        let place = Place::in_turn(Stride::default(), 5000, 2, GRAIN).unwrap();
        assert_eq!((place.regions(2), place.end(2).unwrap().bytes), (1, 8192));
        assert_eq!(place.extent(0), place.extent(1));
        assert_eq!(place.extent(1).unwrap().clear, (0, 8192));
    }

    #[test]
    fn places_that_make_no_sense_give_no_buffer() {
        let place = Place::of(Stride::default(), 100, 1, 4096).unwrap();
        for nonsense in [
            Place { start: 4090, ..place },
            Place { start: u64::MAX, ..place },
            Place { each: 3, pitch: 4000, ..place },
            Place { each: 0, region: u64::MAX, start: u64::MAX, ..place },
        ] {
            assert!((0..3).any(|set| nonsense.extent(set).is_none()), "{nonsense:?}");
        }
    }
}
