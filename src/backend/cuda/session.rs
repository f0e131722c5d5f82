//! The judge's side of a CUDA worker: one process with one context, in which one kernel, or two
//! that are compared, are loaded.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::super::control::{STRAY_INPUT, STRAY_NONE, STRAY_OUTPUTS, Verb};
use super::super::cpu::last_core;
use super::super::cpu::segment::Segment;
use super::super::cpu::session::{CpuSession, SessionOptions};
use super::super::cpu::staging::{Layout, Memory};
use super::super::protocol::{DEVICE_ALIGNMENT, Request, VERSION};
use super::super::{
    Allowance, Argument, Fault, Grid, LaunchLimit, Launched, Order, Session, Shelf, Timer, Trouble,
};
use super::bundle::{Bundle, ImageKind};
use super::conditions::{Journal, Watch};
use super::driver;
use super::helpers::ZONE_WORDS;
use super::inspect::resources::Resources;
use super::seat::{answer_bytes, dtype_number};
use crate::process::Cancel;
use crate::process::sandbox::SandboxMode;
use crate::verify::{Dtype, Tolerance};

/// The argument that makes this executable a CUDA worker.
pub const CUDA_WORKER_COMMAND: &str = "__cuda_worker";

/// How the driver is to number devices, where nobody says otherwise: as `optloop devices` does, and
/// not by its own ranking.
pub const DEVICE_ORDER: (&str, &str) = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");

/// What a worker's driver is told beside that: all code is there before the first launch, not during it.
const EAGER: (&str, &str) = ("CUDA_MODULE_LOADING", "EAGER");

/// How long a throttled device is given before it is asked again, and how long at most.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Work on a device beyond a launch's own events that is put down to chance, ns and as a share.
const BEYOND_NS: u64 = 50_000;
const BEYOND_SHARE: f64 = 0.1;

/// More ways between the two processes than any slow one is put down to.
const BEYOND_HANDOVERS: u64 = 20;

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct CudaOptions<'a> {
    /// The executable that answers to [`CUDA_WORKER_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// The worker's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// See [`crate::process::CommandSpec::marker`]; a number that makes it unique is added.
    pub marker: &'a str,
    /// The device: its number, or `GPU-` and its UUID.
    pub device: &'a str,
    /// The built kernels, [`super::Bundle`]s by absolute path: one, or two that take turns.
    pub kernels: &'a [&'a Path],
    /// When everything must be over.
    pub allowance: Allowance,
    /// How far a worker with host code of the candidate's is to be confined.
    pub sandbox: SandboxMode,
    /// Where the worker gets a folder of its own, in which it runs and which goes with it.
    pub dir: &'a Path,
    /// Where the device's conditions are noted after each slot; `None`: they are not looked at.
    pub journal: Option<&'a Journal>,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// What the sessions of one worker share.
struct Shared {
    worker: CpuSession,
    timer: Timer,
    /// Host code of a candidate's is in the worker.
    host_code: bool,
    /// Device code can look into the worker, where answers would pass through.
    reaches_host: bool,
    /// Sessions that were not finished yet.
    users: usize,
    watch: Option<Watched>,
}

/// The device's conditions, and where they are noted.
struct Watched {
    watch: Watch,
    journal: Journal,
    /// How long the device is given when it is throttled, rising.
    pause: Duration,
    cancel: Cancel,
}

