//! Orders to a worker: launches, and what a CUDA session asks for beyond them.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;

use super::super::control::{Control, Verb};
use super::super::protocol::{Reply, Request};
use super::super::{Fault, Launched, Order};
use super::session::CpuSession;
use crate::process::{Exit, Running};

impl CpuSession {
    /// The worker's process, while there is one.
    pub(in crate::backend) fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// The page that is shared with the worker.
    pub(in crate::backend) fn control(&self) -> &Control {
        self.handshake.control()
    }

    /// Stages something for a kernel of the worker's.
    pub(in crate::backend) fn load_device(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), Fault> {
        self.leave()?;
        self.expect(request, fds, &Reply::Loaded)?;
        self.attending = true;
        Ok(())
    }

    /// The kernel that orders are about from now on.
    pub(in crate::backend) fn seat(&mut self, seat: u32) {
        self.handshake.control().judge.seat.store(seat, Relaxed);
    }

    /// Has the worker do something about a set of a kernel.
    pub(in crate::backend) fn about(
        &mut self,
        verb: Verb,
        (seat, set): (u32, u32),
    ) -> Result<(), Fault> {
        self.go_on()?;
        self.with_handshake(|handshake, sentry| handshake.about(verb, (seat, set), sentry))
    }

    /// Ends a worker whose context is broken.
    pub(in crate::backend) fn end_for(&mut self, fault: Fault) -> Fault {
        self.end(Exit::TimedOut, fault)
    }

    /// Has the worker make ready for an order.
    pub(in crate::backend) fn prepare(&mut self, order: Order) -> Result<(), Fault> {
        self.go_on()?;
        self.with_handshake(|handshake, sentry| handshake.prepare(order, sentry))
    }

    /// Has the worker launch the `count` sets that were prepared.
    pub(in crate::backend) fn launch_prepared(&mut self, count: u32) -> Result<Launched, Fault> {
        let launched = self.timed_launch(count)?;
        self.unspoken()?;
        plausible(launched)
    }
}

/// A launch cannot have taken longer than the judge waited for it.
fn plausible(launched: Launched) -> Result<Launched, Fault> {
    if launched.reported_ns <= launched.judged_ns {
        return Ok(launched);
    }
    let what = format!(
        "a launch is reported as {} ns, and the judge's clock saw {} ns",
        launched.reported_ns, launched.judged_ns
    );
    Err(Fault::Cheating { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_beyond_the_judges_clock_are_cheating() {
        let launched = |reported_ns| Launched { reported_ns, judged_ns: 100, at_least_ns: 0 };
        assert!(plausible(launched(100)).is_ok());
        assert!(matches!(plausible(launched(101)), Err(Fault::Cheating { .. })));
    }
}
