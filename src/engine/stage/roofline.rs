//! Where a measured case stands between what it takes and the least that this machine could do.

use std::ffi::OsStr;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::StageContext;
use crate::backend::cpu::identity::allowed_cores;
use crate::backend::cpu::peaks::{self, PeakRequest};
use crate::pipeline::CacheMode;
use crate::problem::{self, ArgKind, Case, Problem};
use crate::process;
use crate::stats::Interval;
use crate::stats::roofline::{
    BoundBy, Peaks, Precision, Residence, Work, bound, hard_floor_us, implausible,
};
use crate::verify::Dtype;

/// A case beside its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Roof {
    /// The least time, µs.
    pub(super) floor_us: f64,
    /// `compute` or `memory (L2)`.
    pub(super) bound: String,
    /// Floor over time.
    pub(super) share: f64,
    /// Time less floor, µs.
    pub(super) headroom_us: f64,
    /// Operations per second reached.
    pub(super) flops_per_s: Option<f64>,
    /// Bytes per second reached.
    pub(super) bytes_per_s: Option<f64>,
    /// The time under which a result is not believed, when it is under it.
    pub(super) implausible_under_us: Option<f64>,
}

/// What this machine can do at most on the cores of a stage; `Err` says why it is not known.
pub(super) fn peaks(ctx: &StageContext<'_>, core: Option<u32>) -> Result<Peaks, String> {
    // Two stages of one process must not measure at once: each would see half.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let path = (ctx.env)("PATH").unwrap_or_default();
    let compiler = process::resolve(OsStr::new("cc"), ctx.dir, &path)
        .ok_or("there is no C compiler `cc` to build the probe with")?;
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
    peaks::cached(&ctx.state.join("devices"), &request).map_err(|e| e.to_string())
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

/// Holds a measured time against the bound.
pub(super) fn stand(peaks: &Peaks, work: &Work, time: &Interval) -> Option<Roof> {
    let bound = bound(peaks, work)?;
    let standing = bound.standing(time.value)?;
    let rate = |amount: Option<f64>| amount.map(|a| a / (time.value * 1e-6));
    Some(Roof {
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
    fn only_what_no_level_could_give_is_implausible() {
        // The fastest level and 25 % more would take 8 µs.
        for (us, implausible) in [(9.0, false), (7.0, true)] {
            let roof = stand(&peaks(), &work(1e6, 1e6), &time(us)).unwrap();
            assert_eq!(roof.implausible_under_us.is_some(), implausible, "{us} µs");
        }
    }
}
