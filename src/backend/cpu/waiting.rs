//! How long a worker is waited for, and what it means when it does not come back.

use std::time::{Duration, Instant};

use super::super::{Fault, LaunchLimit, Launched};
use super::handshake::{Handshake, Sentry, Trouble};
use super::session::{CpuSession, gone, out_of_turn};
use crate::process::Exit;
use std::os::fd::AsFd;

/// How long a worker may take for what is no launch, where the stage's own limit does not say, and
/// this longer for each so many bytes that it maps or touches.
const PATIENCE: Duration = Duration::from_mins(1);
const PATIENCE_BYTES: u64 = 64 << 20;

impl CpuSession {
    pub(super) fn with_handshake<T>(
        &mut self,
        act: impl FnOnce(&mut Handshake, &mut Sentry<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        self.with_handshake_until(self.patience(), act)
    }

    /// When the worker must have done what is no launch. It is the system that it waits for then.
    pub(super) fn patience(&self) -> Option<Instant> {
        let bytes = self.memory.as_ref().map_or(0, |memory| memory.layout.bytes());
        self.patience_for(bytes)
    }

    pub(super) fn patience_for(&self, bytes: u64) -> Option<Instant> {
        let more = Duration::from_secs(bytes / PATIENCE_BYTES);
        let whole = self.allowance.whole().unwrap_or(PATIENCE);
        Instant::now().checked_add(whole.saturating_add(more))
    }

    /// A worker that does not come back. Without foreign code in it that is the system's doing.
    pub(super) fn lost(&mut self) -> Fault {
        let fault = if self.foreign {
            Fault::TimedOut
        } else {
            Fault::Infrastructure { what: "a worker does not answer any more".into() }
        };
        self.end(Exit::TimedOut, fault)
    }

    fn with_handshake_until<T>(
        &mut self,
        deadline: Option<Instant>,
        act: impl FnOnce(&mut Handshake, &mut Sentry<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Fault> {
        let running = self.running.as_mut().ok_or_else(gone)?;
        let socket = self.socket.as_fd();
        let mut sentry = Sentry { running, socket, deadline, cancel: &self.cancel };
        act(&mut self.handshake, &mut sentry).map_err(|trouble| match trouble {
            Trouble::Exited => self.bury(),
            Trouble::Spoken => self.unspoken().err().unwrap_or_else(out_of_turn),
            Trouble::Cancelled => self.end(Exit::Cancelled, Fault::Interrupted),
            Trouble::Deadline => self.lost(),
            Trouble::Failed(error) => Fault::infrastructure("waiting for a worker", error),
        })
    }

    /// Has the worker launch `count` sets, for no longer than that may take.
    pub(super) fn timed_launch(&mut self, count: u32) -> Result<Launched, Fault> {
        let own = self.limit.map(|limit| limit.of(count));
        let left = self.allowance.left();
        let started = Instant::now();
        let until = [own, left].into_iter().flatten().min();
        let until = until.and_then(|time| started.checked_add(time));
        let launched = self.with_handshake_until(until, Handshake::launch);
        self.allowance.spend(started.elapsed());
        match (launched, self.limit, own) {
            (Err(Fault::TimedOut), Some(LaunchLimit { model, takes, .. }), Some(limit))
                if left.is_none_or(|left| limit < left) =>
            {
                Err(Fault::Overlong { limit, model, takes })
            }
            (launched, ..) => launched,
        }
    }
}
