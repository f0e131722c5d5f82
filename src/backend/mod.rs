//! Where kernels run: the CPU, CUDA devices, and a scripted fake for tests.
//!
//! Not for: what a kernel computes (that is `problem`), how often it is launched (that is
//! `measure`) or what a failure means for a stage (that is `engine`). A kernel never runs in the
//! judge's process: a [`Session`] is the judge's side of one that runs elsewhere, and everything
//! that comes back through it is bounded and distrusted.

mod allowance;
mod contract;
pub mod cpu;
pub mod cuda;
mod elf;
pub mod fake;
mod fault;
mod link;
pub mod loads;
mod session;
mod worker;

pub use allowance::{Allowance, LaunchLimit, Model};
pub(crate) use contract::LAUNCH_SYMBOL;
pub use contract::{Argument, Draw, Grid, Launched, MAX_BUFFERS, Mode, Order, Timer};
pub use fault::{Fault, Trouble};
pub use link::Shelf;
pub use session::Session;
