//! A project as a library: find a pipeline, open its state, run it, compare kernels, and decide what
//! becomes of them.
//!
//! [`Project::find`] and [`Project::open`] come first. [`Opened::run`] answers with a [`RunReport`];
//! [`Project::compare`] runs a comparison of two kernels; [`Opened::candidate`] takes up what was
//! measured, to be kept or reverted. Whatever happens meanwhile reaches [`Observer`]s. A program that
//! runs kernels calls [`children::serve`] first. Not for: printing, or parsing a command line.

mod baseline;
mod best;
mod by_problem;
pub mod children;
mod compare;
mod copies;
mod decide;
mod error;
mod find;
pub mod host;
mod incumbents;
mod lock;
mod names;
mod observer;
mod opened;
mod plan;
mod problem;
pub mod promotion;
mod recipe;
mod report;
mod run;

pub use baseline::Baseline;
pub use best::{BestStore, Setting, StrayBest, is_against_best};
pub use compare::{Compared, Comparison, Sides};
pub use decide::{Candidate, Decidable};
pub use error::ProjectError;
pub use find::{Project, state_folder};
pub use lock::{Access, lock};
pub use names::{short_name, shown};
pub use observer::{Notice, Observer, Observers};
pub use opened::Opened;
pub use report::RunReport;
pub use run::{CachedStages, RunMode, RunRequest};
