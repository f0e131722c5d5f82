//! Runs a plan: what is doubted is looked at, what is unknown is run, everything is told as
//! events.
//!
//! [`Engine::run`] is the whole of it. [`explain`] answers why a stage would run without running
//! or writing anything. Not for: agents, prompts, git, or printing.

use std::io;
use std::path::Path;

use crate::cache::{CacheError, World};
use crate::process::Cancel;
use crate::process::jobserver::Tokens;

pub mod account;
pub mod condition;
pub mod device;
pub mod event;
pub mod explain;
mod explanation;
mod fate;
mod job;
pub mod lease;
mod own;
mod report;
mod scheduler;
pub mod stage;
pub mod state;
mod subject;
mod tags;
mod threads;
pub mod upkeep;
mod waves;

pub use account::StageRecord;
pub use event::{Event, Outcome, RunFinished, StageFinished};
pub use scheduler::Engine;
pub use state::{Look, Paths, State};

/// What a run is asked to do.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    /// Commands at the same time; `None`: as many as the jobserver or the processor allows.
    pub jobs: Option<usize>,
    /// Start stages that do not depend on a failed one.
    pub keep_going: bool,
    /// Run everything selected, known or not.
    pub rerun: bool,
    /// Refuse instead of waiting for a device.
    pub no_wait: bool,
    /// Trace what commands open and refuse what they did not declare.
    pub audit: bool,
    /// Unique name of this run.
    pub run: String,
}

/// What a run needs from outside.
pub struct Surroundings<'a> {
    /// Environment, devices, tools.
    pub world: &'a dyn World,
    /// Where events go; called from several threads.
    pub sink: &'a (dyn Fn(&Event) + Sync),
    /// Ctrl-C.
    pub cancel: &'a Cancel,
    /// Job tokens.
    pub tokens: &'a Tokens,
    /// This very program, for workers: an absolute path.
    pub program: &'a Path,
    /// Now, ms since the epoch.
    pub now_ms: &'a (dyn Fn() -> i64 + Sync),
}

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
            Self::Lease { path, .. } => {
                let variable = lease::FOLDER_VARIABLE;
                Some(format!(
                    "have {path} removed by its owner or root (it is made again, open to all), or \
                     set {variable} to a folder that all who measure here can write to"
                ))
            }
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
