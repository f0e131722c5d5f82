//! How much memory the judge takes, and how long launches may take.

use std::time::Duration;

use super::bench::Bench;

/// Shared memory and copies in the judge may take this share of the memory that is free.
pub(super) const MEMORY_SHARE: u64 = 4;

/// Sets that the reference answers at a time: staging and stopping its worker cost more than a small
/// launch does.
pub(super) const AT_A_TIME: usize = 256;

/// A launch that takes so many times as long as the reference's, and this longer, is ended: it would
/// not be worth measuring, and most likely it never comes back.
pub(super) const LIMIT_TIMES: u32 = 1000;
pub(super) const LIMIT_MORE: Duration = Duration::from_secs(2);

/// Sets of a large case: one to warm up on, or whose place the other takes, and one that is fresh.
pub(super) const LARGE_SETS: usize = 2;

/// A set of so many bytes is large, unless [`THRESHOLD`] says otherwise.
const LARGE_BYTES: u64 = 128 << 20;

/// A case with large buffers is launched once in a process, and each launch costs the judge as much as
/// the kernel: no look is begun that would end later than this. The first is always taken.
pub(super) const BUDGET: Duration = Duration::from_secs(8);

/// The variable of the environment that says from how many bytes on.
const THRESHOLD: &str = "OPTLOOP_LARGE_BYTES";

/// From how many bytes on a set is large.
pub(super) fn threshold(bench: &Bench<'_>) -> u64 {
    let given = bench.ctx.host.var(THRESHOLD);
    given.and_then(|text| text.to_str()?.parse().ok()).unwrap_or(LARGE_BYTES)
}
