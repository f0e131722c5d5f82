//! The CPU: C and C++ kernels built to shared objects and launched in worker processes.
//!
//! [`compiler`] turns sources into a shared object around a [`source`] trampoline that checks the
//! signature; [`session`] is the judge's side of a worker that has it loaded; [`mod@identity`] says
//! which machine this is.

mod aside;
mod burial;
pub mod compiler;
pub mod depfile;
mod flush;
mod handshake;
pub mod identity;
mod place;
mod segment;
pub mod session;
pub mod source;
mod staging;
mod symbols;

pub use compiler::{Compilation, CompileRequest, Step};
pub use depfile::parse_depfile;
pub use identity::{CpuIdentity, identity, last_core};
pub use session::{CpuSession, SessionOptions, WORKER_COMMAND};
pub use source::{Language, Param, ParamKind, Signature};
