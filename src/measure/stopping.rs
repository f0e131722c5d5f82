//! When a measurement ends before its last look. One function per criterion.

use std::time::Duration;

use super::estimate::{self, Measurement, Stopped, Taken};
use super::subject::Protocol;
use crate::stats::{self, Statistic, surely_above};

/// After one process, this much over the limit in the fastest launch of every case is hopeless
/// (the rule for pairs gives up at the same factor, decision-rule section 5, step 2).
const GROSS: f64 = 1.25;

/// What a look says.
pub(super) fn at_look(protocol: &Protocol, measurement: &Measurement) -> Option<Stopped> {
    let metric = &measurement.metric.interval;
    if protocol.early_stop_us.is_some_and(|limit| surely_above(metric.lower, limit)) {
        return Some(Stopped::TooSlow);
    }
    let is_last = protocol.looks.len() as u32 == measurement.looks_used;
    let width = stats::relative_half_width(metric);
    let narrow = protocol.precision.zip(width).is_some_and(|(asked, width)| width <= asked);
    (narrow && !is_last).then_some(Stopped::Precise)
}

/// Whether the look after this one would end too late, at the pace so far.
pub(super) fn out_of_time(protocol: &Protocol, look: usize, elapsed: Duration) -> Option<Stopped> {
    let (budget, so_far) = (protocol.budget?, *protocol.looks.get(look)?);
    let next = *protocol.looks.get(look + 1)?;
    let end = elapsed.as_secs_f64() * f64::from(next) / f64::from(so_far.max(1));
    (end > budget.as_secs_f64()).then_some(Stopped::OutOfTime)
}

/// True when a side of pairs is surely above the limit. One process says nothing of the next, so
/// it is believed only where it is far above.
pub(super) fn too_slow(limit: f64, statistic: Statistic, cases: &[Taken]) -> bool {
    let several = cases.iter().all(|case| case.processes.len() > 1);
    let above = |measurement: Measurement| surely_above(measurement.metric.interval.lower, limit);
    far_above(limit, cases) || several && estimate::describe(statistic, cases).is_some_and(above)
}

/// True when the geometric mean of the cases' fastest launches is far above the limit: no median
/// or mean of launches that are still to come is worth waiting for.
pub(super) fn hopeless(protocol: &Protocol, cases: &[Taken]) -> bool {
    protocol.early_stop_us.is_some_and(|limit| far_above(limit, cases))
}

fn far_above(limit: f64, cases: &[Taken]) -> bool {
    let fastest: Vec<f64> = cases.iter().filter_map(Taken::fastest_us).collect();
    fastest.len() == cases.len() && stats::geomean(&fastest).is_some_and(|us| us > GROSS * limit)
}
