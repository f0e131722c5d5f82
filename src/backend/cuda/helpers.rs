//! The judge's own kernels on the device, by name.

use std::ffi::c_void;

use super::super::Grid;
use super::driver::{Function, Memory, Module, Result, Stream};
use crate::verify::{Dtype, Tolerance};

/// Made from `helpers.cu`; the driver compiles it for whatever device there is.
pub(super) const PTX: &str = include_str!("helpers.ptx");

/// Blocks and threads of helpers that stride over what they are given.
const BLOCKS: u32 = 1024;
const THREADS: u32 = 256;

/// How long a launch is held back for everything behind it to be enqueued: several times what
/// enqueuing three things takes on a slow machine.
pub(super) const DELAY_NS: u64 = 25_000;

/// Words of a red zone: a page.
pub(super) const ZONE_WORDS: u64 = 512;

/// The loaded kernels.
#[derive(Debug)]
pub(super) struct Helpers {
    delay: Function,
    stamp: Function,
    touch: Function,
    hash: Function,
    fill: Function,
    check: Function,
    compare: Function,
    // What the functions belong to.
    _module: Module,
}

/// How many elements or words, and how many launches cover them.
fn wide(count: u64) -> Grid {
    let needed = count.div_ceil(u64::from(THREADS)).clamp(1, u64::from(BLOCKS));
    Grid { blocks: [needed as u32, 1, 1], threads: [THREADS, 1, 1], shared_bytes: 0 }
}

const SINGLE: Grid = Grid { blocks: [1, 1, 1], threads: [1, 1, 1], shared_bytes: 0 };

/// Pointers to values, as a launch takes them.
macro_rules! pointers {
    ($($value:expr),*) => { [$((&raw const $value).cast_mut().cast::<c_void>()),*] };
}

impl Helpers {
    pub(super) fn load() -> Result<Self> {
        let module = Module::load(PTX.as_bytes())?;
        let of = |name: &str| module.function(name);
        Ok(Self {
            delay: of("optloop_delay")?,
            stamp: of("optloop_stamp")?,
            touch: of("optloop_touch")?,
            hash: of("optloop_hash")?,
            fill: of("optloop_zones_fill")?,
            check: of("optloop_zones_check")?,
            compare: of("optloop_compare")?,
            _module: module,
        })
    }

    /// Keeps the stream busy, so that what is enqueued behind is there when it begins.
    pub(super) fn delay(&self, stream: &Stream) -> Result<()> {
        let ns = DELAY_NS;
        self.delay.launch(&SINGLE, &pointers![ns], stream)
    }

    /// Writes the device-wide clock to `at`.
    pub(super) fn stamp(&self, at: u64, stream: &Stream) -> Result<()> {
        self.stamp.launch(&SINGLE, &pointers![at], stream)
    }

    /// Reads a buffer, so that it lies in L2 as far as it fits.
    pub(super) fn touch(&self, at: u64, bytes: u64, stream: &Stream) -> Result<()> {
        let (count, sink) = (bytes / 4, 0_u64);
        self.touch.launch(&wide(count), &pointers![at, count, sink], stream)
    }

    /// The keyed sum over a stretch of memory.
    pub(super) fn hash(
        &self,
        span: Span,
        key: u64,
        found: &Memory,
        stream: &Stream,
    ) -> Result<u64> {
        let Span { at, bytes } = span;
        let (count, out) = (bytes / 8, found.at);
        found.fill(0, stream)?;
        self.hash.launch(&wide(count), &pointers![at, count, key, out], stream)?;
        stream.wait()?;
        Ok(found.words()?[0])
    }

    /// Fills red zones.
    pub(super) fn fill_zones(&self, zones: &Zones<'_>, stream: &Stream) -> Result<()> {
        let Zones { arena, offsets, count, key } = *zones;
        let (words, offsets) = (ZONE_WORDS, offsets.at);
        let grid = wide(count * words);
        self.fill.launch(&grid, &pointers![arena, offsets, count, words, key], stream)
    }

    /// How many words of red zones are not what they were, and the first's number over all zones.
    pub(super) fn check_zones(
        &self,
        zones: &Zones<'_>,
        found: &Memory,
        stream: &Stream,
    ) -> Result<(u64, u64)> {
        let Zones { arena, offsets, count, key } = *zones;
        let (words, offsets, out) = (ZONE_WORDS, offsets.at, found.at);
        found.write(found.at, &found_nothing())?;
        let grid = wide(count * words);
        self.check.launch(&grid, &pointers![arena, offsets, count, words, key, out], stream)?;
        stream.wait()?;
        let [changed, first] = found.words()?;
        Ok((changed, first))
    }

    /// How many elements of a buffer do not agree with what is wanted.
    pub(super) fn compare(
        &self,
        comparison: &Comparison,
        found: &Memory,
        stream: &Stream,
    ) -> Result<u64> {
        let Comparison { got, want, bytes, dtype, tolerance } = *comparison;
        let (count, out) = (bytes / dtype.size_bytes() as u64, found.at);
        let (number, rtol, atol) = (number_of(dtype), tolerance.rtol, tolerance.atol);
        found.write(found.at, &found_nothing())?;
        let arguments = pointers![got, want, count, number, rtol, atol, out];
        self.compare.launch(&wide(count), &arguments, stream)?;
        stream.wait()?;
        Ok(found.words()?[0])
    }
}

/// A stretch of the device's memory.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// A buffer on the device and what is wanted there, which lies on it too.
pub(super) struct Comparison {
    pub(super) got: u64,
    pub(super) want: u64,
    /// How long each is.
    pub(super) bytes: u64,
    pub(super) dtype: Dtype,
    pub(super) tolerance: Tolerance,
}

/// Red zones of an arena.
#[derive(Clone, Copy)]
pub(super) struct Zones<'a> {
    pub(super) arena: u64,
    /// Where each begins, from the arena's start.
    pub(super) offsets: &'a Memory,
    pub(super) count: u64,
    pub(super) key: u64,
}

/// A count of 0, and a first that is later than any.
fn found_nothing() -> [u8; 16] {
    let mut bytes = [0xff; 16];
    bytes[..8].fill(0);
    bytes
}

/// As `helpers.cu` numbers them.
pub(super) fn number_of(dtype: Dtype) -> u32 {
    match dtype {
        Dtype::F64 => 0,
        Dtype::F32 => 1,
        Dtype::F16 => 2,
        Dtype::Bf16 => 3,
        Dtype::I64 => 4,
        Dtype::I32 => 5,
        Dtype::I16 => 6,
        Dtype::I8 => 7,
        Dtype::U8 | Dtype::Bool => 8,
    }
}
