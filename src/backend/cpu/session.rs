//! The judge's side of a worker: gives it memory and orders, watches its life and its clock, and
//! reads what it left.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};

use super::super::protocol::{self, Extent, Received, Reply, Request, Slot, VERSION};
use super::super::worker::{EXIT_ALONE, EXIT_CUT_OFF};
use super::super::{Argument, Fault, Launched, Order, Session, Timer};
use super::segment::Segment;
use crate::process::{self, Cancel, CommandSpec, Exit, Finished, Running, Stdin, Wake};

/// The argument that makes this executable a worker.
pub const WORKER_COMMAND: &str = "__worker";

/// How long a worker has to leave when told to.
const FAREWELL: Duration = Duration::from_millis(500);

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
    /// When everything must be over.
    pub deadline: Option<Instant>,
    /// The worker's working folder.
    pub dir: &'a Path,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// A worker process with a kernel loaded.
pub struct CpuSession {
    socket: OwnedFd,
    running: Option<Running>,
    deadline: Option<Instant>,
    cancel: Cancel,
    memory: Option<Memory>,
    printed: Vec<u8>,
}

/// The segments of one case.
struct Memory {
    outputs: Segment,
    durations: Segment,
    /// Buffers of the first set that are read back, in argument order.
    results: Vec<Extent>,
    /// How many sets, and how far apart their outputs lie.
    sets: u32,
    stride: u64,
}

impl CpuSession {
    /// Starts a worker and has it load the kernel.
    ///
    /// # Errors
    /// When the worker cannot be started, or the kernel cannot be loaded or crashes while it is.
    pub fn start(options: &SessionOptions<'_>) -> Result<Self, Fault> {
        let kind = SocketType::SEQPACKET;
        let (socket, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
            .map_err(|e| Fault::infrastructure("creating a socket", e))?;
        let running = process::start(&command(options), Stdin::Socket(theirs))
            .map_err(|e| Fault::infrastructure("starting a worker", e))?;
        let mut session = Self {
            socket,
            running: Some(running),
            deadline: options.deadline,
            cancel: options.cancel.clone(),
            memory: None,
            printed: Vec::new(),
        };
        let library = options.library.as_os_str().as_bytes().to_vec();
        let open = Request::Open { version: VERSION, library, cpu: options.cpu };
        session.expect(&open, &[], &Reply::Opened)?;
        Ok(session)
    }

    /// Sends a request and waits for the one reply that is right.
    fn expect(
        &mut self,
        request: &Request,
        segments: &[&Segment],
        right: &Reply,
    ) -> Result<(), Fault> {
        let fds: Vec<_> = segments.iter().map(|s| s.fd()).collect();
        if let Err(error) = protocol::send(self.socket.as_fd(), request, &fds) {
            // A worker that died is a fault of the kernel, not of the socket.
            return Err(match error.kind() {
                std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => self.bury(),
                _ => Fault::infrastructure("speaking to a worker", error),
            });
        }
        match self.reply()? {
            Reply::Unloadable(what) => Err(Fault::Unloadable { what }),
            Reply::Failed(what) => Err(Fault::Infrastructure { what }),
            reply if reply == *right => Ok(()),
            _ => Err(Fault::Cheating { what: "the worker answered out of turn".into() }),
        }
    }

    /// Waits for a reply, for death, for the deadline or for a stop.
    fn reply(&mut self) -> Result<Reply, Fault> {
        let running = self.running.as_mut().ok_or_else(gone)?;
        let wake = running.wait(Some(self.socket.as_fd()), self.deadline, &self.cancel);
        match wake {
            Ok(Wake::Ready) => {}
            Ok(Wake::Exited) => return Err(self.bury()),
            Ok(Wake::Cancelled) => return Err(self.end(Exit::Cancelled, Fault::Interrupted)),
            Ok(Wake::Deadline) => return Err(self.end(Exit::TimedOut, Fault::TimedOut)),
            Err(e) => return Err(Fault::infrastructure("waiting for a worker", e)),
        }
        let received = protocol::receive::<Reply>(&self.socket, RecvFlags::DONTWAIT)
            .map_err(|e| Fault::infrastructure("listening to a worker", e))?;
        match received {
            Received::Message(reply, _) => Ok(reply),
            Received::Closed => Err(self.bury()),
            Received::Garbage => {
                let what = "bytes that are no message came from the worker".into();
                Err(Fault::Cheating { what })
            }
        }
    }

    /// Finds out how a worker that is gone, or has closed its socket, came to its end.
    fn bury(&mut self) -> Fault {
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
                match exit {
                    Exit::Code(code) if code == i32::from(EXIT_ALONE) => {
                        let what = "the worker process could not be set up".into();
                        Fault::Infrastructure { what }
                    }
                    Exit::Code(code) if code == i32::from(EXIT_CUT_OFF) => {
                        let what = "the kernel closed descriptors that are not its own".into();
                        Fault::Cheating { what }
                    }
                    Exit::Code(code) => Fault::Exited { code },
                    Exit::Signal(signal) => Fault::Crashed { signal, place: String::new() },
                    Exit::TimedOut => Fault::TimedOut,
                    Exit::Cancelled => Fault::Interrupted,
                }
            }
            Err(error) => Fault::infrastructure("waiting for a worker", error),
        }
    }

    /// Kills the worker and everything it started; `fault` says why.
    fn end(&mut self, exit: Exit, fault: Fault) -> Fault {
        if let Some(running) = self.running.take() {
            let finished = running.abort(exit, &self.cancel);
            self.keep_output(finished);
        }
        fault
    }

    fn keep_output(&mut self, finished: Finished) {
        self.printed.extend(finished.stdout);
        self.printed.extend(finished.stderr);
    }
}

