//! Where and until when a stage's workers run.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::StageContext;
use super::built;
use crate::backend::cpu::{CpuSession, SessionOptions};
use crate::backend::cuda::{CudaOptions, CudaSession, Journal};
use crate::backend::{Fault, Session};
use crate::pipeline::{self, Cores, Limits, Target};
use crate::plan::kernel::{CUDA_ENV, WORKER_ENV};
use crate::process::sandbox::{SandboxLevel, SandboxMode};

/// Where and until when a stage's workers run.
pub(in crate::engine::stage) struct Bench<'a> {
    pub(in crate::engine::stage) ctx: &'a StageContext<'a>,
    /// Where the kernel runs; the reference always runs on a core.
    pub(in crate::engine::stage) target: &'a Target,
    pub(in crate::engine::stage) core: Option<u32>,
    pub(in crate::engine::stage) deadline: Option<Instant>,
    pub(in crate::engine::stage) sandbox: SandboxMode,
    /// Where a device's conditions are noted.
    journal: Journal,
}

impl<'a> Bench<'a> {
    pub(in crate::engine::stage) fn new(
        ctx: &'a StageContext<'a>,
        limits: &Limits,
        target: &'a Target,
    ) -> Self {
        let limit = Duration::from_millis(limits.timeout_ms);
        let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
        Self {
            ctx,
            target,
            core: core(target),
            deadline,
            sandbox: SandboxMode::Auto,
            journal: Journal::default(),
        }
    }

    /// The same with workers confined as `sandbox` says.
    pub(in crate::engine::stage) fn confined(self, sandbox: pipeline::SandboxMode) -> Self {
        let sandbox = match sandbox {
            pipeline::SandboxMode::Auto => SandboxMode::Auto,
            pipeline::SandboxMode::Required => SandboxMode::Required,
            pipeline::SandboxMode::Off => SandboxMode::Off,
        };
        Self { sandbox, ..self }
    }

    /// The same with a device's conditions noted in `journal`.
    pub(in crate::engine::stage) fn noting(self, journal: &Journal) -> Self {
        Self { journal: journal.clone(), ..self }
    }

    /// How far workers with host code in them will be confined.
    pub(in crate::engine::stage) fn level(&self) -> SandboxLevel {
        match self.sandbox {
            SandboxMode::Off => SandboxLevel { landlock_abi: 0, seccomp: false },
            _ => SandboxLevel::available(),
        }
    }

    /// How far a kernel's worker is confined, in words.
    pub(in crate::engine::stage) fn confinement(&self, kernel: &Path) -> String {
        if self.target.cuda().is_some() && built::is_device_only(kernel) {
            return "device code only".to_owned();
        }
        self.level().describe()
    }

    /// The same with an end that is no later than `end`.
    pub(in crate::engine::stage) fn until(&self, end: Instant) -> Self {
        let deadline = Some(self.deadline.map_or(end, |deadline| deadline.min(end)));
        Self { deadline, journal: self.journal.clone(), ..*self }
    }

    /// A worker on the processor, as the reference runs in.
    pub(in crate::engine::stage) fn open(&self, library: &Path) -> Result<CpuSession, Fault> {
        let memory = Some(free_bytes() / 4 * 3);
        self.start(library, Vec::new(), memory)
    }

    /// A worker with the kernel in it, on its target.
    pub(in crate::engine::stage) fn open_kernel(
        &self,
        kernel: &Path,
    ) -> Result<Box<dyn Session>, Fault> {
        self.open_sealed(kernel).map(|(session, _)| session)
    }

    /// [`Self::open_kernel`], and whether nothing of the kernel's can leave word for a worker that
    /// comes after this one.
    pub(in crate::engine::stage) fn open_sealed(
        &self,
        kernel: &Path,
    ) -> Result<(Box<dyn Session>, bool), Fault> {
        match self.target {
            Target::Cpu(_) => {
                let session = self.open(kernel)?;
                let sealed = session.level().is_full();
                Ok((Box::new(session), sealed))
            }
            Target::Cuda(device) => {
                let session = self.open_cuda(device, kernel)?;
                let sealed = session.is_device_only() || self.level().is_full();
                Ok((Box::new(session), sealed))
            }
        }
    }

