//! The CPU: C and C++ kernels built to shared objects and launched in worker processes.
//!
//! [`compiler`] turns sources into a shared object around a [`source`] trampoline that checks the
//! signature; [`assembly`] reads the same sources as assembly, and [`remarks`] what a compiler says
//! about them; [`session`] is the judge's side of a worker that has it loaded; [`mod@identity`]
//! says which machine this is and [`peaks`] what it can do at most.

pub mod assembly;
pub mod compiler;
pub mod conditions;
pub mod depfile;
mod flush;
pub mod identity;
pub mod layouts;
pub mod lines;
pub mod peaks;
pub mod remarks;
pub mod replay;
pub mod session;
pub mod source;
pub mod symbols;
pub mod worker;

pub use super::link::Remains;
pub use compiler::{Compilation, CompileError, CompileRequest, Step};
pub use depfile::parse_depfile;
pub use identity::{CpuIdentity, identity, last_core};
pub use session::{CpuSession, SessionOptions, WORKER_COMMAND};
pub use source::{Language, Param, ParamKind, Signature};