fn gone() -> Fault {
    Fault::Infrastructure { what: "the worker is gone already".into() }
}

fn nothing_loaded() -> Fault {
    Fault::Infrastructure { what: "nothing was loaded before the launch".into() }
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

fn command(options: &SessionOptions<'_>) -> CommandSpec {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let marker = format!("{}.w{number}", options.marker);
    let mut spec = CommandSpec::new(options.program, options.dir, marker);
    spec.args = vec![WORKER_COMMAND.into(), std::process::id().to_string().into()];
    spec.env.clone_from(&options.env);
    // Nothing that a worker could tidy up is worth waiting for.
    spec.grace = Duration::ZERO;
    spec.max_output = MAX_OUTPUT;
    spec
}

/// Builds the segments of a case: where each argument goes, and its bytes.
struct Builder {
    slots: Vec<Slot>,
    results: Vec<Extent>,
    inputs_end: u64,
    outputs_end: u64,
    page: usize,
}

impl Builder {
    fn add(&mut self, argument: &Argument<'_>) -> Option<()> {
        let slot = match argument {
            Argument::Scalar(bytes) => Slot::Scalar(bytes.to_vec()),
            Argument::In(bytes) => Slot::In(self.input(bytes.len())?),
            Argument::Out(bytes) => Slot::Out(self.output(*bytes)?),
            Argument::Inout(bytes) => {
                Slot::Inout(self.input(bytes.len())?, self.output(bytes.len())?)
            }
        };
        self.slots.push(slot);
        Some(())
    }

    /// Writes a set's inputs `shift` bytes behind the first set's.
    fn stage(&self, set: &[Argument<'_>], inputs: &Segment, shift: u64) -> std::io::Result<()> {
        for (slot, argument) in self.slots.iter().zip(set) {
            if let (
                Slot::In(extent) | Slot::Inout(extent, _),
                Argument::In(bytes) | Argument::Inout(bytes),
            ) = (slot, argument)
            {
                inputs.write(&extent.shifted(shift), bytes)?;
            }
        }
        Ok(())
    }

    fn input(&mut self, bytes: usize) -> Option<Extent> {
        let extent = Extent::place(self.inputs_end, bytes, self.page)?;
        self.inputs_end = extent.end();
        Some(extent)
    }

    fn output(&mut self, bytes: usize) -> Option<Extent> {
        let extent = Extent::place(self.outputs_end, bytes, self.page)?;
        self.outputs_end = extent.end();
        self.results.push(extent);
        Some(extent)
    }
}

impl Session for CpuSession {
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        let page = rustix::param::page_size();
        let mut builder =
            Builder { slots: Vec::new(), results: Vec::new(), inputs_end: 0, outputs_end: 0, page };
        let first = sets.first().ok_or_else(nothing_loaded)?;
        for argument in first {
            builder.add(argument).ok_or_else(|| Fault::Infrastructure {
                what: "a buffer is larger than the address space".into(),
            })?;
        }
        let (strides, count) = ((builder.inputs_end, builder.outputs_end), sets.len() as u64);
        let memory = |e| Fault::infrastructure("creating shared memory", e);
        let inputs = Segment::create("optloop-inputs", strides.0 * count).map_err(memory)?;
        for (index, set) in sets.iter().enumerate() {
            builder.stage(set, &inputs, strides.0 * index as u64).map_err(memory)?;
        }
        inputs.freeze().map_err(memory)?;
        let outputs = Segment::create("optloop-outputs", strides.1 * count).map_err(memory)?;
        outputs.fix().map_err(memory)?;
        outputs.poison().map_err(memory)?;
        let durations = Segment::create("optloop-durations", page as u64).map_err(memory)?;
        durations.fix().map_err(memory)?;
        let request = Request::Load { slots: builder.slots, sets: count as u32, strides };
        self.expect(&request, &[&inputs, &outputs, &durations], &Reply::Loaded)?;
        let (results, sets, stride) = (builder.results, count as u32, strides.1);
        self.memory = Some(Memory { outputs, durations, results, sets, stride });
        Ok(())
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        self.memory.as_ref().ok_or_else(nothing_loaded)?;
        let sent = Instant::now();
        let request = Request::Launch { first: order.first, count: order.count };
        self.expect(&request, &[], &Reply::Done)?;
        let judged_ns = sent.elapsed().as_nanos() as u64;
        let memory = self.memory.as_ref().ok_or_else(nothing_loaded)?;
        let ns = memory.durations.read_u64s(1);
        let ns = ns.map_err(|e| Fault::infrastructure("reading durations", e))?;
        plausible(Launched { reported_ns: ns[0], judged_ns })
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let memory = self.memory.as_ref().ok_or_else(nothing_loaded)?;
        if set >= memory.sets {
            return Err(nothing_loaded());
        }
        let shift = memory.stride * u64::from(set);
        let read = |extent: &Extent| memory.outputs.read(&extent.shifted(shift));
        let outputs: std::io::Result<Vec<_>> = memory.results.iter().map(read).collect();
        outputs.map_err(|e| Fault::infrastructure("reading outputs", e))
    }

    fn timer(&self) -> Timer {
        Timer { step_ns: 20.0, overhead_ns: 20.0, handover_ns: 200_000.0 }
    }

    fn finish(&mut self) -> Vec<u8> {
        if self.running.is_some() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_beyond_the_judges_clock_are_cheating() {
        let launched = |reported_ns| Launched { reported_ns, judged_ns: 100 };
        assert!(plausible(launched(100)).is_ok());
        assert!(matches!(plausible(launched(101)), Err(Fault::Cheating { .. })));
    }
}
