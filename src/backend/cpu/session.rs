//! The judge's side of a kernel on the processor: stages its arguments, has them launched, and reads
//! what was left.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::link::protocol::{Request, VERSION};
use super::super::link::{Layout, Memory, Remains, RequestError, Segment, Spawn, Worker, inputs};
use super::super::{
    Allowance, Argument, Fault, LaunchLimit, Launched, Mode, Order, Session, Shelf, Timer,
};
use super::flush::Views;
use crate::process::Cancel;
use crate::process::sandbox::{SandboxLevel, SandboxMode};

/// The argument that makes this executable a worker.
pub const WORKER_COMMAND: &str = "__worker";

/// How a session runs.
#[derive(Debug, Clone)]
pub struct SessionOptions<'a> {
    /// The executable that answers to [`WORKER_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// The worker's whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// See [`crate::process::CommandSpec::marker`]; a number that makes it unique is added.
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
    worker: Worker,
    level: SandboxLevel,
    memory: Option<Memory>,
    /// Of that memory, once caches are to be cold.
    views: Option<Views>,
    /// Outputs that are not used any more, whose memory the next can have.
    spare: Option<Segment>,
    /// The set whose turn it is, where all have the same outputs.
    turn: Option<u32>,
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
        let spawn = Spawn {
            program: options.program,
            word: WORKER_COMMAND,
            env: options.env.clone(),
            marker: options.marker,
            library: options.library,
            cpu: options.cpu,
            allowance: &options.allowance,
            dir: options.dir,
            cancel: options.cancel,
        };
        let mut worker = Worker::spawn(&spawn, &hello).map_err(RequestError::without_device)?;
        let library = options.library.as_os_str().as_bytes().to_vec();
        let private = worker.private().as_os_str().as_bytes().to_vec();
        let open = Request::Open { library, sandbox: options.sandbox, private };
        let level = worker.open(&open).map_err(RequestError::without_device)?;
        Ok(Self { worker, level, memory: None, views: None, spare: None, turn: None })
    }

    /// What stood in the outputs of a set before its launch; `None` where there is no such set.
    pub fn remains(&self, set: u32) -> Option<Remains> {
        Some(self.staged(set).ok()?.remains(set))
    }

    /// How far the worker is confined.
    pub fn level(&self) -> SandboxLevel {
        self.level
    }

    fn load_staged(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        inputs: impl FnOnce(&Layout) -> io::Result<Arc<Segment>>,
    ) -> Result<(), Fault> {
        self.worker.leave()?;
        // Given back first: both might not fit.
        self.unload();
        let layout = Layout::of(sets, rustix::param::page_size())?;
        let shared = |e| Fault::infrastructure("creating shared memory", e);
        let inputs = inputs(&layout).map_err(shared)?;
        let memory = Memory::upon(layout, inputs, self.spare.take()).map_err(shared)?;
        let layout = memory.layout.clone();
        let Layout { slots, sets, sizes, .. } = layout.clone();
        let request = Request::Load { slots, sets, sizes };
        let inputs = memory.inputs.reader().map_err(shared)?;
        self.worker
            .load(&request, &[inputs.as_fd(), memory.outputs.fd()])
            .map_err(RequestError::without_device)?;
        self.worker.set_staged(Some(layout));
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

    /// Drops what an order is about from all caches.
    fn flush(&mut self, order: Order) -> Result<(), Fault> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let views = match self.views.take() {
            Some(views) => views,
            None => {
                Views::map(memory).map_err(|e| Fault::infrastructure("mapping shared memory", e))?
            }
        };
        views.flush(memory, order.first, order.count);
        self.views = Some(views);
        Ok(())
    }

    /// Reads a set's outputs while the worker stands still, and sees that nothing was written beside
    /// them.
    fn read_halted(
        &mut self,
        set: u32,
        read: impl FnOnce(&Memory) -> io::Result<()>,
    ) -> Result<(), Fault> {
        self.left(set)?;
        self.worker.halt()?;
        let memory = self.left(set)?;
        let reading = |e| Fault::infrastructure("reading outputs", e);
        read(memory).map_err(reading)?;
        if let Some(what) = memory.stray(set).map_err(reading)? {
            return Err(Fault::Stray { what });
        }
        self.worker.still_halted()
    }
}

fn nothing_loaded() -> Fault {
    Fault::Infrastructure { what: "no such set of arguments was loaded".into() }
}

impl Session for CpuSession {
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        self.load_staged(sets, |layout| inputs::stage(layout, sets).map(Arc::new))
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
        self.views = None;
        self.worker.set_staged(None);
        self.spare = self.memory.take().map(|memory| memory.outputs).or(self.spare.take());
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        let last = order.first.checked_add(order.count).and_then(|end| end.checked_sub(1));
        self.staged(last.ok_or_else(nothing_loaded)?)?;
        self.give_turn(order)?;
        self.worker.prepare(order)?;
        if order.mode == Mode::Cold {
            self.flush(order)?;
        }
        self.worker.launch(order.count)
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let mut outputs = Vec::new();
        self.outputs_into(set, &mut outputs)?;
        Ok(outputs)
    }

    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        self.read_halted(set, |memory| memory.read(set, into))
    }

    fn outputs_in_parts(
        &mut self,
        set: u32,
        bytes: usize,
        look: &(dyn Fn(usize, usize, &[u8]) + Sync),
    ) -> Result<(), Fault> {
        self.read_halted(set, |memory| memory.read_in_parts(set, bytes.max(1), look))
    }

    fn reread(&mut self, set: u32, pause: Duration) -> Result<Vec<Vec<u8>>, Fault> {
        self.worker.resume_for(pause)?;
        self.outputs(set)
    }

    fn pause(&mut self) -> Result<(), Fault> {
        self.worker.halt()
    }

    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.worker.limit(launch);
    }

    fn timer(&self) -> Timer {
        self.worker.timer()
    }

    fn finish(&mut self) -> Vec<u8> {
        self.worker.finish()
    }
}
