//! The child side of a CUDA device: the process that owns the context in which kernels are
//! launched.
//!
//! Entered by `optloop __cuda_worker`, with the control socket as descriptor 0. A kernel that is
//! device code alone runs nothing here; one with host code makes this process the candidate's, and
//! the judge believes it no more than a worker of the processor's.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use super::super::Mode;
use super::super::link::control::{Control, Verb, WorkerLine};
use super::super::link::protocol::{EXIT_ALONE, EXIT_CUT_OFF, Reply, Request};
use super::super::worker::{self, Attendant, Greeting, Runner};
use super::bundle::ImageKind;
use super::driver::{self, Context, Event, Memory, Stream};
use super::find::Places;
use super::helpers::{DELAY_NS, Helpers};
use super::inspect::resources::Resources;
use super::kernel::{Kernel, read_bundle, trouble};
use super::probe;
use super::seat::{Layout, Seat, Sets};
use super::tools::Tools;
use crate::host::Host;
use crate::process::Limits;
use crate::process::sandbox::{SandboxLevel, SandboxMode};

/// Empty pairs of events that the clock is measured with.
const READINGS: usize = 201;

/// A driver keeps many devices open, and files of its own.
const LIMITS: Limits =
    Limits { file_bytes: 1 << 30, open_files: 4096, cpu_seconds: u64::MAX, memory_bytes: None };

/// Serves the judge on descriptor 0 until it says to leave or is gone; `host` knows
/// where libraries lie.
pub fn main(host: &dyn Host) -> ExitCode {
    let Ok(socket) = worker::start(&LIMITS) else {
        return ExitCode::from(EXIT_ALONE);
    };
    let mut runner = CudaRunner { attendant: None, device: None, seats: Vec::new(), host };
    let served = worker::serve(&socket, &mut runner);
    let in_order = served.is_ok() && runner.leave().is_ok();
    if in_order { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CUT_OFF) }
}

/// The driver's side of what this process has.
struct Device {
    tools: Tools,
    start: Event,
    end: Event,
    /// Two readings of the device-wide clock.
    stamps: Memory,
    /// What these show beyond the events when nothing is launched.
    span_ns: u64,
    /// A candidate's host code is in this process.
    host_code: bool,
}

/// What this process has become so far.
struct CudaRunner<'a> {
    attendant: Option<Attendant>,
    // Before the device: their memory is given back while there is a context.
    seats: Vec<Seat>,
    device: Option<Device>,
    host: &'a dyn Host,
}

impl Runner for CudaRunner<'_> {
    fn answer(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
        socket: &OwnedFd,
    ) -> Result<Reply, Reply> {
        let control = self.attendant.as_ref().map(|attendant| attendant.control);
        match (request, &self.device) {
            (Request::Device { version, cpu, device }, None) => {
                let attendant = Greeting { version, cpu, fds }.accept(socket)?;
                let control = attendant.control;
                self.attendant = Some(attendant);
                self.start(&device, control)
            }
            (Request::Seats { bundles, sandbox, private }, Some(_)) if self.seats.is_empty() => {
                let level = self.open(&bundles, sandbox, &private)?;
                Ok(Reply::Opened { level })
            }
            (Request::LoadSeat { seat, grid, slots, sets, sizes }, Some(device)) => {
                let seat = self.seats.get_mut(seat as usize);
                let seat = seat.ok_or_else(|| Reply::Failed("there is no such seat".into()))?;
                seat.load(Layout { grid, slots, sets, sizes }, fds, &device.tools)?;
                if let Some(control) = control {
                    // For words only: nothing is refused for want of them.
                    tell(&control.worker, seat.kernel.resources().ok().flatten());
                }
                Ok(Reply::Loaded)
            }
            _ => Err(Reply::Failed("a request out of order".into())),
        }
    }

    fn attend(&mut self, socket: &OwnedFd) -> std::io::Result<()> {
        let (Some(attendant), Some(device)) = (&mut self.attendant, &self.device) else {
            return Ok(());
        };
        loop {
            let order = attendant.next();
            let control = attendant.control;
            let verb = Verb::of(order);
            let done = device.carry_out(verb, control, &mut self.seats);
            if let Err(error) = done {
                control.worker.trouble.store(error.code.max(1), Relaxed);
                // The time of an earlier order would be longer than the judge waited for this one.
                attendant.note(0);
            }
            attendant.answer(order);
            match verb {
                Some(Verb::Leave) => return Ok(()),
                Some(Verb::Go) => {
                    attendant.still_connected(socket)?;
                    if done.is_ok() {
                        // After the answer, so that the judge's clock does not wait for it.
                        device.look_beyond(control);
                    }
                }
                _ => {}
            }
        }
    }
}

