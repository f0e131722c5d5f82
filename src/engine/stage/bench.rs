//! Measures a kernel, comparing what it computes meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{self, Bench, Subject};
use super::{Failure, FailureClass, StageContext, StageOutcome};
use crate::backend::Session;
use crate::backend::cpu::CpuSession;
use crate::measure::{self, CaseResult, Halt, Measurement, Protocol, Statistic};
use crate::pipeline::BenchWork;
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
    /// The core to run on.
    pub cpu: Option<u32>,
}

/// Measures.
pub fn run(def: &BenchDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    let seed = judge::seed(def.seed);
    outcome.detail = json!({ "seed": seed, "core": def.cpu });
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
    let protocol = protocol(&def.work)?;
    let bench = Bench::new(ctx, &def.work.limits, def.cpu);
    let subjects = judge::subjects(&def.problem, &def.reference, seed, &bench)?;
    let mut sessions = open(def, &bench, &subjects)?;
    let result = measure(&protocol, def, ctx, &subjects, &mut sessions);
    for session in &mut sessions {
        log.extend(session.finish());
    }
    result
}

fn protocol(work: &BenchWork) -> Result<Protocol, Failure> {
    let statistic = Statistic::of_metric(&work.metric).ok_or_else(|| {
        let known = Statistic::ALL.map(Statistic::metric).join(", ");
        let message =
            format!("`{}` is no metric of a measurement; use one of {known}", work.metric);
        Failure { class: FailureClass::Failed, message }
    })?;
    Ok(Protocol {
        repeats: work.repeats.clone(),
        warmup: work.warmup,
        early_stop_us: work.early_stop_us,
        statistic,
    })
}

/// One worker per case: a fresh process each, asleep while the others run.
fn open(
    def: &BenchDef,
    bench: &Bench<'_>,
    subjects: &[Subject<'_>],
) -> Result<Vec<CpuSession>, Failure> {
    let open = |subject: &Subject<'_>| {
        let mut session = bench.open(&def.kernel)?;
        session.load(&judge::arguments(&subject.staged))?;
        Ok(session)
    };
    subjects
        .iter()
        .map(|s| open(s).map_err(|fault| judge::kernel_failure(&s.case.label, &fault)))
        .collect()
}

fn measure(
    protocol: &Protocol,
    def: &BenchDef,
    ctx: &StageContext<'_>,
    subjects: &[Subject<'_>],
    sessions: &mut [CpuSession],
) -> Result<Measurement, Failure> {
    let checks: Vec<_> = subjects
        .iter()
        .map(|s| {
            move |got: &[Vec<u8>]| {
                let judged = judge::compare(&def.problem, &s.staged, &s.want, got);
                if judged.passed() { Ok(()) } else { Err(judged.reports.join("\n")) }
            }
        })
        .collect();
    let mut measured: Vec<measure::Subject<'_>> = Vec::new();
    for ((subject, session), check) in subjects.iter().zip(sessions).zip(&checks) {
        measured.push(measure::Subject { label: &subject.case.label, session, check });
    }
    measure::measure(protocol, &mut measured, ctx.progress).map_err(|halt| {
        let label = |case: usize| subjects.get(case).map_or("", |s| s.case.label.as_str());
        match halt {
            Halt::Fault { case, fault } => judge::kernel_failure(label(case), &fault),
            Halt::Wrong { case, report } => Failure {
                class: FailureClass::Wrong,
                message: format!("case {}: {report}", label(case)),
            },
        }
    })
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
    metrics.insert("stopped_early".into(), f64::from(u8::from(measurement.stopped_early)));
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
            "samples_ns": case.samples_ns,
        })
    };
    json!({
        "seed": seed,
        "core": def.cpu,
        "metric": def.work.metric,
        "value_us": measurement.metric.value,
        "lower_us": measurement.metric.lower,
        "upper_us": measurement.metric.upper,
        "launches": measurement.launches,
        "looks_used": measurement.looks_used,
        "looks": def.work.repeats,
        "stopped_early": measurement.stopped_early,
        "cases": measurement.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

fn too_slow(def: &BenchDef, measurement: &Measurement) -> Option<Failure> {
    let limit = def.work.early_stop_us.filter(|_| measurement.stopped_early)?;
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
