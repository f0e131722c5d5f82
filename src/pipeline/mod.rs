//! The pipeline file: TOML to a validated [`Pipeline`], with every mistake found at once.
//!
//! Not for: the graph (that is `plan`), what a kernel computes (that is `problem`), or running
//! anything. Files are read through a given [`Host`](crate::host::Host); nothing here touches a clock, a process,
//! the environment or a device.

mod device;
pub mod duration;
pub mod file;
mod findings;
mod matrix;
mod metric;
mod model;
#[cfg(test)]
mod mutation_tests;
mod overlay;
mod preset;
mod remeasure;
mod resolve;
mod rule;
mod schema;
#[cfg(test)]
mod tests;
mod upstream;
pub mod values;
mod variables;
pub mod when;
mod work;

pub use crate::stats::Direction;
pub use device::{Cores, DeviceError, DeviceRequest, Target};
pub use metric::{CommandMetric, MetricScale, MetricSource, MetricStream, TimeUnit};
pub use model::{Pipeline, Stage, Variant};
pub use overlay::Overrides;
pub use preset::BUILT_IN;
pub use remeasure::{ComparisonRule, KernelFiles, Remeasure};
pub use resolve::{Loaded, load};
pub use rule::{Guard, Incumbent, RuleWork};
pub use schema::schemas;
pub use variables::DIR;
pub use work::{
    BenchWork, COMPARED, CacheMode, CheckWork, Clocks, CommandWork, CompileWork, KernelFile,
    Limits, Opponent, Purpose, Reuse, Run, SandboxMode, Work,
};
