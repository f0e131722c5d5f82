//! The loop that follows a command and its children from stop to stop.
#![expect(unsafe_code, reason = "the safe wrapper cannot pass real-time signals on")]

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc::Sender;

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use super::call::{Call, Stop};
use super::{Access, AccessKind, Seen};

const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// Follows one command. Lives in the thread that started it.
pub(super) struct Tracer {
    leader: i32,
    program: PathBuf,
    status: Sender<ExitStatus>,
    /// Threads whose first stop, which only says that they are traced, has been seen.
    met: HashSet<i32>,
    pending: HashMap<i32, Call>,
    seen: Seen,
}

impl Tracer {
    pub(super) fn new(leader: i32, program: PathBuf, status: Sender<ExitStatus>) -> Self {
        let (met, pending) = (HashSet::new(), HashMap::new());
        Self { leader, program, status, met, pending, seen: Seen::default() }
    }

    /// Until the last traced process has gone.
    pub(super) fn follow(mut self) -> io::Result<Vec<Access>> {
        // `__WNOTHREAD`: never touch the children of other threads of this process.
        let options = WaitOptions::from_bits_retain((libc::__WALL | libc::__WNOTHREAD) as u32);
        loop {
            match wait(options) {
                Ok(Some((pid, status))) => self.on_stop(pid.as_raw_pid(), status)?,
                Ok(None) | Err(Errno::INTR) => {}
                Err(Errno::CHILD) => return Ok(self.seen.accesses.into_iter().collect()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn on_stop(&mut self, tid: i32, status: WaitStatus) -> io::Result<()> {
        let Some(signal) = status.stopping_signal() else {
            self.on_end(tid, status);
            return Ok(());
        };
        let event = status.as_raw() >> 16;
        let deliver = if signal == SYSCALL_STOP {
            self.on_syscall(tid);
            0
        } else if !self.met.contains(&tid) {
            self.met.insert(tid);
            self.on_first_stop(tid, signal)?
        } else if event == libc::PTRACE_EVENT_EXEC {
            self.on_exec(tid);
            0
        } else if event != 0 {
            0
        } else {
            signal
        };
        go_on(tid, deliver)
    }

    /// The leader's first stop is its exec, any other's a stop signal that nobody sent.
    fn on_first_stop(&mut self, tid: i32, signal: i32) -> io::Result<i32> {
        if tid != self.leader {
            return Ok(if signal == libc::SIGSTOP { 0 } else { signal });
        }
        // Should this thread end early, the kernel ends what it traces.
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(unistd::Pid::from_raw(tid), options)?;
        self.seen.record(self.program.clone(), AccessKind::Exec);
        self.record_image(tid);
        Ok(0)
    }

    fn on_syscall(&mut self, tid: i32) {
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

    /// A thread that calls exec takes over its process's number, so the call is under its old one.
    fn on_exec(&mut self, tid: i32) {
        let former =
            ptrace::getevent(unistd::Pid::from_raw(tid)).map_or(tid, |former| former as i32);
        if let Some(Call::Exec { path: Some(path) }) = self.pending.remove(&former) {
            self.seen.record(path, AccessKind::Exec);
        }
        self.record_image(tid);
    }

    /// For a script this is its interpreter.
    fn record_image(&mut self, tid: i32) {
        if let Ok(image) = std::fs::read_link(format!("/proc/{tid}/exe")) {
            self.seen.record(image, AccessKind::Exec);
        }
    }

    fn on_end(&mut self, tid: i32, status: WaitStatus) {
        self.met.remove(&tid);
        self.pending.remove(&tid);
        if tid == self.leader {
            use std::os::unix::process::ExitStatusExt;
            // Nobody listens any more when the command was given up.
            let _sent = self.status.send(ExitStatus::from_raw(status.as_raw()));
        }
    }
}

/// Lets a stopped thread run to its next call, with the signal it was stopped for.
fn go_on(tid: i32, signal: i32) -> io::Result<()> {
    debug_assert!(Pid::from_raw(tid).is_some());
    // SAFETY: PTRACE_SYSCALL takes no address and a plain signal number as data; it reads and
    // writes no memory of ours.
    let result = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, 0_usize, signal as usize) };
    if result >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Killed while it was stopped.
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}
