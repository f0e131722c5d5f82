//! Statistics of samples: pure functions from numbers to numbers.
//!
//! Not for: sampling (that is `measure`) or deciding (that is `campaign`). A sample that is empty
//! or holds a NaN or an infinity has no summary; NaN never leaves this room.
//!
//! A measurement has levels: launches lie within processes, and processes differ. [`levels`] makes
//! intervals that know it; [`signed_rank`] is the exact distribution behind them.

pub mod growth;
pub mod levels;
pub mod roofline;
pub mod signed_rank;

mod outliers;
mod settled;
mod student;
mod summary;

pub use levels::{Basis, Estimate, Levels, Statistic, combined, relative_half_width};
pub use outliers::{Outlier, Outliers, Severity, Side, outliers};
pub use settled::settled;
pub use summary::{
    Interval, LEVEL, Summary, combine_log_intervals, geomean, quantile, quantile_interval, summary,
    surely_above,
};
