//! Nsight Compute: how `ncu` is called, what it prints, and what that says about a kernel.
//!
//! Pure: command lines out, text in. Metrics and what they mean are those of NVIDIA's "Nsight
//! Compute: Profiling Guide" (Metrics Reference, Warp Stall Reasons), options those of its "Nsight
//! Compute CLI".

mod csv;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::Mode;

const COMPUTE: &str = "sm__throughput.avg.pct_of_peak_sustained_elapsed";
const MEMORY: &str = "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed";
const DRAM: &str = "dram__throughput.avg.pct_of_peak_sustained_elapsed";
const DURATION: &str = "gpu__time_duration.sum";
const WAVES: &str = "launch__waves_per_multiprocessor";
const STALL: (&str, &str) = ("smsp__average_warps_issue_stalled_", "_per_issue_active.ratio");

/// What is asked for besides stalls.
const METRICS: [&str; 18] = [
    DURATION,
    COMPUTE,
    MEMORY,
    DRAM,
    "dram__bytes.sum",
    "l1tex__t_sector_hit_rate.pct",
    "lts__t_sector_hit_rate.pct",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
    "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum",
    "launch__grid_size",
    "launch__block_size",
    WAVES,
    "launch__registers_per_thread",
    "launch__shared_mem_per_block_static",
    "launch__shared_mem_per_block_dynamic",
    "launch__occupancy_limit_registers",
    "launch__occupancy_limit_shared_mem",
    "launch__occupancy_limit_warps",
];

/// Reasons for which a warp does not issue, as metrics name them, and what that is (Profiling
/// Guide, "Warp Stall Reasons"). `selected` is no stall.
const STALLS: [(&str, &str); 13] = [
    ("long_scoreboard", "waiting for global or local memory"),
    ("short_scoreboard", "waiting for shared memory or special functions"),
    ("barrier", "waiting for the block's other warps at a barrier"),
    ("membar", "waiting for a memory barrier"),
    ("lg_throttle", "the queue of global and local accesses is full"),
    ("mio_throttle", "the queue of shared memory and special functions is full"),
    ("tex_throttle", "the queue of texture accesses is full"),
    ("math_pipe_throttle", "the arithmetic pipe is busy"),
    ("wait", "fixed latencies of the instructions before"),
    ("drain", "waiting for stores at the end"),
    ("no_instruction", "waiting for instructions to be fetched"),
    ("imc_miss", "waiting for constants"),
    ("branch_resolving", "waiting for branches"),
];

/// Below this share of the peak, a kernel is held up by latency rather than by a unit (Speed Of Light
/// section's rule: "below 60.0% of peak typically indicate latency issues"), in percent.
const BUSY_PERCENT: f64 = 60.0;

/// Every metric that is asked for.
pub fn metrics() -> Vec<String> {
    let stalls = STALLS.iter().map(|(reason, _)| format!("{}{reason}{}", STALL.0, STALL.1));
    METRICS.iter().map(|&name| name.to_owned()).chain(stalls).collect()
}

/// A launch that is to be looked into.
#[derive(Debug, Clone, Copy)]
pub struct Collect<'a> {
    /// Where the raw report goes; its name ends with `.ncu-rep`.
    pub report: &'a Path,
    /// The kernel's name in its image; without one every kernel of the process is looked into.
    pub kernel: Option<&'a str>,
    /// Launches of it that go before the one that is looked into.
    pub skip: u32,
    /// How the caches are before each pass over the launch.
    pub mode: Mode,
    /// What is asked for; see [`metrics`].
    pub metrics: &'a [String],
    /// The command line of the process that launches.
    pub command: &'a [OsString],
}

/// The arguments with which `ncu` collects.
pub fn collect(asked: &Collect<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut option = |name: &str, value: &OsStr| args.extend([name.into(), value.to_owned()]);
    option("--metrics", asked.metrics.join(",").as_ref());
    option("--target-processes", "application-only".as_ref());
    // Clocks are locked only by who asked for it: ncu would, and not give them back when killed.
    option("--clock-control", "none".as_ref());
    let caches = match asked.mode {
        Mode::Cold => "all",
        Mode::Hot => "none",
    };
    option("--cache-control", caches.as_ref());
    if let Some(kernel) = asked.kernel {
        option("--kernel-name-base", "mangled".as_ref());
        option("--kernel-name", kernel.as_ref());
        option("--launch-skip", asked.skip.to_string().as_ref());
        option("--launch-count", "1".as_ref());
    }
    option("--export", &literal(asked.report));
    args.push("--force-overwrite".into());
    args.extend(asked.command.iter().cloned());
    args
}

