//! The stage kinds, one file per kind, with what each is given ([`StageContext`]) and gives back
//! ([`StageOutcome`]). Which kind a node is of is the business of `engine::dispatch`.

mod audit;
pub mod bench;
pub(super) mod best;
pub mod check;
mod clocks;
pub(super) mod command;
pub mod compare;
pub mod compile;
mod context;
pub mod counters;
mod holdout;
mod judge;
mod layouts;
mod numbers;
mod outcome;
mod outputs;
pub mod profile;
mod reading;
pub mod replayed;
mod roofline;
mod telemetry;

pub use context::StageContext;
pub use outcome::{Failure, FailureClass, Look, StageOutcome};
