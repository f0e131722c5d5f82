//! Statistics of samples: pure functions from numbers to numbers.
//!
//! Not for: sampling (that is `measure`) or deciding (that is `campaign`). A sample that is empty
//! or holds a NaN or an infinity has no summary; NaN never leaves this module.
//!
//! A measurement has levels: launches lie within processes, and processes differ. [`levels`] makes
//! intervals that know it; [`signed_rank`] is the exact distribution behind them.
//!
//! A comparison is pairs: [`block`] makes one number of each, [`sequential`] says after how many of
//! them what is proven, [`calibration`] what a machine lets be seen at all. [`deterministic`] and
//! [`remote`] are for metrics without noise and for harnesses that return only a summary.

pub mod block;
pub mod calibration;
pub mod deterministic;
pub mod growth;
pub mod levels;
pub mod remote;
pub mod roofline;
pub mod schedule;
pub mod sequential;
pub mod signed_rank;

mod metrics;
mod normal;
mod outliers;
mod settled;
mod student;
mod summary;

pub use block::{CaseGuard, Combine, Direction, Metric, Scale};
pub use calibration::{Calibration, Noise, NoiseLimits};
pub use levels::{Basis, Estimate, Levels, Statistic, combined, relative_half_width};
pub use metrics::Metrics;
pub use outliers::{Outlier, Outliers, Severity, Side, outliers};
pub use sequential::{BadRule, Confirm, Look, Next, Reason, Rule, Verdict, gain};
pub use settled::settled;
pub use summary::{
    Interval, LEVEL, Summary, combine_log_intervals, geomean, quantile, quantile_interval, summary,
    surely_above,
};