/// A path in which `ncu` replaces nothing: `%p` and the like stand for numbers there.
fn literal(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes();
    let doubled = bytes.iter().flat_map(|&b| std::iter::repeat_n(b, 1 + usize::from(b == b'%')));
    OsString::from_vec(doubled.collect())
}

/// The arguments with which `ncu` prints what a report holds.
pub fn print(report: &Path) -> Vec<OsString> {
    let words = ["--csv", "--page", "raw", "--print-units", "base"].map(OsString::from);
    ["--import".into(), report.into()].into_iter().chain(words).collect()
}

/// One kernel's launch, as it was seen; profiles record it. What `ncu` did not tell is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NcuRecord")]
pub struct NcuReport {
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
    pub stalls: Vec<Stall>,
}

/// A reason for which warps did not issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StallRecord")]
pub struct Stall {
    /// As metrics name it.
    pub reason: String,
    /// Cycles of waiting between two instructions of a warp, on average.
    pub cycles: f64,
}

impl Stall {
    /// What the reason means.
    pub fn words(&self) -> &'static str {
        STALLS.iter().find(|(reason, _)| *reason == self.reason).map_or("", |(_, words)| words)
    }
}

/// What holds a kernel up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "BottleneckRecord")]
pub enum Bottleneck {
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

/// Why what `ncu` printed is no table of reports, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoTable(String);

/// Reads what [`print()`] makes `ncu` print: a report for each kernel that was looked into.
///
/// # Errors
/// That this is no such table.
pub fn parse(printed: &str) -> Result<Vec<NcuReport>, NoTable> {
    let rows = csv::table(printed).map_err(NoTable)?;
    Ok(rows.iter().map(|row| NcuReport::of(&row.kernel, &row.values)).collect())
}

impl NcuReport {
    fn of(kernel: &str, values: &BTreeMap<String, f64>) -> Self {
        let get = |name: &str| values.get(name).copied();
        let shared =
            ["static", "dynamic"].map(|k| get(&format!("launch__shared_mem_per_block_{k}")));
        let mut stalls: Vec<Stall> = STALLS
            .iter()
            .filter_map(|(reason, _)| {
                let cycles = get(&format!("{}{reason}{}", STALL.0, STALL.1))?;
                Some(Stall { reason: (*reason).to_owned(), cycles })
            })
            .collect();
        stalls.sort_by(|a, b| b.cycles.total_cmp(&a.cycles));
        Self {
            kernel: kernel.to_owned(),
            duration_ns: get(DURATION),
            compute_percent: get(COMPUTE),
            memory_percent: get(MEMORY),
            dram_percent: get(DRAM),
            dram_bytes: get("dram__bytes.sum"),
            l1_hit_percent: get("l1tex__t_sector_hit_rate.pct"),
            l2_hit_percent: get("lts__t_sector_hit_rate.pct"),
            warps_active_percent: get("sm__warps_active.avg.pct_of_peak_sustained_active"),
            ffma: get("smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"),
            blocks: get("launch__grid_size"),
            threads: get("launch__block_size"),
            waves: get(WAVES),
            registers: get("launch__registers_per_thread"),
            shared_bytes: shared[0].zip(shared[1]).map(|(fixed, dynamic)| fixed + dynamic),
            limit_registers: get("launch__occupancy_limit_registers"),
            limit_shared: get("launch__occupancy_limit_shared_mem"),
            limit_warps: get("launch__occupancy_limit_warps"),
            stalls,
        }
    }

    /// What holds the kernel up, by the rules of the Speed Of Light and Launch Statistics sections.
    pub fn bottleneck(&self) -> Bottleneck {
        let (Some(compute), Some(memory)) = (self.compute_percent, self.busiest_memory()) else {
            return Bottleneck::Unknown;
        };
        if compute.max(memory) < BUSY_PERCENT {
            let few = self.waves.is_some_and(|waves| waves < 1.0);
            return if few { Bottleneck::TooFewBlocks } else { Bottleneck::Latency };
        }
        if memory >= compute { Bottleneck::Memory } else { Bottleneck::Compute }
    }

    fn busiest_memory(&self) -> Option<f64> {
        let all = [self.memory_percent, self.dram_percent];
        all.into_iter().flatten().reduce(f64::max)
    }

