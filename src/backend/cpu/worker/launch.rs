//! Launches of a loaded kernel, timed beside it.
#![expect(unsafe_code, reason = "calls foreign code")]

use std::ffi::c_void;
use std::hint::black_box;

use super::kernel::Launch;
use super::memory::Set;
use crate::backend::link::protocol::Reply;
use crate::backend::worker::now;

/// Readings that the clock's step and the cost of nothing are found from.
const READINGS: usize = 1001;

/// Launches once per set, back to back; nanoseconds around all of it.
#[inline(never)]
pub(super) fn timed(launch: Launch, sets: &[Set]) -> u64 {
    let start = now();
    for set in sets {
        // SAFETY: the trampoline takes as many pointers as the problem has arguments, and the
        // judge sent as many slots. What the candidate does with them is contained by the
        // process, not by this call.
        unsafe { launch(set.pointers.as_ptr()) };
    }
    let end = now();
    end.saturating_sub(start)
}

/// A kernel that does nothing.
pub(super) unsafe extern "C" fn nothing(arguments: *const *mut c_void) {
    black_box(arguments);
}

/// The clock's smallest step, and what a launch of nothing takes by it.
pub(super) fn measure_clock() -> Reply {
    let steps = (0..READINGS).map(|_| {
        let first = now();
        now().saturating_sub(first)
    });
    let step_ns = steps.filter(|&step| step > 0).min().unwrap_or(1);
    let sets = [Set::default()];
    let mut empty: Vec<u64> = (0..READINGS).map(|_| timed(black_box(nothing), &sets)).collect();
    empty.sort_unstable();
    Reply::Ready { step_ns, overhead_ns: empty[READINGS / 2] }
}
