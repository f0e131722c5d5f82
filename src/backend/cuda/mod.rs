//! CUDA devices, through a driver that is looked for at run time.
//!
//! [`find`] looks for the libraries, [`probe()`] and [`identity`] tell what there is, [`compiler`]
//! makes a [`bundle`] of a kernel's sources, and [`session`] is the judge's side of the worker in
//! which it is launched; [`inspect`] reads what tools say about a kernel.

mod answers;
mod arena;
pub mod bundle;
pub mod clocks;
pub mod compiler;
pub mod conditions;
mod driver;
pub mod find;
mod helpers;
pub mod identity;
pub mod inspect;
mod kernel;
pub mod nvml;
pub mod probe;
mod seat;
pub mod session;
mod shared;
mod stray;
#[cfg(test)]
mod stub_tests;
mod tools;
mod trouble;
mod watch;
pub mod worker;

pub use bundle::{Bundle, ImageKind, LaunchLines};
pub use conditions::{Conditions, Journal};
pub use probe::{CudaDevice, CudaProbe, probe};
pub use session::{CUDA_WORKER_COMMAND, CudaOptions, CudaSession, DEVICE_ORDER};