    /// What holds the kernel up, in a line.
    pub fn verdict(&self) -> String {
        let compute = self.compute_percent.unwrap_or(0.0);
        let (memory, dram) =
            (self.busiest_memory().unwrap_or(0.0), self.dram_percent.unwrap_or(0.0));
        let loads = format!("compute {compute:.0} %, memory {memory:.0} % of peak");
        match self.bottleneck() {
            Bottleneck::Memory if dram >= BUSY_PERCENT => {
                format!(
                    "bound by memory: DRAM at {dram:.0} % of its peak, compute at {compute:.0} %"
                )
            }
            Bottleneck::Memory => format!(
                "bound by memory, in the caches: {memory:.0} % of peak with DRAM at {dram:.0} %, \
                 compute at {compute:.0} %"
            ),
            Bottleneck::Compute => {
                format!("bound by compute: {compute:.0} % of peak, memory at {memory:.0} %")
            }
            Bottleneck::TooFewBlocks => format!(
                "too few blocks: {:.0} fill {:.2} of the device ({loads})",
                self.blocks.unwrap_or(0.0),
                self.waves.unwrap_or(0.0),
            ),
            Bottleneck::Latency => match self.stalls.first() {
                Some(top) => format!(
                    "bound by latency ({loads}): warps stall most on {} ({}, {:.1} cycles an \
                     instruction)",
                    top.reason,
                    top.words(),
                    top.cycles
                ),
                None => format!("bound by latency ({loads})"),
            },
            Bottleneck::Unknown => "ncu told no throughput: no verdict".to_owned(),
        }
    }

    /// The few numbers that matter, each with its name.
    pub fn table(&self) -> Vec<(&'static str, String)> {
        let mut rows: Vec<(&'static str, String)> = Vec::new();
        let mut row = |name, value: Option<f64>, text: &dyn Fn(f64) -> String| {
            rows.extend(value.map(|value| (name, text(value))));
        };
        let percent = |value: f64| format!("{value:.1} %");
        let count = |value: f64| format!("{value:.0}");
        row("time under ncu", self.duration_ns, &|ns| format!("{:.2} \u{b5}s", ns / 1e3));
        row("compute of peak", self.compute_percent, &percent);
        row("memory of peak", self.memory_percent, &percent);
        row("DRAM of peak", self.dram_percent, &percent);
        row("DRAM traffic", self.dram_bytes, &|bytes| format!("{:.2} MB", bytes / 1e6));
        row("L1 hits", self.l1_hit_percent, &percent);
        row("L2 hits", self.l2_hit_percent, &percent);
        row("achieved occupancy", self.warps_active_percent, &percent);
        row("waves", self.waves, &|waves| format!("{waves:.2}"));
        row("registers a thread", self.registers, &count);
        row("shared bytes a block", self.shared_bytes, &count);
        row("blocks by registers", self.limit_registers, &count);
        row("blocks by shared memory", self.limit_shared, &count);
        row("blocks by warps", self.limit_warps, &count);
        row("FP32 fused multiply-adds", self.ffma, &|ffma| format!("{ffma:.3e}"));
        rows
    }
}

/// What `ncu` complains about, with what to do; `None` where it does not.
pub fn trouble(printed: &str) -> Option<String> {
    if printed.contains("ERR_NVGPUCTRPERM") {
        // NVIDIA, "Development Tools Solutions: ERR_NVGPUCTRPERM".
        return Some(
            "counters are for administrators only here (ERR_NVGPUCTRPERM): have one put `options \
             nvidia NVreg_RestrictProfilingToAdminUsers=0` into a file in /etc/modprobe.d and \
             reboot, or give the container --cap-add=SYS_ADMIN; see \
             https://developer.nvidia.com/ERR_NVGPUCTRPERM"
                .to_owned(),
        );
    }
    let errors = printed.lines().filter_map(|line| line.strip_prefix("==ERROR=="));
    if let Some(error) = errors.map(str::trim).find(|error| !error.is_empty()) {
        return Some(format!("ncu says: {error}"));
    }
    printed
        .contains("No kernels were profiled")
        .then(|| "ncu saw no launch of the kernel".to_owned())
}

/// Those of `asked` that this `ncu` or device does not know, by its own words: it then collects
/// nothing at all, and the rest must be asked for again.
pub fn unknown(printed: &str, asked: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    for line in printed.lines() {
        let Some((_, name)) = line.split_once("Failed to find metric ") else { continue };
        let name = name.trim_start_matches("regex:").trim_start_matches('^').replace('\\', "");
        let known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let name: String = name.chars().take_while(|&c| known(c)).collect();
        let name = name.trim_end_matches('.');
        all.extend(
            asked.iter().filter(|metric| !name.is_empty() && metric.starts_with(name)).cloned(),
        );
    }
    all
}

#[cfg(test)]
mod tests;
