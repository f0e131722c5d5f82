//! A measurement as metrics and as the account that goes into its artifact.

use super::bench::{BenchDef, Roofs};
use super::clocks;
use crate::backend::cpu::conditions::Conditions;
use crate::backend::cuda;
use crate::engine::account::{
    BenchRecord, CaseRecord, DeviceConditions, LayoutsRecord, OutliersRecord, RooflineRecord,
};
use crate::measure::{CaseResult, Measurement, Statistic, Stopped};
use crate::stats::{self, Basis, Estimate, Metrics, Severity, Side};

/// An interval with a larger relative half-width marks a result as unstable.
const UNSTABLE: f64 = 0.05;

/// Processes that differ by more than this beyond what their launches explain are told.
const PROCESS_EFFECT: f64 = 0.01;

/// A measurement with what belongs into its account.
pub(super) struct Account<'a> {
    pub(super) def: &'a BenchDef,
    pub(super) measurement: &'a Measurement,
    pub(super) seed: u64,
    pub(super) core: Option<u32>,
    pub(super) sandbox: String,
    pub(super) conditions: Conditions,
    /// A CUDA device's, slot by slot.
    pub(super) journal: Vec<cuda::Conditions>,
    /// At what its clock was held, where it was.
    pub(super) rate: Option<String>,
    /// Seconds that the launches took, with everything between them.
    pub(super) seconds: f64,
    pub(super) digests: Digests,
    pub(super) roofs: &'a Roofs,
}

/// What was measured, and by what.
pub(super) struct Digests {
    pub(super) kernel: String,
    pub(super) incumbent: Option<String>,
    pub(super) harness: String,
}

/// Whether it was given up for its slowness.
pub(super) fn gave_up(measurement: &Measurement) -> bool {
    measurement.stopped.is_some_and(Stopped::is_slow)
}

/// What to tell where something was taken again because the device was throttled.
pub(super) fn throttled(discarded: u64, what: &str) -> Option<String> {
    (discarded > 0).then(|| {
        format!(
            "{discarded} {what} do not count and were taken again: the device was throttled; cool \
             it, or give it a lower clock"
        )
    })
}

