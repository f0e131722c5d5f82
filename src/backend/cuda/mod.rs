//! CUDA devices, through a driver that is looked for at run time.
//!
//! [`find`] looks for the libraries, [`probe()`] and [`identity`] tell what there is, [`compiler`]
//! makes a [`bundle`] of a kernel's sources, and [`session`] is the judge's side of the worker in
//! which it is launched; [`resources`] reads what tools say about a built kernel.

mod arena;
pub mod bundle;
pub mod compiler;
mod driver;
pub mod find;
mod helpers;
pub mod identity;
pub mod ncu;
pub mod probe;
pub mod replay;
pub mod resources;
pub mod sanitizer;
mod seat;
pub mod session;
pub mod worker;

pub use bundle::{Bundle, ImageKind, LaunchLines};
pub use probe::{CudaDevice, CudaProbe, probe};
pub use session::{CUDA_WORKER_COMMAND, CudaOptions, CudaSession};
pub(super) use session::{device_fault, refused};
