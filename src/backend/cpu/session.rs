//! The judge's side of a worker: gives it memory and orders, watches its life and its clock, and
//! reads what it left.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use tempfile::TempDir;

use super::super::control::Verb;
use super::super::cuda;
use super::super::protocol::{self, Received, Reply, Request, VERSION};
use super::super::{
    Allowance, Argument, Fault, LaunchLimit, Launched, Mode, Order, Session, Timer,
};
use super::aside::Cores;
use super::handshake::Handshake;
use super::remains::Remains;
use super::segment::Segment;
use super::shelf::Shelf;
use super::staging::{self, Layout, Memory};
use crate::process::sandbox::{SandboxLevel, SandboxMode};
use crate::process::{self, Cancel, CommandSpec, Exit, Finished, Running, Stdin, Wake};

/// The argument that makes this executable a worker.
pub const WORKER_COMMAND: &str = "__worker";

/// Bytes of a candidate's own printing that are kept.
const MAX_OUTPUT: usize = 1 << 20;

/// How a session runs.
#[derive(Debug, Clone)]
pub struct SessionOptions<'a> {
    /// The executable that answers to [`WORKER_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// The worker's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// See [`CommandSpec::marker`]; a number that makes it unique is added.
    pub marker: &'a str,
    /// The built kernel: an absolute path.
    pub library: &'a Path,
    /// The core to stay on.
    pub cpu: Option<u32>,
    /// How long the kernel may run.
    pub allowance: Allowance,
    /// How much address space the worker may have, staged buffers included.
    pub memory_bytes: Option<u64>,
    /// How far the worker is to be confined.
    pub sandbox: SandboxMode,
    /// Where the worker gets a folder of its own, in which it runs and which goes with it.
    pub dir: &'a Path,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// A worker process with a kernel loaded.
pub struct CpuSession {
    pub(super) socket: OwnedFd,
    pub(super) running: Option<Running>,
    pub(super) handshake: Handshake,
    pub(super) allowance: Allowance,
    /// How long a launch may take.
    pub(super) limit: Option<LaunchLimit>,
    /// Code of the kernel's has run, and may have done whatever it likes to its process.
    pub(super) foreign: bool,
    pub(super) cancel: Cancel,
    pub(super) library: PathBuf,
    pub(super) memory: Option<Memory>,
    /// Outputs that are not used any more, whose memory the next can have.
    spare: Option<Segment>,
    /// The set whose turn it is, where all have the same outputs.
    turn: Option<u32>,
    pub(super) printed: Vec<u8>,
    level: SandboxLevel,
    /// Goes after the processes that may write to it.
    private: TempDir,
    timer: Timer,
    /// The worker reads the control page, not the socket.
    pub(super) attending: bool,
    /// All its threads stand still.
    pub(super) halted: bool,
}

impl CpuSession {
    /// Starts a worker, measures its clock and has it load the kernel.
    ///
    /// # Errors
    /// When the worker cannot be started, or the kernel cannot be loaded or crashes while it is.
    pub fn start(options: &SessionOptions<'_>) -> Result<Self, Fault> {
        let hello = Request::Hello {
            version: VERSION,
            cpu: options.cpu,
            memory_bytes: options.memory_bytes,
        };
        let mut session = Self::spawn(options, WORKER_COMMAND, &hello)?;
        let library = options.library.as_os_str().as_bytes().to_vec();
        let private = session.private().as_os_str().as_bytes().to_vec();
        session.open(&Request::Open { library, sandbox: options.sandbox, private })?;
        Ok(session)
    }

    /// Starts a worker of the kind that answers to `word`, greets it and measures its clock.
    pub(in crate::backend) fn spawn(
        options: &SessionOptions<'_>,
        word: &str,
        hello: &Request,
    ) -> Result<Self, Fault> {
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
        let running =
            process::start(&command(options, word, private.path()), Stdin::Socket(theirs))
                .map_err(|e| Fault::infrastructure("starting a worker", e))?;
        let mut session = Self {
            socket,
            running: Some(running),
            handshake,
            allowance: options.allowance.clone(),
            limit: None,
            foreign: false,
            cancel: options.cancel.clone(),
            library: options.library.to_owned(),
            memory: None,
            spare: None,
            turn: None,
            printed: Vec::new(),
            level: SandboxLevel { landlock_abi: 0, seccomp: false },
            private,
            timer: Timer::default(),
            attending: false,
            halted: false,
        };
        session.greet(&page, hello)?;
        Ok(session)
    }

