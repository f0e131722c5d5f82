//! The sampling protocol: fresh processes, warm-up, launches timed singly, looks at the data, and
//! when to stop.
//!
//! Not for: where kernels run (that is `backend`), where inputs come from and what outputs must be
//! (the caller says through [`Subject`]), or what the numbers mean for a stage (that is `engine`).

mod estimate;
pub mod pairs;
mod protocol;
mod sample;
mod slot;
mod stopping;
mod subject;
#[cfg(test)]
mod tests;

pub use crate::stats::Statistic;
pub use estimate::{CaseResult, Measurement, Stopped};
pub use protocol::measure;
pub use sample::Sample;
pub use slot::Loaded;
pub use subject::{Halt, Protocol, SlotEnd, Subject};
