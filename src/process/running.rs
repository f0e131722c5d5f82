//! A command on its way: waited for together with its output, its deadline and a cancel. How it is
//! ended is in `ending`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};

use super::capture::{Sink, Stream};
use super::finished::{Exit, Finished};
use super::procfs;
use super::signals::Cancel;
use super::spec::{CommandSpec, SpawnError};
use super::tree::{Leftover, Tree};

mod ending;

/// How often a dying tree is looked at.
const SLICE: Duration = Duration::from_millis(10);
/// Looks at a command that is being stopped, before sleeps between them.
const QUICK_LOOKS: u32 = 50;
const HALT_PAUSE: Duration = Duration::from_micros(50);

/// Why a wait came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The watched descriptor can be read, or was hung up.
    Ready,
    /// The command has ended.
    Exited,
    /// The time was up.
    Deadline,
    /// A stop was asked for.
    Cancelled,
}

/// A started command. Dropping it kills its whole tree.
#[derive(Debug)]
pub struct Running {
    program: PathBuf,
    child: Child,
    pidfd: OwnedFd,
    tree: Tree,
    streams: Vec<Stream>,
    started: Instant,
    deadline: Option<Instant>,
    grace: Duration,
    ended: Option<Instant>,
    status: Option<ExitStatus>,
    /// Where the status comes from when a tracer collects it before we can.
    reaper: Option<Receiver<ExitStatus>>,
}

