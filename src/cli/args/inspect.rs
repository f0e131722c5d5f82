//! The command line of `optloop inspect`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `optloop inspect …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum InspectCommand {
    /// Show a C or C++ kernel's assembly beside its source lines, with counts for each loop.
    ///
    /// Vectors are counted by their registers, `scalar` is floating-point arithmetic on single
    /// numbers, and spills are registers stored to the stack and loaded back (stored/loaded).
    Asm(AsmArgs),
    /// Show a CUDA kernel's PTX, without comments; no device is needed.
    Ptx(DeviceCodeArgs),
    /// Show a CUDA kernel's machine code beside its source lines; no device is needed.
    Sass(DeviceCodeArgs),
    /// Show registers, memory, spills and theoretical occupancy of CUDA kernels; no device is needed.
    ///
    /// Spills are bytes stored and loaded back because registers are too few. Occupancy is how many of
    /// the warps that a multiprocessor has room for can be there at once.
    Resources(ResourcesArgs),
}

/// `optloop inspect asm`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AsmArgs {
    /// The kernel: a C or C++ file.
    pub(in crate::cli) kernel: PathBuf,
    /// Compile as this pipeline does; else as pipelines do by default.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) pipeline: Option<String>,
    /// The function shown first; by default the problem's, or the one named like the file.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) entry: Option<String>,
    /// Show what changed since another version: a file, or git:REV of the same file.
    #[arg(long, value_name = "OTHER")]
    pub(in crate::cli) diff: Option<String>,
    /// Functions from elsewhere too, such as templates of headers.
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// Compiler flags in place of the default ones.
    #[arg(last = true, value_name = "FLAGS", conflicts_with = "pipeline")]
    pub(in crate::cli) flags: Vec<String>,
}

/// `optloop inspect ptx` and `optloop inspect sass`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DeviceCodeArgs {
    /// The kernel: a .cu, .ptx or .cubin file.
    pub(in crate::cli) kernel: PathBuf,
    /// What it is built for, such as `sm_90a`; by default that of a .ptx file or of the
    /// pipeline, else `sm_90a`.
    #[arg(long, value_name = "ARCH")]
    pub(in crate::cli) arch: Option<String>,
    /// Compile with the flags, definitions and include folders of this pipeline.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) pipeline: Option<String>,
    /// The kernel function; by default the problem's, or the one named like the file, else all.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) entry: Option<String>,
    /// Show what changed since another version: a file, or git:REV of the same file.
    #[arg(long, value_name = "OTHER")]
    pub(in crate::cli) diff: Option<String>,
    /// All functions, and in PTX what stands outside them.
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// Compiler flags: nvcc's for a .cu file, ptxas's for a .ptx file.
    #[arg(last = true, value_name = "FLAGS", conflicts_with = "pipeline")]
    pub(in crate::cli) flags: Vec<String>,
}

/// `optloop inspect resources`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResourcesArgs {
    #[command(flatten)]
    pub(in crate::cli) code: DeviceCodeArgs,
    /// Threads of a block, such as 256 or 16,16; by default the kernel's own or the problem's.
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', num_args = 1..=3)]
    pub(in crate::cli) block: Option<Vec<u32>>,
    /// Bytes of dynamic shared memory; by default the kernel's own or the problem's.
    #[arg(long, value_name = "BYTES")]
    pub(in crate::cli) shared: Option<u32>,
}
