//! Compares what a command prints for the candidate with what it prints for the incumbent.

use std::time::Instant;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::command::{self, Setting};
use super::super::{Failure, FailureClass, StageOutcome, judge};
use super::account::Told;
use super::{budget, rule, tell};
use crate::backend::Fault;
use crate::measure::Halt;
use crate::measure::Statistic;
use crate::measure::pairs::{
    CasePair, Comparison, Pair, Pairs, Scoring, Side, Spent, Stop, Terms, decide,
};
use crate::pipeline::{CommandMetric, CommandWork, Direction, MetricScale, Opponent};
use crate::stats::block::{Better, Combine, Metric, Scale};
use crate::stats::deterministic;

/// Runs of each side that show whether a metric repeats.
const RUNS: u32 = 2;

/// A metric that nobody called deterministic is taken for it only if its values have so many
/// steps: coarse ones are equal by chance.
const STEPS: f64 = 1000.0;

/// Runs the command on both, as often as it takes.
pub(in crate::engine::stage) fn run(
    work: &CommandWork,
    opponent: &Opponent,
    metric: &CommandMetric,
    setting: &Setting<'_>,
) -> StageOutcome {
    if setting.job.itself().is_some() {
        let mut outcome = command::once(work, setting);
        outcome.detail = serde_json::json!({ "identical": { "against": opponent.called } });
        return outcome;
    }
    let seed = judge::seed(None);
    let mut runs = Runs { work, opponent, metric, setting, spent: Spent::default(), last: None };
    let compared = runs.compare(seed);
    let mut outcome = runs.last.take().unwrap_or_default();
    outcome.failure = None;
    match compared {
        Ok(comparison) => {
            let middle = middle(&comparison);
            outcome.metrics.extend(middle.map(|value| (metric.name.clone(), value)));
            let told = Told::new(&comparison, &opponent.called, (&work.rule, 1), Vec::new());
            told.metrics(&mut outcome.metrics);
            outcome.detail = serde_json::json!({
                "metric": metric.name,
                "comparison": told.detail(),
                "words": told.words(),
                "warnings": told.warnings(),
            });
            outcome.failure = told.failure();
        }
        Err(failure) => outcome.failure = Some(failure),
    }
    outcome
}

/// Where pairs of runs come from.
struct Runs<'a> {
    work: &'a CommandWork,
    opponent: &'a Opponent,
    metric: &'a CommandMetric,
    setting: &'a Setting<'a>,
    spent: Spent,
    /// What the candidate's latest run gave.
    last: Option<StageOutcome>,
}

impl Runs<'_> {
    fn compare(&mut self, seed: u64) -> Result<Comparison, Failure> {
        let started = Instant::now();
        let (work, ctx) = (self.work, &self.setting.ctx);
        let scoring = Scoring { statistic: Statistic::Median, metric: scoring(self.metric) };
        let rule = rule(&work.rule, &work.repeats, 1);
        let last = rule.looks.last().copied().unwrap_or(1);
        let time = budget(&work.rule, work.limits.timeout_ms);
        let terms = Terms { rule, scoring, seed, budget: Some(time) };
        let mut begun = Begun { runs: self, first: Vec::new() };
        let decided = begun.deterministic(&terms).and_then(|found| match found {
            Some(comparison) => Ok(comparison),
            None => decide(&terms, &mut begun, &|| started.elapsed(), &|heard| {
                tell(ctx, last, heard);
            }),
        });
        decided.map_err(|stop| self.blame(stop))
    }

    /// One run on one side.
    fn value(&mut self, side: Side) -> Result<f64, Stop> {
        self.spent.launches += 1;
        self.spent.processes += 1;
        let theirs;
        let work = match side {
            Side::Candidate => self.work,
            Side::Incumbent => {
                theirs = CommandWork { run: self.opponent.run.clone(), ..self.work.clone() };
                &theirs
            }
        };
        let outcome = command::once(work, self.setting);
        let value = outcome.metrics.get(&self.metric.name).copied();
        let failure = outcome.failure.clone();
        if side == Side::Candidate {
            self.last = Some(outcome);
        } else if failure.is_some() {
            self.last = Some(StageOutcome { log: outcome.log, ..StageOutcome::default() });
        }
        match (value, failure) {
            (Some(value), None) => Ok(value),
            (_, failure) => {
                let what = failure.map_or_else(|| "it printed no number".into(), |f| f.message);
                let fault = Fault::Infrastructure { what };
                Err(Stop { side: Some(side), halt: Halt::Fault { case: 0, fault } })
            }
        }
    }

    fn pair(&mut self, group: u32, rng: &mut ChaCha8Rng) -> Result<Pair, Stop> {
        let first = if rng.next_u32() & 1 == 0 { Side::Incumbent } else { Side::Candidate };
        let (one, other) = (self.value(first)?, self.value(first.other())?);
        let (incumbent, candidate) =
            if first == Side::Incumbent { (one, other) } else { (other, one) };
        let case = CasePair { first, incumbent: vec![incumbent], candidate: vec![candidate] };
        Ok(Pair { group, cases: vec![case] })
    }

    /// A run of the candidate that fails is its failure; one of the incumbent's decides nothing.
    fn blame(&self, stop: Stop) -> Failure {
        let message = match stop.halt {
            Halt::Fault { fault, .. } => fault.to_string(),
            Halt::Wrong { report, .. } => report,
        };
        if self.setting.ctx.cancel.is_set() {
            return Failure { class: FailureClass::Interrupted, message };
        }
        match stop.side {
            Some(Side::Candidate) => Failure { class: FailureClass::Failed, message },
            Some(Side::Incumbent) => Failure {
                class: FailureClass::Infrastructure,
                message: format!(
                    "the incumbent ({}) failed, so there is nothing to compare with: {message}",
                    self.opponent.called
                ),
            },
            None => Failure { class: FailureClass::Infrastructure, message },
        }
    }
}