impl Running {
    pub(super) fn new(
        spec: &CommandSpec,
        mut child: Child,
        mut tree: Tree,
        streams: Vec<Stream>,
        started: Instant,
    ) -> Result<Self, SpawnError> {
        let pid = Pid::from_child(&child);
        tree.set_leader(pid);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| {
            tree.signal_group(Signal::KILL);
            // Killed a moment ago; nothing useful can be said about it beyond the first error.
            let _status = child.wait();
            SpawnError::Watch {
                program: spec.program.clone(),
                what: "a process descriptor needs Linux 5.3",
                source: error.into(),
            }
        })?;
        Ok(Self {
            program: spec.program.clone(),
            child,
            pidfd,
            tree,
            streams,
            started,
            deadline: spec.timeout.and_then(|timeout| started.checked_add(timeout)),
            grace: spec.grace,
            ended: None,
            status: None,
            reaper: None,
        })
    }

    /// For a traced command: its tracer collects the exit status.
    pub(super) fn reaped_by(mut self, reaper: Receiver<ExitStatus>) -> Self {
        self.reaper = Some(reaper);
        self
    }

    /// What the command prints from now on goes to a sink, too: its first stream, or both where
    /// they are merged.
    #[must_use]
    pub fn printing_to(mut self, sink: Box<dyn Sink>) -> Self {
        if let Some(stream) = self.streams.first_mut() {
            stream.pour_into(sink);
        }
        self
    }

    /// When the command printed something last.
    pub fn last_output(&self) -> Option<Instant> {
        self.streams.iter().filter_map(Stream::last).max()
    }

    /// Asks the command and its group to stop, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal_group(Signal::INT);
    }

    /// Signals the group while its number cannot belong to anybody else.
    fn signal_group(&self, signal: Signal) {
        let maybe_reaped = self.reaper.is_some() && self.ended.is_some();
        if self.status.is_none() && !maybe_reaped {
            self.tree.signal_group(signal);
        }
    }

    /// The process id, which is that of its group too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Readable once the command has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The end of the time that the command was given.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits until `watch` is readable, the command has ended, `until` has passed or a stop is
    /// asked for. Its output is drained meanwhile, so it never blocks on a full pipe.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(
        &mut self,
        watch: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
        cancel: &Cancel,
    ) -> io::Result<Wake> {
        loop {
            // After the end only what the watched descriptor still holds is of interest.
            let limit = if self.ended.is_some() { Some(Instant::now()) } else { until };
            if self.poll_once(watch, limit, Some(cancel))? {
                return Ok(Wake::Ready);
            }
            if self.ended.is_some() {
                return Ok(Wake::Exited);
            }
            if cancel.is_set() {
                return Ok(Wake::Cancelled);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Wake::Deadline);
            }
        }
    }

    /// Waits for the end of the command, at most until its own deadline, and cleans up.
    ///
    /// # Errors
    /// When the system cannot wait; the command has been ended then.
    pub fn complete(mut self, cancel: &Cancel) -> Result<Finished, SpawnError> {
        let forced = match self.wait(None, self.deadline, cancel) {
            Ok(Wake::Deadline) => Some(Exit::TimedOut),
            Ok(Wake::Cancelled) => Some(Exit::Cancelled),
            Ok(Wake::Exited | Wake::Ready) => None,
            Err(source) => {
                let program = std::mem::take(&mut self.program);
                return Err(SpawnError::Watch { program, what: "poll", source });
            }
        };
        match forced {
            Some(exit) => Ok(self.abort(exit, cancel)),
            None => Ok(self.conclude(None)),
        }
    }

    /// Ends the whole tree (TERM, grace, KILL, sweep) and says how it ended: `exit`.
    pub fn abort(mut self, exit: Exit, cancel: &Cancel) -> Finished {
        self.terminate(cancel);
        self.conclude(Some(exit))
    }

    /// Kills the whole tree at once.
    pub fn kill_tree(&mut self) -> Vec<Leftover> {
        // Looked at first: what has left the group is found through its parents.
        let _known = self.tree.living();
        self.signal_group(Signal::KILL);
        self.tree.sweep()
    }

    /// Stops the command (`SIGSTOP`); its children go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, Signal::STOP)?)
    }

    /// Stops the command and waits until each of its threads stands still: [`Wake::Ready`]. Its
    /// children go on.
    ///
    /// # Errors
    /// When the system cannot stop it or cannot tell.
    pub fn halt(&self, until: Option<Instant>) -> io::Result<Wake> {
        match self.stop() {
            Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                return Ok(Wake::Exited);
            }
            stopped => stopped?,
        }
        let mut looks = 0;
        loop {
            if let Some(wake) = self.standstill()? {
                return Ok(wake);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Wake::Deadline);
            }
            // Threads that run hear of it within microseconds.
            looks += 1;
            if looks < QUICK_LOOKS {
                std::thread::yield_now();
            } else {
                std::thread::sleep(HALT_PAUSE);
            }
        }
    }

    /// Whether all threads stand still, or the command has ended.
    fn standstill(&self) -> io::Result<Option<Wake>> {
        let options = WaitIdOptions::STOPPED
            | WaitIdOptions::EXITED
            | WaitIdOptions::NOHANG
            | WaitIdOptions::NOWAIT;
        // Reported only once the last thread has stopped.
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), options)?;
        Ok(status.map(|status| if status.stopped() { Wake::Ready } else { Wake::Exited }))
    }

    /// Whether a command that was halted still stands.
    pub fn is_halted(&self) -> bool {
        matches!(self.standstill(), Ok(Some(Wake::Ready)))
    }

    /// Live processes that the command has started, by name. One small read for each of its threads
    /// when there are none.
    pub fn offspring(&mut self) -> Vec<String> {
        let leader = self.pid() as i32;
        let found = match procfs::has_children(leader) {
            Some(false) => self.tree.leftovers(),
            Some(true) | None => self.tree.living(),
        };
        found.into_iter().filter(|p| p.pid != leader).map(|p| p.name).collect()
    }

    /// Lets a stopped command go on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, Signal::CONT)?)
    }

    /// One poll over everything that can happen; true when `watch` is ready.
    fn poll_once(
        &mut self,
        watch: Option<BorrowedFd<'_>>,
        until: Option<Instant>,
        cancel: Option<&Cancel>,
    ) -> io::Result<bool> {
        let cancel_fd = cancel.and_then(Cancel::fd);
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(self.streams.len() + 3);
        let open: Vec<usize> =
            (0..self.streams.len()).filter(|&index| self.streams[index].fd().is_some()).collect();
        fds.extend(self.streams.iter().filter_map(Stream::fd).map(readable));
        let exit_at = fds.len();
        fds.extend(self.ended.is_none().then(|| readable(self.pidfd.as_fd())));
        let watch_at = fds.len();
        fds.extend(watch.map(readable));
        fds.extend(cancel_fd.map(readable));
        // A cancel that cannot wake the poll is looked at between slices of it.
        let longest = (cancel.is_some() && cancel_fd.is_none()).then_some(SLICE);
        match poll(&mut fds, timeout(until, longest).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (slot, stream) in open.into_iter().enumerate() {
            if happened[slot] {
                self.streams[stream].read();
            }
        }
        if self.ended.is_none() && happened[exit_at] {
            self.ended = Some(Instant::now());
        }
        Ok(watch.is_some() && happened[watch_at])
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// The time that poll may take: until then, and not beyond the longest.
fn timeout(until: Option<Instant>, longest: Option<Duration>) -> Option<Timespec> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    left.into_iter().chain(longest).min().and_then(|left| Timespec::try_from(left).ok())
}
