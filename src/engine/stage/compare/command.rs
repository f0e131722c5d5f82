//! Compares what a command prints for the candidate with what it prints for the incumbent.

use std::sync::PoisonError;
use std::time::Instant;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::command::CommandRequest;
use super::super::reading::{Reading, has_many_steps};
use super::super::{Failure, FailureClass, StageOutcome, judge};
use super::account::Told;
use super::blame::incumbents;
use super::identical::{Identical, nothing_gained};
use super::probe::Probe;
use super::sides::{Kernel, Sides};
use super::terms::{budget, rule, tell};
use crate::backend::Fault;
use crate::engine::account::{CommandRecord, LayoutsRecord, NumbersOf, SideLayouts, StageRecord};
use crate::measure::Halt;
use crate::measure::Statistic;
use crate::measure::pairs::{
    CasePair, Comparison, Pair, Pairs, Scoring, Side, Spent, Stop, Terms, decide,
};
use crate::pipeline::{CommandMetric, MetricScale, Opponent, TimeUnit};
use crate::stats::block::{Combine, Metric, Scale};
use crate::stats::deterministic;

/// Runs of each side that show whether a metric repeats.
const RUNS: u32 = 2;

/// Runs the command: on the candidate alone, or on both sides as often as it takes.
pub(in crate::engine) fn run(request: &CommandRequest<'_>, metric: &CommandMetric) -> StageOutcome {
    // Comparisons of one run take turns: their trees may be the same.
    let _turn = request.trees.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sides = match Sides::open(request) {
        Ok(sides) => sides,
        Err(failure) => return failed(failure),
    };
    let mut outcome = match &request.work.opponent {
        Some(opponent) if request.job.itself().is_none() => {
            let incumbent = Opposed { request, opponent, metric };
            incumbent.compare(&mut sides)
        }
        opponent => {
            let same = opponent.as_ref().map(|opponent| Identical {
                against: &opponent.called,
                numbers: NumbersOf::Measured,
            });
            alone(&mut sides, same.as_ref())
        }
    };
    let ran = outcome.failure.is_none() || outcome.decision.is_some();
    if ran && let Err(failure) = sides.hand_over() {
        outcome.failure.get_or_insert(failure);
    }
    outcome
}

fn failed(failure: Failure) -> StageOutcome {
    StageOutcome { failure: Some(failure), ..StageOutcome::default() }
}

/// One run of the candidate, with nothing beside it or only itself.
fn alone(sides: &mut Sides<'_>, itself: Option<&Identical<'_>>) -> StageOutcome {
    let mut outcome = match sides.run(Side::Candidate) {
        Ok(ran) => ran.outcome,
        Err(failure) => return failed(failure),
    };
    placed(&mut outcome, sides);
    if let Some(same) = itself.filter(|_| outcome.failure.is_none()) {
        nothing_gained(&mut outcome.metrics);
        if let Some(record) = &mut outcome.detail {
            same.mark(record);
        }
    }
    outcome
}

/// Notes where the sides ran.
fn placed(outcome: &mut StageOutcome, sides: &Sides<'_>) {
    if let Some(StageRecord::Command(record)) = &mut outcome.detail {
        record.trees = Some(sides.record());
    }
}

/// A command with an incumbent that differs from the candidate.
struct Opposed<'a> {
    request: &'a CommandRequest<'a>,
    opponent: &'a Opponent,
    metric: &'a CommandMetric,
}

impl Opposed<'_> {
    fn compare(&self, sides: &mut Sides<'_>) -> StageOutcome {
        let Self { request, opponent, metric } = *self;
        if let Err(failed) = (Probe { request, metric }).show(sides) {
            let outcome = failed.ran.map(|ran| ran.outcome).unwrap_or_default();
            return StageOutcome { failure: Some(failed.failure), ..outcome };
        }
        if let Err(failure) = sides.put(Side::Incumbent, Kernel::Files(&opponent.kernel)) {
            return failed(failure);
        }
        let mut runs = Runs::new(self, sides);
        let compared = runs.compare(judge::seed(None));
        let matches = runs.matches;
        let mut outcome = runs.last.take().unwrap_or_default();
        outcome.failure = None;
        match compared {
            Ok(comparison) => self.account(&comparison, matches, &mut outcome),
            Err(failure) => outcome.failure = Some(failure),
        }
        placed(&mut outcome, sides);
        outcome
    }

    fn account(&self, comparison: &Comparison, matches: Matches, outcome: &mut StageOutcome) {
        let Self { request, opponent, metric } = *self;
        let middle = middle(comparison);
        outcome.metrics.extend(middle.map(|value| (metric.name.as_str(), value)));
        let told = Told::new(comparison, &opponent.called, 1, Vec::new());
        told.metrics(&mut outcome.metrics);
        let mut warnings = told.warnings();
        warnings.extend(matches.warning(&metric.name));
        let one = SideLayouts { count: 1, ..SideLayouts::default() };
        outcome.detail = Some(StageRecord::Command(Box::new(CommandRecord {
            incumbent_matches: Some(matches.incumbent),
            purpose: Some(request.work.purpose),
            comparison: Some(told.record()),
            // Where its code lies is the command's own affair.
            layouts: Some(LayoutsRecord { candidate: one.clone(), incumbent: Some(one) }),
            words: Some(told.words()),
            warnings,
            ..CommandRecord::of_number(&metric.name, metric.unit, matches.candidate)
        })));
        outcome.decision = Some(told.decided());
        outcome.failure = told.failure();
    }
}

/// How often each side's output had the metric, the last time.
#[derive(Debug, Clone, Copy, Default)]
struct Matches {
    incumbent: usize,
    candidate: usize,
}

