//! What judge and sessions agree on: arguments, orders, and what came of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the function that a built kernel exports.
pub(crate) const LAUNCH_SYMBOL: &str = "optloop_launch";

/// What an input is drawn from, where it is so large that it is to exist once.
pub trait Draw: Sync + fmt::Debug {
    /// How many bytes it is.
    fn bytes(&self) -> usize;

    /// Draws it into memory of this length: the same bytes each time, whatever was there.
    fn draw(&self, into: &mut [u8]);

    /// The bytes by themselves.
    fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes()];
        self.draw(&mut bytes);
        bytes
    }
}

/// One argument of a launch, with the bytes it starts from.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A buffer the kernel only reads.
    In(&'a [u8]),
    /// A buffer of so many bytes that the kernel writes; poisoned before each batch.
    Out(usize),
    /// A buffer that is restored before each launch and written by it.
    Inout(&'a [u8]),
    /// An `In` that is drawn where it is to lie. Where a set has one, it has its turn alone: all sets
    /// of a [`Session::load`](super::Session::load) write to the same outputs, which are poisoned
    /// anew for each.
    Drawn(&'a dyn Draw),
    /// An `Inout` of this kind.
    DrawnInout(&'a dyn Draw),
    /// A value, in the machine's byte order.
    Scalar(&'a [u8]),
}

/// How the caches are when the clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Buffers were just touched by the core that runs the kernel, as far as its caches hold them.
    Hot,
    /// Buffers were written back to memory and dropped from every cache.
    Cold,
}

impl Mode {
    /// The word in files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        }
    }
}

/// How many buffers one [`Session::load`](super::Session::load) may stage, over all sets: each takes
/// two of the mappings that a process may have, of which there are 65530 unless the system says
/// otherwise.
pub const MAX_BUFFERS: usize = 24_000;

/// The geometry of a launch on a device of many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Blocks, by axis.
    pub blocks: [u32; 3],
    /// Threads of a block, by axis.
    pub threads: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// What is to be launched: each of `count` sets in turn, back to back, timed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The first set, counted from 0 in the order of [`Session::load`](super::Session::load).
    pub first: u32,
    /// How many; at least 1.
    pub count: u32,
    /// How the caches are when it starts.
    pub mode: Mode,
}

/// What an [`Order`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Launched {
    /// Nanoseconds around all launches by the clock beside the kernel: exact, and not to be
    /// believed alone.
    pub reported_ns: u64,
    /// Nanoseconds from the order to the answer by the judge's own clock, out of the kernel's
    /// reach; [`Timer::handover_ns`] longer than what is reported, or more when the judge was off
    /// its core. It cannot have taken longer.
    pub judged_ns: u64,
    /// Nanoseconds after the order at which the judge last saw it unanswered, by the same clock: it
    /// cannot have been shorter. Far from `judged_ns` when the judge was off its core.
    pub at_least_ns: u64,
}

/// The clock of a session, measured before the kernel was loaded; measurements record it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TimerRecord")]
pub struct Timer {
    /// The smallest step that it shows.
    pub step_ns: f64,
    /// What it reports for nothing at all; taken off every launch.
    pub overhead_ns: f64,
    /// What the judge's clock shows beyond the reported time when nothing goes wrong.
    pub handover_ns: f64,
    /// What two events with nothing between them show, on devices that time by events: stated, and
    /// not taken off, for a launch hides most of it.
    #[serde(default)]
    pub empty_ns: f64,
}
