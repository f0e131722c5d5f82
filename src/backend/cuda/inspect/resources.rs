//! What tools say about a built kernel: PTX, machine code, registers and memory, and how many
//! blocks of it fit on a multiprocessor. Texts come in, values go out; nothing is run here.
//!
//! [`occupancy()`] follows NVIDIA's own calculator, `cuda_occupancy.h` of the toolkit's runtime
//! headers; the limits of each architecture are those of the tables "Technical Specifications per
//! Compute Capability" in the CUDA C++ Programming Guide.

mod arch;
mod loaded;
mod occupancy;
mod ptx;
mod sass;
mod usage;

pub use arch::{Arch, Limits, UnknownArch};
pub use loaded::Resources;
pub use occupancy::{Block, Limit, Occupancy, occupancy};
pub use ptx::{Ptx, PtxFunction, parse_ptx};
pub use sass::{Sass, SassFunction, parse_sass};
pub use usage::{Usage, parse_ptxas, parse_res_usage};
