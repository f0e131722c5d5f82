//! Waiting.

use std::time::{Duration, Instant};

use super::{Driver, Ran};

/// How soon a request to end is seen.
const SLICE: Duration = Duration::from_millis(50);

impl Driver<'_> {
    /// Waits for so long, or until the end is asked for.
    pub(super) fn pause(&self, time: Duration) -> Ran {
        let until = Instant::now() + time;
        loop {
            if self.parts.cancel.is_set() {
                return Ran::Interrupted;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ran::ToItsEnd;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}
