//! What keeps a run from going on.

use std::io;

use crate::cache::CacheError;

/// Names another folder for leases than the machine's own, for containers that share a device and
/// for tests that must not wait for each other.
pub const FOLDER_VARIABLE: &str = "OPTLOOP_LEASE_DIR";

/// What keeps a run from going on. Failures of stages are results, not errors.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state on disk.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The state on disk, in other words.
    #[error("{what}: {source}")]
    State {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What stages do, as an earlier run wrote it down.
    #[error("the stage definitions are damaged ({0}); run again: they are made anew")]
    Definitions(io::Error),
    /// Something that a key depends on.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Its name.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Another run has the device, and waiting was ruled out.
    #[error("{device} is in use by {holder}")]
    DeviceBusy {
        /// Which.
        device: String,
        /// By whom.
        holder: String,
    },
    /// The lock of a device can be neither made nor opened.
    #[error("the lease of {device} cannot be had: {path}: {source}")]
    Lease {
        /// Which device.
        device: String,
        /// The lock file.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

impl EngineError {
    /// What to do about it, where it does not go away by itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Lease { path, .. } => Some(format!(
                "have {path} removed by its owner or root (it is made again, open to all), or \
                     set {FOLDER_VARIABLE} to a folder that all who measure here can write to"
            )),
            _ => None,
        }
    }

    /// What the system said.
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Cache(CacheError::Io { source, .. })
            | Self::State { source, .. }
            | Self::Unreadable { source, .. }
            | Self::Lease { source, .. } => Some(source),
            Self::Definitions(_) | Self::DeviceBusy { .. } => None,
        }
    }
}
