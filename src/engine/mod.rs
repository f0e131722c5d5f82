//! Runs a plan: what is doubted is looked at, what is unknown is run, everything is told as
//! events.
//!
//! [`Engine::run`] is the whole of it. [`explain`] answers why a stage would run without running
//! or writing anything. Not for: agents, prompts, git, or printing.

pub mod account;
mod collect;
pub mod condition;
pub mod device;
mod dispatch;
mod error;
pub mod event;
pub mod explain;
mod explanation;
mod fate;
mod job;
pub mod lease;
mod names;
mod options;
mod own;
mod report;
mod run;
mod scheduler;
mod seen;
mod shared;
pub mod stage;
pub mod state;
mod subject;
pub mod tags;
mod threads;
pub mod upkeep;
mod waves;

pub use account::StageRecord;
pub use error::EngineError;
pub use event::{Event, Outcome, RunFinished, StageFinished};
pub use options::{Options, Surroundings};
pub use scheduler::Engine;
pub use state::{Look, Paths, State};
