//! A device's conditions while its kernels are measured.

use std::time::{Duration, Instant};

use super::conditions::{Journal, Watch};
use crate::process::Cancel;

/// How long a throttled device is given before it is asked again, and how long at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The device's conditions, and where they are noted.
pub(super) struct Watched {
    watch: Watch,
    journal: Journal,
    /// How long the device is given when it is throttled, rising.
    pause: Duration,
    cancel: Cancel,
}

impl Watched {
    pub(super) fn new(watch: Watch, journal: Journal, cancel: Cancel) -> Self {
        Self { watch, journal, pause: SHORTEST_PAUSE, cancel }
    }

    /// Why what was just measured does not count; waits a little then, for heat passes.
    pub(super) fn look(&mut self, ours: &[u32]) -> Option<String> {
        let conditions = self.watch.look(ours);
        let why = conditions.throttled().then(|| conditions.throttle.join(", "));
        self.journal.note(conditions);
        if why.is_none() {
            self.pause = SHORTEST_PAUSE;
            return None;
        }
        let until = Instant::now() + self.pause;
        while Instant::now() < until && !self.cancel.is_set() {
            std::thread::sleep(SHORTEST_PAUSE);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        why
    }
}
