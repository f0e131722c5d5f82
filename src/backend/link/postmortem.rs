//! How a worker that is gone came to its end.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use nix::libc;

use super::super::fault::Fault;
use super::control::Control;
use super::crash_site;
use super::layout::Layout;
use super::protocol::{EXIT_ALONE, EXIT_CUT_OFF, EXIT_TRAPPED};
use crate::process::Exit;
use crate::process::sandbox::trapped_call;

/// What is known of a worker beside how it ended.
pub(super) struct Evidence<'a> {
    /// The page that it noted its crash in.
    pub(super) control: &'a Control,
    /// It has answered.
    pub(super) greeted: bool,
    /// What was staged for it, as far as a buffer's address says something.
    pub(super) layout: Option<&'a Layout>,
    /// The kernel that it has loaded.
    pub(super) library: &'a Path,
}

/// What such an end means.
pub(super) fn cause(exit: Exit, evidence: &Evidence<'_>) -> Fault {
    let own = |code: i32| u8::try_from(code).unwrap_or_default();
    match exit {
        // Once it has answered, only a candidate leaves with this code.
        Exit::Code(code) if own(code) == EXIT_ALONE && !evidence.greeted => {
            Fault::Infrastructure { what: "the worker process could not be set up".into() }
        }
        Exit::Code(code) if own(code) == EXIT_CUT_OFF => {
            let what = "the kernel closed descriptors that are not its own".into();
            Fault::Cheating { what }
        }
        Exit::Code(code) if own(code) == EXIT_TRAPPED => {
            refused(evidence.control.crash.trapped.load(Relaxed))
        }
        // Calls made with every signal blocked end so, and leave no number.
        Exit::Signal(libc::SIGSYS) => refused(0),
        Exit::Code(code) => Fault::Exited { code },
        Exit::Signal(signal) => {
            let case = crash_site::Case {
                layout: evidence.layout,
                library: evidence.library,
                page: rustix::param::page_size(),
            };
            Fault::Crashed { signal, place: crash_site::describe(evidence.control, signal, &case) }
        }
        Exit::TimedOut => Fault::TimedOut,
        Exit::Cancelled => Fault::Interrupted,
    }
}

/// A system call that the sandbox refused.
fn refused(noted: i64) -> Fault {
    Fault::Cheating { what: format!("it called {}, which no kernel needs", trapped_call(noted)) }
}
