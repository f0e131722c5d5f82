//! Measures a kernel, comparing what it computes meanwhile.

mod alone;
mod bounds;
mod def;

use std::path::Path;
use std::time::Instant;

pub use self::def::BenchDef;
pub(super) use self::def::{Notes, Roofs, Trial, mode, statistic};

use self::alone::Alone;
use super::clocks;
use super::compare::account::Told;
use super::compare::calibrate::Calibrated;
use super::compare::identical::{Identical, nothing_gained};
use super::compare::{self, Compared};
use super::judge;
use super::layouts;
use super::numbers::{Account, Digests, throttled};
use super::profile;
use super::telemetry;
use super::{Failure, StageContext, StageOutcome};
use crate::backend::cpu::conditions;
use crate::digest::Digest;
use crate::engine::account::{
    BenchRecord, LayoutsRecord, NumbersOf, StageRecord, TelemetryRecord, UnmeasuredRecord,
};
use crate::measure::Measurement;
use crate::pipeline::{Clocks, Purpose};
use crate::problem;

/// Measures, alone or beside the incumbent.
pub fn run(def: &BenchDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    let seed = judge::seed(def.seed);
    outcome.detail = Some(StageRecord::Unmeasured(UnmeasuredRecord { seed }));
    let (before, started) = (conditions::moment(), Instant::now());
    let mut notes = Notes::default();
    let trial = Trial { def, ctx, seed };
    let found = digests(def).and_then(|digests| Ok((find(trial, &mut notes)?, digests)));
    outcome.log = std::mem::take(&mut notes.log);
    let (found, digests) = match found {
        Ok(found) => found,
        Err(failure) => {
            outcome.failure = Some(failure);
            return outcome;
        }
    };
    let measurement = found.measurement();
    let roofs = bounds::roofs(trial, measurement);
    let account = Account {
        def,
        measurement,
        seed,
        core: judge::core(&def.target),
        sandbox: trial.bench().confinement(&def.kernel),
        conditions: conditions::between(&before, &conditions::moment()),
        seconds: started.elapsed().as_secs_f64(),
        digests,
        journal: notes.journal.seen(),
        rate: notes.rate,
        roofs: &roofs,
    };
    outcome.metrics = account.metrics();
    let mut record = account.record(found.layouts().clone());
    if def.work.purpose == Purpose::Profile {
        record.profile = profile::look(trial, measurement, &roofs);
    }
    record.telemetry = def.work.telemetry.as_ref().map(|command| {
        telemetry::take(command, ctx).unwrap_or_else(|why| TelemetryRecord {
            lines: vec![format!("no telemetry: {why}")],
            ..TelemetryRecord::default()
        })
    });
    if def.work.purpose == Purpose::Leaderboard {
        record.holdout = def.problem.holdout.as_ref().map(|h| h.count);
    }
    outcome.failure = bounds::too_slow(def, measurement).or_else(|| bounds::too_fast(def, &roofs));
    found.tell(def, &mut record, &mut outcome);
    outcome.detail = Some(StageRecord::Bench(Box::new(record)));
    outcome
}

/// What a measurement found.
enum Found {
    /// The kernel alone.
    Alone(Alone),
    /// Beside the incumbent.
    Compared(Box<Compared>),
    /// Beside itself.
    Calibrated(Box<Calibrated>),
    /// The kernel alone, for the incumbent is the same binary.
    Identical(Alone),
}

fn find(trial: Trial<'_>, notes: &mut Notes) -> Result<Found, Failure> {
    let Trial { def, ctx, .. } = trial;
    // For the launches and no longer: what the device can do at most is kept for all stages.
    let mut lock = clocks::hold(def, ctx)?;
    notes.rate = lock.as_ref().map(|lock| lock.rate.clone());
    let found = launch(trial, notes)?;
    clocks::lasted(lock.as_mut())?;
    Ok(found)
}

fn launch(trial: Trial<'_>, notes: &mut Notes) -> Result<Found, Failure> {
    let def = trial.def;
    if def.work.purpose == Purpose::Calibrate {
        let calibrated = compare::calibrate::run(trial, notes)?;
        return Ok(Found::Calibrated(Box::new(calibrated)));
    }
    let Some(incumbent) = &def.incumbent else {
        return Ok(Found::Alone(alone::run(trial, notes)?));
    };
    if layouts::are_one(incumbent, &def.kernel)? {
        return Ok(Found::Identical(alone::run(trial, notes)?));
    }
    let compared = compare::run(trial, incumbent, notes)?;
    Ok(Found::Compared(Box::new(compared)))
}

impl Found {
    fn measurement(&self) -> &Measurement {
        match self {
            Self::Alone(alone) | Self::Identical(alone) => &alone.measurement,
            Self::Compared(compared) => &compared.candidate,
            Self::Calibrated(calibrated) => &calibrated.compared.candidate,
        }
    }

    /// The layouts of each side, and which process had which.
    fn layouts(&self) -> &LayoutsRecord {
        match self {
            Self::Alone(alone) | Self::Identical(alone) => &alone.layouts,
            Self::Compared(compared) => &compared.layouts,
            Self::Calibrated(calibrated) => &calibrated.compared.layouts,
        }
    }

    /// Adds what only a comparison knows.
    fn tell(&self, def: &BenchDef, record: &mut BenchRecord, outcome: &mut StageOutcome) {
        let against = def.against.as_deref().unwrap_or("the incumbent");
        match self {
            Self::Alone(alone) | Self::Identical(alone) => {
                if matches!(self, Self::Identical(_)) {
                    let same = Identical { against, numbers: NumbersOf::Measured };
                    nothing_gained(&mut outcome.metrics);
                    same.mark_bench(record);
                }
                let lost = throttled(alone.measurement.discarded_throttled, "launches");
                record.warnings.extend(lost);
            }
            Self::Compared(compared) => {
                let told = Told::of_kernels(compared, against).doubting(compared.doubts.clone());
                told.metrics(&mut outcome.metrics);
                record.comparison = Some(told.record());
                record.words = Some(told.words());
                record.warnings = told.warnings();
                // How often it was launched was the rule's choice; doubts are told as warnings.
                record.unstable = Vec::new();
                if outcome.failure.is_none() {
                    outcome.decision = Some(told.decided());
                    outcome.failure = told.failure();
                }
            }
            Self::Calibrated(calibrated) => {
                calibrated.metrics(&mut outcome.metrics);
                record.calibration = Some(calibrated.record());
                record.words = Some(calibrated.words(&def.work.repeats));
                outcome.failure = outcome.failure.take().or_else(|| calibrated.failure());
            }
        }
    }
}

/// What is measured, and by what: the harness is everything that says what is right, and how it
/// is timed.
fn digests(def: &BenchDef) -> Result<Digests, Failure> {
    let file = |path: &Path| {
        Digest::of_file(path)
            .map_err(|e| Failure::of_io(&format!("cannot read {}", path.display()), &e))
    };
    let each = def.samples_per_process();
    let way = format!("{:?}", (&def.work.mode, &def.work.metric, &def.work.repeats, each));
    let locked = if def.work.clocks == Clocks::Lock { " clocks locked" } else { "" };
    let linked = match def.work.compile.layouts {
        0 | 1 => String::new(),
        count => format!(" {count} layouts"),
    };
    let text = format!("{} {way}{locked}{linked}", file(&def.reference)?.hex());
    let harness = problem::canonical_digest(&def.problem, &text).hex();
    let incumbent = def.incumbent.as_deref().map(file).transpose()?.map(|d| d.hex());
    Ok(Digests { kernel: file(&def.kernel)?.hex(), incumbent, harness })
}
