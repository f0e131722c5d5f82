//! The child side of the processor: the process that a shared object is opened and launched in.
//!
//! Entered by `optloop __worker` with the control socket as descriptor 0.

mod kernel;
mod launch;
mod memory;

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::{Resource, Rlimit, setrlimit};

use self::kernel::Launch;
use self::launch::{measure_clock, nothing, timed};
use self::memory::{Layout, Loaded, Set};
use super::super::link::control::Verb;
use super::super::link::protocol::{EXIT_ALONE, EXIT_CUT_OFF, Reply, Request};
use super::super::worker::{self, Attendant, Greeting, Runner, confine};
use crate::process::Limits;

/// Serves the judge on descriptor 0 until it says to leave or is gone. The second argument of the
/// command line, after the name of the worker command, is the judge's process id.
pub fn main() -> ExitCode {
    let Ok(socket) = worker::start(&LIMITS) else {
        return ExitCode::from(EXIT_ALONE);
    };
    let mut host = CpuRunner { attendant: None, launch: None, loaded: None };
    let served = worker::serve(&socket, &mut host);
    // The candidate may have closed the socket, and may have threads in what is mapped: nothing
    // is given back before the end of the process.
    std::mem::forget((socket, host));
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CUT_OFF) }
}

/// What a worker on the processor may use. Processor time is not limited here: a kernel may use every
/// core until its deadline.
const LIMITS: Limits =
    Limits { file_bytes: 16 << 20, open_files: 256, cpu_seconds: u64::MAX, memory_bytes: None };

/// What this process has become so far.
struct CpuRunner {
    attendant: Option<Attendant>,
    launch: Option<Launch>,
    loaded: Option<Loaded>,
}

impl Runner for CpuRunner {
    fn answer(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
        socket: &OwnedFd,
    ) -> Result<Reply, Reply> {
        match (request, &self.attendant, self.launch) {
            (Request::Hello { version, cpu, memory_bytes }, None, _) => {
                self.attendant = Some(Greeting { version, cpu, fds }.accept(socket)?);
                memory_bytes.map_or(Ok(()), limit_memory)?;
                Ok(measure_clock())
            }
            (Request::Open { library, sandbox, private }, Some(attendant), None) => {
                let level = confine(sandbox, &library, &private, attendant.control)?;
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

    fn attend(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let Some(attendant) = &mut self.attendant else { return Ok(()) };
        let (launch, loaded) = (self.launch, self.loaded.as_ref());
        loop {
            let order = attendant.next();
            let judge = &attendant.control.judge;
            let (first, count) = (judge.first.load(Relaxed), judge.count.load(Relaxed));
            let sets = loaded.map_or(&[][..], |loaded| loaded.range(first, count));
            match (Verb::of(order), launch) {
                (Some(Verb::Prepare), _) => {
                    sets.iter().for_each(Set::restore);
                    if judge.touch.load(Relaxed) != 0 {
                        sets.iter().for_each(Set::touch);
                    }
                }
                (Some(Verb::Go), Some(launch)) => attendant.note(timed(launch, sets)),
                (Some(Verb::Empty), _) => attendant.note(timed(nothing, &[Set::default()])),
                _ => {}
            }
            attendant.answer(order);
            match Verb::of(order) {
                Some(Verb::Leave) => return Ok(()),
                Some(Verb::Go) => attendant.still_connected(socket)?,
                _ => {}
            }
        }
    }
}

/// No more address space than this from now on, for good.
fn limit_memory(bytes: u64) -> Result<(), Reply> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, limit).map_err(Reply::failed("limiting memory"))
}