impl Watched {
    /// `None` where nothing is to be noted, or the library that tells is not there: then a slot is
    /// what it is.
    fn of(options: &CudaOptions<'_>) -> Option<Self> {
        let journal = options.journal?.clone();
        let env = |name: &str| {
            let found = options.env.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let watch = Watch::open(options.device, &env).ok()?;
        Some(Self { watch, journal, pause: SHORTEST_PAUSE, cancel: options.cancel.clone() })
    }

    /// Why what was just measured does not count; waits a little then, for heat passes.
    fn look(&mut self, ours: &[u32]) -> Option<String> {
        let conditions = self.watch.look(ours);
        let why = conditions.throttled().then(|| conditions.throttle.join(", "));
        self.journal.note(conditions);
        if why.is_none() {
            self.pause = SHORTEST_PAUSE;
            return None;
        }
        let until = Instant::now() + self.pause;
        while Instant::now() < until && !self.cancel.is_set() {
            std::thread::sleep(SHORTEST_PAUSE);
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        why
    }
}

/// One kernel in a worker.
pub struct CudaSession {
    shared: Rc<RefCell<Shared>>,
    seat: u32,
    grid: Grid,
    memory: Option<Memory>,
    /// Where answers go that are compared on the device.
    answers: Option<Segment>,
    resources: Option<Resources>,
    finished: bool,
}

impl CudaSession {
    /// Starts a worker and has it load the kernels; a session for each, in order.
    ///
    /// # Errors
    /// When the worker cannot be started, the device cannot be used or a kernel cannot be loaded.
    pub fn start(options: &CudaOptions<'_>) -> Result<Vec<Self>, Fault> {
        let first = options.kernels.first().copied().unwrap_or(Path::new(""));
        let cpu = last_core();
        let mut env = options.env.clone();
        for (name, value) in [DEVICE_ORDER, EAGER] {
            if !env.iter().any(|(known, _)| known == name) {
                env.push((name.into(), value.into()));
            }
        }
        let spawned = SessionOptions {
            program: options.program,
            env,
            marker: options.marker,
            library: first,
            cpu,
            allowance: options.allowance.clone(),
            // A context reserves more address space than any machine has memory.
            memory_bytes: None,
            sandbox: options.sandbox,
            dir: options.dir,
            cancel: options.cancel,
        };
        let device = options.device.to_owned();
        let hello = Request::Device { version: VERSION, cpu, device };
        let mut worker = CpuSession::spawn(&spawned, CUDA_WORKER_COMMAND, &hello)?;
        let bundles = options.kernels.iter().map(|k| k.as_os_str().as_bytes().to_vec()).collect();
        let private = worker.private().as_os_str().as_bytes().to_vec();
        let open = Request::Seats { bundles, sandbox: options.sandbox, private };
        worker.open(&open)?;
        let greeted = worker.timer();
        // A launch hides most of what a pair of events shows alone: stated, not taken off.
        let timer = Timer { overhead_ns: 0.0, empty_ns: greeted.overhead_ns, ..greeted };
        let host = |path: &&Path| Bundle::read(path).is_ok_and(|b| b.kind == ImageKind::Shared);
        let host_code = options.kernels.iter().any(host);
        let users = options.kernels.len();
        let watch = Watched::of(options);
        let reaches_host = worker.control().worker.reaches_host.load(Relaxed) != 0;
        let shared = Shared { worker, timer, host_code, reaches_host, users, watch };
        let shared = Rc::new(RefCell::new(shared));
        let seat = |seat| Self {
            shared: Rc::clone(&shared),
            seat,
            grid: Grid { blocks: [1; 3], threads: [1; 3], shared_bytes: 0 },
            memory: None,
            answers: None,
            resources: None,
            finished: false,
        };
        Ok((0..users as u32).map(seat).collect())
    }

    /// Whether no code of the candidate's runs on the host, so that nothing of it can outlive its
    /// launches.
    pub fn is_device_only(&self) -> bool {
        !self.shared.borrow().host_code
    }

    /// What the kernel takes of the device, once something is loaded; `None` for one with host code,
    /// and where the driver does not tell.
    pub fn resources(&self) -> Option<Resources> {
        self.resources
    }

    fn read_resources(&self) -> Option<Resources> {
        let shared = self.shared.borrow();
        let line = &shared.worker.control().worker;
        let registers = line.registers.load(Relaxed).checked_sub(1)?;
        (!shared.host_code).then(|| Resources {
            registers,
            static_shared_bytes: line.static_shared_bytes.load(Relaxed),
            local_bytes: line.local_bytes.load(Relaxed),
        })
    }

    fn load_staged(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        stage: impl FnOnce(Layout) -> io::Result<Memory>,
    ) -> Result<(), Fault> {
        // Given back first: both might not fit.
        self.memory = None;
        let layout = Layout::aligned(sets, (rustix::param::page_size(), DEVICE_ALIGNMENT))?;
        let shared = |e| Fault::infrastructure("creating shared memory", e);
        let memory = stage(layout).map_err(shared)?;
        let Layout { slots, sets, sizes, .. } = memory.layout.clone();
        let outputs = slots.iter().filter_map(|slot| slot.places().1);
        let bytes: u64 = outputs.map(|place| answer_bytes(place.bytes)).sum();
        let answers = Segment::create("optloop-answers", bytes).map_err(shared)?;
        let request = Request::LoadSeat { seat: self.seat, grid: self.grid, slots, sets, sizes };
        let inputs = memory.inputs.reader().map_err(shared)?;
        let fds = [inputs.as_fd(), memory.outputs.fd(), answers.fd()];
        self.shared.borrow_mut().worker.load_device(&request, &fds)?;
        (self.memory, self.answers) = (Some(memory), Some(answers));
        self.resources = self.read_resources();
        Ok(())
    }

    fn staged(&self, set: u32) -> Result<&Memory, Fault> {
        let memory = self.memory.as_ref().filter(|memory| set < memory.layout.sets);
        memory.ok_or_else(|| Fault::Infrastructure { what: "no such set was loaded".into() })
    }

    /// Has the worker do something about a set, and hears what went wrong on the device.
    fn about(&mut self, verb: Verb, set: u32) -> Result<(), Fault> {
        self.staged(set)?;
        let mut shared = self.shared.borrow_mut();
        shared.worker.about(verb, (self.seat, set))?;
        shared.check_device()
    }

    /// What the latest look for strays found.
    fn stray(&self) -> Result<(), Fault> {
        let shared = self.shared.borrow();
        let line = &shared.worker.control().stray;
        let kind = line.kind.load(Relaxed);
        if kind == STRAY_NONE {
            return Ok(());
        }
        let layout = self.memory.as_ref().map(|memory| &memory.layout);
        let place = line.place.load(Relaxed);
        let what = if kind == STRAY_INPUT {
            format!("argument {}, which is an input, was changed", place + 1)
        } else {
            let zone = Zone { number: u64::from(place), word: line.word.load(Relaxed) };
            let count = line.count.load(Relaxed).saturating_mul(8);
            let what = layout.map(|layout| zone.words(layout, kind == STRAY_OUTPUTS));
            format!("{count} bytes {}", what.unwrap_or_default())
        };
        Err(Fault::Stray { what })
    }
}

/// A red zone that was written to.
struct Zone {
    number: u64,
    /// Its first changed word.
    word: u64,
}

impl Zone {
    /// Beside which argument it lies.
    fn words(&self, layout: &Layout, outputs: bool) -> String {
        let sets = u64::from(layout.sets);
        let mut before = 0;
        let mut last = 0;
        for buffer in &layout.buffers {
            let place = if outputs { buffer.output } else { buffer.input };
            let Some(place) = place else { continue };
            let regions = place.regions(sets);
            // The zone before the next region is behind the last one; its first half counts so.
            let behind = self.number > 0 && self.word < ZONE_WORDS / 2;
            let region = self.number - u64::from(behind);
            if region < before + regions {
                let side = if behind { "behind" } else { "before" };
                return format!("{side} a buffer of argument {}", buffer.argument);
            }
            before += regions;
            last = buffer.argument;
        }
        format!("behind a buffer of argument {last}")
    }
}

impl Shared {
    /// What the driver said in the latest order.
    fn check_device(&mut self) -> Result<(), Fault> {
        let code = self.worker.control().worker.trouble.swap(0, Relaxed);
        if code == 0 {
            return Ok(());
        }
        let fault = device_fault(code, "a launch");
        // A context that has failed once answers nothing any more.
        Err(self.worker.end_for(fault))
    }
}

/// A code of the driver's as a fault.
pub(in crate::backend) fn device_fault(code: u32, call: &str) -> Fault {
    let trouble = driver::trouble(code);
    Fault::Device { trouble, what: format!("{call}: {} ({code})", driver::name(code)) }
}

/// What the device does not take, in words.
pub(in crate::backend) fn refused(what: String) -> Fault {
    Fault::Device { trouble: Trouble::Refused, what }
}

impl Session for CudaSession {
    fn shape(&mut self, grid: Grid) {
        self.grid = grid;
    }

    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        self.load_staged(sets, |layout| Memory::stage(layout, sets))
    }

    fn load_shared(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        number: u64,
        shelf: &mut Shelf,
    ) -> Result<(), Fault> {
        self.load_staged(sets, |layout| {
            let inputs = shelf.inputs(number, &layout, sets)?;
            Memory::around(layout, inputs)
        })
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        let last = order.first.checked_add(order.count).and_then(|end| end.checked_sub(1));
        self.staged(last.unwrap_or(u32::MAX))?;
        let mut shared = self.shared.borrow_mut();
        shared.worker.seat(self.seat);
        shared.worker.prepare(order)?;
        shared.check_device()?;
        let launched = shared.worker.launch_prepared(order.count)?;
        shared.check_device()?;
        // Answered once it has looked at the device-wide clock, which it does after a launch.
        shared.worker.about(Verb::Attend, (self.seat, order.first))?;
        Ok(shared.believed(launched))
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let mut outputs = Vec::new();
        self.outputs_into(set, &mut outputs)?;
        Ok(outputs)
    }

    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        self.about(Verb::Collect, set)?;
        self.stray()?;
        let host_code = self.shared.borrow().host_code;
        if host_code {
            self.shared.borrow_mut().worker.pause()?;
        }
        let memory = self.staged(set)?;
        let reading = |e| Fault::infrastructure("reading outputs", e);
        memory.read(set, into).map_err(reading)?;
        match memory.stray(set).map_err(reading)? {
            Some(what) => Err(Fault::Stray { what }),
            None => Ok(()),
        }
    }

