//! Staged repeats over all cases in turn: look, decide, look again with more launches.

use serde::{Deserialize, Serialize};

use super::stopping;
use crate::backend::{Fault, Session, Timing};
use crate::stats::{self, Interval, Summary};

/// How a measurement goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// Total timed launches per case at each look, rising.
    pub repeats: Vec<u32>,
    /// Untimed launches before the first look.
    pub warmup: u32,
    /// Give up once the metric is surely above.
    pub early_stop_us: Option<f64>,
    /// What the headline number is made from.
    pub statistic: Statistic,
}

/// What stands for a case's launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The middle.
    Median,
    /// The arithmetic mean.
    Mean,
    /// The fastest.
    Min,
    /// The 90 % quantile.
    P90,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Median, Self::Mean, Self::Min, Self::P90];

    /// The name of its metric in pipelines and results.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Median => "median_us",
            Self::Mean => "mean_us",
            Self::Min => "min_us",
            Self::P90 => "p90_us",
        }
    }

    /// The statistic behind a metric's name.
    pub fn of_metric(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.metric() == name)
    }
}

/// Compares the outputs of a launch; the error says what is wrong with them.
pub type Check<'a> = dyn Fn(&[Vec<u8>]) -> Result<(), String> + 'a;

/// One case to be measured: loaded, not yet launched.
pub struct Subject<'a> {
    /// The case's label.
    pub label: &'a str,
    /// Where it is launched.
    pub session: &'a mut dyn Session,
    /// Compares outputs with the reference's; the error is the report.
    pub check: &'a Check<'a>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// One per case, in order.
    pub cases: Vec<CaseResult>,
    /// The headline number in microseconds: the geometric mean of the statistic over cases.
    pub metric: Interval,
    /// How many looks were taken.
    pub looks_used: u32,
    /// It was given up as too slow.
    pub stopped_early: bool,
    /// Timed launches over all cases.
    pub launches: u64,
}

/// One case's launches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's label.
    pub label: String,
    /// In microseconds.
    pub summary: Summary,
    /// Every timed launch in nanoseconds, in order.
    pub samples_ns: Vec<u64>,
}

/// Why there is no measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Halt {
    /// The kernel or what is around it failed.
    Fault {
        /// Index of the case.
        case: usize,
        /// What happened.
        fault: Fault,
    },
    /// An output differs from the reference's.
    Wrong {
        /// Index of the case.
        case: usize,
        /// The comparison's words.
        report: String,
    },
}

