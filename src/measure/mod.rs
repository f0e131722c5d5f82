//! The sampling protocol: fresh processes, warm-up, launches timed singly, looks at the data, and
//! when to stop.
//!
//! Not for: where kernels run (that is `backend`), where inputs come from and what outputs must be
//! (the caller says through [`Subject`]), or what the numbers mean for a stage (that is `engine`).

mod estimate;
pub mod pairs;
mod protocol;
mod slot;
mod stopping;
#[cfg(test)]
mod tests;

pub use crate::stats::Statistic;
pub use estimate::{CaseResult, Measurement};
pub use protocol::{Halt, Protocol, Subject, measure};
pub use slot::{Loaded, Sample, SlotEnd};
pub use stopping::Stopped;