    fn agrees(
        &mut self,
        set: u32,
        want: &[Vec<u8>],
        like: &[(Dtype, Tolerance)],
    ) -> Result<Option<bool>, Fault> {
        // A worker with a candidate's host code proves nothing by its word, and must not see answers;
        // nor must one that device code can look into.
        let is_shut = self.is_device_only() && !self.shared.borrow().reaches_host;
        // The device's comparison knows of no NaN that is wanted.
        let is_plain = like.iter().all(|(_, tolerance)| !tolerance.equal_nan);
        let Some(answers) = self.answers.as_ref().filter(|_| is_shut && is_plain) else {
            return Ok(None);
        };
        let mut at = 0;
        for (want, (dtype, tolerance)) in want.iter().zip(like) {
            let mut head = dtype_number(*dtype).to_le_bytes().to_vec();
            head.extend(tolerance.rtol.to_le_bytes());
            head.extend(tolerance.atol.to_le_bytes());
            let written = answers.write(at, &head);
            written
                .and_then(|()| answers.write(at + head.len() as u64, want))
                .map_err(|e| Fault::infrastructure("writing answers", e))?;
            at += answer_bytes(want.len() as u64);
        }
        self.about(Verb::Agree, set)?;
        self.stray()?;
        let disagreements = self.shared.borrow().worker.control().worker.found.load(Relaxed);
        Ok(Some(disagreements == 0))
    }

