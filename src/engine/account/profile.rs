//! What is recorded of where a kernel's time goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::backend::cuda::inspect::ncu::{Bottleneck, NcuReport};

/// Where a kernel's time goes. What was not looked at is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProfileRecord {
    /// In a line.
    pub verdict: String,
    /// The case that was looked into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Hardware or simulated counters, on a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<CountersReport>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_counters: Option<String>,
    /// What the compiler says about its loops, what matters most first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remarks: Option<Vec<RemarkRecord>>,
    /// Why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_remarks: Option<String>,
    /// A launch as `ncu` saw it, on a CUDA device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ncu: Option<NcuReport>,
    /// What follows from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<Bottleneck>,
    /// The file with all of `ncu`'s figures, below the state's `profiles`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_ncu: Option<String>,
    /// How full the kernel's resources let a multiprocessor be, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupancy: Option<String>,
    /// All of it for people.
    pub lines: Vec<String>,
}

/// Who counted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// The hardware, by `perf stat`, over the whole command.
    Perf,
    /// A simulated processor: instructions are exact, misses are those of a simple model.
    Callgrind,
    /// No tool; the report says why.
    #[default]
    None,
}

/// A line of source and its share of all instructions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HotLine {
    /// As the debug information names it.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u32,
    /// In [0, 1].
    pub share: f64,
}

/// What was counted, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CountersReport {
    /// Who counted.
    pub tool: Tool,
    /// By the names that perf has for events, whichever tool counted.
    pub counters: BTreeMap<String, f64>,
    /// Ratios of them; see [`derived`](super::super::stage::counters::derived).
    pub derived: BTreeMap<String, f64>,
    /// What is missing, why, and the command that mends it; one sentence each.
    pub unavailable: Vec<String>,
    /// Lines with the largest share first.
    pub hot_lines: Vec<HotLine>,
}

/// What the compiler says about a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RemarkRecord {
    /// The source file, as people wrote it.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1; 0 where only the line is known.
    pub column: u32,
    /// What it is about: `vectorised`, `missed`, `spill` or `note`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// What usually lies behind it and what helps.
    pub advice: Option<String>,
}
