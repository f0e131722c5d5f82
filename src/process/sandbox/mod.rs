//! What a worker gives up for good before it opens a candidate's code.
//!
//! [`confine`] is called by a process on itself, while it has one thread. Landlock takes its
//! files away but for system libraries and a private folder; a seccomp filter takes away the
//! calls that no kernel needs. Both are asked for by system call, never by the kernel's version,
//! for distributions carry patches back and containers forbid.

pub mod agent;
mod calls;
mod confine;
mod files;
mod filter;
mod level;
mod traps;

#[cfg(test)]
mod tests;

pub use calls::syscall_name;
pub use confine::confine;
pub use files::{Confinement, library_path};
pub use level::{SandboxError, SandboxLevel, SandboxMode};
pub use traps::{trapped_call, watch_traps};
