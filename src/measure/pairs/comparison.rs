//! All that a decision was made from.

use serde::{Deserialize, Serialize};

use super::scoring::{NoValue, Scoring};
use super::{Decided, Pair, Side, Spent};
use crate::pipeline::Guard;
use crate::stats::block::{CaseGuard, Harmed, Scale};
use crate::stats::sequential::gain;
use crate::stats::{Interval, LEVEL, Rule, Verdict, deterministic, signed_rank};

/// Why pairs ended before the rule said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The candidate is surely slower than it may be, whatever the incumbent takes.
    TooSlow,
    /// The next look would have come after the time was up.
    OutOfTime,
}

/// A comparison with every launch that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Comparison {
    /// What was decided when.
    pub rule: Rule,
    /// How launches became numbers.
    pub scoring: Scoring,
    /// What orders were drawn from.
    pub seed: u64,
    /// The pairs, in order of time.
    pub pairs: Vec<Pair>,
    /// Those that confirm a gain that was seen.
    pub confirm: Vec<Pair>,
    /// What they say.
    pub verdict: Verdict,
    /// Why they ended early, if they did.
    pub cut: Option<Cut>,
    /// Whether every value was the same each time, so that they were compared as they are.
    #[serde(default)]
    pub deterministic: bool,
    /// From the first process to the verdict.
    pub seconds: f64,
    /// What it took.
    pub spent: Spent,
    /// What becomes of a gain that harms single cases; in what was recorded before this was: nothing.
    #[serde(default = "unguarded")]
    pub guard: Guard,
    /// The cases that surely got slower, where the guard looks at them.
    #[serde(default)]
    pub harmed: Vec<Harmed>,
}

fn unguarded() -> Guard {
    Guard::Off
}

/// What launches say when they are asked once more.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// The verdict.
    pub verdict: Verdict,
    /// The cases that surely got slower, where the guard looks at them.
    pub harmed: Vec<Harmed>,
    /// What is to be done.
    pub decided: Decided,
}

/// What a comparison reports: a gain with its interval, at 95 % where there are pairs enough and
/// else at what they reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reported {
    /// The estimate.
    pub gain: f64,
    /// The lower end of its interval.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The interval's level.
    pub level: f64,
}

impl Comparison {
    /// A gain as people say it: a share of the incumbent's, or a difference in the metric's unit.
    pub fn gain_of(&self, d: f64) -> f64 {
        match self.scoring.metric.scale {
            Scale::Log => gain(d),
            Scale::Difference => d,
        }
    }

    /// The gain: of the pairs that confirm it where there are any, else of all that were looked
    /// at. `None` without pairs.
    pub fn reported(&self) -> Option<Reported> {
        self.reported_by(&self.verdict)
    }

    fn reported_by(&self, verdict: &Verdict) -> Option<Reported> {
        let d = match verdict.confirmed {
            Some(_) => self.confirm_d().ok()?,
            None => self.d().ok()?,
        };
        let counted = verdict.confirmed.map_or(verdict.pairs, |c| c.pairs) as usize;
        let d = d.get(..counted)?;
        // All that so few pairs can say: between the smallest and the largest.
        let most = 1.0 - 2.0 * (-(counted as f64)).exp2();
        let level = if self.deterministic { 0.0 } else { LEVEL.min(most) };
        let centre = signed_rank::interval(d, level)?;
        Some(Reported {
            gain: self.gain_of(verdict.estimate()?),
            lower: self.gain_of(centre.interval.lower),
            upper: self.gain_of(centre.interval.upper),
            level: if level < LEVEL { centre.level } else { LEVEL },
        })
    }

    /// The verdict once more, from the launches alone.
    ///
    /// # Errors
    /// Which launch has no value.
    pub fn again(&self) -> Result<Again, NoValue> {
        let verdict = if self.deterministic {
            self.values_again()?
        } else {
            self.rule.judge(&self.d()?, &self.confirm_d()?)
        };
        let harmed = self.harmed_again()?;
        let decided = self.decided_by(&verdict, &harmed);
        Ok(Again { verdict, harmed, decided })
    }

    /// Whether it holds what its launches say.
    pub fn holds(&self, again: &Again) -> bool {
        self.verdict == again.verdict && self.harmed == again.harmed
    }

    /// What is to be done about the candidate.
    pub fn decided(&self) -> Decided {
        self.decided_by(&self.verdict, &self.harmed)
    }

    fn decided_by(&self, verdict: &Verdict, harmed: &[Harmed]) -> Decided {
        let gain = self.reported_by(verdict).map(|Reported { gain, lower, upper, .. }| Interval {
            value: gain,
            lower,
            upper,
        });
        Decided::of(verdict, self.guard, harmed).with_gain(gain)
    }

    /// As it was measured, with the cases that surely got slower.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        // A launch without a value has ended the comparison before.
        self.harmed = self.harmed_again().unwrap_or_default();
        self
    }

    fn harmed_again(&self) -> Result<Vec<Harmed>, NoValue> {
        if self.guard == Guard::Off {
            return Ok(Vec::new());
        }
        let by_case = self.d_by_case()?;
        Ok(if by_case.len() < 2 { Vec::new() } else { CaseGuard::default().harmed(&by_case) })
    }

    fn values_again(&self) -> Result<Verdict, NoValue> {
        let side = |side: Side| -> Vec<f64> {
            let cases = self.pairs.iter().flat_map(|pair| &pair.cases);
            cases.flat_map(|case| case.of(side).iter().copied()).collect()
        };
        let (incumbent, candidate) = (side(Side::Incumbent), side(Side::Candidate));
        deterministic::decide(&self.scoring.metric, &incumbent, &candidate, 0.0)?
            .ok_or(NoValue::NotRepeated)
    }

    /// The `d` of each pair.
    ///
    /// # Errors
    /// As [`Comparison::again`].
    pub fn d(&self) -> Result<Vec<f64>, NoValue> {
        self.pairs.iter().map(|pair| self.scoring.d(pair)).collect()
    }

    /// The `d` of each pair that confirms.
    ///
    /// # Errors
    /// As [`Comparison::again`].
    pub fn confirm_d(&self) -> Result<Vec<f64>, NoValue> {
        self.confirm.iter().map(|pair| self.scoring.d(pair)).collect()
    }

    /// One list per case: its `d` in each pair, those that confirm not among them.
    ///
    /// # Errors
    /// As [`Comparison::again`].
    pub fn d_by_case(&self) -> Result<Vec<Vec<f64>>, NoValue> {
        by_case(&self.scoring, &self.pairs)
    }

    /// [`Comparison::d_by_case`] of the pairs that confirm.
    ///
    /// # Errors
    /// As [`Comparison::again`].
    pub fn confirm_d_by_case(&self) -> Result<Vec<Vec<f64>>, NoValue> {
        by_case(&self.scoring, &self.confirm)
    }
}

fn by_case(scoring: &Scoring, pairs: &[Pair]) -> Result<Vec<Vec<f64>>, NoValue> {
    let count = pairs.first().map_or(0, |pair| pair.cases.len());
    let mut cases = vec![Vec::with_capacity(pairs.len()); count];
    for pair in pairs {
        for (case, d) in cases.iter_mut().zip(scoring.cases(pair)?) {
            case.push(d);
        }
    }
    Ok(cases)
}
