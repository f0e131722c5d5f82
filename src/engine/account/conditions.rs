//! What is recorded of the machine and the clock that a measurement was made with.

use serde::{Deserialize, Serialize};

use crate::backend::Timer;
use crate::backend::cpu::conditions::Conditions;

/// What the machine did meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConditionsRecord {
    /// Frequency governor; empty where there is none.
    pub governor: String,
    /// Whether turbo is on, where it can be told.
    pub turbo: Option<bool>,
    /// Load average over a minute before.
    pub load_before: Option<f64>,
    /// After.
    pub load_after: Option<f64>,
    /// Cores that were busy on average, this measurement's own included.
    pub busy_cores: Option<f64>,
    /// Share of time that a hypervisor took away, in [0, 1].
    pub stolen: Option<f64>,
}

impl From<&Conditions> for ConditionsRecord {
    fn from(seen: &Conditions) -> Self {
        let Conditions { governor, turbo, load_before, load_after, busy_cores, stolen } =
            seen.clone();
        Self { governor, turbo, load_before, load_after, busy_cores, stolen }
    }
}

/// The clock of a session, measured before the kernel was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimerRecord {
    /// The smallest step that it shows.
    pub step_ns: f64,
    /// What it reports for nothing at all; taken off every launch.
    pub overhead_ns: f64,
    /// What the judge's clock shows beyond the reported time when nothing goes wrong.
    pub handover_ns: f64,
    /// What two events with nothing between them show, on devices that time by events.
    pub empty_ns: f64,
}

impl From<Timer> for TimerRecord {
    fn from(timer: Timer) -> Self {
        let Timer { step_ns, overhead_ns, handover_ns, empty_ns } = timer;
        Self { step_ns, overhead_ns, handover_ns, empty_ns }
    }
}
