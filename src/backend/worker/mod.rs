//! The child side: the process that a candidate's code runs in.
//!
//! Entered by `optloop __worker` with the control socket as descriptor 0. It is the candidate's
//! from the moment the shared object is opened; the judge on the other side distrusts what it says.
#![expect(unsafe_code, reason = "closes descriptors that nothing owns, lends the control page")]

pub(in crate::backend) mod attend;
pub(in crate::backend) mod crash;
pub(in crate::backend) mod kernel;
pub(in crate::backend) mod memory;

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::process::ExitCode;

use std::os::unix::ffi::OsStrExt;

use rustix::net::RecvFlags;
use rustix::process::{Resource, Rlimit, setrlimit};

use self::attend::Attendant;
use self::memory::{Layout, Loaded};
use super::control::Control;
use super::loads;
use super::protocol::{self, Received, Reply, Request, VERSION};
use crate::process::sandbox::{self, Confinement, SandboxLevel, SandboxMode, watch_traps};
use crate::process::{Limits, die_with_parent};

/// Descriptors from here on up are the worker's own.
const HIGH_FD: RawFd = 200;

/// Exit code of a worker that a sandbox ended for a system call, whose number is in the control
/// page.
pub(crate) const EXIT_TRAPPED: u8 = 96;

/// Exit code of a worker that was not started by a judge, or cannot serve one.
pub(crate) const EXIT_ALONE: u8 = 97;

/// Exit code of a worker whose connection was broken from inside.
pub(crate) const EXIT_CUT_OFF: u8 = 98;

/// Serves the judge on descriptor 0 until it says to leave or is gone. The second argument of the
/// command line, after the name of the worker command, is the judge's process id.
pub fn main() -> ExitCode {
    let Ok(socket) = prepare(&LIMITS) else {
        return ExitCode::from(EXIT_ALONE);
    };
    let mut worker = Worker { socket, attendant: None, launch: None, loaded: None };
    let served = worker.serve();
    // The candidate may have closed the socket, and may have threads in what is mapped: nothing
    // is given back before the end of the process.
    std::mem::forget(worker);
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CUT_OFF) }
}

/// What a worker on the processor may use. Processor time is not limited here: a kernel may use every
/// core until its deadline.
const LIMITS: Limits =
    Limits { file_bytes: 16 << 20, open_files: 256, cpu_seconds: u64::MAX, memory_bytes: None };

/// Ties this process to its judge and takes away what it does not need.
pub(in crate::backend) fn prepare(limits: &Limits) -> std::io::Result<OwnedFd> {
    let judge = std::env::args().nth(2).and_then(|id| id.parse().ok());
    die_with_parent(judge.ok_or(std::io::ErrorKind::InvalidInput)?)?;
    limits.apply()?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), HIGH_FD)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    drop(null);
    close_others(socket.as_raw_fd());
    Ok(socket)
}

/// Closes every descriptor above 2 but `keep`: nothing of the judge's may leak into the candidate.
fn close_others(keep: RawFd) {
    let listed: Vec<RawFd> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (3..1024).collect(),
    };
    for fd in listed.into_iter().filter(|&fd| fd > 2 && fd != keep) {
        // SAFETY: nothing in this process owns a descriptor yet but `keep` and the standard ones;
        // the one that listed the folder is closed already and is skipped.
        unsafe {
            if rustix::io::fcntl_getfd(BorrowedFd::borrow_raw(fd)).is_ok() {
                rustix::io::close(fd);
            }
        }
    }
}

/// What this process has become so far.
struct Worker {
    socket: OwnedFd,
    attendant: Option<Attendant>,
    launch: Option<kernel::Launch>,
    loaded: Option<Loaded>,
}

impl Worker {
    /// Answers requests until told to leave. The error says that the connection was broken.
    fn serve(&mut self) -> std::io::Result<()> {
        loop {
            let received = protocol::receive::<Request>(&self.socket, RecvFlags::empty())?;
            let (request, fds) = match received {
                Received::Message(Request::Exit, _) | Received::Closed => return Ok(()),
                Received::Message(request, fds) => (request, fds),
                Received::Garbage => return Err(std::io::ErrorKind::InvalidData.into()),
            };
            let reply = self.answer(request, fds).unwrap_or_else(|failed| failed);
            protocol::send(self.socket.as_fd(), &reply, &[])?;
            if matches!(reply, Reply::Ready { .. } | Reply::Loaded) {
                self.attend()?;
            }
        }
    }

