//! The CPU: C and C++ kernels built to shared objects and launched in worker processes.
//!
//! [`compiler`] turns sources into a shared object around a [`source`] trampoline that checks the
//! signature; [`assembly`] reads the same sources as assembly, and [`remarks`] what a compiler says
//! about them; [`session`] is the judge's side of a worker that has it loaded; [`mod@identity`]
//! says which machine this is and [`peaks`] what it can do at most.

mod aside;
pub mod assembly;
mod burial;
pub mod compiler;
pub mod conditions;
pub mod depfile;
mod elf;
mod flush;
mod halting;
mod handshake;
pub mod identity;
pub mod layouts;
pub mod lines;
mod orders;
pub mod peaks;
mod place;
mod remains;
pub mod remarks;
pub mod replay;
pub(super) mod segment;
pub mod session;
mod shelf;
pub mod source;
pub(super) mod staging;
pub mod symbols;
mod waiting;
mod writable;

pub use compiler::{Compilation, CompileError, CompileRequest, Step};
pub use depfile::parse_depfile;
pub use identity::{CpuIdentity, identity, last_core};
pub use remains::Remains;
pub use session::{CpuSession, SessionOptions, WORKER_COMMAND};
pub use shelf::Shelf;
pub use source::{Language, Param, ParamKind, Signature};
