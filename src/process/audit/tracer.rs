//! The loop that follows a command and its children from stop to stop.
#![expect(unsafe_code, reason = "the safe wrapper cannot pass real-time signals on")]

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::Sender;

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// Who is told what a followed command does.
pub(super) trait Witness {
    /// Options of the trace besides those by which children are followed.
    const OPTIONS: Options;
    /// The request by which a stopped thread goes on to its next stop.
    const GO_ON: libc::c_uint;

    /// The command has started: this program.
    fn started(&mut self, tid: i32, program: &Path);
    /// A thread stopped at a call.
    fn on_call(&mut self, tid: i32);
    /// A thread, which had the number `former`, has become another program.
    fn on_exec(&mut self, tid: i32, former: i32);
    /// A thread has ended.
    fn on_end(&mut self, tid: i32);
}

/// Follows one command. Lives in the thread that started it.
pub(super) struct Tracer<W> {
    leader: i32,
    program: PathBuf,
    status: Sender<ExitStatus>,
    /// Threads whose first stop, which only says that they are traced, has been seen.
    met: HashSet<i32>,
    witness: W,
}

impl<W: Witness> Tracer<W> {
    pub(super) fn new(
        leader: i32,
        program: PathBuf,
        status: Sender<ExitStatus>,
        witness: W,
    ) -> Self {
        Self { leader, program, status, met: HashSet::new(), witness }
    }

    /// Until the last traced process has gone.
    pub(super) fn follow(mut self) -> io::Result<W> {
        // `__WNOTHREAD`: never touch the children of other threads of this process.
        let options = WaitOptions::from_bits_retain((libc::__WALL | libc::__WNOTHREAD) as u32);
        loop {
            match wait(options) {
                Ok(Some((pid, status))) => self.on_stop(pid.as_raw_pid(), status)?,
                Ok(None) | Err(Errno::INTR) => {}
                Err(Errno::CHILD) => return Ok(self.witness),
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
        let deliver = if signal == SYSCALL_STOP || event == libc::PTRACE_EVENT_SECCOMP {
            self.witness.on_call(tid);
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
        go_on::<W>(tid, deliver)
    }

    /// The leader's first stop is its exec, any other's a stop signal that nobody sent.
    fn on_first_stop(&mut self, tid: i32, signal: i32) -> io::Result<i32> {
        if tid != self.leader {
            return Ok(if signal == libc::SIGSTOP { 0 } else { signal });
        }
        // Should this thread end early, the kernel ends what it traces.
        let options = Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL
            | W::OPTIONS;
        ptrace::setoptions(unistd::Pid::from_raw(tid), options)?;
        self.witness.started(tid, &self.program);
        Ok(0)
    }

    /// A thread that calls exec takes over its process's number, so the call is under its old one.
    fn on_exec(&mut self, tid: i32) {
        let former =
            ptrace::getevent(unistd::Pid::from_raw(tid)).map_or(tid, |former| former as i32);
        self.witness.on_exec(tid, former);
    }

    fn on_end(&mut self, tid: i32, status: WaitStatus) {
        self.met.remove(&tid);
        self.witness.on_end(tid);
        if tid == self.leader {
            use std::os::unix::process::ExitStatusExt;
            // Nobody listens any more when the command was given up.
            let _sent = self.status.send(ExitStatus::from_raw(status.as_raw()));
        }
    }
}

/// The program that a thread runs; for a script this is its interpreter.
pub(super) fn image(tid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{tid}/exe")).ok()
}

/// Lets a stopped thread run to its next stop, with the signal it was stopped for.
fn go_on<W: Witness>(tid: i32, signal: i32) -> io::Result<()> {
    debug_assert!(Pid::from_raw(tid).is_some());
    // SAFETY: these requests take no address and a plain signal number as data; they read and
    // write no memory of ours.
    let result = unsafe { libc::ptrace(W::GO_ON, tid, 0_usize, signal as usize) };
    if result >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Killed while it was stopped.
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}
