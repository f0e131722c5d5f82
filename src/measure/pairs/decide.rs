//! The rule at work: pairs until it has an answer.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Comparison, Cut, Pair, Pairs, Scoring, Stop};
use crate::pipeline::Guard;
use crate::stats::{Look, Next, Rule};

/// Pairs after which the rule knows what is grossly slower, before its first look.
const GROSS_PAIRS: u32 = 2;

/// What is to be decided, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What is decided when.
    pub rule: Rule,
    /// How launches become numbers.
    pub scoring: Scoring,
    /// What orders are drawn from; neither side must foresee them.
    pub seed: u64,
    /// No look is begun that would end after this; confirming is not cut short.
    pub budget: Option<Duration>,
    /// What becomes of a gain that harms single cases.
    pub guard: Guard,
}

/// What a decision says on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// There are more pairs.
    Pairs {
        /// How many.
        pairs: u32,
        /// How many there will be at the next look.
        until: u32,
    },
    /// A look was taken.
    Look {
        /// What it showed.
        look: Look,
        /// What follows from it.
        next: Next,
    },
    /// There are more pairs that confirm.
    Confirming {
        /// How many.
        pairs: u32,
        /// How many there will be.
        of: u32,
    },
}

/// Compares by `terms`; `elapsed` is the time since the decision began, which may have been before
/// this.
///
/// # Errors
/// The first fault or wrong output of either side, and whose it was: no launch that failed is left
/// out, and nothing is decided without it.
pub fn decide(
    terms: &Terms,
    pairs: &mut dyn Pairs,
    elapsed: &dyn Fn() -> Duration,
    hear: &dyn Fn(&Heard),
) -> Result<Comparison, Stop> {
    let began = elapsed();
    let rng = ChaCha8Rng::seed_from_u64(terms.seed);
    let mut trial =
        Trial { terms, source: pairs, elapsed, hear, began, rng, pairs: Vec::new(), d: Vec::new() };
    let (confirm, cut) = match trial.search()? {
        Found::Gain => (trial.confirm()?, None),
        Found::Nothing => (Vec::new(), None),
        Found::Cut(cut) => (Vec::new(), Some(cut)),
    };
    let confirm_d = trial.scores(&confirm)?;
    let comparison = Comparison {
        rule: terms.rule.clone(),
        scoring: terms.scoring.clone(),
        seed: terms.seed,
        verdict: terms.rule.judge(&trial.d, &confirm_d),
        cut,
        deterministic: false,
        seconds: (elapsed().saturating_sub(began)).as_secs_f64(),
        spent: trial.source.spent(),
        pairs: trial.pairs,
        confirm,
        guard: terms.guard,
        harmed: Vec::new(),
    };
    Ok(comparison.guarded())
}

/// How a search ended.
enum Found {
    /// A gain, to be confirmed.
    Gain,
    Nothing,
    Cut(Cut),
}

/// A decision in the making.
struct Trial<'a> {
    terms: &'a Terms,
    source: &'a mut dyn Pairs,
    elapsed: &'a dyn Fn() -> Duration,
    hear: &'a dyn Fn(&Heard),
    began: Duration,
    rng: ChaCha8Rng,
    pairs: Vec<Pair>,
    d: Vec<f64>,
}

impl Trial<'_> {
    fn search(&mut self) -> Result<Found, Stop> {
        loop {
            let next = self.terms.rule.next(&self.d);
            self.tell_look(next);
            if let Next::End(_) = next {
                return Ok(Found::Nothing);
            }
            if self.at_stop() && self.source.surely_too_slow() {
                return Ok(Found::Cut(Cut::TooSlow));
            }
            match next {
                Next::Confirm { .. } => return Ok(Found::Gain),
                Next::GoOn { until } if self.at_look() && self.is_too_long(until) => {
                    return Ok(Found::Cut(Cut::OutOfTime));
                }
                Next::GoOn { until } => self.go_on(until)?,
                Next::End(_) => {}
            }
        }
    }

    /// One more group, which never passes where something may be decided.
    fn go_on(&mut self, until: u32) -> Result<(), Stop> {
        let have = self.have();
        let stop = if have < GROSS_PAIRS && self.terms.rule.gross > 0.0 {
            until.min(GROSS_PAIRS)
        } else {
            until
        };
        let group = self.group(stop.saturating_sub(have))?;
        let d = self.scores(&group)?;
        self.d.extend(d);
        self.pairs.extend(group);
        (self.hear)(&Heard::Pairs { pairs: self.have(), until });
        Ok(())
    }

    /// New pairs from fresh processes.
    fn confirm(&mut self) -> Result<Vec<Pair>, Stop> {
        let mut confirm = Vec::new();
        let mut d = Vec::new();
        while let Some(of) = self.terms.rule.wanted_to_confirm(&self.d, &d) {
            while (confirm.len() as u32) < of {
                let group = self.group(of - confirm.len() as u32)?;
                d.extend(self.scores(&group)?);
                confirm.extend(group);
                (self.hear)(&Heard::Confirming { pairs: confirm.len() as u32, of });
            }
        }
        Ok(confirm)
    }

    /// At most `wanted` more, and at least one.
    fn group(&mut self, wanted: u32) -> Result<Vec<Pair>, Stop> {
        let count = wanted.min(self.source.per_group()).max(1);
        let group = self.source.group(count, &mut self.rng)?;
        if group.len() == count as usize {
            return Ok(group);
        }
        Err(Stop::nobodys(format!("{count} pairs were asked for and {} came", group.len())))
    }

    fn scores(&self, pairs: &[Pair]) -> Result<Vec<f64>, Stop> {
        let d = pairs.iter().map(|pair| self.terms.scoring.d(pair));
        d.collect::<Result<_, _>>().map_err(|why| Stop::nobodys(why.to_string()))
    }

    fn have(&self) -> u32 {
        self.d.len() as u32
    }

    fn at_look(&self) -> bool {
        self.terms.rule.looks.contains(&self.have())
    }

    /// Where something may be decided.
    fn at_stop(&self) -> bool {
        self.have() == GROSS_PAIRS || self.at_look()
    }

    /// Whether pairs at the pace so far would reach `until` after the time is up.
    fn is_too_long(&self, until: u32) -> bool {
        let Some(budget) = self.terms.budget else { return false };
        let now = (self.elapsed)();
        let each = now.saturating_sub(self.began).as_secs_f64() / f64::from(self.have());
        let more = each * f64::from(until.saturating_sub(self.have()));
        now.as_secs_f64() + more > budget.as_secs_f64()
    }

    fn tell_look(&self, next: Next) {
        if !self.at_stop() {
            return;
        }
        let looks = self.terms.rule.judge(&self.d, &[]).looks;
        if let Some(&look) = looks.last().filter(|look| look.pairs == self.have()) {
            (self.hear)(&Heard::Look { look, next });
        }
    }
}