impl CudaRunner<'_> {
    fn start(&mut self, name: &str, control: &'static Control) -> Result<Reply, Reply> {
        probe::ready(&Places::of(self.host))
            .map_err(|missing| Reply::Failed(missing.to_string()))?;
        let mut device = Device::open(name)?;
        let reaches_host = device.tools.context.reaches_host().map_err(trouble)?;
        control.worker.reaches_host.store(u32::from(reaches_host), Relaxed);
        let (step_ns, overhead_ns) = device.measure_clock(control).map_err(trouble)?;
        self.device = Some(device);
        Ok(Reply::Ready { step_ns, overhead_ns })
    }

    fn open(
        &mut self,
        paths: &[Vec<u8>],
        sandbox: SandboxMode,
        private: &[u8],
    ) -> Result<SandboxLevel, Reply> {
        let mut bundles = Vec::with_capacity(paths.len());
        for path in paths {
            bundles.push(read_bundle(path)?);
        }
        let mut level = SandboxLevel { landlock_abi: 0, seccomp: false };
        let host_code = bundles.iter().any(|bundle| bundle.kind == ImageKind::Shared);
        let (Some(device), Some(attendant)) = (&mut self.device, &self.attendant) else {
            return Err(Reply::Failed("a request out of order".into()));
        };
        device.host_code = host_code;
        if host_code {
            // The private folder is what it may read and write; the driver is loaded already.
            level = worker::confine(sandbox, private, private, attendant.control)?;
        }
        let folder = Path::new(OsStr::from_bytes(private));
        for (seat, bundle) in bundles.iter().enumerate() {
            self.seats.push(Seat::new(Kernel::load(bundle, folder, seat)?));
        }
        Ok(level)
    }

    /// Gives everything back, in order: buffers are wiped, modules unloaded, the context released.
    fn leave(mut self) -> driver::Result<()> {
        self.seats.clear();
        let Some(device) = self.device.take() else { return Ok(()) };
        if device.host_code {
            // The candidate may have threads in what is mapped.
            std::mem::forget(device);
            return Ok(());
        }
        let context = device.tools.context;
        drop(device);
        context.release()
    }
}

/// Tells what the kernel that was loaded takes of the device.
fn tell(line: &WorkerLine, resources: Option<Resources>) {
    line.registers.store(resources.map_or(0, |r| r.registers.saturating_add(1)), Relaxed);
    line.static_shared_bytes.store(resources.map_or(0, |r| r.static_shared_bytes), Relaxed);
    line.local_bytes.store(resources.map_or(0, |r| r.local_bytes), Relaxed);
}

impl Device {
    fn open(name: &str) -> Result<Self, Reply> {
        let ordinal = ordinal_of(name)?;
        let made = || -> driver::Result<Self> {
            let context = Context::of(ordinal)?;
            let (helpers, stream) = (Helpers::load()?, Stream::new()?);
            let flush = Memory::of((2 * context.l2_bytes()?) as usize)?;
            let tools = Tools { context, helpers, stream, found: Memory::of(16)?, flush };
            let (start, end, stamps) = (Event::new()?, Event::new()?, Memory::of(16)?);
            Ok(Self { tools, start, end, stamps, span_ns: 0, host_code: false })
        };
        made().map_err(trouble)
    }

