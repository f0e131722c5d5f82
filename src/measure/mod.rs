//! The sampling protocol: how often each case is launched, in which order, and when to stop.
//!
//! Not for: where kernels run (that is `backend`), what their outputs must be (the caller says),
//! or what the numbers mean for a stage (that is `engine`).

mod protocol;
mod stopping;

pub use protocol::{CaseResult, Check, Halt, Measurement, Protocol, Statistic, Subject, measure};
