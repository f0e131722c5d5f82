//! Which files a command touches, seen from its system calls: the way to find an input that
//! nobody declared.
//!
//! [`trace`] stops a command twice at every call and knows how each ended. [`watch`] stops it once,
//! at calls with a path, which costs a compile a tenth of its time and not twice all of it; what
//! became of a path is then asked of the disk. Neither is for what is measured.

mod access;
mod accesses;
mod call;
mod filter;
mod follow;
mod looks;
mod tracer;

pub use access::{Access, AccessKind};
pub use follow::{AuditError, Audited, Watched, trace, watch};
pub use looks::{Look, LookKind};
