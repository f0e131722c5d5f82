//! A worker's process: its life, that it stands still while it is read, and its end.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::super::fault::Fault;
use crate::process::{Cancel, Exit, Finished, Running, Wake};

/// How long a worker has to leave when told to.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a worker's threads may take to stand still.
const HALT_LIMIT: Duration = Duration::from_secs(5);

/// Why a worker's process does not do what it should.
pub(super) enum Lost {
    /// It is gone; [`Child::reap`] finds out how.
    Exited,
    /// It was ended, or the system failed.
    Fault(Fault),
}

impl From<Fault> for Lost {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The process, while there is one, and what it printed.
pub(super) struct Child {
    running: Option<Running>,
    /// All its threads stand still.
    halted: bool,
    printed: Vec<u8>,
    cancel: Cancel,
}

impl Child {
    pub(super) fn new(running: Running, cancel: Cancel) -> Self {
        Self { running: Some(running), halted: false, printed: Vec::new(), cancel }
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// The process, and the stop that waiting for it heeds.
    pub(super) fn watched(&mut self) -> Result<(&mut Running, &Cancel), Fault> {
        Ok((self.running.as_mut().ok_or_else(gone)?, &self.cancel))
    }

    /// Waits for `socket` to be readable, for the time to be up, for the process's end, or for a stop.
    pub(super) fn wait(
        &mut self,
        socket: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
    ) -> Result<Wake, Fault> {
        let (running, cancel) = self.watched()?;
        running.wait(socket, until, cancel).map_err(waiting)
    }

    /// Stops the process for reading, and makes sure that nothing else can write meanwhile.
    pub(super) fn halt(&mut self) -> Result<(), Lost> {
        if self.halted {
            return Ok(());
        }
        let until = Instant::now() + HALT_LIMIT;
        let running = self.running.as_mut().ok_or_else(gone)?;
        match running.halt(Some(until)) {
            Ok(Wake::Ready) => {}
            Ok(Wake::Exited) => return Err(Lost::Exited),
            Ok(_) => {
                let what = "a thread of the kernel's process could not be stopped".into();
                return Err(self.end(Exit::TimedOut, Fault::Cheating { what }).into());
            }
            Err(error) => return Err(Fault::infrastructure("stopping a worker", error).into()),
        }
        self.halted = true;
        let offspring = running.offspring();
        if let Some(name) = offspring.first() {
            let what =
                format!("a process it had started, `{name}`, was still there after a launch");
            return Err(self.end(Exit::TimedOut, Fault::Cheating { what }).into());
        }
        Ok(())
    }

    /// Lets a stopped process go on.
    pub(super) fn resume(&mut self) -> Result<(), Lost> {
        if std::mem::take(&mut self.halted) {
            let running = self.running.as_ref().ok_or_else(gone)?;
            if running.resume().is_err() {
                return Err(Lost::Exited);
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

    /// Kills the process and everything it started; `fault` says why.
    pub(super) fn end(&mut self, exit: Exit, fault: Fault) -> Fault {
        if let Some(running) = self.running.take() {
            let finished = running.abort(exit, &self.cancel);
            self.keep_output(finished);
        }
        fault
    }

    /// How a process that is gone, or has closed its socket, came to its end.
    pub(super) fn reap(&mut self) -> Result<Exit, Fault> {
        let mut running = self.running.take().ok_or_else(gone)?;
        let never = Cancel::default();
        match running.wait(None, Some(Instant::now() + FAREWELL), &never) {
            Ok(Wake::Exited) => {}
            Ok(_) => {
                self.running = Some(running);
                let what = "the kernel closed the worker's connection and went on".into();
                return Err(self.end(Exit::TimedOut, Fault::Cheating { what }));
            }
            Err(error) => return Err(waiting(error)),
        }
        let finished = running.complete(&never).map_err(waiting)?;
        let exit = finished.exit;
        self.keep_output(finished);
        Ok(exit)
    }

    /// Everything it printed. Dropping what is left of it kills the tree.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.running = None;
        std::mem::take(&mut self.printed)
    }

    fn keep_output(&mut self, finished: Finished) {
        self.printed.extend(finished.stdout);
        self.printed.extend(finished.stderr);
    }
}

fn gone() -> Fault {
    Fault::Infrastructure { what: "the worker is gone already".into() }
}

/// The system failed while a worker was waited for.
pub(super) fn waiting(error: impl std::fmt::Display) -> Fault {
    Fault::infrastructure("waiting for a worker", error)
}
