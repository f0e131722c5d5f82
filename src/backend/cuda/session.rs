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

use super::super::cpu::last_core;
use super::super::link::control::{SeatSet, Verb};
use super::super::link::placement::{DEVICE_ALIGNMENT, Grain};
use super::super::link::protocol::{Request, VERSION};
use super::super::link::{Layout, Memory, Segment, Spawn, Worker};
use super::super::{
    Allowance, Argument, Fault, Grid, LaunchLimit, Launched, Order, Session, Shelf, Timer,
};
use super::answers::{answer_bytes, dtype_number};
use super::bundle::{Bundle, ImageKind};
use super::conditions::{Journal, Watch};
use super::inspect::resources::Resources;
use super::shared::Shared;
use super::stray;
use super::trouble::fault_of;
use super::watch::Watched;
use crate::host::MemoryHost;
use crate::process::Cancel;
use crate::process::sandbox::SandboxMode;
use crate::verify::{Dtype, Tolerance};

/// The argument that makes this executable a CUDA worker.
pub const CUDA_WORKER_COMMAND: &str = "__cuda_worker";

/// How the driver is to number devices, where nobody says otherwise: as `optloop devices` does, and
/// not by its own ranking.
pub const DEVICE_ORDER: (&str, &str) = ("CUDA_DEVICE_ORDER", "PCI_BUS_ID");

/// What a worker's driver gets beside that: all code is there before the first launch, not during it.
const EAGER: (&str, &str) = ("CUDA_MODULE_LOADING", "EAGER");

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
        let mut worker = spawn(options)?;
        let bundles = options.kernels.iter().map(|k| k.as_os_str().as_bytes().to_vec()).collect();
        let private = worker.private().as_os_str().as_bytes().to_vec();
        let open = Request::Seats { bundles, sandbox: options.sandbox, private };
        worker.open(&open).map_err(fault_of)?;
        let greeted = worker.timer();
        // A launch hides most of what a pair of events shows alone: stated, not taken off.
        let timer = Timer { overhead_ns: 0.0, empty_ns: greeted.overhead_ns, ..greeted };
        let host = |path: &&Path| Bundle::read(path).is_ok_and(|b| b.kind == ImageKind::Shared);
        let host_code = options.kernels.iter().any(host);
        let users = options.kernels.len();
        let watch = watch(options);
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
        let grain = Grain { page: rustix::param::page_size(), alignment: DEVICE_ALIGNMENT };
        let layout = Layout::aligned(sets, grain)?;
        let shared = |e| Fault::infrastructure("creating shared memory", e);
        let memory = stage(layout).map_err(shared)?;
        let Layout { slots, sets, sizes, .. } = memory.layout.clone();
        let outputs = slots.iter().filter_map(|slot| slot.places().1);
        let bytes: u64 = outputs.map(|place| answer_bytes(place.bytes)).sum();
        let answers = Segment::create("optloop-answers", bytes).map_err(shared)?;
        let request = Request::LoadSeat { seat: self.seat, grid: self.grid, slots, sets, sizes };
        let inputs = memory.inputs.reader().map_err(shared)?;
        let fds = [inputs.as_fd(), memory.outputs.fd(), answers.fd()];
        self.shared.borrow_mut().worker.load(&request, &fds).map_err(fault_of)?;
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
        shared.worker.about(verb, SeatSet { seat: self.seat, set })?;
        shared.check_device()
    }

    /// That the latest look for strays found nothing.
    fn no_stray(&self) -> Result<(), Fault> {
        let shared = self.shared.borrow();
        let layout = self.memory.as_ref().map(|memory| &memory.layout);
        match stray::words(&shared.worker.control().stray, layout) {
            Some(what) => Err(Fault::Stray { what }),
            None => Ok(()),
        }
    }
}

/// Starts a worker on the device, greeted and with its clock measured.
fn spawn(options: &CudaOptions<'_>) -> Result<Worker, Fault> {
    let cpu = last_core();
    let mut env = options.env.clone();
    for (name, value) in [DEVICE_ORDER, EAGER] {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.into(), value.into()));
        }
    }
    let spawn = Spawn {
        program: options.program,
        word: CUDA_WORKER_COMMAND,
        env,
        marker: options.marker,
        library: options.kernels.first().copied().unwrap_or(Path::new("")),
        cpu,
        allowance: &options.allowance,
        dir: options.dir,
        cancel: options.cancel,
    };
    let hello = Request::Device { version: VERSION, cpu, device: options.device.to_owned() };
    Worker::spawn(&spawn, &hello).map_err(fault_of)
}

/// `None` where nothing is to be noted, or the library that tells is not there: then a slot is
/// what it is.
fn watch(options: &CudaOptions<'_>) -> Option<Watched> {
    let journal = options.journal?.clone();
    let host = MemoryHost::with_vars(options.env.iter().cloned());
    let watch = Watch::open(options.device, &host).ok()?;
    Some(Watched::new(watch, journal, options.cancel.clone()))
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
        let launched = shared.worker.launch(order.count)?;
        shared.check_device()?;
        // Answered once it has looked at the device-wide clock, which it does after a launch.
        shared.worker.about(Verb::Attend, SeatSet { seat: self.seat, set: order.first })?;
        Ok(shared.believed(launched))
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let mut outputs = Vec::new();
        self.outputs_into(set, &mut outputs)?;
        Ok(outputs)
    }

    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        self.about(Verb::Collect, set)?;
        self.no_stray()?;
        let host_code = self.shared.borrow().host_code;
        if host_code {
            self.shared.borrow_mut().worker.halt()?;
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
        self.no_stray()?;
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
