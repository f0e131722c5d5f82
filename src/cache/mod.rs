//! What is known already, and how that is found out cheaply.
//!
//! - [`entry`]: everything a key can depend on (a file, a folder's listing, an environment
//!   variable, a tool, a device) with its digest and, for what lies on disk, the stat fields
//!   under which the digest still holds;
//! - [`index`]: entries and nodes of one pipeline in flat arrays, one read on a null run;
//! - [`journal`]: what happened since the index was written, append-only;
//! - [`store`]: results and blobs under their keys, small ones in one pack.
//!
//! Not for: deciding what a key consists of (that is `plan::key`) or running anything.

mod action;
pub mod entry;
mod id;
pub mod index;
pub mod journal;
pub mod lock;
mod node;
mod pack;
pub mod store;
mod users;

pub use action::{ACTION_VERSION, Action, Output};
pub use entry::{Entry, Kind, Stat};
pub use id::{EntryId, NodeId, PerNode};
pub use index::Index;
pub use journal::{Journal, Record};
pub use node::{Finish, Node, Status};
pub use pack::Room;
pub use store::Store;

/// What can go wrong with the state on disk.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A system call failed.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried, as in `cannot write`.
        what: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl CacheError {
    /// Wraps an I/O error with what was tried on which path.
    pub(crate) fn io(
        what: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { what, path, source }
    }
}
