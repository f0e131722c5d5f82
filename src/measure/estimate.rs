//! From samples to numbers.

use serde::{Deserialize, Serialize};

use super::sample::Sample;
use crate::backend::Timer;
use crate::stats::{self, Estimate, Levels, Metrics, Statistic, Summary};

impl Statistic {
    /// The name of its metric in pipelines and results.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Median => Metrics::MEDIAN_US,
            Self::Mean => Metrics::MEAN_US,
            Self::Min => Metrics::MIN_US,
            Self::P90 => Metrics::P90_US,
        }
    }

    /// The statistic behind a metric's name.
    pub fn of_metric(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.metric() == name)
    }
}

/// Fewer launches than this that the judge's clock speaks against are chance.
const FEWEST_LIES: usize = 4;

/// What was taken of one case so far.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) label: String,
    /// One list per process.
    pub(super) processes: Vec<Vec<Sample>>,
    pub(super) looped: Option<u32>,
    pub(super) ring: u32,
    pub(super) warmups: u32,
    /// Samples that a session said not to count.
    pub(super) discarded_throttled: u64,
    pub(super) timer: Timer,
}

impl Taken {
    pub(super) fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            processes: Vec::new(),
            looped: None,
            ring: 0,
            warmups: 0,
            discarded_throttled: 0,
            timer: Timer::default(),
        }
    }

    pub(super) fn samples(&self) -> usize {
        self.processes.iter().map(Vec::len).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Sample> {
        self.processes.iter().flatten()
    }

    pub(super) fn unconfirmed(&self) -> usize {
        self.all().filter(|s| !s.confirmed).count()
    }

    pub(super) fn contradicted(&self) -> usize {
        self.all().filter(|s| s.contradicted).count()
    }

    /// Whether the judge's clock speaks against most of those launches that it saw end.
    pub(super) fn is_forged(&self) -> bool {
        let confirmed = self.all().filter(|s| s.confirmed).count();
        let against = self.contradicted();
        against >= FEWEST_LIES && against > confirmed
    }

    /// What the two clocks say, for a case whose times are not believed.
    pub(super) fn disbelief(&self) -> String {
        let middle = |value: fn(&Sample) -> f64| {
            let contradicted = self.all().filter(|s| s.contradicted);
            let values: Vec<f64> = contradicted.map(value).collect();
            stats::summary(&values).map_or(0.0, |s| s.median / 1e3)
        };
        format!(
            "{} of {} launches are reported as shorter than the judge saw them: {:.1} µs against \
             {:.1} µs in the middle",
            self.contradicted(),
            self.samples(),
            middle(|s| s.ns),
            middle(|s| s.judged_ns)
        )
    }

    /// The fastest launch that the judge's clock does not speak against. Nobody gains by being thought
    /// slow, so what it could not see to its end counts too.
    pub(super) fn fastest_us(&self) -> Option<f64> {
        self.all().filter(|s| !s.contradicted).map(|s| s.ns / 1e3).reduce(f64::min)
    }
}

/// Why a measurement ended before its last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// Even the estimate's lower end is above the limit.
    TooSlow,
    /// Before the first look: even the fastest launches are far above the limit.
    GrosslySlow,
    /// The interval is as narrow as was asked for.
    Precise,
    /// Another look would have taken too long.
    OutOfTime,
}

impl Stopped {
    /// True when it was given up for its slowness.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::TooSlow | Self::GrosslySlow)
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// One per case, in order.
    pub cases: Vec<CaseResult>,
    /// The headline number in microseconds: the geometric mean of the statistic over cases.
    pub metric: Estimate,
    /// How many looks were taken.
    pub looks_used: u32,
    /// Why it ended before the last look, if it did.
    pub stopped: Option<Stopped>,
    /// Timed samples over all cases.
    pub launches: u64,
    /// Samples that stopping early saved.
    pub saved_launches: u64,
    /// Fresh processes.
    pub processes: u64,
    /// Samples that were thrown away and taken again because the device was throttled.
    #[serde(default)]
    pub discarded_throttled: u64,
}

/// One case's launches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's label.
    pub label: String,
    /// All launches that count as one heap, in microseconds: for quantiles and extremes. What may
    /// be said of the kernel is [`CaseResult::estimate`].
    pub summary: Summary,
    /// Every timed sample, one list per process, in order of time.
    pub processes: Vec<Vec<Sample>>,
    /// Launches per sample.
    pub looped: u32,
    /// Sets of arguments that were staged at a time.
    pub ring: u32,
    /// Untimed launches.
    pub warmups: u32,
    /// Samples that the judge's clock did not bear out; they are kept and not counted.
    pub unconfirmed: u64,
    /// The clock of the latest process.
    pub timer: Timer,
}

pub(super) fn describe(statistic: Statistic, taken: &[Taken]) -> Option<Measurement> {
    let cases = taken.iter().map(case).collect::<Option<Vec<_>>>()?;
    Some(Measurement {
        metric: geometric_mean(&cases, statistic)?,
        looks_used: 0,
        stopped: None,
        launches: taken.iter().map(|t| t.samples() as u64).sum(),
        saved_launches: 0,
        processes: taken.iter().map(|t| t.processes.len() as u64).max().unwrap_or(0),
        discarded_throttled: taken.iter().map(|t| t.discarded_throttled).sum(),
        cases,
    })
}

fn case(taken: &Taken) -> Option<CaseResult> {
    Some(CaseResult {
        label: taken.label.clone(),
        summary: stats::summary(&counted_us(&taken.processes).concat())?,
        processes: taken.processes.clone(),
        looped: taken.looped.unwrap_or(1),
        ring: taken.ring,
        warmups: taken.warmups,
        unconfirmed: taken.unconfirmed() as u64,
        timer: taken.timer,
    })
}

impl Measurement {
    /// The geometric mean over cases of a statistic, in microseconds.
    pub fn geometric_mean(&self, statistic: Statistic) -> Option<Estimate> {
        geometric_mean(&self.cases, statistic)
    }
}

fn geometric_mean(cases: &[CaseResult], statistic: Statistic) -> Option<Estimate> {
    let times: Vec<_> = cases.iter().map(|c| counted_us(&c.processes)).collect();
    stats::combined(&times, statistic)
}

impl CaseResult {
    /// The statistic of this case over its processes, in microseconds.
    pub fn estimate(&self, statistic: Statistic) -> Option<Estimate> {
        Some(Levels::of(&counted_us(&self.processes))?.estimate(statistic))
    }

    /// Launch times that count, in microseconds and in order of time.
    pub fn times_us(&self) -> Vec<f64> {
        counted_us(&self.processes).concat()
    }
}

/// Times that count, per process: those which the judge's clock bears out. Where it bears out
/// none, what that clock itself says, for it cannot be too short.
fn counted_us(processes: &[Vec<Sample>]) -> Vec<Vec<f64>> {
    let counted = |samples: &Vec<Sample>| {
        let any = samples.iter().any(|s| s.confirmed);
        let kept = samples.iter().filter(|s| s.confirmed || !any);
        // A launch within one step of the clock still has a logarithm.
        kept.map(|s| (if any { s.ns } else { s.ns.max(s.judged_ns) }).max(0.1) / 1e3).collect()
    };
    processes.iter().map(counted).collect()
}
