//! What a measurement is asked to do, and what is noted on the way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::backend::Mode;
use crate::backend::cuda::Journal;
use crate::engine::account::RooflineRecord;
use crate::engine::stage::compile::CompileDef;
use crate::engine::stage::judge::Bench;
use crate::engine::stage::roofline::PeaksError;
use crate::engine::stage::{Failure, FailureClass, StageContext};
use crate::measure::Statistic;
use crate::pipeline::{BenchWork, CacheMode, Target};
use crate::problem::Problem;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchDef {
    /// What the kernel must compute.
    pub problem: Problem,
    /// The built kernel: an absolute path.
    pub kernel: PathBuf,
    /// The built reference: an absolute path.
    pub reference: PathBuf,
    /// The built incumbent: an absolute path.
    pub incumbent: Option<PathBuf>,
    /// How people call it.
    pub against: Option<String>,
    /// How it is measured.
    pub work: BenchWork,
    /// How the kernel is built, for stages that look into it.
    pub build: Option<CompileDef>,
    /// What inputs are drawn from; drawn itself when there is none.
    pub seed: Option<u64>,
    /// Where it runs.
    pub target: Target,
}

/// A measurement that is to be made.
#[derive(Clone, Copy)]
pub(in crate::engine::stage) struct Trial<'a> {
    pub(in crate::engine::stage) def: &'a BenchDef,
    pub(in crate::engine::stage) ctx: &'a StageContext<'a>,
    /// What inputs are drawn from.
    pub(in crate::engine::stage) seed: u64,
}

impl<'a> Trial<'a> {
    /// Where and until when its workers run, from now on.
    pub(in crate::engine::stage) fn bench(&self) -> Bench<'a> {
        let BenchDef { work, target, .. } = self.def;
        Bench::new(self.ctx, &work.limits, target).confined(work.sandbox)
    }
}

/// What was noted of kernels and their device while they were measured.
#[derive(Default)]
pub(in crate::engine::stage) struct Notes {
    /// What the kernels printed.
    pub(in crate::engine::stage) log: Vec<u8>,
    /// A CUDA device's conditions, slot by slot.
    pub(in crate::engine::stage) journal: Journal,
    /// At what its clock was held.
    pub(in crate::engine::stage) rate: Option<String>,
}

/// Why no case has a bound.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine::stage) enum NoRoofs {
    /// There is nothing to divide by the time.
    #[error("the problem does not say what a launch has to do (`[work]`)")]
    NoWork,
    /// There is nothing to hold it against.
    #[error(transparent)]
    NoPeaks(#[from] PeaksError),
}

/// Where each case stands, for problems that say what a launch has to do; `Err` says why nowhere.
pub(in crate::engine::stage) type Roofs = Result<Vec<Option<RooflineRecord>>, NoRoofs>;

/// Timed samples per case that a process gives before a fresh one takes over.
const PER_PROCESS: u32 = 4;

/// And on a CUDA device, where a fresh process begins with a context, which costs as much as many
/// launches.
const CUDA_PER_PROCESS: u32 = 8;

/// For a stage whose last look is at so many samples: one process says nothing of the next, so
/// there are two, where more than one would be needed on a processor.
fn per_process(target: &Target, last: u32) -> u32 {
    match target {
        Target::Cpu(_) => PER_PROCESS,
        Target::Cuda(_) => CUDA_PER_PROCESS.min(last / 2).max(PER_PROCESS),
    }
}

impl BenchDef {
    /// Timed samples per case that each process gives.
    pub(super) fn samples_per_process(&self) -> u32 {
        per_process(&self.target, self.work.repeats.last().copied().unwrap_or(0))
    }
}

/// The statistic behind a metric's name.
pub(in crate::engine::stage) fn statistic(metric: &str) -> Result<Statistic, Failure> {
    Statistic::of_metric(metric).ok_or_else(|| {
        let known = Statistic::ALL.map(Statistic::metric).join(", ");
        let message = format!("`{metric}` is no metric of a measurement; use one of {known}");
        Failure { class: FailureClass::Failed, message }
    })
}

/// How caches are, as the backend says it.
pub(in crate::engine::stage) fn mode(mode: CacheMode) -> Mode {
    match mode {
        CacheMode::Hot => Mode::Hot,
        CacheMode::Cold => Mode::Cold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Cores;

    #[test]
    fn a_process_gives_more_samples_on_a_cuda_device_but_never_all_of_a_stage() {
        let (cpu, cuda) = (Target::Cpu(Cores::Picked), Target::Cuda("0".into()));
        for (last, on_cpu, on_cuda) in [(2, 4, 4), (8, 4, 4), (12, 4, 6), (16, 4, 8), (64, 4, 8)] {
            assert_eq!(per_process(&cpu, last), on_cpu, "{last}");
            assert_eq!(per_process(&cuda, last), on_cuda, "{last}");
        }
    }
}