impl Matches {
    fn warning(self, name: &str) -> Option<String> {
        let Self { incumbent, candidate } = self;
        (incumbent != candidate).then(|| {
            format!(
                "`{name}` is printed {candidate} times for the candidate and {incumbent} times for \
                 the incumbent: not the same was run"
            )
        })
    }
}

/// Where pairs of runs come from.
struct Runs<'a, 's> {
    of: &'a Opposed<'a>,
    sides: &'a mut Sides<'s>,
    spent: Spent,
    matches: Matches,
    /// The first number of all.
    first: Option<Reading>,
    /// What the candidate's latest run gave.
    last: Option<StageOutcome>,
    /// A failure that is no side's, kept on its way through the protocol.
    failure: Option<Failure>,
    /// How the incumbent's run failed, if one did.
    incumbents: FailureClass,
}

impl<'a, 's> Runs<'a, 's> {
    fn new(of: &'a Opposed<'a>, sides: &'a mut Sides<'s>) -> Self {
        Self {
            of,
            sides,
            spent: Spent::default(),
            matches: Matches::default(),
            first: None,
            last: None,
            failure: None,
            incumbents: FailureClass::Failed,
        }
    }

    fn compare(&mut self, seed: u64) -> Result<Comparison, Failure> {
        let started = Instant::now();
        let (work, ctx) = (self.of.request.work, &self.of.request.ctx);
        let scoring = Scoring { statistic: Statistic::Median, metric: scoring(self.of.metric) };
        let rule = rule(&work.rule, &work.repeats, 1);
        let last = rule.looks.last().copied().unwrap_or(1);
        let time = budget(&work.rule, work.limits.timeout_ms);
        let terms = Terms { rule, scoring, seed, budget: Some(time), guard: work.rule.guard };
        let mut begun = Begun { runs: self, first: Vec::new() };
        let decided = begun.deterministic(&terms).and_then(|found| match found {
            Some(comparison) => Ok(comparison),
            None => decide(&terms, &mut begun, &|| started.elapsed(), &|heard| {
                tell(ctx, last, heard);
            }),
        });
        let own = self.failure.take();
        decided.map_err(|stop| own.unwrap_or_else(|| self.blame(stop)))
    }

    /// One run on one side.
    fn value(&mut self, side: Side) -> Result<f64, Stop> {
        self.spent.launches += 1;
        self.spent.processes += 1;
        let ran = self.sides.run(side).map_err(|failure| self.stop(failure))?;
        let failure = ran.outcome.failure.clone();
        if side == Side::Candidate {
            self.last = Some(ran.outcome);
        } else if let Some(failure) = &failure {
            self.incumbents = failure.class;
            self.last = Some(StageOutcome { log: ran.outcome.log, ..StageOutcome::default() });
        }
        match (ran.reading, failure) {
            (Some(reading), None) => self.read(side, reading),
            (_, failure) => {
                let what = failure.map_or_else(|| "it printed no number".into(), |f| f.message);
                let fault = Fault::Infrastructure { what };
                Err(Stop { side: Some(side), halt: Halt::Fault { case: 0, fault } })
            }
        }
    }

    /// Takes a number in. Numbers of several units have no ratio.
    fn read(&mut self, side: Side, reading: Reading) -> Result<f64, Stop> {
        match side {
            Side::Candidate => self.matches.candidate = reading.matches,
            Side::Incumbent => self.matches.incumbent = reading.matches,
        }
        let before = self.first.get_or_insert(reading).unread;
        if before == reading.unread {
            return Ok(reading.value);
        }
        let word = |unit: Option<TimeUnit>| unit.map_or("no unit", TimeUnit::word);
        let mut units = [word(before), word(reading.unread)];
        units.sort_unstable();
        let message = format!(
            "`{}` is printed in {}, which cannot be compared as they are: add unit = \"us\" to the \
             metric, and all are read as microseconds",
            self.of.metric.name,
            units.join(" and in ")
        );
        Err(self.stop(Failure { class: FailureClass::Failed, message }))
    }

    fn stop(&mut self, failure: Failure) -> Stop {
        let what = failure.message.clone();
        self.failure = Some(failure);
        Stop::nobodys(what)
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
        if self.of.request.ctx.cancel.is_set() {
            return Failure { class: FailureClass::Interrupted, message };
        }
        match stop.side {
            Some(Side::Candidate) => Failure { class: FailureClass::Failed, message },
            Some(Side::Incumbent) => {
                let failure = Failure { class: self.incumbents, message };
                incumbents(&self.of.request.work.incumbent, &self.of.opponent.called, &failure)
            }
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
struct Begun<'r, 'a, 's> {
    runs: &'r mut Runs<'a, 's>,
    first: Vec<Pair>,
}

impl Begun<'_, '_, '_> {
    /// The verdict of a metric that is the same each time: four runs.
    fn deterministic(&mut self, terms: &Terms) -> Result<Option<Comparison>, Stop> {
        use rand::SeedableRng;
        if self.runs.of.metric.deterministic == Some(false) {
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
        let declared = self.runs.of.metric.deterministic == Some(true);
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
            // One number of one run: there are no cases.
            guard: terms.guard,
            harmed: Vec::new(),
        }))
    }
}

impl Pairs for Begun<'_, '_, '_> {
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

fn scoring(metric: &CommandMetric) -> Metric {
    Metric {
        better: metric.better,
        scale: match metric.scale {
            MetricScale::Ratio => Scale::Log,
            MetricScale::Difference => Scale::Difference,
        },
        combine: Combine::default(),
    }
}