/// Measures all subjects by `protocol`; `progress` hears the share of launches that is done.
///
/// Each look runs over all cases in turn, so that a slow drift of the machine touches all alike;
/// the outputs of the last launch of each batch are compared before the next case is run.
///
/// # Errors
/// The first fault or wrong output; there is no measurement of a wrong kernel.
pub fn measure(
    protocol: &Protocol,
    subjects: &mut [Subject<'_>],
    progress: &dyn Fn(f32, &str),
) -> Result<Measurement, Halt> {
    let mut samples: Vec<Vec<u64>> = vec![Vec::new(); subjects.len()];
    let all = u64::from(protocol.repeats.last().copied().unwrap_or(0)) * subjects.len() as u64;
    let mut done = 0;
    let mut latest = None;
    for (look, &total) in protocol.repeats.iter().enumerate() {
        for (case, subject) in subjects.iter_mut().enumerate() {
            progress(done as f32 / all.max(1) as f32, subject.label);
            // A case that waited for the others has lost its place in the caches.
            let warmup = if look == 0 { protocol.warmup } else { protocol.warmup.min(1) };
            let count = total.saturating_sub(samples[case].len() as u32);
            let batch = Batch { warmup, count };
            samples[case].extend(batch.run(subject).map_err(|halt| halt.at(case))?);
            done += u64::from(count);
        }
        let measurement = describe(protocol, subjects, &samples, look as u32 + 1)
            .map_err(|fault| Halt::Fault { case: 0, fault })?;
        if measurement.stopped_early {
            return Ok(measurement);
        }
        latest = Some(measurement);
    }
    let nothing = || Fault::Infrastructure { what: "there is nothing to launch".into() };
    latest.ok_or_else(|| Halt::Fault { case: 0, fault: nothing() })
}

/// The launches of one case at one look.
struct Batch {
    warmup: u32,
    count: u32,
}

/// A [`Halt`] of a case that is not known yet.
enum CaseHalt {
    Fault(Fault),
    Wrong(String),
}

impl CaseHalt {
    fn at(self, case: usize) -> Halt {
        match self {
            Self::Fault(fault) => Halt::Fault { case, fault },
            Self::Wrong(report) => Halt::Wrong { case, report },
        }
    }
}

impl Batch {
    fn run(&self, subject: &mut Subject<'_>) -> Result<Vec<u64>, CaseHalt> {
        if self.warmup > 0 {
            subject.session.launch(self.warmup, Timing::Warmup).map_err(CaseHalt::Fault)?;
        }
        let launches =
            subject.session.launch(self.count, Timing::Timed).map_err(CaseHalt::Fault)?;
        if launches.ns.len() != self.count as usize {
            let what = format!("{} launches asked for, {} reported", self.count, launches.ns.len());
            return Err(CaseHalt::Fault(Fault::Cheating { what }));
        }
        let outputs = subject.session.outputs().map_err(CaseHalt::Fault)?;
        (subject.check)(&outputs).map_err(CaseHalt::Wrong)?;
        Ok(launches.ns)
    }
}

fn describe(
    protocol: &Protocol,
    subjects: &[Subject<'_>],
    samples: &[Vec<u64>],
    looks_used: u32,
) -> Result<Measurement, Fault> {
    let no_samples = || Fault::Infrastructure { what: "a case has no samples".into() };
    let cases = subjects
        .iter()
        .zip(samples)
        .map(|(subject, ns)| {
            let summary = stats::summary(&microseconds(ns)).ok_or_else(no_samples)?;
            let (label, samples_ns) = (subject.label.to_owned(), ns.clone());
            Ok(CaseResult { label, summary, samples_ns })
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    let metric = geometric_mean(&cases, protocol.statistic).ok_or_else(no_samples)?;
    Ok(Measurement {
        stopped_early: stopping::too_slow(&metric, protocol.early_stop_us),
        launches: samples.iter().map(|s| s.len() as u64).sum(),
        metric,
        cases,
        looks_used,
    })
}

/// A launch within one step of the clock counts as one nanosecond, so that it has a logarithm.
fn microseconds(ns: &[u64]) -> Vec<f64> {
    ns.iter().map(|&ns| ns.max(1) as f64 / 1e3).collect()
}

impl Measurement {
    /// The geometric mean over cases of a statistic, in microseconds.
    pub fn geometric_mean(&self, statistic: Statistic) -> Option<Interval> {
        geometric_mean(&self.cases, statistic)
    }
}

fn geometric_mean(cases: &[CaseResult], statistic: Statistic) -> Option<Interval> {
    let parts: Option<Vec<Interval>> = cases.iter().map(|c| c.interval(statistic)).collect();
    stats::combine_log_intervals(&parts?)
}

impl CaseResult {
    /// The statistic of this case with its interval, in microseconds.
    ///
    /// Quantiles have distribution-free intervals. The mean and the smallest have none; theirs is
    /// as wide, relatively, as the median's, and the mean's reaches down to the median's lower
    /// end at least, since a few disturbed launches raise a mean without the kernel being slower.
    pub fn interval(&self, statistic: Statistic) -> Option<Interval> {
        let s = &self.summary;
        let like_median = |value: f64| Interval {
            value,
            lower: (value * s.lower / s.median).min(value),
            upper: (value * s.upper / s.median).max(value),
        };
        Some(match statistic {
            Statistic::Median => Interval { value: s.median, lower: s.lower, upper: s.upper },
            Statistic::P90 => stats::quantile_interval(&microseconds(&self.samples_ns), 0.9)?,
            Statistic::Min => like_median(s.min),
            Statistic::Mean => {
                let scaled = like_median(s.mean);
                Interval { lower: scaled.lower.min(s.lower), ..scaled }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::backend::fake::{FakeSession, Script, World};

    fn script(name: &str, us: u64) -> Script {
        let durations_ns = (0..7).map(|i| us * 1000 + i * 10).collect();
        Script { name: name.into(), durations_ns, outputs: vec![vec![1]], ..Script::default() }
    }

    fn run(protocol: &Protocol, world: &World, scripts: Vec<Script>) -> Result<Measurement, Halt> {
        let names: Vec<String> = scripts.iter().map(|s| s.name.clone()).collect();
        let mut sessions: Vec<FakeSession> =
            scripts.into_iter().map(|s| FakeSession::new(world, s)).collect();
        let check = |outputs: &[Vec<u8>]| {
            if outputs == [vec![1]] { Ok(()) } else { Err(format!("got {outputs:?}")) }
        };
        let mut subjects: Vec<Subject<'_>> = Vec::new();
        for (session, name) in sessions.iter_mut().zip(&names) {
            session.load(&[]).unwrap();
            subjects.push(Subject { label: name, session, check: &check });
        }
        measure(protocol, &mut subjects, &|_, _| {})
    }

    fn protocol() -> Protocol {
        Protocol {
            repeats: vec![8, 16, 32],
            warmup: 2,
            early_stop_us: None,
            statistic: Statistic::Median,
        }
    }

    #[test]
    fn looks_go_over_all_cases_in_turn() {
        let world = World::default();
        let measured = run(&protocol(), &world, vec![script("a", 100), script("b", 400)]).unwrap();
        let launches: Vec<String> =
            world.events().into_iter().filter(|e| !e.ends_with("load")).collect();
        assert_eq!(
            launches,
            [
                "a: 2 warmup",
                "a: 8 timed",
                "b: 2 warmup",
                "b: 8 timed",
                "a: 1 warmup",
                "a: 8 timed",
                "b: 1 warmup",
                "b: 8 timed",
                "a: 1 warmup",
                "a: 16 timed",
                "b: 1 warmup",
                "b: 16 timed",
            ]
        );
        assert_eq!((measured.looks_used, measured.launches), (3, 64));
        assert!((measured.metric.value - 200.0).abs() < 0.1, "{:?}", measured.metric);
        assert!(measured.metric.lower <= measured.metric.value);
        assert_eq!(measured.cases[1].samples_ns.len(), 32);
    }

    #[test]
    fn twice_too_slow_is_given_up_after_the_first_look() {
        let world = World::default();
        let protocol = Protocol { early_stop_us: Some(100.0), ..protocol() };
        let measured = run(&protocol, &world, vec![script("a", 200), script("b", 200)]).unwrap();
        assert!(measured.stopped_early);
        assert_eq!((measured.looks_used, measured.launches), (1, 16));
    }

    #[test]
    fn near_the_limit_is_measured_to_the_end() {
        let protocol = Protocol { early_stop_us: Some(100.03), ..protocol() };
        let measured = run(&protocol, &World::default(), vec![script("a", 100)]).unwrap();
        assert!(!measured.stopped_early, "{:?}", measured.metric);
        assert_eq!(measured.looks_used, 3);
    }

    #[test]
    fn a_wrong_output_at_a_later_look_is_found() {
        let wrong =
            Script { outputs_from: BTreeMap::from([(15, vec![vec![2]])]), ..script("b", 10) };
        let halt = run(&protocol(), &World::default(), vec![script("a", 10), wrong]).unwrap_err();
        assert_eq!(halt, Halt::Wrong { case: 1, report: "got [[2]]".into() });
    }

    #[test]
    fn a_fault_ends_the_measurement_with_its_case() {
        let fault = Fault::Crashed { signal: 11 };
        let crashing = Script { faults: BTreeMap::from([(4, fault.clone())]), ..script("b", 10) };
        let world = World::default();
        let halt = run(&protocol(), &world, vec![script("a", 10), crashing]).unwrap_err();
        assert_eq!(halt, Halt::Fault { case: 1, fault });
    }

    #[test]
    fn nothing_to_measure_is_an_infrastructure_fault() {
        let halt = run(&protocol(), &World::default(), Vec::new()).unwrap_err();
        assert!(
            matches!(halt, Halt::Fault { fault: Fault::Infrastructure { .. }, .. }),
            "{halt:?}"
        );
    }

    #[test]
    fn every_statistic_has_an_interval_around_it() {
        let measured = run(&protocol(), &World::default(), vec![script("a", 100)]).unwrap();
        for statistic in Statistic::ALL {
            let metric = measured.geometric_mean(statistic).unwrap();
            assert!(metric.lower <= metric.value && metric.value <= metric.upper, "{statistic:?}");
            assert_eq!(Statistic::of_metric(statistic.metric()), Some(statistic));
        }
    }

    #[test]
    fn one_disturbed_launch_does_not_make_a_mean_surely_slow() {
        let mut disturbed = script("a", 50);
        disturbed.durations_ns = [vec![50_000; 31], vec![10_000_000]].concat();
        let protocol = Protocol {
            warmup: 0,
            repeats: vec![32],
            early_stop_us: Some(100.0),
            statistic: Statistic::Mean,
        };
        let measured = run(&protocol, &World::default(), vec![disturbed]).unwrap();
        assert!(measured.metric.value > 100.0);
        assert!(!measured.stopped_early, "{:?}", measured.metric);
    }
}