impl Account<'_> {
    pub(super) fn metrics(&self) -> Metrics {
        let measurement = self.measurement;
        let mut metrics = Metrics::default();
        for statistic in Statistic::ALL {
            if let Some(mean) = measurement.geometric_mean(statistic) {
                metrics.set(statistic.metric(), mean.interval.value);
            }
        }
        if let Some(median) = measurement.geometric_mean(Statistic::Median) {
            metrics.set(Metrics::MEDIAN_LOWER_US, median.interval.lower);
            metrics.set(Metrics::MEDIAN_UPPER_US, median.interval.upper);
        }
        metrics.set(Metrics::LAUNCHES, measurement.launches as f64);
        metrics.set(Metrics::PROCESSES, measurement.processes as f64);
        metrics
    }

    pub(super) fn record(&self, layouts: LayoutsRecord) -> BenchRecord {
        let (measurement, def) = (self.measurement, self.def);
        let metric = &measurement.metric;
        BenchRecord {
            problem: def.problem.name.clone(),
            purpose: def.work.purpose,
            kernel_digest: self.digests.kernel.clone(),
            incumbent_digest: self.digests.incumbent.clone(),
            harness_digest: self.digests.harness.clone(),
            seed: self.seed,
            core: self.core,
            device: def.target.to_string(),
            sandbox: self.sandbox.clone(),
            mode: def.work.mode,
            clocks: self.rate.as_ref().map(|rate| clocks::words(rate, &self.journal)),
            metric: def.work.metric.clone(),
            value_us: metric.interval.value,
            lower_us: metric.interval.lower,
            upper_us: metric.interval.upper,
            level: metric.level,
            basis: metric.basis,
            between_sd: metric.between_sd,
            within_sd: metric.within_sd,
            launches: measurement.launches,
            processes: measurement.processes,
            looks: def.work.repeats.clone(),
            looks_used: measurement.looks_used,
            stopped: measurement.stopped,
            stopped_early: gave_up(measurement),
            saved_launches: measurement.saved_launches,
            saved_seconds: self.saved_seconds(),
            discarded_throttled: measurement.discarded_throttled,
            timer: measurement.cases.first().map(|c| c.timer),
            conditions: self.conditions.clone(),
            device_conditions: DeviceConditions::of(&self.journal),
            unstable: self.unstable(),
            no_roofline: self.roofs.as_ref().err().map(ToString::to_string),
            cases: self.cases(),
            layouts,
            profile: None,
            telemetry: None,
            holdout: None,
            comparison: None,
            calibration: None,
            identical: None,
            words: None,
            warnings: Vec::new(),
        }
    }

    fn cases(&self) -> Vec<CaseRecord> {
        let roof = |index: usize| self.roofs.as_ref().ok().and_then(|r| r.get(index)?.clone());
        let cases = self.measurement.cases.iter().enumerate();
        cases.map(|(index, measured)| case(measured, roof(index))).collect()
    }

    /// What the launches that were left out would have taken, at the pace of the others.
    fn saved_seconds(&self) -> f64 {
        let pace = self.seconds / self.measurement.launches.max(1) as f64;
        pace * self.measurement.saved_launches as f64
    }

    /// Why the number may not come again; empty when its interval is narrow.
    pub(super) fn unstable(&self) -> Vec<String> {
        let metric = &self.measurement.metric;
        let width = stats::relative_half_width(&metric.interval).unwrap_or(f64::INFINITY);
        if width <= UNSTABLE || gave_up(self.measurement) {
            return Vec::new();
        }
        let mut reasons =
            vec![format!("the interval reaches {:.1} % to either side", 100.0 * width)];
        reasons.extend(few(metric, self.measurement.processes));
        if metric.between_sd > PROCESS_EFFECT {
            let sd = 100.0 * metric.between_sd;
            reasons.push(format!("processes differ by {sd:.1} % (standard deviation)"));
        }
        reasons.extend(self.unconfirmed());
        if self.def.target.cuda().is_none() {
            // The kernel's core and the judge's.
            reasons.extend(self.conditions.reasons(2.0));
        }
        reasons
    }

    fn unconfirmed(&self) -> Option<String> {
        let unconfirmed: u64 = self.measurement.cases.iter().map(|c| c.unconfirmed).sum();
        let share = unconfirmed as f64 / self.measurement.launches.max(1) as f64;
        (share > 0.1).then(|| {
            format!("{unconfirmed} launches are not counted: the judge's clock saw them longer")
        })
    }
}

fn few(metric: &Estimate, processes: u64) -> Option<String> {
    let words = match metric.basis {
        Basis::Processes => return None,
        Basis::FewProcesses => format!("it rests on {processes} processes only; raise `repeats`"),
        Basis::Launches => "it rests on one process only; raise `repeats`".to_owned(),
    };
    Some(words)
}

fn case(case: &CaseResult, roofline: Option<RooflineRecord>) -> CaseRecord {
    let s = &case.summary;
    let median = case.estimate(Statistic::Median);
    CaseRecord {
        label: case.label.clone(),
        median_us: median.map(|m| m.interval.value),
        lower_us: median.map(|m| m.interval.lower),
        upper_us: median.map(|m| m.interval.upper),
        level: median.map(|m| m.level),
        basis: median.map(|m| m.basis),
        between_sd: median.map(|m| m.between_sd),
        within_sd: median.map(|m| m.within_sd),
        mean_us: case.estimate(Statistic::Mean).map(|m| m.interval.value),
        min_us: s.min,
        max_us: s.max,
        p10_us: s.p10,
        p90_us: s.p90,
        p99_us: s.p99,
        sd_us: s.sd,
        launches: case.processes.iter().map(Vec::len).sum(),
        looped: case.looped,
        staged_sets: case.ring,
        warmup_launches: case.warmups,
        unconfirmed: case.unconfirmed,
        outliers: outliers(case),
        processes: case.processes.iter().map(|p| p.iter().map(|s| s.ns).collect()).collect(),
        roofline,
    }
}

fn outliers(case: &CaseResult) -> OutliersRecord {
    let outliers = stats::outliers(&case.times_us()).unwrap_or_default();
    let slow = outliers
        .values
        .iter()
        .filter(|o| o.side == Side::Slow && o.severity == Severity::Severe)
        .map(|o| o.value);
    OutliersRecord { mild: outliers.mild(), severe: outliers.severe(), slow_us: slow.collect() }
}