    /// The smallest step of events, and what a pair of them shows with nothing between, in the
    /// middle.
    fn measure_clock(&mut self, control: &Control) -> driver::Result<(u64, u64)> {
        let (mut pairs, mut spans) = (Vec::new(), Vec::new());
        for _ in 0..READINGS {
            let ns = self.timed(|_| Ok(()))?;
            pairs.push(ns);
            spans.push(self.span()?.saturating_sub(ns));
        }
        pairs.sort_unstable();
        spans.sort_unstable();
        self.span_ns = spans[READINGS / 2];
        control.stray.beyond_ns.store(0, Relaxed);
        let step = pairs.windows(2).map(|pair| pair[1] - pair[0]).filter(|&step| step > 0).min();
        // Events have times in single precision: under a nanosecond is no step.
        Ok((step.unwrap_or(1).max(1), pairs[READINGS / 2]))
    }

    fn carry_out(
        &self,
        verb: Option<Verb>,
        control: &Control,
        seats: &mut [Seat],
    ) -> driver::Result<()> {
        let judge = &control.judge;
        let sets = Sets { first: judge.first.load(Relaxed), count: judge.count.load(Relaxed) };
        let seat = seats.get_mut(judge.seat.load(Relaxed) as usize);
        let elapsed = |ns| control.worker.elapsed_ns.store(ns, Relaxed);
        match (verb, seat) {
            (Some(Verb::Prepare), Some(seat)) => {
                let mode = if judge.touch.load(Relaxed) == 0 { Mode::Cold } else { Mode::Hot };
                seat.prepare(sets, mode, &self.tools)
            }
            (Some(Verb::Go), Some(seat)) => {
                elapsed(self.timed(|stream| seat.launch(sets, stream))?);
                Ok(())
            }
            (Some(Verb::Empty), _) => {
                elapsed(self.timed(|_| Ok(()))?);
                Ok(())
            }
            (Some(Verb::Collect), Some(seat)) => {
                seat.collect(sets.first, &control.stray, &self.tools)
            }
            (Some(Verb::Agree), Some(seat)) => {
                let disagreements = seat.agree(sets.first, &control.stray, &self.tools)?;
                control.worker.found.store(disagreements, Relaxed);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nanoseconds between two events around what is enqueued.
    ///
    /// A delay stands before the first: while the device is busy with it everything else is
    /// enqueued, so that no time of the host's comes between the events.
    fn timed(&self, enqueue: impl FnOnce(&Stream) -> driver::Result<()>) -> driver::Result<u64> {
        let stream = &self.tools.stream;
        self.tools.helpers.stamp(self.stamps.at, stream)?;
        self.tools.helpers.delay(stream)?;
        self.start.record(stream)?;
        enqueue(stream)?;
        self.end.record(stream)?;
        Context::wait()?;
        self.end.ns_since(&self.start)
    }

    /// From the stamp before the latest launch to now, by the device-wide clock.
    fn span(&self) -> driver::Result<u64> {
        self.tools.helpers.stamp(self.stamps.at + 8, &self.tools.stream)?;
        self.tools.stream.wait()?;
        let [before, after] = self.stamps.words()?;
        Ok(after.saturating_sub(before).saturating_sub(DELAY_NS))
    }

    /// How long the device was at work beyond what the events say, on whatever stream.
    fn look_beyond(&self, control: &Control) {
        let Ok(span) = self.span() else { return };
        let told = control.worker.elapsed_ns.load(Relaxed) + self.span_ns;
        control.stray.beyond_ns.store(span.saturating_sub(told), Relaxed);
    }
}

/// The driver's number of a device that is named by number or UUID.
pub(super) fn ordinal_of(name: &str) -> Result<i32, Reply> {
    let count = driver::start().map_err(trouble)?;
    if let Some(wanted) = name.strip_prefix("GPU-") {
        let wanted: String =
            wanted.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
        for ordinal in 0..count {
            let uuid = driver::uuid(ordinal).map_err(trouble)?;
            let hex = format!("{:032x}", u128::from_be_bytes(uuid));
            if hex.starts_with(&wanted) {
                return Ok(ordinal);
            }
        }
        return Err(Reply::Failed(format!("there is no device {name} among the {count} in sight")));
    }
    let ordinal = name.parse::<i32>().ok().filter(|ordinal| (0..count).contains(ordinal));
    ordinal.ok_or_else(|| {
        Reply::Failed(format!("there is no device cuda:{name}: the driver lists {count}"))
    })
}
