//! What is recorded of a CUDA device: how it did meanwhile, and what `ncu` saw of a launch.

use serde::{Deserialize, Serialize};

use crate::backend::cuda::Conditions;
use crate::backend::cuda::inspect::ncu::{Bottleneck, NcuReport, Stall};

/// How a CUDA device did while it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeviceConditions {
    /// The clock of the multiprocessors, MHz: lowest and highest.
    pub sm_mhz: [Option<u32>; 2],
    /// The clock of the memory, MHz: lowest and highest.
    pub memory_mhz: [Option<u32>; 2],
    /// Of the die, degrees Celsius: lowest and highest.
    pub temperature_c: [Option<u32>; 2],
    /// What held its clocks back, in words.
    pub throttle: Vec<String>,
    /// Slots in which it was throttled.
    pub throttled_slots: usize,
    /// Processes with a context on it besides ours, at most.
    pub others: Option<u32>,
    /// Each slot's own.
    pub slots: Vec<DeviceMoment>,
}

impl DeviceConditions {
    /// The ends of what was seen slot by slot; none where nothing was noted.
    pub fn of(seen: &[Conditions]) -> Option<Self> {
        let ends = |of: fn(&Conditions) -> Option<u32>| {
            let told = || seen.iter().filter_map(of);
            [told().min(), told().max()]
        };
        let words = seen.iter().flat_map(|c| c.throttle.iter().copied());
        let mut throttle: Vec<String> = words.map(str::to_owned).collect();
        throttle.sort_unstable();
        throttle.dedup();
        (!seen.is_empty()).then(|| Self {
            sm_mhz: ends(|c| c.sm_mhz),
            memory_mhz: ends(|c| c.memory_mhz),
            temperature_c: ends(|c| c.temperature_c),
            throttle,
            throttled_slots: seen.iter().filter(|c| c.throttled()).count(),
            others: seen.iter().map(|c| c.others).max(),
            slots: seen.iter().map(DeviceMoment::from).collect(),
        })
    }
}

/// How it did at one slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeviceMoment {
    /// The clock of the multiprocessors, MHz.
    pub sm_mhz: Option<u32>,
    /// The clock of the memory, MHz.
    pub memory_mhz: Option<u32>,
    /// Of the die, degrees Celsius.
    pub temperature_c: Option<u32>,
    /// Of the board, W.
    pub power_w: Option<f64>,
    /// What holds its clocks back, in words.
    pub throttle: Vec<String>,
    /// Processes with a context on the device besides ours.
    pub others: u32,
    /// Its performance state: 0 is the fastest.
    pub pstate: Option<u32>,
}

impl From<&Conditions> for DeviceMoment {
    fn from(seen: &Conditions) -> Self {
        Self {
            sm_mhz: seen.sm_mhz,
            memory_mhz: seen.memory_mhz,
            temperature_c: seen.temperature_c,
            power_w: seen.power_w,
            throttle: seen.throttle.iter().copied().map(str::to_owned).collect(),
            others: seen.others,
            pstate: seen.pstate,
        }
    }
}

/// A launch as `ncu` saw it. What it did not tell is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NcuRecord {
    /// The kernel, as `ncu` names it.
    pub kernel: String,
    /// How long it took under `ncu`, ns: with other clocks and caches than where it is measured.
    pub duration_ns: Option<f64>,
    /// Percent of the peak of the busiest part of the multiprocessors.
    pub compute_percent: Option<f64>,
    /// Percent of the peak of the busiest part of the memories: caches, L2 and DRAM.
    pub memory_percent: Option<f64>,
    /// Percent of the DRAM's peak.
    pub dram_percent: Option<f64>,
    /// Bytes read from and written to DRAM.
    pub dram_bytes: Option<f64>,
    /// Percent of sectors that were found in L1.
    pub l1_hit_percent: Option<f64>,
    /// Percent of sectors that were found in L2.
    pub l2_hit_percent: Option<f64>,
    /// Achieved occupancy: percent of the warps that a multiprocessor may hold.
    pub warps_active_percent: Option<f64>,
    /// Fused multiply-adds in single precision, over all threads.
    pub ffma: Option<f64>,
    /// Blocks.
    pub blocks: Option<f64>,
    /// Threads of a block.
    pub threads: Option<f64>,
    /// How often the launch fills the device with blocks.
    pub waves: Option<f64>,
    /// Registers of a thread.
    pub registers: Option<f64>,
    /// Shared memory of a block, bytes.
    pub shared_bytes: Option<f64>,
    /// Blocks that a multiprocessor holds for its registers.
    pub limit_registers: Option<f64>,
    /// Blocks that it holds for its shared memory.
    pub limit_shared: Option<f64>,
    /// Blocks that it holds for its warps.
    pub limit_warps: Option<f64>,
    /// Why warps did not issue, the most frequent first.
    pub stalls: Vec<StallRecord>,
}

impl From<&NcuReport> for NcuRecord {
    fn from(seen: &NcuReport) -> Self {
        Self {
            kernel: seen.kernel.clone(),
            duration_ns: seen.duration_ns,
            compute_percent: seen.compute_percent,
            memory_percent: seen.memory_percent,
            dram_percent: seen.dram_percent,
            dram_bytes: seen.dram_bytes,
            l1_hit_percent: seen.l1_hit_percent,
            l2_hit_percent: seen.l2_hit_percent,
            warps_active_percent: seen.warps_active_percent,
            ffma: seen.ffma,
            blocks: seen.blocks,
            threads: seen.threads,
            waves: seen.waves,
            registers: seen.registers,
            shared_bytes: seen.shared_bytes,
            limit_registers: seen.limit_registers,
            limit_shared: seen.limit_shared,
            limit_warps: seen.limit_warps,
            stalls: seen.stalls.iter().map(StallRecord::from).collect(),
        }
    }
}

/// A reason for which warps did not issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StallRecord {
    /// As metrics name it.
    pub reason: String,
    /// Cycles of waiting between two instructions of a warp, on average.
    pub cycles: f64,
}

impl From<&Stall> for StallRecord {
    fn from(stall: &Stall) -> Self {
        Self { reason: stall.reason.clone(), cycles: stall.cycles }
    }
}

/// What holds a kernel up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BottleneckRecord {
    /// Memory, at some level.
    Memory,
    /// Arithmetic and the issue of instructions.
    Compute,
    /// Neither: warps wait.
    Latency,
    /// Neither: there are too few blocks for the device.
    TooFewBlocks,
    /// The numbers for it are not there.
    Unknown,
}

impl From<Bottleneck> for BottleneckRecord {
    fn from(bottleneck: Bottleneck) -> Self {
        match bottleneck {
            Bottleneck::Memory => Self::Memory,
            Bottleneck::Compute => Self::Compute,
            Bottleneck::Latency => Self::Latency,
            Bottleneck::TooFewBlocks => Self::TooFewBlocks,
            Bottleneck::Unknown => Self::Unknown,
        }
    }
}
