//! What is recorded of a measurement.

use serde::{Deserialize, Serialize};

use super::{
    CalibrationRecord, ComparisonRecord, DeviceConditions, IdenticalRecord, LayoutsRecord,
    ProfileRecord,
};
use crate::backend::Timer;
use crate::backend::cpu::conditions::Conditions;
use crate::measure::Stopped;
use crate::pipeline::{CacheMode, Purpose};
use crate::stats::Basis;
use crate::stats::schedule::{Headroom, ResourceBounds};

/// A kernel's times, and what it was compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BenchRecord {
    /// The problem's name.
    pub problem: String,
    /// Why it was measured.
    pub purpose: Purpose,
    /// BLAKE3 of the built kernel.
    pub kernel_digest: String,
    /// BLAKE3 of the built incumbent, where there is one.
    pub incumbent_digest: Option<String>,
    /// Digest of everything that says what is right and how it is timed.
    pub harness_digest: String,
    /// What inputs were drawn from.
    pub seed: u64,
    /// The core that it ran on, where it was one.
    pub core: Option<u32>,
    /// The device as it was asked for.
    pub device: String,
    /// How far workers were confined.
    pub sandbox: String,
    /// How caches were when a launch began.
    pub mode: CacheMode,
    /// At what a CUDA device's clock was held, in words.
    pub clocks: Option<String>,
    /// The number that counts.
    pub metric: String,
    /// It, µs.
    pub value_us: f64,
    /// Lower end of its interval, µs.
    pub lower_us: f64,
    /// Upper end, µs.
    pub upper_us: f64,
    /// The interval's level.
    pub level: f64,
    /// What the interval is over.
    pub basis: Basis,
    /// Relative standard deviation from process to process.
    pub between_sd: f64,
    /// Relative standard deviation from launch to launch.
    pub within_sd: f64,
    /// Timed samples over all cases.
    pub launches: u64,
    /// Fresh processes.
    pub processes: u64,
    /// Samples of each case at which it may end.
    pub looks: Vec<u32>,
    /// How many of these looks were taken.
    pub looks_used: u32,
    /// Why it ended before the last, if it did.
    pub stopped: Option<Stopped>,
    /// Whether it was given up for its slowness.
    pub stopped_early: bool,
    /// Samples that stopping early saved.
    pub saved_launches: u64,
    /// What they would have taken, s.
    pub saved_seconds: f64,
    /// Samples that were taken again because the device was throttled.
    pub discarded_throttled: u64,
    /// The clock.
    pub timer: Option<Timer>,
    /// What the machine did meanwhile.
    pub conditions: Conditions,
    /// What a CUDA device did meanwhile.
    pub device_conditions: Option<DeviceConditions>,
    /// Why the number may not come again; empty when its interval is narrow.
    pub unstable: Vec<String>,
    /// Why no case has a bound.
    pub no_roofline: Option<String>,
    /// Case by case.
    pub cases: Vec<CaseRecord>,
    /// The layouts that processes were started with.
    pub layouts: LayoutsRecord,
    /// Where its time goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileRecord>,
    /// What follows from counts that a command printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryRecord>,
    /// Secret cases that it passed before it was ranked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<u32>,
    /// What it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonRecord>,
    /// How much identical code was found to differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationRecord>,
    /// That it is the incumbent's very code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identical: Option<IdenticalRecord>,
    /// What is said of these, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// What people should know beside it.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl BenchRecord {
    /// Whether the number may not come again.
    pub fn is_unstable(&self) -> bool {
        !self.unstable.is_empty()
    }
}

/// One case's times. Estimates are none where no sample counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CaseRecord {
    /// The case.
    pub label: String,
    /// Over processes, µs.
    pub median_us: Option<f64>,
    /// Lower end of its interval, µs.
    pub lower_us: Option<f64>,
    /// Upper end, µs.
    pub upper_us: Option<f64>,
    /// The interval's level.
    pub level: Option<f64>,
    /// What the interval is over.
    pub basis: Option<Basis>,
    /// Relative standard deviation from process to process.
    pub between_sd: Option<f64>,
    /// Relative standard deviation from launch to launch.
    pub within_sd: Option<f64>,
    /// Over processes, µs.
    pub mean_us: Option<f64>,
    /// The fastest launch, µs.
    pub min_us: f64,
    /// The slowest launch, µs.
    pub max_us: f64,
    /// The 10 % quantile of all launches, µs.
    pub p10_us: f64,
    /// The 90 % quantile, µs.
    pub p90_us: f64,
    /// The 99 % quantile, µs.
    pub p99_us: f64,
    /// Standard deviation of all launches, µs.
    pub sd_us: f64,
    /// Timed samples.
    pub launches: usize,
    /// Launches per sample.
    #[serde(rename = "loop")]
    pub looped: u32,
    /// Sets of arguments that were staged at a time.
    pub staged_sets: u32,
    /// Untimed launches.
    pub warmup_launches: u32,
    /// Samples that the judge's clock did not bear out.
    pub unconfirmed: u64,
    /// Launches that stand apart.
    pub outliers: OutliersRecord,
    /// Every timed sample, ns, one list per process, in order of time.
    pub processes: Vec<Vec<f64>>,
    /// Where it stands against the machine's bound, where one is known.
    pub roofline: Option<RooflineRecord>,
}

/// Launches that stand apart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OutliersRecord {
    /// How many somewhat.
    pub mild: usize,
    /// How many by far.
    pub severe: usize,
    /// Those that are slower by far, µs.
    pub slow_us: Vec<f64>,
}

/// A case beside its bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RooflineRecord {
    /// The least time, µs.
    pub floor_us: f64,
    /// `compute` or `memory (L2)`.
    pub bound: String,
    /// Floor over time.
    pub share: f64,
    /// Time less floor, µs.
    pub headroom_us: f64,
    /// Operations per second reached.
    pub flops_per_s: Option<f64>,
    /// Bytes per second reached.
    pub bytes_per_s: Option<f64>,
    /// The time under which a result is not believed, µs, when it is under it.
    pub implausible_under_us: Option<f64>,
}

/// What follows from the counts that a declared command printed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TelemetryRecord {
    /// Steps that a schedule takes at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<ResourceBounds>,
    /// How far the best that was measured is above that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headroom: Option<Headroom>,
    /// How far the schedule's own estimate is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Headroom>,
    /// For people; why there is nothing, where there is nothing.
    pub lines: Vec<String>,
}
