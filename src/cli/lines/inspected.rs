//! Lines about what a kernel is compiled to, of `inspect`.

use std::path::PathBuf;

use serde::Serialize;

use crate::backend::cpu::assembly::Counts;
use crate::backend::cuda::inspect::resources::{Limit, Usage};

/// Rises when a reader of these lines would have to change.
pub(in crate::cli) const INSPECT_VERSION: u32 = 1;

/// A kernel's assembly, whose functions follow. Of `inspect asm`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct AsmLine {
    /// Of these lines.
    #[schemars(extend("const" = INSPECT_VERSION))]
    pub(in crate::cli) version: u32,
    /// As the command line names it.
    pub(in crate::cli) kernel: String,
    /// Compiler and flags.
    pub(in crate::cli) command: String,
    /// How many functions follow.
    pub(in crate::cli) functions: usize,
}

/// What changed in a kernel's assembly. Of `inspect asm --diff`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct AsmDiffLine {
    /// Of these lines.
    #[schemars(extend("const" = INSPECT_VERSION))]
    pub(in crate::cli) version: u32,
    /// The older version.
    pub(in crate::cli) old: String,
    /// The newer one.
    pub(in crate::cli) new: String,
    /// Compiler and flags.
    pub(in crate::cli) command: String,
}

/// A kernel's code for a CUDA device, whose functions follow. Of `inspect ptx` and `inspect sass`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct DeviceCodeLine {
    /// Of these lines.
    #[schemars(extend("const" = INSPECT_VERSION))]
    pub(in crate::cli) version: u32,
    /// As the command line names it.
    pub(in crate::cli) kernel: String,
    /// Compiler and flags.
    pub(in crate::cli) command: String,
    /// What it is for.
    pub(in crate::cli) target: String,
    /// How many functions follow.
    pub(in crate::cli) functions: usize,
    /// Lines outside functions.
    pub(in crate::cli) head: Vec<String>,
}

/// What changed in that. Of `inspect ptx --diff` and `inspect sass --diff`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct DeviceCodeDiffLine {
    /// Of these lines.
    #[schemars(extend("const" = INSPECT_VERSION))]
    pub(in crate::cli) version: u32,
    /// The older version.
    pub(in crate::cli) old: String,
    /// The newer one.
    pub(in crate::cli) new: String,
    /// Compiler and flags.
    pub(in crate::cli) command: String,
    /// What the older is for.
    pub(in crate::cli) old_target: String,
    /// What the newer is for.
    pub(in crate::cli) new_target: String,
}

/// Which version has a function or kernel that the other lacks.
#[derive(Debug, Clone, Copy, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Side {
    /// The older.
    Old,
    /// The newer.
    New,
}

/// A function, for a processor or for a CUDA device.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum FunctionLine {
    /// For a processor.
    Asm(AsmFunction),
    /// For a CUDA device.
    Device(DeviceFunction),
}

/// A function for a processor.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct AsmFunction {
    /// As the source names it.
    pub(in crate::cli) name: String,
    /// As the linker knows it.
    pub(in crate::cli) symbol: String,
    /// The source file.
    pub(in crate::cli) file: Option<PathBuf>,
    /// Its line there, from 1.
    pub(in crate::cli) line: Option<u32>,
    /// How many instructions of each kind.
    pub(in crate::cli) counts: Counts,
    /// Its loops.
    pub(in crate::cli) loops: Vec<LoopLine>,
    /// All of it, in order.
    pub(in crate::cli) code: Vec<CodeLine>,
}

/// A loop of a function.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct LoopLine {
    /// Where it begins.
    pub(in crate::cli) label: String,
    /// The source file.
    pub(in crate::cli) file: Option<PathBuf>,
    /// Its line there, from 1.
    pub(in crate::cli) line: Option<u32>,
    /// How many loops it lies in, itself included.
    pub(in crate::cli) depth: usize,
    /// Whether no loop lies in it.
    pub(in crate::cli) innermost: bool,
    /// How many instructions of each kind.
    pub(in crate::cli) counts: Counts,
}

/// One line of code.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum CodeLine {
    /// A place that is jumped to.
    Label {
        /// Its name.
        label: String,
    },
    /// An instruction.
    Instruction {
        /// As the assembler takes it.
        text: String,
        /// The source file.
        file: Option<PathBuf>,
        /// The line there, from 1.
        line: Option<u32>,
        /// Whether it spills or reloads a register; for CUDA devices alone.
        #[serde(skip_serializing_if = "Option::is_none")]
        spill: Option<bool>,
    },
}

