//! A measurement beside what it must not exceed: the stage's own limit, and what the machine can do.

use super::def::{BenchDef, NoRoofs, Roofs, Trial};
use crate::engine::stage::numbers::gave_up;
use crate::engine::stage::{Failure, FailureClass, roofline};
use crate::measure::{CaseResult, Measurement, Statistic, Stopped};
use crate::pipeline::Target;
use crate::stats::roofline::Work;

/// The failure that it is to be slower than the stage puts up with.
pub(super) fn too_slow(def: &BenchDef, measurement: &Measurement) -> Option<Failure> {
    let limit = def.work.early_stop_us.filter(|_| gave_up(measurement))?;
    let metric = &measurement.metric.interval;
    let (name, value) = (&def.work.metric, metric.value);
    let message = match measurement.stopped {
        Some(Stopped::GrosslySlow) => format!(
            "far slower than early_stop_us = {limit}: {name} is {value:.3} and even the fastest \
             launches are above {:.3}, after {} of {} launches",
            1.25 * limit,
            measurement.launches,
            measurement.launches + measurement.saved_launches,
        ),
        _ => format!(
            "surely slower than early_stop_us = {limit}: {name} is {value:.3}, at least {:.3}, \
             after look {} of {} ({} launches)",
            metric.lower,
            measurement.looks_used,
            def.work.repeats.len(),
            measurement.launches,
        ),
    };
    Some(Failure { class: FailureClass::TooSlow, message })
}

/// Where each case stands.
pub(super) fn roofs(trial: Trial<'_>, measurement: &Measurement) -> Roofs {
    let def = trial.def;
    let works: Vec<Option<Work>> = def
        .problem
        .cases
        .iter()
        .map(|case| roofline::work(&def.problem, case, def.work.mode))
        .collect();
    if works.iter().all(Option::is_none) {
        return Err(NoRoofs::NoWork);
    }
    let peaks = roofline::peaks(&trial.bench())?;
    let stand_there = match def.target {
        Target::Cpu(_) => roofline::stand,
        Target::Cuda(_) => roofline::stand_on_cuda,
    };
    let stand = |(work, case): (&Option<Work>, &CaseResult)| {
        let median = case.estimate(Statistic::Median)?;
        stand_there(&peaks, work.as_ref()?, &median.interval)
    };
    Ok(works.iter().zip(&measurement.cases).map(stand).collect())
}

/// The failure that it is to be faster than this machine can be.
pub(super) fn too_fast(def: &BenchDef, roofs: &Roofs) -> Option<Failure> {
    let roofs = roofs.as_ref().ok()?.iter().zip(&def.problem.cases);
    let told: Vec<String> = roofs
        .filter_map(|(roof, case)| {
            let floor = roof.as_ref()?.implausible_under_us?;
            Some(format!("case {} under {floor:.3} µs", case.label))
        })
        .collect();
    let best = match def.target {
        Target::Cpu(_) => "the nearest cache and every arithmetic unit of this machine",
        Target::Cuda(_) => "all the bandwidth of this device's memory",
    };
    let message = format!(
        "not even {best}, and a quarter more, allow {}; either `[work]` of the problem says too much, \
         or the kernel does not do its work",
        told.join(", ")
    );
    (!told.is_empty()).then_some(Failure { class: FailureClass::Implausible, message })
}
