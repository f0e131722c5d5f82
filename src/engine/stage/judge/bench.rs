//! Where and until when a stage's workers run.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::StageContext;
use super::traced::{started, traced};
use crate::backend::cpu::{CpuSession, SessionOptions};
use crate::backend::cuda::{Bundle, CudaOptions, CudaSession, ImageKind, Journal};
use crate::backend::{Allowance, Fault, Session};
use crate::pipeline::{self, Cores, Limits, Target};
use crate::plan::kernel::{CUDA_ENV, WORKER_ENV};
use crate::process::sandbox::{SandboxLevel, SandboxMode};
use crate::process::trace;

/// Where and until when a stage's workers run.
pub(in crate::engine::stage) struct Bench<'a> {
    pub(in crate::engine::stage) ctx: &'a StageContext<'a>,
    /// Where the kernel runs; the reference always runs on a core.
    pub(in crate::engine::stage) target: &'a Target,
    pub(in crate::engine::stage) core: Option<u32>,
    /// How long the kernel may run: the stage's limit, which its launches share.
    pub(in crate::engine::stage) allowance: Allowance,
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
        let allowance = Allowance::new((!limit.is_zero()).then_some(limit));
        Self {
            ctx,
            target,
            core: core(target),
            allowance,
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
        if self.target.cuda().is_some() && is_device_only(kernel) {
            return "device code only".to_owned();
        }
        self.level().describe()
    }

    /// The same for launches that may take no longer than until `end`.
    pub(in crate::engine::stage) fn until(&self, end: Instant) -> Self {
        let most = end.saturating_duration_since(Instant::now());
        Self { allowance: self.allowance.capped(most), journal: self.journal.clone(), ..*self }
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
                Ok((traced(Box::new(session)), sealed))
            }
            Target::Cuda(device) => {
                let session = self.open_cuda(device, kernel)?;
                let sealed = session.is_device_only() || self.level().is_full();
                Ok((traced(Box::new(session)), sealed))
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
        Ok([traced(Box::new(first)), traced(Box::new(second))])
    }

    fn start_cuda<const N: usize>(
        &self,
        device: &str,
        kernels: [&Path; N],
    ) -> Result<[CudaSession; N], Fault> {
        let mut env = self.ctx.inherited(&WORKER_ENV);
        env.extend(self.ctx.inherited(&CUDA_ENV));
        env.extend(self.code_cache());
        env.extend(tracing());
        let options = CudaOptions {
            program: self.ctx.host.program(),
            env,
            marker: self.ctx.marker,
            device,
            kernels: &kernels,
            allowance: self.allowance.clone(),
            sandbox: self.sandbox,
            dir: self.ctx.scratch,
            journal: Some(&self.journal),
            cancel: self.ctx.cancel,
        };
        let start = || CudaSession::start(&options);
        let ready = |_: &Vec<CudaSession>| format!("ready on {device}");
        let sessions = started(format_args!("{kernels:?}"), start, ready)?;
        sessions.try_into().map_err(|other: Vec<CudaSession>| Fault::Infrastructure {
            what: format!("a worker was asked for {N} kernels and gave {}", other.len()),
        })
    }

    /// Where the driver keeps what it made of PTX, as it does for any program of this user's: a worker
    /// has another home, and would have the judge's own kernels made anew each time. Device code does
    /// not reach it, and host code is confined before it runs.
    fn code_cache(&self) -> Option<(OsString, OsString)> {
        let named = self.ctx.host.var("CUDA_CACHE_PATH");
        let usual = || Some(Path::new(&self.ctx.host.var("HOME")?).join(".nv/ComputeCache").into());
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
        env.extend(tracing());
        let options = SessionOptions {
            program: self.ctx.host.program(),
            env,
            marker: self.ctx.marker,
            library,
            cpu: self.core,
            allowance: self.allowance.clone(),
            memory_bytes,
            sandbox: self.sandbox,
            dir: self.ctx.scratch,
            cancel: self.ctx.cancel,
        };
        let ready = |session: &CpuSession| format!("ready, sandbox {}", session.level().describe());
        started(format_args!("{}", library.display()), || CpuSession::start(&options), ready)
    }
}

/// Whether a built kernel has no code for the host; what cannot be read counts as having some.
fn is_device_only(kernel: &Path) -> bool {
    Bundle::read(kernel).is_ok_and(|bundle| bundle.kind != ImageKind::Shared)
}

/// What makes a worker write to the trace too, when there is one.
fn tracing() -> Option<(OsString, OsString)> {
    trace::file().map(|file| (trace::VARIABLE.into(), file.into()))
}

/// What the machine has, of what may be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// All of it, or what this process is allowed.
    pub(super) whole: u64,
    /// What nobody uses.
    pub(super) free: u64,
}

/// What the system could give without swapping, and this process may take; a modest guess where it
/// does not say.
pub(in crate::engine::stage) fn free_bytes() -> u64 {
    memory().free
}

/// The memory of this machine, or of the control group that this process is in.
pub(super) fn memory() -> Memory {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = |name: &str| -> Option<u64> {
        let line = told.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    let (whole, free) = (kib("MemTotal:"), kib("MemAvailable:"));
    let machine = Memory {
        whole: whole.map_or(1 << 30, |kib| kib * 1024),
        free: free.map_or(1 << 30, |kib| kib * 1024),
    };
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    within_groups(machine, &group, &|path| std::fs::read_to_string(path).ok())
}

/// What the control groups of version 2 above a process leave of the machine's memory; pages of files
/// that a group holds can be given back.
fn within_groups(machine: Memory, groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Memory {
    let mut memory = machine;
    let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return memory;
    };
    let root = Path::new("/sys/fs/cgroup");
    for group in Path::new(own).ancestors() {
        let folder = root.join(group);
        let number = |name: &str| -> Option<u64> { read(&folder.join(name))?.trim().parse().ok() };
        let Some(limit) = number("memory.max") else { continue };
        let stat = read(&folder.join("memory.stat")).unwrap_or_default();
        let cached =
            stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok());
        let used = number("memory.current").unwrap_or(0).saturating_sub(cached.unwrap_or(0));
        memory.whole = memory.whole.min(limit);
        memory.free = memory.free.min(limit.saturating_sub(used));
    }
    memory
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_above_a_process_bounds_its_memory() {
        let machine = Memory { whole: 1000, free: 800 };
        let read = |path: &Path| {
            let text = match path.to_str()? {
                "/sys/fs/cgroup/a/b/memory.max" => "500\n",
                "/sys/fs/cgroup/a/b/memory.current" => "100\n",
                "/sys/fs/cgroup/a/memory.max" => "300\n",
                "/sys/fs/cgroup/a/memory.current" => "270\n",
                "/sys/fs/cgroup/a/memory.stat" => "anon 250\ninactive_file 20\n",
                "/sys/fs/cgroup/memory.max" => "max\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let groups = "0::/a/b\n";
        assert_eq!(within_groups(machine, groups, &read), Memory { whole: 300, free: 50 });
        assert_eq!(within_groups(machine, "1:cpu:/a\n", &read), machine);
        assert_eq!(within_groups(machine, "0::/\n", &read), machine);
    }
}
