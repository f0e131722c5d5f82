//! What is recorded of a check.

use serde::{Deserialize, Serialize};

/// How a kernel was held against the reference, as far as that came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckRecord {
    /// What inputs were drawn from.
    pub seed: u64,
    /// The core that it ran on, where it was one.
    pub core: Option<u32>,
    /// The device as it was asked for.
    pub device: String,
    /// Sets of fresh inputs per case, and as many again in the same buffers.
    pub launches: u32,
    /// The problem's own cases.
    pub cases: Vec<CheckedCase>,
    /// What answers that must not pass showed.
    pub controls: Vec<ControlRecord>,
    /// Whether the same inputs gave the same bits, where that was looked at.
    pub deterministic: Option<bool>,
    /// Where they did not.
    pub unsteady: Vec<UnsteadyRecord>,
    /// How rounding errors grow with the size.
    pub growth: Vec<GrowthRecord>,
    /// Cases that are held out.
    pub holdout: HoldoutRecord,
    /// Launches in a row.
    pub endurance: Option<EnduranceRecord>,
    /// Whether what was seen before is faster.
    pub memory: Option<MemoryRecord>,
    /// What sanitizers said.
    pub sanitizers: Option<SanitizersRecord>,
    /// How far the worker was confined.
    pub sandbox: String,
}

/// One case's outputs beside the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckedCase {
    /// The case.
    pub label: String,
    /// Elements that were compared.
    pub elements: u64,
    /// Elements that differ by more than the tolerance.
    pub mismatches: u64,
    /// The largest difference; none where it is not finite.
    pub max_abs: Option<f64>,
    /// The largest difference as a share of what was wanted; none where it is not finite.
    pub max_rel: Option<f64>,
    /// One per output that differs.
    pub reports: Vec<String>,
}

/// An answer that must not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ControlRecord {
    /// Its name.
    pub name: String,
    /// Labels of the cases at which it would pass for the right answer.
    pub cases_passed: Vec<String>,
}

/// Outputs whose bits differ between launches on the same inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UnsteadyRecord {
    /// The case.
    pub case: String,
    /// The process of the second launch: `same` or `fresh`.
    pub process: String,
    /// Names of the outputs.
    pub outputs: Vec<String>,
}

/// How one output's rounding errors grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GrowthRecord {
    /// The output.
    pub output: String,
    /// The power of the size that fits best; none when the sizes do not tell.
    pub exponent: Option<f64>,
    /// The largest relative error.
    pub largest: f64,
}

/// Cases that are held out.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct HoldoutRecord {
    /// How many were drawn.
    pub cases: usize,
    /// How many of them passed.
    pub passed: usize,
}

/// Launches of one process in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EnduranceRecord {
    /// The case.
    pub case: String,
    /// How many there were.
    pub launches: u32,
    /// How many were wanted.
    pub wanted: u32,
}

/// Launches on inputs that were seen, beside launches on fresh ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemoryRecord {
    /// The case.
    pub case: String,
    /// What launches on seen inputs took, µs.
    pub seen_us: f64,
    /// What launches on fresh ones took, µs.
    pub fresh_us: f64,
    /// How often it was looked at.
    pub attempts: u64,
}

/// What sanitizers said: those of a compiler for processors, or the one of a CUDA device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SanitizersRecord {
    /// Whether the kernel ran under them.
    pub ran: bool,
    /// Why not, or not at every case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether a compiler's looked at accesses to memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<bool>,
    /// Whether a compiler's looked at undefined behaviour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<bool>,
    /// Whether the device's looked at accesses to memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memcheck: Option<bool>,
    /// Whether the device's looked at races in shared memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub racecheck: Option<bool>,
    /// Launches, each at another case.
    pub cases: u32,
    /// Hazards on a device that may be meant so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnings: Option<u32>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// The device's account for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}
