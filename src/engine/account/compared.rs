//! What is recorded of a kernel beside another, beside its own code, and beside itself.

use serde::{Deserialize, Serialize};

use crate::measure::pairs::{Comparison, Decision};
use crate::pipeline::Guard;
use crate::stats::Reason;
use crate::stats::calibration::TooNoisy;

/// A comparison with the incumbent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ComparisonRecord {
    /// How people call the incumbent.
    pub against: String,
    /// Why pairs ended.
    pub reason: Reason,
    /// Whether the candidate stays.
    pub better: bool,
    /// What becomes of it.
    pub decision: Decision,
    /// What becomes of a gain that harms single cases.
    pub guard: Guard,
    /// As a share of the incumbent's time, or in the metric's own unit.
    pub gain: Option<f64>,
    /// Lower end of its interval.
    pub gain_lower: Option<f64>,
    /// Upper end.
    pub gain_upper: Option<f64>,
    /// The interval's level.
    pub gain_level: Option<f64>,
    /// The incumbent's time over the candidate's.
    pub factor: Option<f64>,
    /// Pairs that were looked at.
    pub pairs: u32,
    /// New pairs that confirm it.
    pub confirm_pairs: u32,
    /// Launches on both sides, with those that were not timed.
    pub launches: u64,
    /// Fresh processes of both sides.
    pub processes: u64,
    /// Pairs that were taken again because the device was throttled.
    pub discarded_throttled: u64,
    /// From the first process to the verdict, s.
    pub seconds: f64,
    /// How much pairs differ: standard deviation of their `d`.
    pub pair_sd: Option<f64>,
    /// How much pairs of processes differ.
    pub process_sd: Option<f64>,
    /// Pairs that one pair of processes gave.
    pub pairs_per_process: Option<u32>,
    /// The smallest gain that all planned pairs would have seen four times out of five.
    pub smallest_gain: Option<f64>,
    /// Case by case; empty for commands.
    pub cases: Vec<ComparedCase>,
    /// What would make an open verdict a decided one.
    pub what_helps: Vec<String>,
    /// All launches, which `optloop replay` reads.
    pub record: Comparison,
}

/// One case on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ComparedCase {
    /// The case.
    pub label: String,
    /// The incumbent's time, µs.
    pub incumbent_us: f64,
    /// The candidate's, µs.
    pub candidate_us: f64,
    /// As a share of the incumbent's time.
    pub gain: Option<f64>,
    /// Whether it surely got slower.
    pub harmed: bool,
}

/// A kernel beside itself: how large is what is no difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CalibrationRecord {
    /// `itself`.
    pub against: String,
    /// On what.
    pub device: String,
    /// Pairs of identical code.
    pub pairs: u32,
    /// Process pairs that they come from.
    pub processes: u32,
    /// How much pairs differ: standard deviation of their `d`.
    pub pair_sd: f64,
    /// How much pairs of processes differ.
    pub process_sd: f64,
    /// How many pairs a process may serve here.
    pub pairs_per_process: u32,
    /// The smallest gain that a whole decision sees here four times out of five.
    pub smallest_gain: f64,
    /// What the rule says of identical code.
    pub identical_code: Reason,
    /// Why nothing should be decided here.
    pub too_noisy: Option<TooNoisy>,
    /// Launches, with those that were not timed.
    pub launches: u64,
    /// What it took, s.
    pub seconds: f64,
    /// All launches, which `optloop replay` reads.
    pub record: Comparison,
}

/// A kernel that is the incumbent's very code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IdenticalRecord {
    /// How people call the incumbent.
    pub against: String,
    /// Whose numbers are shown.
    pub numbers: NumbersOf,
}

/// Whose numbers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumbersOf {
    /// The incumbent's, as they were measured when it was no incumbent yet.
    Incumbents,
    /// Its own: it was measured alone.
    Measured,
}
