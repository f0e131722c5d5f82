//! What the sessions of one CUDA worker share.

use std::sync::atomic::Ordering::Relaxed;

use super::super::link::Worker;
use super::super::{Fault, Launched, Timer};
use super::trouble::device_fault;
use super::watch::Watched;

/// Work on a device beyond a launch's own events that is put down to chance, ns and as a share.
const BEYOND_NS: u64 = 50_000;
const BEYOND_SHARE: f64 = 0.1;

/// More ways between the two processes than any slow one is put down to.
const BEYOND_HANDOVERS: u64 = 20;

/// A worker, and what is known of it.
pub(super) struct Shared {
    pub(super) worker: Worker,
    pub(super) timer: Timer,
    /// Host code of a candidate's is in the worker.
    pub(super) host_code: bool,
    /// Device code can look into the worker, where answers would pass through.
    pub(super) reaches_host: bool,
    /// Sessions that were not finished yet.
    pub(super) users: usize,
    pub(super) watch: Option<Watched>,
}

impl Shared {
    /// What the driver said in the latest order.
    pub(super) fn check_device(&mut self) -> Result<(), Fault> {
        let code = self.worker.control().worker.trouble.swap(0, Relaxed);
        if code == 0 {
            return Ok(());
        }
        let fault = device_fault(code, "a launch");
        // A context that has failed once answers nothing any more.
        Err(self.worker.end(fault))
    }

    /// The times of a launch as far as they are to be believed.
    ///
    /// Where the worker is ours alone, its events are the truth but for work elsewhere on the device,
    /// which the judge's clock and the device-wide one show: the way between the two processes takes
    /// tens of microseconds there, and says nothing of a launch.
    pub(super) fn believed(&self, launched: Launched) -> Launched {
        let beyond = self.worker.control().stray.beyond_ns.load(Relaxed);
        let allowed = BEYOND_NS + (launched.reported_ns as f64 * BEYOND_SHARE) as u64;
        let handover = self.timer.handover_ns as u64;
        if beyond > allowed {
            // Far beyond what a slow way between the processes would explain, so that such a launch
            // does not count, and most of them are called what they are.
            let seen = 2 * launched.reported_ns + beyond + BEYOND_HANDOVERS * handover;
            return Launched { at_least_ns: launched.at_least_ns.max(seen), ..launched };
        }
        let waited = launched.at_least_ns.saturating_sub(handover + launched.reported_ns);
        if self.host_code || waited > allowed {
            return launched;
        }
        Launched { at_least_ns: 0, ..launched }
    }
}