    /// Has it load what it is to launch.
    pub(in crate::backend) fn open(&mut self, request: &Request) -> Result<(), Fault> {
        // What a kernel does when it is loaded could go on for ever.
        self.foreign = true;
        let (left, started) = (self.allowance.left(), Instant::now());
        let until = left.and_then(|left| started.checked_add(left));
        let reply = self.ask_until(request, (&[], until));
        self.allowance.spend(started.elapsed());
        let Reply::Opened { level } = reply? else {
            return Err(out_of_turn());
        };
        self.level = level;
        Ok(())
    }

    /// What stood in the outputs of a set before its launch; `None` where there is no such set.
    pub fn remains(&self, set: u32) -> Option<Remains> {
        Some(self.staged(set).ok()?.remains(set))
    }

    /// The worker's own folder.
    pub(in crate::backend) fn private(&self) -> &Path {
        self.private.path()
    }

    /// How far the worker is confined.
    pub fn level(&self) -> SandboxLevel {
        self.level
    }

    /// The worker's clock and the way to it, measured while there is no candidate in it.
    fn greet(&mut self, page: &Segment, hello: &Request) -> Result<(), Fault> {
        let Reply::Ready { step_ns, overhead_ns } = self.ask(hello, &[page.fd()])? else {
            return Err(out_of_turn());
        };
        self.attending = true;
        let handover_ns = self.with_handshake(Handshake::calibrate)?;
        self.timer = Timer {
            step_ns: step_ns as f64,
            overhead_ns: overhead_ns as f64,
            handover_ns,
            empty_ns: 0.0,
        };
        self.leave()
    }

    /// Brings the worker back to its socket.
    pub(super) fn leave(&mut self) -> Result<(), Fault> {
        self.go_on()?;
        if self.attending {
            self.with_handshake(|handshake, sentry| handshake.carry_out(Verb::Leave, sentry))?;
            self.attending = false;
        }
        Ok(())
    }

    /// Sends a request and waits for the one reply that is right.
    pub(super) fn expect(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
        right: &Reply,
    ) -> Result<(), Fault> {
        let bytes = match request {
            Request::Load { sizes, .. } | Request::LoadSeat { sizes, .. } => {
                sizes.0.bytes.saturating_add(sizes.1.bytes)
            }
            _ => 0,
        };
        let reply = self.ask_until(request, (fds, self.patience_for(bytes)))?;
        if reply == *right { Ok(()) } else { Err(out_of_turn()) }
    }

