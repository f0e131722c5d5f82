//! The judge's side of a CUDA worker: one process with one context, in which one kernel, or two
//! that are compared, are loaded.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::{Argument, Fault, Grid, Launched, Order, Session, Timer};
use crate::process::Cancel;
use crate::process::sandbox::SandboxMode;

/// The argument that makes this executable a CUDA worker.
pub const CUDA_WORKER_COMMAND: &str = "__cuda_worker";

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
    pub deadline: Option<Instant>,
    /// How far a worker with host code of the candidate's is to be confined.
    pub sandbox: SandboxMode,
    /// Where the worker gets a folder of its own, in which it runs and which goes with it.
    pub dir: &'a Path,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// One kernel in a worker.
pub struct CudaSession {}

impl CudaSession {
    /// Starts a worker and has it load the kernels; a session for each, in order.
    ///
    /// # Errors
    /// When the worker cannot be started, the device cannot be used or a kernel cannot be loaded.
    pub fn start(options: &CudaOptions<'_>) -> Result<Vec<Self>, Fault> {
        let _ = options;
        Err(Fault::Infrastructure { what: "CUDA workers are not written yet".into() })
    }

    /// Whether no code of the candidate's runs on the host, so that nothing of it can outlive its
    /// launches.
    pub fn is_device_only(&self) -> bool {
        true
    }
}

impl Session for CudaSession {
    fn shape(&mut self, _grid: Grid) {}

    fn load(&mut self, _sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        Ok(())
    }

    fn launch(&mut self, _order: Order) -> Result<Launched, Fault> {
        Ok(Launched::default())
    }

    fn outputs(&mut self, _set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(Vec::new())
    }

    fn limit(&mut self, _launch: Option<Duration>) {}

    fn timer(&self) -> Timer {
        Timer::default()
    }

    fn finish(&mut self) -> Vec<u8> {
        Vec::new()
    }
}
