//! What is known of this machine's noise, kept below `.optloop/devices/`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::StageContext;
use super::super::bench::BenchDef;
use crate::cache::index::replace;
use crate::host::Host;
use crate::pipeline::Target;
use crate::stats::calibration::Calibration;

/// Rises when a reader would have to change.
const VERSION: u32 = 1;

/// Decisions after which the noise is looked at anew (decision-rule, section 5).
const DECISIONS: u32 = 50;

/// Hours after which it is: other work comes and goes on a shared machine.
const HOURS: i64 = 24;

/// A calibration as it was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    version: u32,
    /// When, ms since the epoch.
    pub at_ms: i64,
    /// On what.
    pub device: String,
    /// Comparisons since.
    pub decisions: u32,
    /// What was found.
    pub calibration: Calibration,
}

/// A calibration that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", .path.display())]
pub(super) struct NotKept {
    path: PathBuf,
    source: io::Error,
}

/// What was calibrated, where, and where that is kept.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// The problem's name.
    pub problem: &'a str,
    /// By what was decided.
    pub metric: &'a str,
    /// On what.
    pub target: &'a Target,
    /// Which device that is, and the clock.
    pub host: &'a dyn Host,
}

impl<'a> Place<'a> {
    pub(super) fn of(def: &'a BenchDef, ctx: &'a StageContext<'a>) -> Self {
        Self {
            state: ctx.state,
            problem: &def.problem.name,
            metric: &def.work.metric,
            target: &def.target,
            host: ctx.host,
        }
    }

    /// The device as calibrations name it.
    pub fn device(&self) -> String {
        self.host.device(&self.target.device()).to_string()
    }

    fn path(&self) -> PathBuf {
        let clean = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let mut name = format!("calibration-{}-{}", self.problem, self.metric);
        if self.target.cuda().is_some() {
            name = format!("{name}-{}", self.target);
        }
        let name: String = name.chars().map(clean).collect();
        self.state.join("devices").join(format!("{name}.json"))
    }
}

/// What is known; `None` when nobody calibrated, or not with this version.
pub fn read(place: &Place<'_>) -> Option<Kept> {
    let bytes = std::fs::read(place.path()).ok()?;
    serde_json::from_slice::<Kept>(&bytes).ok().filter(|kept| kept.version == VERSION)
}

/// Keeps a calibration.
///
/// # Errors
/// Why it cannot be kept.
pub(super) fn write(place: &Place<'_>, calibration: &Calibration) -> Result<(), NotKept> {
    let kept = Kept {
        version: VERSION,
        at_ms: place.host.now_ms(),
        device: place.device(),
        decisions: 0,
        calibration: calibration.clone(),
    };
    put(&place.path(), &kept)
}

fn put(path: &Path, kept: &Kept) -> Result<(), NotKept> {
    use std::io::Write as _;
    let cannot = |source: io::Error| NotKept { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    let bytes = serde_json::to_vec_pretty(kept).map_err(|e| cannot(e.into()))?;
    replace(path, |file| file.write_all(&bytes)).map_err(cannot)
}

/// One more comparison rests on it.
pub(super) fn count(place: &Place<'_>) {
    if let Some(mut kept) = read(place) {
        kept.decisions = kept.decisions.saturating_add(1);
        // A count that is lost makes the next warning come later, no more.
        drop(put(&place.path(), &kept));
    }
}

impl Kept {
    /// What people should know who rely on it.
    pub(super) fn doubts(&self, place: &Place<'_>) -> Vec<String> {
        let noisy = self.calibration.too_noisy.map(|_| {
            "calibration found this machine too noisy; what comes out here may be chance".to_owned()
        });
        let stale = self.stale(place).map(|why| {
            format!("the calibration is stale: {why}; `optloop calibrate` makes it anew")
        });
        noisy.into_iter().chain(stale).collect()
    }

    /// Why it should be made anew; `None` while it holds.
    pub fn stale(&self, place: &Place<'_>) -> Option<String> {
        let hours = (place.host.now_ms() - self.at_ms) / 3_600_000;
        if self.device != place.device() {
            return Some(format!("it was made on another device ({})", self.device));
        }
        if self.decisions >= DECISIONS {
            return Some(format!("{} comparisons were made since", self.decisions));
        }
        (hours >= HOURS).then(|| format!("it is {hours} hours old"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;
    use crate::pipeline::Cores;
    use crate::stats::calibration::NoiseLimits;
    use crate::stats::sequential::Rule;

    #[test]
    fn a_calibration_is_kept_counted_and_goes_stale() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::Cpu(Cores::Picked);
        let (state, host) = (dir.path(), &MemoryHost::default());
        let place = &Place { state, problem: "p", metric: "median_us", target: &target, host };
        assert_eq!(read(place), None);
        let pairs = vec![vec![0.001, -0.001, 0.002, -0.002]; 12];
        let calibration =
            Calibration::of(&pairs, &Rule::with_looks(&[48]), &NoiseLimits::default()).unwrap();
        write(place, &calibration).unwrap();
        let kept = read(place).unwrap();
        assert_eq!((&kept.calibration, kept.stale(place)), (&calibration, None));
        for _ in 0..DECISIONS {
            count(place);
        }
        let kept = read(place).unwrap();
        assert!(kept.stale(place).is_some_and(|why| why.starts_with("50 comparisons")));
        let old =
            Kept { decisions: 0, at_ms: place.host.now_ms() - 25 * 3_600_000, ..kept.clone() };
        assert!(old.stale(place).is_some_and(|why| why.contains("25 hours")));
        let other = Kept { device: "another".into(), ..kept };
        assert!(other.stale(place).is_some_and(|why| why.contains("another device")));
        let cuda = Place { target: &Target::Cuda("0".into()), ..*place };
        assert_eq!(read(&cuda), None, "another device has noise of its own");
    }
}
