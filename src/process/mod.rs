//! Starting, watching and ending child processes; the only module that spawns.
//!
//! [`run`] is for commands that run to their end, [`start`] for workers that are talked to
//! meanwhile. Both end the whole tree that a command started, on every path. What a command
//! means, when it runs and what its output says is decided elsewhere.

pub mod audit;
mod capture;
mod errno;
mod finished;
mod full;
pub mod hold;
pub mod jobserver;
mod leader;
mod limits;
mod procfs;
mod resolve;
mod running;
pub mod sandbox;
mod signals;
mod spawn;
mod spec;
pub mod trace;
mod tree;

#[cfg(test)]
mod tests;

pub use capture::{Capture, Sink};
pub use errno::lasts;
pub use finished::{Exit, Finished};
pub use full::{Want, is_full};
pub use leader::{await_stale, die_with_parent, end_stale};
pub use limits::Limits;
pub use resolve::resolve;
pub use running::{Running, Wake};
pub use signals::{Cancel, install};
pub use spawn::{forbids_execution, run, start};
pub use spec::{CommandSpec, SpawnError, Stdin};
pub use tree::{Fate, Leftover, MARKER, become_subreaper};
