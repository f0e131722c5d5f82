//! Compares a kernel with itself: how large is what is no difference?

use super::super::bench::{Notes, Trial};
use super::super::{Failure, FailureClass};
use super::calibration;
use super::compared::{self, Compared, Course};
use super::duel::Duel;
use super::terms::{PER_PROCESS, rule};
use crate::engine::account::CalibrationRecord;
use crate::pipeline::Target;
use crate::stats::calibration::{
    Calibration, NoiseLimits, PAIRS_PER_PROCESS, PROCESS_PAIRS, TooNoisy,
};
use crate::stats::{Metrics, gain};

/// What was found, with the measurement that it was found by.
pub(in crate::engine::stage) struct Calibrated {
    pub(in crate::engine::stage) compared: Compared,
    pub(in crate::engine::stage) calibration: Calibration,
    /// On what.
    device: String,
}

/// Calibrates: 12 pairs of processes of the same binary, 4 pairs from each.
pub(in crate::engine::stage) fn run(
    trial: Trial<'_>,
    notes: &mut Notes,
) -> Result<Calibrated, Failure> {
    let def = trial.def;
    let infra = |message: String| Failure { class: FailureClass::Infrastructure, message };
    let all = PROCESS_PAIRS * PAIRS_PER_PROCESS;
    // One look at the end, which nothing comes before: pairs are what is wanted.
    let mut once = rule(&def.work.rule, &[all], def.problem.cases.len());
    (once.gross, once.confirm) = (0.0, None);
    let duel = Duel { trial, incumbent: &def.kernel };
    let course = Course { rule: once, per_process: PAIRS_PER_PROCESS, early_stop_us: None };
    let compared = compared::run(duel, course, notes)?;
    let d = compared.comparison.d().map_err(|why| infra(why.to_string()))?;
    let processes: Vec<Vec<f64>> =
        d.chunks(PAIRS_PER_PROCESS as usize).map(<[f64]>::to_vec).collect();
    let rule = rule(&def.work.rule, &def.work.repeats, def.problem.cases.len());
    let mut calibration = Calibration::of(&processes, &rule, &NoiseLimits::default())
        .ok_or_else(|| infra("the pairs have no spread that could be told".to_owned()))?;
    if let Target::Cpu(_) = def.target {
        calibration.pairs_per_process = PER_PROCESS;
    }
    let place = calibration::Place::of(def, trial.ctx);
    calibration::write(&place, &calibration).map_err(|why| infra(why.to_string()))?;
    Ok(Calibrated { compared, calibration, device: place.device() })
}

impl Calibrated {
    pub(in crate::engine::stage) fn metrics(&self, into: &mut Metrics) {
        let c = &self.calibration;
        into.set(Metrics::PAIR_SD, c.pair_sd);
        into.set(Metrics::PROCESS_SD, c.process_sd);
        into.set(Metrics::SMALLEST_GAIN, gain(c.smallest_gain));
    }

    pub(in crate::engine::stage) fn record(&self) -> CalibrationRecord {
        let (c, comparison) = (&self.calibration, &self.compared.comparison);
        CalibrationRecord {
            against: "itself".to_owned(),
            device: self.device.clone(),
            pairs: c.pairs,
            processes: c.processes,
            pair_sd: c.pair_sd,
            process_sd: c.process_sd,
            pairs_per_process: c.pairs_per_process,
            smallest_gain: gain(c.smallest_gain),
            identical_code: c.verdict.reason,
            too_noisy: c.too_noisy,
            launches: comparison.spent.launches,
            seconds: comparison.seconds,
            record: comparison.clone(),
        }
    }

    /// The noise in a line, and what it means for decisions.
    pub(in crate::engine::stage) fn words(&self, looks: &[u32]) -> String {
        let c = &self.calibration;
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        format!(
            "pairs of identical code differ by {}, processes by {} (standard deviations); the \
             smallest gain that {} pairs see here: {}; processes are started anew after {}",
            percent(c.pair_sd),
            percent(c.process_sd),
            looks.last().copied().unwrap_or(1),
            percent(gain(c.smallest_gain)),
            if c.pairs_per_process == 1 { "every pair" } else { "two pairs" },
        )
    }

    /// Why nothing should be decided here.
    pub(in crate::engine::stage) fn failure(&self) -> Option<Failure> {
        let c = &self.calibration;
        let what = match c.too_noisy? {
            TooNoisy::IdenticalKept => "identical code came out faster than itself".to_owned(),
            TooNoisy::Pairs => {
                format!("pairs of identical code differ by {:.1} %", 100.0 * c.pair_sd)
            }
        };
        let message = format!(
            "machine too noisy: {what}\nwhat would help: end what else runs here (`optloop doctor` \
             names it); give the kernel a core of its own (device = \"cpu:N\"); fix the clock \
             (governor, turbo); then calibrate again"
        );
        Some(Failure { class: FailureClass::TooNoisy, message })
    }
}
