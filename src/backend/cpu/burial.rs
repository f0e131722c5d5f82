//! How a worker that is gone came to its end.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::super::worker::{EXIT_ALONE, EXIT_CUT_OFF, EXIT_TRAPPED};
use super::super::{Fault, Session, Timer};
use super::place;
use super::session::{CpuSession, gone};
use crate::process::sandbox::trapped_call;
use crate::process::{Cancel, Exit, Wake};
use nix::libc;

/// How long a worker has to leave when told to.
const FAREWELL: Duration = Duration::from_millis(500);

impl CpuSession {
    /// Finds out how a worker that is gone, or has closed its socket, came to its end.
    pub(super) fn bury(&mut self) -> Fault {
        let Some(mut running) = self.running.take() else {
            return gone();
        };
        let never = Cancel::default();
        match running.wait(None, Some(Instant::now() + FAREWELL), &never) {
            Ok(Wake::Exited) => {}
            Ok(_) => {
                self.running = Some(running);
                let what = "the kernel closed the worker's connection and went on".into();
                return self.end(Exit::TimedOut, Fault::Cheating { what });
            }
            Err(error) => return Fault::infrastructure("waiting for a worker", error),
        }
        match running.complete(&never) {
            Ok(finished) => {
                let exit = finished.exit;
                self.keep_output(finished);
                self.cause(exit)
            }
            Err(error) => Fault::infrastructure("waiting for a worker", error),
        }
    }

    fn cause(&self, exit: Exit) -> Fault {
        let own = |code: i32| u8::try_from(code).unwrap_or_default();
        match exit {
            // Once it has answered, only a candidate leaves with this code.
            Exit::Code(code) if own(code) == EXIT_ALONE && self.timer() == Timer::default() => {
                Fault::Infrastructure { what: "the worker process could not be set up".into() }
            }
            Exit::Code(code) if own(code) == EXIT_CUT_OFF => {
                let what = "the kernel closed descriptors that are not its own".into();
                Fault::Cheating { what }
            }
            Exit::Code(code) if own(code) == EXIT_TRAPPED => {
                let noted = self.handshake.control().crash.trapped.load(Relaxed);
                refused(noted)
            }
            // Calls made with every signal blocked end so, and leave no number.
            Exit::Signal(libc::SIGSYS) => refused(0),
            Exit::Code(code) => Fault::Exited { code },
            Exit::Signal(signal) => {
                let case = place::Case {
                    layout: self.memory.as_ref().map(|memory| &memory.layout),
                    library: &self.library,
                    page: rustix::param::page_size(),
                };
                let place = place::describe(self.handshake.control(), signal, &case);
                Fault::Crashed { signal, place }
            }
            Exit::TimedOut => Fault::TimedOut,
            Exit::Cancelled => Fault::Interrupted,
        }
    }
}

/// A system call that the sandbox refused.
fn refused(noted: i64) -> Fault {
    Fault::Cheating { what: format!("it called {}, which no kernel needs", trapped_call(noted)) }
}
