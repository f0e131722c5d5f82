//! The judge's link to a worker: asked through its socket, given orders through the control page,
//! watched by its life and by the judge's clock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use tempfile::TempDir;

use super::super::allowance::LaunchLimit;
use super::super::contract::{Launched, Order, Timer};
use super::super::fault::Fault;
use super::affinity::Cores;
use super::child::{Child, Lost, waiting};
use super::control::{Control, SeatSet, Verb};
use super::handshake::{Handshake, Sentry, Unanswered};
use super::layout::Layout;
use super::patience::Patience;
use super::postmortem::{self, Evidence};
use super::protocol::{self, Received, Reply, Request};
use super::request_error::{RequestError, out_of_turn};
use super::segment::Segment;
use super::spawn::Spawn;
use crate::process::sandbox::SandboxLevel;
use crate::process::{self, Exit, Stdin, Wake};

/// A worker process.
pub(in crate::backend) struct Worker {
    socket: OwnedFd,
    child: Child,
    handshake: Handshake,
    patience: Patience,
    /// Code of the kernel's has run, and may have done whatever it likes to its process.
    foreign: bool,
    library: PathBuf,
    /// What is staged in its memory.
    staged: Option<Layout>,
    /// Goes after the processes that may write to it.
    private: TempDir,
    timer: Timer,
    /// The worker reads the control page, not the socket.
    attending: bool,
}

