//! A worker that stands still while it is read.

use std::time::{Duration, Instant};

use super::super::Fault;
use super::session::{CpuSession, gone};
use crate::process::{Exit, Wake};

/// How long a worker's threads may take to stand still.
const HALT_LIMIT: Duration = Duration::from_secs(5);

impl CpuSession {
    /// Stops the worker for reading, and makes sure that nothing else can write meanwhile.
    pub(super) fn halt(&mut self) -> Result<(), Fault> {
        if self.halted {
            return Ok(());
        }
        let until = Instant::now() + HALT_LIMIT;
        let running = self.running.as_mut().ok_or_else(gone)?;
        match running.halt(Some(until)) {
            Ok(Wake::Ready) => {}
            Ok(Wake::Exited) => return Err(self.bury()),
            Ok(_) => {
                let what = "a thread of the kernel's process could not be stopped".into();
                return Err(self.end(Exit::TimedOut, Fault::Cheating { what }));
            }
            Err(error) => return Err(Fault::infrastructure("stopping a worker", error)),
        }
        self.halted = true;
        let offspring = running.offspring();
        if let Some(name) = offspring.first() {
            let what =
                format!("a process it had started, `{name}`, was still there after a launch");
            return Err(self.end(Exit::TimedOut, Fault::Cheating { what }));
        }
        Ok(())
    }

    /// Lets a stopped worker go on.
    pub(super) fn go_on(&mut self) -> Result<(), Fault> {
        if std::mem::take(&mut self.halted) {
            let running = self.running.as_ref().ok_or_else(gone)?;
            if running.resume().is_err() {
                return Err(self.bury());
            }
        }
        Ok(())
    }

    /// A timer of its own, for one, can let a stopped process go on.
    pub(super) fn still_halted(&mut self) -> Result<(), Fault> {
        if self.running.as_ref().is_some_and(|running| !running.is_halted()) {
            let what = "the kernel's process went on while it was stopped".into();
            return Err(self.end(Exit::TimedOut, Fault::Cheating { what }));
        }
        Ok(())
    }
}
