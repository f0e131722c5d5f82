//! How long a worker is waited for.

use std::time::{Duration, Instant};

use super::super::allowance::{Allowance, LaunchLimit};
use super::super::fault::Fault;

/// How long a worker may take for what is no launch, where the stage's own limit does not say, and
/// this longer for each so many bytes that it maps or touches.
const PATIENCE: Duration = Duration::from_mins(1);
const PATIENCE_BYTES: u64 = 64 << 20;

/// What a worker's time is bounded by.
pub(super) struct Patience {
    allowance: Allowance,
    /// How long a launch may take.
    limit: Option<LaunchLimit>,
}

/// A stretch of time in which the kernel's own code runs.
pub(super) struct Stretch {
    started: Instant,
    /// When it must be over.
    pub(super) until: Option<Instant>,
    /// The limit of the launches in it, where that comes before the allowance's end.
    limit: Option<(LaunchLimit, Duration)>,
}

impl Patience {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, limit: None }
    }

    pub(super) fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.limit = launch;
    }

    /// When a worker must have done what is no launch, with so many bytes in its memory. It is the
    /// system that it waits for then.
    pub(super) fn until(&self, bytes: u64) -> Option<Instant> {
        let more = Duration::from_secs(bytes / PATIENCE_BYTES);
        let whole = self.allowance.whole().unwrap_or(PATIENCE);
        Instant::now().checked_add(whole.saturating_add(more))
    }

    /// A kernel is loaded: what it does then could go on for ever.
    pub(super) fn begin_loading(&self) -> Stretch {
        let (left, started) = (self.allowance.left(), Instant::now());
        let until = left.and_then(|left| started.checked_add(left));
        Stretch { started, until, limit: None }
    }

    /// So many launches in a row.
    pub(super) fn begin_launches(&self, count: u32) -> Stretch {
        let own = self.limit.map(|limit| (limit, limit.of(count)));
        let left = self.allowance.left();
        let started = Instant::now();
        let time = [own.map(|(_, time)| time), left].into_iter().flatten().min();
        let until = time.and_then(|time| started.checked_add(time));
        let limit = own.filter(|(_, time)| left.is_none_or(|left| *time < left));
        Stretch { started, until, limit }
    }

    /// What it took is taken off what the kernel has left.
    pub(super) fn end(&self, stretch: &Stretch) {
        self.allowance.spend(stretch.started.elapsed());
    }
}

impl Stretch {
    /// What it means that it was not over in time.
    pub(super) fn overrun(&self) -> Fault {
        match self.limit {
            Some((LaunchLimit { model, takes, .. }, limit)) => {
                Fault::Overlong { limit, model, takes }
            }
            None => Fault::TimedOut,
        }
    }
}