    fn ask(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Reply, Fault> {
        self.ask_until(request, (fds, self.patience()))
    }

    fn ask_until(
        &mut self,
        request: &Request,
        (fds, until): (&[BorrowedFd<'_>], Option<Instant>),
    ) -> Result<Reply, Fault> {
        if let Err(error) = protocol::send(self.socket.as_fd(), request, fds) {
            // A worker that died is a fault of the kernel, not of the socket.
            return Err(match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => self.bury(),
                _ => Fault::infrastructure("speaking to a worker", error),
            });
        }
        match self.reply(until)? {
            Reply::Unloadable(what) => Err(unloadable(&self.library, what)),
            Reply::Failed(what) => Err(Fault::Infrastructure { what }),
            Reply::Trouble { code, call } => Err(cuda::device_fault(code, &call)),
            Reply::Refused(what) => Err(cuda::refused(what)),
            reply => Ok(reply),
        }
    }

    /// Waits for a reply, for death, for the deadline or for a stop.
    fn reply(&mut self, until: Option<Instant>) -> Result<Reply, Fault> {
        let running = self.running.as_mut().ok_or_else(gone)?;
        let wake = running.wait(Some(self.socket.as_fd()), until, &self.cancel);
        match wake {
            Ok(Wake::Ready) => {}
            Ok(Wake::Exited) => return Err(self.bury()),
            Ok(Wake::Cancelled) => return Err(self.end(Exit::Cancelled, Fault::Interrupted)),
            Ok(Wake::Deadline) => return Err(self.lost()),
            Err(e) => return Err(Fault::infrastructure("waiting for a worker", e)),
        }
        let received = protocol::receive::<Reply>(&self.socket, RecvFlags::DONTWAIT)
            .map_err(|e| Fault::infrastructure("listening to a worker", e))?;
        match received {
            Received::Message(reply, _) => Ok(reply),
            Received::Closed => Err(self.bury()),
            Received::Garbage => Err(self.garbage()),
        }
    }

    /// The socket is silent during launches: what comes, and its end, are the candidate's doing.
    pub(super) fn unspoken(&mut self) -> Result<(), Fault> {
        match protocol::receive::<Reply>(&self.socket, RecvFlags::DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(Fault::infrastructure("listening to a worker", error)),
            Ok(Received::Closed) => Err(self.bury()),
            Ok(Received::Message(..) | Received::Garbage) => Err(self.garbage()),
        }
    }

    fn garbage(&mut self) -> Fault {
        let what = "bytes that are no message came from the worker".into();
        self.end(Exit::TimedOut, Fault::Cheating { what })
    }

    /// Kills the worker and everything it started; `fault` says why.
    pub(super) fn end(&mut self, exit: Exit, fault: Fault) -> Fault {
        if let Some(running) = self.running.take() {
            let finished = running.abort(exit, &self.cancel);
            self.keep_output(finished);
        }
        fault
    }

    pub(super) fn keep_output(&mut self, finished: Finished) {
        self.printed.extend(finished.stdout);
        self.printed.extend(finished.stderr);
    }

    fn load_staged(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        inputs: impl FnOnce(&Layout) -> io::Result<Arc<Segment>>,
    ) -> Result<(), Fault> {
        self.leave()?;
        // Given back first: both might not fit.
        self.unload();
        let layout = Layout::of(sets, rustix::param::page_size())?;
        let shared = |e| Fault::infrastructure("creating shared memory", e);
        let inputs = inputs(&layout).map_err(shared)?;
        let memory = Memory::upon(layout, inputs, self.spare.take()).map_err(shared)?;
        let Layout { slots, sets, sizes, .. } = memory.layout.clone();
        let request = Request::Load { slots, sets, sizes };
        let inputs = memory.inputs.reader().map_err(shared)?;
        self.expect(&request, &[inputs.as_fd(), memory.outputs.fd()], &Reply::Loaded)?;
        self.attending = true;
        self.memory = Some(memory);
        Ok(())
    }

    fn staged(&self, set: u32) -> Result<&Memory, Fault> {
        self.memory.as_ref().filter(|memory| set < memory.layout.sets).ok_or_else(nothing_loaded)
    }

    /// The memory of a set whose outputs are there: where all have the same, of the latest alone.
    fn left(&self, set: u32) -> Result<&Memory, Fault> {
        let memory = self.staged(set)?;
        if memory.layout.in_turn && self.turn != Some(set) {
            return Err(nothing_loaded());
        }
        Ok(memory)
    }

    /// Where all sets have the same outputs: random bytes in them before another set's launch.
    fn give_turn(&mut self, order: Order) -> Result<(), Fault> {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.layout.in_turn) else {
            return Ok(());
        };
        if order.count != 1 {
            return Err(nothing_loaded());
        }
        let before = self.turn.replace(order.first);
        if before.is_some_and(|set| set != order.first) {
            memory.repoison().map_err(|e| Fault::infrastructure("writing shared memory", e))?;
        }
        Ok(())
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

pub(super) fn gone() -> Fault {
    Fault::Infrastructure { what: "the worker is gone already".into() }
}

pub(super) fn out_of_turn() -> Fault {
    Fault::Cheating { what: "the worker answered out of turn".into() }
}

fn nothing_loaded() -> Fault {
    Fault::Infrastructure { what: "no such set of arguments was loaded".into() }
}

fn command(options: &SessionOptions<'_>, word: &str, private: &Path) -> CommandSpec {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let marker = format!("{}.w{number}", options.marker);
    let mut spec = CommandSpec::new(options.program, private, marker);
    spec.args = vec![word.into(), std::process::id().to_string().into()];
    spec.env.clone_from(&options.env);
    spec.env.extend(["HOME", "TMPDIR"].map(|name| (name.into(), private.into())));
    // Nothing that a worker could tidy up is worth waiting for.
    spec.grace = Duration::ZERO;
    spec.max_output = MAX_OUTPUT;
    spec
}

impl Session for CpuSession {
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        self.load_staged(sets, |layout| staging::inputs(layout, sets).map(Arc::new))
    }

    fn load_shared(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        number: u64,
        shelf: &mut Shelf,
    ) -> Result<(), Fault> {
        self.load_staged(sets, |layout| shelf.inputs(number, layout, sets))
    }

    fn unload(&mut self) {
        self.turn = None;
        self.spare = self.memory.take().map(|memory| memory.outputs).or(self.spare.take());
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        let last = order.first.checked_add(order.count).and_then(|end| end.checked_sub(1));
        self.staged(last.ok_or_else(nothing_loaded)?)?;
        self.give_turn(order)?;
        self.prepare(order)?;
        if order.mode == Mode::Cold
            && let Some(memory) = &mut self.memory
        {
            let flushed = memory.flush(order.first, order.count);
            flushed.map_err(|e| Fault::infrastructure("mapping shared memory", e))?;
        }
        self.launch_prepared(order.count)
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let mut outputs = Vec::new();
        self.outputs_into(set, &mut outputs)?;
        Ok(outputs)
    }

    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        self.left(set)?;
        self.halt()?;
        let memory = self.left(set)?;
        let reading = |e| Fault::infrastructure("reading outputs", e);
        memory.read(set, into).map_err(reading)?;
        if let Some(what) = memory.stray(set).map_err(reading)? {
            return Err(Fault::Stray { what });
        }
        self.still_halted()
    }

    fn outputs_in_parts(
        &mut self,
        set: u32,
        bytes: usize,
        look: &(dyn Fn(usize, usize, &[u8]) + Sync),
    ) -> Result<(), Fault> {
        self.left(set)?;
        self.halt()?;
        let memory = self.left(set)?;
        let reading = |e| Fault::infrastructure("reading outputs", e);
        memory.read_in_parts(set, bytes.max(1), look).map_err(reading)?;
        if let Some(what) = memory.stray(set).map_err(reading)? {
            return Err(Fault::Stray { what });
        }
        self.still_halted()
    }

    fn reread(&mut self, set: u32, pause: Duration) -> Result<Vec<Vec<u8>>, Fault> {
        self.go_on()?;
        let until = Instant::now() + pause;
        let running = self.running.as_mut().ok_or_else(gone)?;
        match running.wait(None, Some(until), &self.cancel) {
            Ok(Wake::Deadline | Wake::Ready) => self.outputs(set),
            Ok(Wake::Exited) => Err(self.bury()),
            Ok(Wake::Cancelled) => Err(self.end(Exit::Cancelled, Fault::Interrupted)),
            Err(error) => Err(Fault::infrastructure("waiting for a worker", error)),
        }
    }

    fn pause(&mut self) -> Result<(), Fault> {
        self.halt()
    }

    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.limit = launch;
    }

    fn timer(&self) -> Timer {
        self.timer
    }

    fn finish(&mut self) -> Vec<u8> {
        if self.running.is_some() && self.leave().is_ok() {
            let asked = protocol::send(self.socket.as_fd(), &Request::Exit, &[]);
            if asked.is_ok() {
                let _expected = self.bury();
            }
        }
        // Dropping what is left of it kills the tree.
        self.running = None;
        std::mem::take(&mut self.printed)
    }
}