/// The candidate's middle value.
fn middle(comparison: &Comparison) -> Option<f64> {
    let pairs = comparison.pairs.iter().chain(&comparison.confirm);
    let values: Vec<f64> = pairs.flat_map(|p| p.cases[0].candidate.clone()).collect();
    crate::stats::summary(&values).map(|s| s.median)
}

/// Runs of which the first pairs are there already.
struct Begun<'r, 'a> {
    runs: &'r mut Runs<'a>,
    first: Vec<Pair>,
}

impl Begun<'_, '_> {
    /// The verdict of a metric that is the same each time: four runs.
    fn deterministic(&mut self, terms: &Terms) -> Result<Option<Comparison>, Stop> {
        use rand::SeedableRng;
        if self.runs.metric.deterministic == Some(false) {
            return Ok(None);
        }
        let started = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(terms.seed);
        for group in 0..RUNS {
            let pair = self.runs.pair(group, &mut rng)?;
            self.first.push(pair);
        }
        let side = |side: Side| -> Vec<f64> {
            self.first.iter().flat_map(|p| p.cases[0].of(side).to_vec()).collect()
        };
        let (incumbent, candidate) = (side(Side::Incumbent), side(Side::Candidate));
        let declared = self.runs.metric.deterministic == Some(true);
        if !declared && !incumbent.iter().chain(&candidate).all(|&v| has_many_steps(v)) {
            return Ok(None);
        }
        let found = deterministic::decide(&terms.scoring.metric, &incumbent, &candidate, 0.0);
        let found = found.map_err(|e| Stop::nobodys(e.to_string()))?;
        Ok(found.map(|verdict| Comparison {
            rule: terms.rule.clone(),
            scoring: terms.scoring.clone(),
            seed: terms.seed,
            pairs: std::mem::take(&mut self.first),
            confirm: Vec::new(),
            verdict,
            cut: None,
            deterministic: true,
            seconds: started.elapsed().as_secs_f64(),
            spent: self.runs.spent,
        }))
    }
}

impl Pairs for Begun<'_, '_> {
    fn group(&mut self, count: u32, rng: &mut ChaCha8Rng) -> Result<Vec<Pair>, Stop> {
        let mut pairs = Vec::with_capacity(count as usize);
        while (pairs.len() as u32) < count {
            let group = (self.runs.spent.processes / 2) as u32;
            let pair = if self.first.is_empty() {
                self.runs.pair(group, rng)?
            } else {
                self.first.remove(0)
            };
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn per_group(&self) -> u32 {
        1
    }

    fn spent(&self) -> Spent {
        self.runs.spent
    }
}

/// Whole numbers of some size: cycles, instructions, bytes.
fn has_many_steps(value: f64) -> bool {
    value.abs() >= STEPS && value.fract() == 0.0
}

fn scoring(metric: &CommandMetric) -> Metric {
    Metric {
        better: match metric.better {
            Direction::Lower => Better::Lower,
            Direction::Higher => Better::Higher,
        },
        scale: match metric.scale {
            MetricScale::Ratio => Scale::Log,
            MetricScale::Difference => Scale::Difference,
        },
        combine: Combine::default(),
    }
}
