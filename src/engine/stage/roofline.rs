//! Where a measured case stands between what it takes and the least that this machine could do.

use std::ffi::OsStr;
use std::sync::Mutex;

use super::StageContext;
use super::judge::{self, Bench};
use crate::backend::cpu::identity::allowed_cores;
use crate::backend::cpu::peaks::{self, PeakRequest};
use crate::engine::account::RooflineRecord;
use crate::pipeline::{CacheMode, Target};
use crate::problem::{self, ArgKind, Case, Problem};
use crate::process;
use crate::stats::Interval;
use crate::stats::roofline::{
    BoundBy, Peaks, Precision, Residence, Work, bound, hard_floor_us, implausible,
};
use crate::verify::Dtype;

mod cuda;
mod error;

pub(super) use self::error::PeaksError;

/// Data beyond this are in a device's memory, whatever its L2 holds of them: that has a tenth of it
/// at most.
const BEYOND_L2_BYTES: f64 = (1u64 << 30) as f64;

/// What a stage's target can do at most.
///
/// # Errors
/// Why it is not known.
pub(super) fn peaks(bench: &Bench<'_>) -> Result<Peaks, PeaksError> {
    // Two stages of one process must not measure at once: each would see half.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    match bench.target {
        Target::Cpu(_) => cpu_peaks(bench.ctx, judge::core(bench.target)),
        Target::Cuda(name) => cuda::cuda_peaks(bench, name),
    }
}

fn cpu_peaks(ctx: &StageContext<'_>, core: Option<u32>) -> Result<Peaks, PeaksError> {
    let path = ctx.host.var("PATH").unwrap_or_default();
    let compiler =
        process::resolve(OsStr::new("cc"), ctx.dir, &path).ok_or(PeaksError::NoCompiler)?;
    let env = ctx.inherited(&["PATH", "TMPDIR", "LD_LIBRARY_PATH"]);
    let cores = core.map_or_else(allowed_cores, |core| vec![core]);
    let request = PeakRequest {
        compiler: &compiler,
        scratch: ctx.scratch,
        cores: &cores,
        env: &env,
        marker: &format!("{}.peaks", ctx.marker),
        cancel: ctx.cancel,
    };
    let measuring = || (ctx.progress)(0.95, "measuring the machine's peaks, once");
    Ok(peaks::cached(&ctx.state.join("devices"), &request, &measuring)?)
}

/// What one launch of a case has to do; `None` when the problem does not say.
pub(super) fn work(problem: &Problem, case: &Case, mode: CacheMode) -> Option<Work> {
    let declared = problem::work(problem, case);
    if declared.flops.is_none() && declared.bytes.is_none() {
        return None;
    }
    let double = problem
        .args
        .iter()
        .any(|arg| matches!(arg.kind, ArgKind::Buffer { .. }) && arg.dtype == Dtype::F64);
    Some(Work {
        flops: declared.flops,
        bytes: declared.bytes,
        footprint_bytes: problem::bytes_needed(problem, case).ok()? as f64,
        precision: if double { Precision::Double } else { Precision::Single },
        residence: match mode {
            CacheMode::Hot => Residence::Hot,
            CacheMode::Cold => Residence::Cold,
        },
    })
}

/// [`stand`] on a CUDA device, of which only the bandwidth of its memory and the rate of its plain
/// arithmetic units are known: what stays in the L2 has no bound in bytes, and tensor cores do more
/// operations than that. So little is implausible.
pub(super) fn stand_on_cuda(peaks: &Peaks, work: &Work, time: &Interval) -> Option<RooflineRecord> {
    let beyond = work.footprint_bytes >= BEYOND_L2_BYTES;
    let from_memory = beyond || work.residence == Residence::Cold;
    let work = Work { bytes: work.bytes.filter(|_| from_memory), ..*work };
    let mut roof = stand(peaks, &work, time)?;
    if roof.bound == "compute" {
        "compute (without tensor cores)".clone_into(&mut roof.bound);
    }
    let bytes = Work { flops: None, ..work };
    roof.implausible_under_us = implausible(peaks, &bytes, time.upper).filter(|_| beyond);
    Some(roof)
}

