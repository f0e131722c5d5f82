//! Compares a kernel with the incumbent, pair by pair.

pub(super) mod account;
mod blame;
pub(super) mod calibrate;
pub mod calibration;
pub(in crate::engine) mod command;
mod compared;
mod contested;
mod duel;
pub(in crate::engine) mod identical;
mod probe;
pub(in crate::engine) mod sides;
mod terms;

use std::path::Path;

pub(super) use self::compared::Compared;

use self::compared::Course;
use self::duel::Duel;
use self::terms::{CUDA_PER_PROCESS, PER_PROCESS, rule};
use super::Failure;
use super::bench::{Notes, Trial};
use crate::engine::account::{LayoutsRecord, SideLayouts};
use crate::pipeline::Target;

/// Compares.
pub(super) fn run(
    trial: Trial<'_>,
    incumbent: &Path,
    notes: &mut Notes,
) -> Result<Compared, Failure> {
    let def = trial.def;
    let place = calibration::Place::of(def, trial.ctx);
    let known = calibration::read(&place);
    let calibrated = known.as_ref().map(|k| k.calibration.pairs_per_process);
    let usual = match def.target {
        Target::Cpu(_) => PER_PROCESS,
        Target::Cuda(_) => calibrated.unwrap_or(CUDA_PER_PROCESS),
    };
    let per_process = def.work.rule.pairs_per_process.unwrap_or(usual);
    let rule = rule(&def.work.rule, &def.work.repeats, def.problem.cases.len());
    let course = Course { rule, per_process, early_stop_us: def.work.early_stop_us };
    let compared = compared::run(Duel { trial, incumbent }, course, notes)?;
    calibration::count(&place);
    let mut doubts = known.map_or_else(Vec::new, |known| known.doubts(&place));
    if def.work.compile.layouts > 1 && matches!(def.target, Target::Cpu(_)) {
        doubts.extend(unmoved(&compared.layouts));
    }
    Ok(Compared { doubts, ..compared })
}

/// That a side could not be moved: what its place is worth then counts as its own.
fn unmoved(layouts: &LayoutsRecord) -> Option<String> {
    let is_one = |side: &SideLayouts| side.count == 1;
    let (verb, owners) =
        match (is_one(&layouts.candidate), layouts.incumbent.as_ref().is_some_and(is_one)) {
            (false, false) => return None,
            (true, false) => ("has", "the candidate"),
            (false, true) => ("has", "the incumbent"),
            (true, true) => ("have", "both sides"),
        };
    Some(format!(
        "{owners} {verb} one layout: where its code happens to lie may be worth some per cent, and is \
         not in the interval"
    ))
}
