//! Lines about this machine, of `devices` and `doctor`.

use serde::Serialize;

/// Rises when a reader of these lines would have to change.
pub(in crate::cli) const MACHINE_VERSION: u32 = 1;

/// Something that kernels run on, or why there is no such thing. Of `devices`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct DeviceLine {
    /// Of these lines.
    #[schemars(extend("const" = MACHINE_VERSION))]
    version: u32,
    /// As pipelines name it; `cuda` where there is no CUDA device.
    device: String,
    /// What is known of it.
    #[serde(flatten)]
    found: DeviceFound,
}

/// What is known of a device.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum DeviceFound {
    /// The processor.
    Cpu(Box<CpuFound>),
    /// A CUDA device.
    Cuda(Box<CudaFound>),
    /// Nothing.
    Missing(Missing),
}

/// Why something is not there.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct Missing {
    /// What is missing, and how that was seen.
    pub(in crate::cli) missing: String,
    /// What to do about it.
    pub(in crate::cli) help: String,
}

/// What is known of the processor.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CpuFound {
    /// Whether kernels can run on it.
    pub(in crate::cli) runs_kernels: bool,
    /// As the system names it.
    pub(in crate::cli) model: String,
    /// The architecture.
    pub(in crate::cli) arch: String,
    /// How many cores may be used.
    pub(in crate::cli) cores: u32,
    /// The frequency governor; empty where there is none.
    pub(in crate::cli) governor: String,
    /// Whether turbo is on, where it can be told.
    pub(in crate::cli) turbo: Option<bool>,
    /// The microcode's version.
    pub(in crate::cli) microcode: String,
    /// Its caches.
    pub(in crate::cli) caches: Vec<CacheFound>,
    /// The cores that may be used.
    pub(in crate::cli) core_list: Vec<u32>,
    /// Cores that share execution units.
    pub(in crate::cli) siblings: Vec<Vec<u32>>,
    /// The clock that the system uses.
    pub(in crate::cli) time_source: String,
}

/// A cache of the processor.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CacheFound {
    /// 1 is the nearest.
    pub(in crate::cli) level: u32,
    /// What it holds.
    pub(in crate::cli) kind: String,
    /// Its size.
    pub(in crate::cli) bytes: u64,
    /// Cores that share it.
    pub(in crate::cli) shared: Vec<u32>,
}

/// What is known of a CUDA device.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CudaFound {
    /// Whether kernels can run on it.
    pub(in crate::cli) runs_kernels: bool,
    /// As the driver names it.
    pub(in crate::cli) model: String,
    /// `GPU-…`.
    pub(in crate::cli) uuid: String,
    /// Its address on the bus.
    pub(in crate::cli) bus: String,
    /// All of its memory.
    pub(in crate::cli) memory_bytes: u64,
    /// Such as `9.0`.
    pub(in crate::cli) compute_capability: String,
    /// How many it has.
    pub(in crate::cli) multiprocessors: i32,
    /// Its second-level cache.
    pub(in crate::cli) l2_bytes: u64,
    /// The highest clock of the multiprocessors.
    pub(in crate::cli) sm_mhz: u32,
    /// The highest clock of the memory.
    pub(in crate::cli) memory_mhz: u32,
    /// The width of the memory's bus.
    pub(in crate::cli) bus_bits: u32,
    /// Shared memory of a block.
    pub(in crate::cli) shared_bytes: u32,
    /// Shared memory of a block that asks for more.
    pub(in crate::cli) shared_optin_bytes: u32,
    /// Shared memory of a multiprocessor.
    pub(in crate::cli) shared_multiprocessor_bytes: u32,
    /// Where the driver's library lies.
    pub(in crate::cli) driver: Option<String>,
    /// The version of CUDA that the driver speaks.
    pub(in crate::cli) cuda_version: String,
}

impl DeviceLine {
    pub(in crate::cli) fn of(device: impl Into<String>, found: DeviceFound) -> Self {
        Self { version: MACHINE_VERSION, device: device.into(), found }
    }
}

/// A library or tool for CUDA devices. Of `devices`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct PartLine {
    /// Of these lines.
    #[schemars(extend("const" = MACHINE_VERSION))]
    version: u32,
    /// Its name.
    part: String,
    /// Where it is, or why it is not there.
    #[serde(flatten)]
    found: PartFound,
}

/// Where a part is, or why it is not there.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum PartFound {
    /// It is there.
    Found {
        /// Its path, and its version where that is known.
        found: String,
    },
    /// It is not there.
    Missing(Missing),
}

impl PartLine {
    pub(in crate::cli) fn of(part: &str, found: PartFound) -> Self {
        Self { version: MACHINE_VERSION, part: part.to_owned(), found }
    }
}

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum CheckStanding {
    /// As it should be.
    Ok,
    /// Measurements or some commands suffer.
    Weak,
    /// The main job cannot run.
    Missing,
}

/// One thing that was looked at. Of `doctor`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CheckLine {
    /// Of these lines.
    #[schemars(extend("const" = MACHINE_VERSION))]
    pub(in crate::cli) version: u32,
    /// What was looked at.
    pub(in crate::cli) check: String,
    /// How it stands.
    pub(in crate::cli) standing: CheckStanding,
    /// What was found.
    pub(in crate::cli) found: String,
    /// What it costs; empty where it is as it should be.
    pub(in crate::cli) cost: String,
    /// The command that mends it; empty where it is as it should be.
    pub(in crate::cli) mend: String,
    /// What was measured.
    pub(in crate::cli) values: CheckValues,
}

/// What a check measured; each check has numbers of its own.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CheckValues {
    /// Cores that may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) cores: Option<Vec<u32>>,
    /// Cores that share execution units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) siblings: Option<Vec<Vec<u32>>>,
    /// How busy the kernel's neighbours on its core are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) sibling_busy_percent: Option<f64>,
    /// The processor's caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) caches: Option<Vec<CacheFound>>,
    /// How busy the cores are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) busy_percent: Option<f64>,
    /// Time that the hypervisor takes, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) now_percent: Option<f64>,
    /// The same since the machine was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) since_start_percent: Option<f64>,
    /// How long reading the clock takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) reading_ns: Option<f64>,
    /// The smallest step that the clock shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) step_ns: Option<f64>,
    /// How much pairs of the same work differ: standard deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) sd_percent: Option<f64>,
    /// Pairs that something disturbed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) disturbed_percent: Option<f64>,
    /// Pairs that were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) pairs: Option<usize>,
}
