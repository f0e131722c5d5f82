//! Everything that a command does with files: each call is seen as it begins and as it ends.

use std::collections::HashMap;
use std::path::Path;

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd;

use super::access::{Access, AccessKind, Seen};
use super::call::{Call, Stop};
use super::tracer::{Witness, image};

/// The accesses so far, and calls in flight.
#[derive(Debug, Default)]
pub(super) struct Accesses {
    pending: HashMap<i32, Call>,
    seen: Seen,
}

impl Accesses {
    /// What was touched, sorted, each once.
    pub(super) fn into_list(self) -> Vec<Access> {
        self.seen.into_list()
    }

    fn record_image(&mut self, tid: i32) {
        if let Some(image) = image(tid) {
            self.seen.record(image, AccessKind::Exec);
        }
    }
}

impl Witness for Accesses {
    const OPTIONS: Options = Options::PTRACE_O_TRACESYSGOOD;
    const GO_ON: libc::c_uint = libc::PTRACE_SYSCALL;

    fn started(&mut self, tid: i32, program: &Path) {
        self.seen.record(program.to_owned(), AccessKind::Exec);
        self.record_image(tid);
    }

    fn on_call(&mut self, tid: i32) {
        // A thread that was killed in the meantime has no answer; its end will be reported.
        let Ok(info) = ptrace::syscall_info(unistd::Pid::from_raw(tid)) else {
            return;
        };
        match Stop::decode(tid, &info) {
            Stop::Entry(Some(call)) => {
                self.pending.insert(tid, call);
            }
            Stop::Entry(None) => {
                self.pending.remove(&tid);
            }
            Stop::Exit(result) => {
                if let Some(call) = self.pending.remove(&tid) {
                    call.record(tid, result, &mut self.seen);
                }
            }
            Stop::Other => {}
        }
    }

    fn on_exec(&mut self, tid: i32, former: i32) {
        if let Some(Call::Exec { path: Some(path) }) = self.pending.remove(&former) {
            self.seen.record(path, AccessKind::Exec);
        }
        self.record_image(tid);
    }

    fn on_end(&mut self, tid: i32) {
        self.pending.remove(&tid);
    }
}
