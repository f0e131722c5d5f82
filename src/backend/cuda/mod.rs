//! CUDA devices, through a driver that is looked for at run time.
//!
//! [`find`] looks for the libraries, [`probe()`] and [`identity`] tell what there is, [`compiler`]
//! makes a [`bundle`] of a kernel's sources, and [`session`] is the judge's side of the worker in
//! which it is launched; [`resources`] reads what tools say about a built kernel.

pub mod bundle;
pub mod clocks;
pub mod compiler;
pub mod conditions;
pub mod find;
pub mod identity;
pub mod nvml;
pub mod probe;
pub mod resources;
pub mod session;
#[cfg(test)]
mod stub_tests;

pub use bundle::{Bundle, ImageKind, LaunchLines};
pub use probe::{CudaDevice, CudaProbe, probe};
pub use session::{CUDA_WORKER_COMMAND, CudaOptions, CudaSession};