    /// A worker on a CUDA device with the kernel in it.
    pub(in crate::engine::stage) fn open_cuda(
        &self,
        device: &str,
        kernel: &Path,
    ) -> Result<CudaSession, Fault> {
        let [session] = self.start_cuda(device, [kernel])?;
        Ok(session)
    }

    /// One worker on a CUDA device with both kernels in it, in this order.
    pub(in crate::engine::stage) fn open_both(
        &self,
        device: &str,
        kernels: [&Path; 2],
    ) -> Result<[Box<dyn Session>; 2], Fault> {
        let [first, second] = self.start_cuda(device, kernels)?;
        Ok([Box::new(first), Box::new(second)])
    }

    fn start_cuda<const N: usize>(
        &self,
        device: &str,
        kernels: [&Path; N],
    ) -> Result<[CudaSession; N], Fault> {
        let mut env = self.ctx.inherited(&WORKER_ENV);
        env.extend(self.ctx.inherited(&CUDA_ENV));
        env.extend(self.code_cache());
        let sessions = CudaSession::start(&CudaOptions {
            program: self.ctx.program,
            env,
            marker: self.ctx.marker,
            device,
            kernels: &kernels,
            deadline: self.deadline,
            sandbox: self.sandbox,
            dir: self.ctx.scratch,
            journal: Some(&self.journal),
            cancel: self.ctx.cancel,
        })?;
        sessions.try_into().map_err(|other: Vec<CudaSession>| Fault::Infrastructure {
            what: format!("a worker was asked for {N} kernels and gave {}", other.len()),
        })
    }

    /// Where the driver keeps what it made of PTX, as it does for any program of this user's: a worker
    /// has another home, and would have the judge's own kernels made anew each time. Device code does
    /// not reach it, and host code is confined before it runs.
    fn code_cache(&self) -> Option<(OsString, OsString)> {
        let named = (self.ctx.env)("CUDA_CACHE_PATH");
        let usual = || Some(Path::new(&(self.ctx.env)("HOME")?).join(".nv/ComputeCache").into());
        Some(("CUDA_CACHE_PATH".into(), named.or_else(usual)?))
    }

    /// A session whose worker has `more` in its environment.
    pub(in crate::engine::stage) fn open_with(
        &self,
        library: &Path,
        more: Vec<(OsString, OsString)>,
    ) -> Result<CpuSession, Fault> {
        // A sanitizer's shadow takes more address space than any machine has memory.
        self.start(library, more, None)
    }

    fn start(
        &self,
        library: &Path,
        more: Vec<(OsString, OsString)>,
        memory_bytes: Option<u64>,
    ) -> Result<CpuSession, Fault> {
        let mut env = self.ctx.inherited(&WORKER_ENV);
        env.extend(more);
        CpuSession::start(&SessionOptions {
            program: self.ctx.program,
            env,
            marker: self.ctx.marker,
            library,
            cpu: self.core,
            deadline: self.deadline,
            memory_bytes,
            sandbox: self.sandbox,
            dir: self.ctx.scratch,
            cancel: self.ctx.cancel,
        })
    }
}

/// What the system could give without swapping; a modest guess where it does not say.
pub(in crate::engine::stage) fn free_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or(1 << 30, |kib| kib * 1024)
}

/// The core that workers on the processor are pinned to; `None` for all of them. The engine picks the
/// last that it may use: interrupts and everything that nobody pinned prefer the first.
pub(in crate::engine::stage) fn core(target: &Target) -> Option<u32> {
    match target {
        Target::Cpu(Cores::Picked) | Target::Cuda(_) => crate::backend::cpu::last_core(),
        Target::Cpu(Cores::One(core)) => Some(*core),
        Target::Cpu(Cores::All) => None,
    }
}