    fn disturbed(&mut self) -> Option<String> {
        let mut shared = self.shared.borrow_mut();
        let ours: Vec<u32> = shared.worker.id().into_iter().collect();
        shared.watch.as_mut()?.look(&ours)
    }

    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.shared.borrow_mut().worker.limit(launch);
    }

    fn timer(&self) -> Timer {
        self.shared.borrow().timer
    }

    fn finish(&mut self) -> Vec<u8> {
        if std::mem::replace(&mut self.finished, true) {
            return Vec::new();
        }
        let mut shared = self.shared.borrow_mut();
        shared.users -= 1;
        if shared.users == 0 { shared.worker.finish() } else { Vec::new() }
    }
}

impl Drop for CudaSession {
    fn drop(&mut self) {
        let _printed = self.finish();
    }
}

impl Shared {
    /// The times of a launch as far as they are to be believed.
    ///
    /// Where the worker is ours alone, its events are the truth but for work elsewhere on the device,
    /// which the judge's clock and the device-wide one show: the way between the two processes takes
    /// tens of microseconds there, and says nothing of a launch.
    fn believed(&self, launched: Launched) -> Launched {
        let beyond = self.worker.control().stray.beyond_ns.load(Relaxed);
        let allowed = BEYOND_NS + (launched.reported_ns as f64 * BEYOND_SHARE) as u64;
        let handover = self.timer.handover_ns as u64;
        if beyond > allowed {
            // Far beyond what a slow way between the processes would explain, so that such a launch
            // does not count, and most of them are called what they are.
            let seen = 2 * launched.reported_ns + beyond + BEYOND_HANDOVERS * handover;
            return Launched { at_least_ns: launched.at_least_ns.max(seen), ..launched };
        }
        let waited = launched.at_least_ns.saturating_sub(handover + launched.reported_ns);
        if self.host_code || waited > allowed {
            return launched;
        }
        Launched { at_least_ns: 0, ..launched }
    }
}