    fn answer(&mut self, request: Request, fds: Vec<OwnedFd>) -> Result<Reply, Reply> {
        match (request, &mut self.attendant, self.launch) {
            (Request::Hello { version, cpu, memory_bytes }, None, _) => {
                self.hello(version, cpu, fds)?;
                memory_bytes.map_or(Ok(()), limit_memory)?;
                Ok(attend::measure_clock())
            }
            (Request::Open { library, sandbox, private }, Some(attendant), None) => {
                let level = confine(sandbox, (&library, &private), attendant.control)?;
                self.launch = Some(kernel::open(&library, attendant.control)?);
                Ok(Reply::Opened { level })
            }
            (Request::Load { slots, sets, sizes }, Some(attendant), Some(_)) => {
                // What the previous case left is unmapped first: both might not fit.
                self.loaded = None;
                let layout = Layout { slots, sets, sizes };
                self.loaded = Some(Loaded::map(&layout, fds, attendant.control)?);
                Ok(Reply::Loaded)
            }
            _ => Err(Reply::Failed("a request out of order".into())),
        }
    }

    fn hello(&mut self, version: u32, cpu: Option<u32>, fds: Vec<OwnedFd>) -> Result<(), Reply> {
        if version != VERSION {
            let what = "the optloop executable was replaced during the run; start it again";
            return Err(Reply::Failed(what.into()));
        }
        if let Some(cpu) = cpu {
            kernel::pin(cpu).map_err(failed(&format!("pinning to core {cpu}")))?;
        }
        let [page]: [OwnedFd; 1] =
            fds.try_into().map_err(|_| Reply::Failed("the control page is missing".into()))?;
        let control = memory::control(&page).map_err(failed("mapping the control page"))?;
        crash::install(control).map_err(failed("setting signal handlers"))?;
        let attendant = Attendant::new(control, &self.socket);
        self.attendant = Some(attendant.map_err(failed("looking at the socket"))?);
        Ok(())
    }

    /// Serves the control page until told to come back to the socket.
    fn attend(&mut self) -> std::io::Result<()> {
        match &mut self.attendant {
            Some(attendant) => attendant.attend(&self.socket, self.launch, self.loaded.as_ref()),
            None => Ok(()),
        }
    }
}

/// Gives up the files and calls that no kernel needs, for good.
pub(in crate::backend) fn confine(
    mode: SandboxMode,
    (library, private): (&[u8], &[u8]),
    control: &'static Control,
) -> Result<SandboxLevel, Reply> {
    let nothing = SandboxLevel { landlock_abi: 0, seccomp: false };
    if mode == SandboxMode::Off {
        return Ok(nothing);
    }
    mode.accept(SandboxLevel::available()).map_err(|e| Reply::Failed(e.to_string()))?;
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    // SAFETY: the control page stays mapped as long as this process lives.
    unsafe { watch_traps(control.crash.trapped.as_ptr(), i32::from(EXIT_TRAPPED)) }
        .map_err(failed("watching for refused calls"))?;
    let library = path(library);
    // The loader is to find them wherever they lie; they are all that it may read there.
    let needed = loads::needed(&library, &sandbox::library_path()).unwrap_or_default();
    let libraries = needed.into_iter().flat_map(|library| library.files);
    let reads = libraries.chain([library]).collect();
    let spec = Confinement { reads, writes: vec![path(private)] };
    sandbox::confine(&spec).map_err(|e| Reply::Failed(e.to_string()))
}

/// The words for a step that the system refused.
pub(in crate::backend) fn failed<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Reply {
    move |error| Reply::Failed(format!("{what}: {error}"))
}

/// No more address space than this from now on, for good.
fn limit_memory(bytes: u64) -> Result<(), Reply> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit).map_err(failed("limiting memory"))
}