/// Holds a measured time against the bound.
pub(super) fn stand(peaks: &Peaks, work: &Work, time: &Interval) -> Option<RooflineRecord> {
    let bound = bound(peaks, work)?;
    let standing = bound.standing(time.value)?;
    let rate = |amount: Option<f64>| amount.map(|a| a / (time.value * 1e-6));
    Some(RooflineRecord {
        floor_us: bound.floor_us,
        bound: match &bound.which {
            BoundBy::Compute => "compute".to_owned(),
            BoundBy::Memory(level) => format!("memory ({level})"),
        },
        share: standing.share,
        headroom_us: standing.headroom_us,
        flops_per_s: rate(work.flops),
        bytes_per_s: rate(work.bytes),
        implausible_under_us: implausible(peaks, work, time.upper)
            .and_then(|_| hard_floor_us(peaks, work)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::roofline::Level;

    fn peaks() -> Peaks {
        let level = |name: &str, capacity_bytes, bytes_per_s| Level {
            name: name.into(),
            capacity_bytes,
            bytes_per_s,
        };
        Peaks {
            flops_per_s: 1e11,
            flops_f64_per_s: 5e10,
            levels: vec![level("L1", 32_768, 1e11), level("memory", u64::MAX, 1e10)],
        }
    }

    fn work(bytes: f64, footprint_bytes: f64) -> Work {
        Work {
            flops: Some(1e6),
            bytes: Some(bytes),
            footprint_bytes,
            precision: Precision::Single,
            residence: Residence::Hot,
        }
    }

    fn time(us: f64) -> Interval {
        Interval { value: us, lower: us * 0.99, upper: us * 1.01 }
    }

    #[test]
    fn a_case_stands_at_its_share_of_the_tighter_bound() {
        // 1e6 operations take 10 µs; 1e6 bytes from memory 100 µs.
        let roof = stand(&peaks(), &work(1e6, 1e6), &time(200.0)).unwrap();
        assert_eq!((roof.bound.as_str(), roof.floor_us), ("memory (memory)", 100.0));
        assert!((roof.share - 0.5).abs() < 1e-9 && (roof.headroom_us - 100.0).abs() < 1e-9);
        assert_eq!(roof.implausible_under_us, None);
        let near = stand(&peaks(), &work(1e4, 1e4), &time(20.0)).unwrap();
        assert_eq!((near.bound.as_str(), near.floor_us), ("compute", 10.0));
    }

    #[test]
    fn on_a_cuda_device_only_what_is_surely_in_memory_is_bound_by_it() {
        let memory = Peaks { levels: peaks().levels.split_off(1), ..peaks() };
        let cold = |bytes, footprint| Work { residence: Residence::Cold, ..work(bytes, footprint) };
        for (work, us, bound, implausible) in [
            // 1e9 bytes take 0.1 s.
            (work(1e9, 1e6), 200.0, Some("compute (without tensor cores)"), false),
            (work(1e9, 2e9), 2e5, Some("memory (memory)"), false),
            (work(1e9, 2e9), 5e4, Some("memory (memory)"), true),
            (cold(1e6, 1e6), 50.0, Some("memory (memory)"), false),
            // Tensor cores: 1e6 operations in less than 10 us.
            (work(1e3, 2e9), 1.0, Some("compute (without tensor cores)"), false),
            (Work { flops: None, ..work(1e9, 1e6) }, 200.0, None, false),
        ] {
            let roof = stand_on_cuda(&memory, &work, &time(us));
            assert_eq!(roof.as_ref().map(|r| r.bound.as_str()), bound, "{work:?}");
            let told = roof.is_some_and(|r| r.implausible_under_us.is_some());
            assert_eq!(told, implausible, "{work:?}");
        }
    }

    #[test]
    fn only_what_no_level_could_give_is_implausible() {
        // The fastest level and 25 % more would take 8 µs.
        for (us, implausible) in [(9.0, false), (7.0, true)] {
            let roof = stand(&peaks(), &work(1e6, 1e6), &time(us)).unwrap();
            assert_eq!(roof.implausible_under_us.is_some(), implausible, "{us} µs");
        }
    }
}
