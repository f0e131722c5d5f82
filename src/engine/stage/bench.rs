//! Measures a kernel, comparing what it computes meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{self, Bench, Judge};
use super::{Failure, FailureClass, StageContext, StageOutcome};
use crate::backend::{Fault, Mode, Session};
use crate::measure::{self, CaseResult, Halt, Measurement, Protocol, Statistic, Stopped};
use crate::pipeline::{BenchWork, CacheMode, Cores};
use crate::problem::Problem;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchDef {
    /// What the kernel must compute.
    pub problem: Problem,
    /// The built kernel: an absolute path.
    pub kernel: PathBuf,
    /// The built reference: an absolute path.
    pub reference: PathBuf,
    /// How it is measured.
    pub work: BenchWork,
    /// What inputs are drawn from; drawn itself when there is none.
    pub seed: Option<u64>,
    /// Where it runs.
    pub cores: Cores,
}

/// Measures.
pub fn run(def: &BenchDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    let seed = judge::seed(def.seed);
    outcome.detail = json!({ "seed": seed });
    match try_run(def, ctx, seed, &mut outcome.log) {
        Ok(measurement) => {
            outcome.metrics = metrics(&measurement);
            outcome.detail = detail(def, seed, &measurement);
            outcome.failure = too_slow(def, &measurement);
        }
        Err(failure) => outcome.failure = Some(failure),
    }
    outcome
}

fn try_run(
    def: &BenchDef,
    ctx: &StageContext<'_>,
    seed: u64,
    log: &mut Vec<u8>,
) -> Result<Measurement, Failure> {
    let protocol = protocol(def, seed)?;
    let bench = Bench::new(ctx, &def.work.limits, def.cores);
    let judge = Judge::new(&def.problem, &def.reference, seed, &bench);
    let mut benched = Benched { def, bench: &bench, judge, log, failure: None };
    let result = measure::measure(&protocol, &mut benched, ctx.progress);
    if let Some(failure) = benched.failure.take() {
        return Err(failure);
    }
    let label = |case: usize| benched.judge.cases.get(case).map_or("", |c| c.label.as_str());
    result.map_err(|halt| match halt {
        Halt::Fault { case, fault } => judge::kernel_failure(label(case), &fault),
        Halt::Wrong { case, report } => Failure {
            class: FailureClass::Wrong,
            message: format!("case {}: {report}", label(case)),
        },
    })
}

/// Timed samples per case that a process gives before a fresh one takes over.
const PER_PROCESS: u32 = 4;

fn protocol(def: &BenchDef, seed: u64) -> Result<Protocol, Failure> {
    let work = &def.work;
    let statistic = Statistic::of_metric(&work.metric).ok_or_else(|| {
        let known = Statistic::ALL.map(Statistic::metric).join(", ");
        let message =
            format!("`{}` is no metric of a measurement; use one of {known}", work.metric);
        Failure { class: FailureClass::Failed, message }
    })?;
    Ok(Protocol {
        looks: work.repeats.clone(),
        per_process: PER_PROCESS,
        warmup: work.warmup,
        early_stop_us: work.early_stop_us,
        precision: work.precision,
        statistic,
        mode: match work.mode {
            CacheMode::Hot => Mode::Hot,
            CacheMode::Cold => Mode::Cold,
        },
        seed,
    })
}

/// A kernel to be measured, with its judge.
struct Benched<'a> {
    def: &'a BenchDef,
    bench: &'a Bench<'a>,
    judge: Judge<'a>,
    log: &'a mut Vec<u8>,
    /// A failure that is not the kernel's, kept on its way through the protocol.
    failure: Option<Failure>,
}

impl measure::Subject for Benched<'_> {
    fn labels(&self) -> Vec<String> {
        self.judge.cases.iter().map(|c| c.label.clone()).collect()
    }

    fn start(&mut self) -> Result<Box<dyn Session>, Fault> {
        Ok(Box::new(self.bench.open(&self.def.kernel)?))
    }

    fn load(&mut self, session: &mut dyn Session, case: usize, wanted: u32) -> Result<u32, Fault> {
        let sets = self.judge.draw(case, wanted).map_err(|failure| {
            let what = failure.message.clone();
            self.failure = Some(failure);
            Fault::Infrastructure { what }
        })?;
        session.load(&self.judge.arguments(case, sets))?;
        Ok(sets)
    }

    fn check(&mut self, case: usize, set: u32, outputs: &[Vec<u8>]) -> Result<(), String> {
        let judged = self.judge.compare(case, set, outputs);
        if judged.passed() { Ok(()) } else { Err(judged.reports.join("\n")) }
    }

    fn finish(&mut self, mut session: Box<dyn Session>) {
        self.log.extend(session.finish());
    }
}

fn metrics(measurement: &Measurement) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    for statistic in Statistic::ALL {
        if let Some(mean) = measurement.geometric_mean(statistic) {
            metrics.insert(statistic.metric().to_owned(), mean.value);
        }
    }
    if let Some(median) = measurement.geometric_mean(Statistic::Median) {
        metrics.insert("median_lower_us".into(), median.lower);
        metrics.insert("median_upper_us".into(), median.upper);
    }
    metrics.insert("launches".into(), measurement.launches as f64);
    metrics.insert("stopped_early".into(), f64::from(u8::from(gave_up(measurement))));
    metrics
}

fn detail(def: &BenchDef, seed: u64, measurement: &Measurement) -> Value {
    let case = |case: &CaseResult| {
        let s = &case.summary;
        json!({
            "label": case.label,
            "median_us": s.median,
            "lower_us": s.lower,
            "upper_us": s.upper,
            "level": s.level,
            "mean_us": s.mean,
            "min_us": s.min,
            "max_us": s.max,
            "p10_us": s.p10,
            "p90_us": s.p90,
            "p99_us": s.p99,
            "sd_us": s.sd,
            "launches": s.n,
            "processes": case.processes,
            "loop": case.looped,
            "staged_sets": case.ring,
            "warmup_launches": case.warmups,
            "unconfirmed": case.unconfirmed,
            "timer": case.timer,
        })
    };
    json!({
        "seed": seed,
        "core": judge::core(def.cores),
        "metric": def.work.metric,
        "value_us": measurement.metric.value,
        "lower_us": measurement.metric.lower,
        "upper_us": measurement.metric.upper,
        "launches": measurement.launches,
        "looks_used": measurement.looks_used,
        "looks": def.work.repeats,
        "stopped": measurement.stopped,
        "stopped_early": gave_up(measurement),
        "saved_launches": measurement.saved_launches,
        "processes": measurement.processes,
        "mode": def.work.mode,
        "cases": measurement.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

/// Whether it was given up for its slowness.
fn gave_up(measurement: &Measurement) -> bool {
    measurement.stopped.is_some_and(Stopped::is_slow)
}

fn too_slow(def: &BenchDef, measurement: &Measurement) -> Option<Failure> {
    let limit = def.work.early_stop_us.filter(|_| gave_up(measurement))?;
    let metric = &measurement.metric;
    let message = format!(
        "surely slower than early_stop_us = {limit}: {} is {:.3}, at least {:.3}, after look {} of \
         {} ({} launches)",
        def.work.metric,
        metric.value,
        metric.lower,
        measurement.looks_used,
        def.work.repeats.len(),
        measurement.launches,
    );
    Some(Failure { class: FailureClass::TooSlow, message })
}