impl Worker {
    /// Starts a worker, greets it and measures its clock.
    pub(in crate::backend) fn spawn(
        options: &Spawn<'_>,
        hello: &Request,
    ) -> Result<Self, RequestError> {
        let kind = SocketType::SEQPACKET;
        let (socket, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
            .map_err(|e| Fault::infrastructure("creating a socket", e))?;
        let shared = |e| Fault::infrastructure("creating shared memory", e);
        let page = Segment::create("optloop-control", rustix::param::page_size() as u64);
        let page = page.map_err(shared)?;
        page.fix().map_err(shared)?;
        let handshake = Handshake::new(&page, Cores::of(options.cpu)).map_err(shared)?;
        let private = tempfile::Builder::new().prefix("worker").tempdir_in(options.dir);
        let private =
            private.map_err(|e| Fault::infrastructure("making a worker's own folder", e))?;
        let running = process::start(&options.command(private.path()), Stdin::Socket(theirs))
            .map_err(|e| Fault::infrastructure("starting a worker", e))?;
        let mut worker = Self {
            socket,
            child: Child::new(running, options.cancel.clone()),
            handshake,
            patience: Patience::new(options.allowance.clone()),
            foreign: false,
            library: options.library.to_owned(),
            staged: None,
            private,
            timer: Timer::default(),
            attending: false,
        };
        worker.greet(&page, hello)?;
        Ok(worker)
    }

    /// The worker's clock and the way to it, measured while there is no candidate in it.
    fn greet(&mut self, page: &Segment, hello: &Request) -> Result<(), RequestError> {
        let Reply::Ready { step_ns, overhead_ns } = self.ask(hello, &[page.fd()], self.until())?
        else {
            return Err(out_of_turn().into());
        };
        self.attending = true;
        let handover_ns = self.with_handshake(Handshake::calibrate)?;
        self.timer = Timer {
            step_ns: step_ns as f64,
            overhead_ns: overhead_ns as f64,
            handover_ns,
            empty_ns: 0.0,
        };
        Ok(self.leave()?)
    }

    /// Has it load what it is to launch; how far it is confined from then on.
    pub(in crate::backend) fn open(
        &mut self,
        request: &Request,
    ) -> Result<SandboxLevel, RequestError> {
        self.foreign = true;
        let stretch = self.patience.begin_loading();
        let reply = self.ask(request, &[], stretch.until);
        self.patience.end(&stretch);
        let Reply::Opened { level } = reply? else {
            return Err(out_of_turn().into());
        };
        Ok(level)
    }

    /// Has it take over what is staged, in segments that go with the request; then it attends to
    /// orders about that.
    pub(in crate::backend) fn load(
        &mut self,
        request: &Request,
        segments: &[BorrowedFd<'_>],
    ) -> Result<(), RequestError> {
        self.leave()?;
        let until = self.patience.until(request.staged_bytes());
        if self.ask(request, segments, until)? != Reply::Loaded {
            return Err(out_of_turn().into());
        }
        self.attending = true;
        Ok(())
    }

    /// What lies in its memory from now on: how long it is waited for, and where it crashed, hang on
    /// that.
    pub(in crate::backend) fn set_staged(&mut self, layout: Option<Layout>) {
        self.staged = layout;
    }

    /// The worker's own folder.
    pub(in crate::backend) fn private(&self) -> &Path {
        self.private.path()
    }

    /// The worker's process, while there is one.
    pub(in crate::backend) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The page that is shared with the worker.
    pub(in crate::backend) fn control(&self) -> &Control {
        self.handshake.control()
    }

    /// Its clock, as it was measured at the start.
    pub(in crate::backend) fn timer(&self) -> Timer {
        self.timer
    }

    /// How long one launch may take from now on.
    pub(in crate::backend) fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.patience.limit(launch);
    }

    /// Brings the worker back to its socket.
    pub(in crate::backend) fn leave(&mut self) -> Result<(), Fault> {
        self.resume()?;
        if self.attending {
            self.with_handshake(|handshake, sentry| handshake.carry_out(Verb::Leave, sentry))?;
            self.attending = false;
        }
        Ok(())
    }

    /// The kernel that orders are about from now on.
    pub(in crate::backend) fn seat(&mut self, seat: u32) {
        self.handshake.control().judge.seat.store(seat, Relaxed);
    }

    /// Has the worker do something about a set of a kernel.
    pub(in crate::backend) fn about(&mut self, verb: Verb, of: SeatSet) -> Result<(), Fault> {
        self.resume()?;
        self.with_handshake(|handshake, sentry| handshake.about(verb, of, sentry))
    }

    /// Has the worker make ready for an order.
    pub(in crate::backend) fn prepare(&mut self, order: Order) -> Result<(), Fault> {
        self.resume()?;
        self.with_handshake(|handshake, sentry| handshake.prepare(order, sentry))
    }

    /// Has the worker launch the `count` sets that were prepared, for no longer than that may take.
    pub(in crate::backend) fn launch(&mut self, count: u32) -> Result<Launched, Fault> {
        let launched = self.timed_launch(count)?;
        self.unspoken()?;
        plausible(launched)
    }

    /// Stops the worker for reading, and makes sure that nothing else can write meanwhile.
    pub(in crate::backend) fn halt(&mut self) -> Result<(), Fault> {
        self.child.halt().map_err(|lost| self.fault(lost))
    }

    /// That it has stood still since [`Self::halt`].
    pub(in crate::backend) fn still_halted(&mut self) -> Result<(), Fault> {
        self.child.still_halted()
    }

    /// Lets it go on for a while.
    pub(in crate::backend) fn resume_for(&mut self, pause: Duration) -> Result<(), Fault> {
        self.resume()?;
        match self.child.wait(None, Some(Instant::now() + pause))? {
            Wake::Deadline | Wake::Ready => Ok(()),
            Wake::Exited => Err(self.reap()),
            Wake::Cancelled => Err(self.child.end(Exit::Cancelled, Fault::Interrupted)),
        }
    }

    /// Kills the worker and everything it started; `fault` says why.
    pub(in crate::backend) fn end(&mut self, fault: Fault) -> Fault {
        self.child.end(Exit::TimedOut, fault)
    }

    /// Has it leave, and gives back what was printed.
    pub(in crate::backend) fn finish(&mut self) -> Vec<u8> {
        if self.child.id().is_some() && self.leave().is_ok() {
            let asked = protocol::send(self.socket.as_fd(), &Request::Exit, &[]);
            if asked.is_ok() {
                let _expected = self.reap();
            }
        }
        self.child.finish()
    }

    fn resume(&mut self) -> Result<(), Fault> {
        self.child.resume().map_err(|lost| self.fault(lost))
    }

    /// Sends a request and waits for its reply.
    fn ask(
        &mut self,
        request: &Request,
        segments: &[BorrowedFd<'_>],
        until: Option<Instant>,
    ) -> Result<Reply, RequestError> {
        if let Err(error) = protocol::send(self.socket.as_fd(), request, segments) {
            // A worker that died is a fault of the kernel, not of the socket.
            let fault = match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => self.reap(),
                _ => Fault::infrastructure("speaking to a worker", error),
            };
            return Err(fault.into());
        }
        match self.reply(until)? {
            Reply::Unloadable(what) => Err(unloadable(&self.library, what).into()),
            Reply::Failed(what) => Err(Fault::Infrastructure { what }.into()),
            Reply::Trouble { code, call } => Err(RequestError::Driver { code, call }),
            Reply::Refused(what) => Err(RequestError::Refused(what)),
            reply => Ok(reply),
        }
    }

    /// Waits for a reply, for death, for the deadline or for a stop.
    fn reply(&mut self, until: Option<Instant>) -> Result<Reply, Fault> {
        match self.child.wait(Some(self.socket.as_fd()), until)? {
            Wake::Ready => {}
            Wake::Exited => return Err(self.reap()),
            Wake::Cancelled => return Err(self.child.end(Exit::Cancelled, Fault::Interrupted)),
            Wake::Deadline => return Err(self.late()),
        }
        let received = protocol::receive::<Reply>(&self.socket, RecvFlags::DONTWAIT);
        match received.map_err(listening)? {
            Received::Message(reply, _) => Ok(reply),
            Received::Closed => Err(self.reap()),
            Received::Garbage => Err(self.garbage()),
        }
    }

    /// The socket is silent during launches: what comes, and its end, are the candidate's doing.
    fn unspoken(&mut self) -> Result<(), Fault> {
        match protocol::receive::<Reply>(&self.socket, RecvFlags::DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(listening(error)),
            Ok(Received::Closed) => Err(self.reap()),
            Ok(Received::Message(..) | Received::Garbage) => Err(self.garbage()),
        }
    }

    fn with_handshake<T>(
        &mut self,
        act: impl FnOnce(&mut Handshake, &mut Sentry<'_>) -> Result<T, Unanswered>,
    ) -> Result<T, Fault> {
        self.with_handshake_until(self.until(), act)
    }

    fn with_handshake_until<T>(
        &mut self,
        deadline: Option<Instant>,
        act: impl FnOnce(&mut Handshake, &mut Sentry<'_>) -> Result<T, Unanswered>,
    ) -> Result<T, Fault> {
        let (running, cancel) = self.child.watched()?;
        let mut sentry = Sentry { running, socket: self.socket.as_fd(), deadline, cancel };
        act(&mut self.handshake, &mut sentry).map_err(|unanswered| match unanswered {
            Unanswered::Exited => self.reap(),
            Unanswered::Spoken => self.unspoken().err().unwrap_or_else(out_of_turn),
            Unanswered::Cancelled => self.child.end(Exit::Cancelled, Fault::Interrupted),
            Unanswered::Deadline => self.late(),
            Unanswered::Failed(error) => waiting(error),
        })
    }

    fn timed_launch(&mut self, count: u32) -> Result<Launched, Fault> {
        let stretch = self.patience.begin_launches(count);
        let launched = self.with_handshake_until(stretch.until, Handshake::launch);
        self.patience.end(&stretch);
        launched.map_err(|fault| if fault == Fault::TimedOut { stretch.overrun() } else { fault })
    }

    /// When the worker must have done what is no launch.
    fn until(&self) -> Option<Instant> {
        self.patience.until(self.staged.as_ref().map_or(0, Layout::bytes))
    }

    /// A worker that does not come back. Without foreign code in it that is the system's doing.
    fn late(&mut self) -> Fault {
        let fault = if self.foreign {
            Fault::TimedOut
        } else {
            Fault::Infrastructure { what: "a worker does not answer any more".into() }
        };
        self.end(fault)
    }

    fn garbage(&mut self) -> Fault {
        let what = "bytes that are no message came from the worker".into();
        self.end(Fault::Cheating { what })
    }

    fn fault(&mut self, lost: Lost) -> Fault {
        match lost {
            Lost::Exited => self.reap(),
            Lost::Fault(fault) => fault,
        }
    }

    /// Finds out how a worker that is gone, or has closed its socket, came to its end.
    fn reap(&mut self) -> Fault {
        let exit = match self.child.reap() {
            Ok(exit) => exit,
            Err(fault) => return fault,
        };
        let evidence = Evidence {
            control: self.handshake.control(),
            greeted: self.timer != Timer::default(),
            layout: self.staged.as_ref(),
            library: &self.library,
        };
        postmortem::cause(exit, &evidence)
    }
}

/// A built kernel that the loader does not take. On a file system that forbids execution it takes
/// none, this one or any other.
fn unloadable(library: &Path, what: String) -> Fault {
    if !process::forbids_execution(library) {
        return Fault::Unloadable { what };
    }
    let folder = library.parent().unwrap_or(library).display();
    Fault::Setup {
        what: format!(
            "{folder} lies on a file system that forbids execution (it is mounted noexec), so no \
             built kernel can be loaded from there ({what}): put the project elsewhere, or mount it \
             with exec"
        ),
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

fn listening(error: io::Error) -> Fault {
    Fault::infrastructure("listening to a worker", error)
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