/// A function for a CUDA device.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct DeviceFunction {
    /// As the source names it.
    pub(in crate::cli) name: String,
    /// As the linker knows it.
    pub(in crate::cli) symbol: String,
    /// Whether it is a kernel.
    pub(in crate::cli) entry: bool,
    /// How many instructions it has.
    pub(in crate::cli) instructions: usize,
    /// How many of them spill or reload a register.
    pub(in crate::cli) spills: usize,
    /// All of it, in order.
    pub(in crate::cli) code: Vec<CodeLine>,
}

/// A function that one version lacks.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct FunctionOnlyInLine {
    /// As the source names it.
    pub(in crate::cli) name: String,
    /// Which version has it.
    pub(in crate::cli) side: Side,
    /// How large it is.
    #[serde(flatten)]
    pub(in crate::cli) size: FunctionSize,
}

/// How large a function is.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum FunctionSize {
    /// For a processor.
    Asm {
        /// How many instructions of each kind.
        counts: Counts,
    },
    /// For a CUDA device.
    Device {
        /// How many instructions it has.
        instructions: usize,
    },
}

/// What changed in a function.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct FunctionDiffLine {
    /// As the source names it.
    pub(in crate::cli) name: String,
    /// Its sizes.
    #[serde(flatten)]
    pub(in crate::cli) sizes: FunctionSizes,
    /// Lines that are gone.
    pub(in crate::cli) removed: usize,
    /// Lines that are new.
    pub(in crate::cli) added: usize,
    /// As people read it; empty when the instructions are the same.
    pub(in crate::cli) diff: String,
}

/// How large a function was and is.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub(in crate::cli) enum FunctionSizes {
    /// For a processor.
    Asm {
        /// How many instructions of each kind there were.
        old_counts: Counts,
        /// How many there are.
        new_counts: Counts,
    },
    /// For a CUDA device.
    Device {
        /// How many instructions it had.
        old_instructions: usize,
        /// How many it has.
        new_instructions: usize,
        /// How many of them spilled or reloaded a register.
        old_spills: usize,
        /// How many do.
        new_spills: usize,
    },
}

/// What kernels use of a CUDA device; they follow. Of `inspect resources`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct ResourcesLine {
    /// Of these lines.
    #[schemars(extend("const" = INSPECT_VERSION))]
    pub(in crate::cli) version: u32,
    /// As the command line names the file.
    pub(in crate::cli) kernel: String,
    /// Compiler and flags.
    pub(in crate::cli) command: String,
    /// The architecture, where it is known.
    pub(in crate::cli) arch: Option<String>,
    /// How many kernels follow.
    pub(in crate::cli) entries: usize,
}

/// What changed in that. Of `inspect resources --diff`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct ResourcesDiffLine {
    /// Of these lines.
    #[schemars(extend("const" = INSPECT_VERSION))]
    pub(in crate::cli) version: u32,
    /// The older version.
    pub(in crate::cli) old: String,
    /// The newer one.
    pub(in crate::cli) new: String,
    /// Compiler and flags.
    pub(in crate::cli) command: String,
    /// The architecture, where it is known.
    pub(in crate::cli) arch: Option<String>,
}

/// What one kernel uses.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct EntryLine {
    /// As the source names it.
    pub(in crate::cli) name: String,
    /// What it uses.
    #[serde(flatten)]
    pub(in crate::cli) usage: Usage,
    /// How many instructions it has, where a tool says.
    pub(in crate::cli) instructions: Option<usize>,
    /// How full a multiprocessor is, for each way in which it is launched.
    pub(in crate::cli) occupancy: Vec<OccupancyLine>,
}

/// How full a multiprocessor is at one launch.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct OccupancyLine {
    /// The first case that is launched so; empty when all are.
    pub(in crate::cli) case: String,
    /// Threads of a block.
    pub(in crate::cli) threads: u32,
    /// Dynamic shared memory of a block.
    pub(in crate::cli) dynamic_shared_bytes: u32,
    /// Blocks that fit.
    pub(in crate::cli) blocks: u32,
    /// Warps of these.
    pub(in crate::cli) warps: u32,
    /// Warps that it holds at most.
    pub(in crate::cli) most_warps: u32,
    /// Warps as a share of the most.
    pub(in crate::cli) percent: f64,
    /// What keeps more blocks out.
    pub(in crate::cli) limits: Vec<Limit>,
}

/// A kernel that one version lacks.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct EntryOnlyInLine {
    /// Which version has it.
    pub(in crate::cli) side: Side,
    /// What it uses.
    #[serde(flatten)]
    pub(in crate::cli) entry: EntryLine,
}

/// What changed in a kernel.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct EntryDiffLine {
    /// As the source names it.
    pub(in crate::cli) name: String,
    /// What it used.
    pub(in crate::cli) old: EntryLine,
    /// What it uses.
    pub(in crate::cli) new: EntryLine,
    /// That in a sentence.
    pub(in crate::cli) verdict: String,
}
