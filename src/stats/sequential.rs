//! The sequential decision about pairs: go on, confirm, or end, after looks planned beforehand.
//!
//! Each pair gives one `d`, the logarithm of the incumbent's time over the candidate's: above 0 the
//! candidate is faster. Pairs that stand next to each other share what the machine does just then
//! (Bulej et al. 2020, *Duet benchmarking*), and fresh processes every few pairs bring in the level
//! of variation that repeats within a process cannot see (Georges et al. 2007; Kalibera & Jones
//! 2013). Interference adds time to single launches (Chen & Revels 2016), so the bounds are order
//! statistics: a rank limits the pull of an outlier.
//!
//! Looking several times would inflate the error of one test. The level of the lower bound is
//! therefore spent over the looks so that its sum stays 0.01: a group-sequential design (Pocock
//! 1977; `O'Brien` & Fleming 1979) whose spending is fixed beforehand (Lan & `DeMets` 1983); by
//! Bonferroni's inequality the sum holds whatever the looks have in common. The level of the upper
//! bound is not: stopping early for want of a gain cannot keep anything.

mod validity;
mod verdict;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::signed_rank::{MAX, Walsh, k};
pub use validity::BadRule;
pub use verdict::{Confirmed, Look, Reason, Verdict, gain};

/// Pairs after which grossly slower code is recognised.
const GROSS_PAIRS: usize = 2;
/// What the first look with a lower bound spends, and what the later ones share.
const FIRST_LOOK: f64 = 0.004;
const LATER_LOOKS: f64 = 0.006;
/// The one-sided level of the upper bound, and what of it four pairs can reach (2^-4).
const UPPER: f64 = 0.1;
const UPPER_OF_FOUR: f64 = 0.0625;

/// What is decided when: every number of the decision. `Rule::default()` is the published one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Pairs at each look, rising, at most 128.
    pub looks: Vec<u32>,
    /// The one-sided level of the lower bound at each look; 0: it is not looked at.
    pub lower_levels: Vec<f64>,
    /// The one-sided level of the upper bound at each look; 0: it is not looked at.
    pub upper_levels: Vec<f64>,
    /// The smallest gain worth having, on the scale of `d`.
    pub minimum_effect: f64,
    /// Two first pairs below minus this end it at once; 0 switches that off.
    pub gross: f64,
    /// How a gain is confirmed; `None` keeps without.
    pub confirm: Option<Confirm>,
}

/// Fresh pairs after a gain was seen, because the estimate that ends a search is too good on
/// average: only what the new ones say is reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// New pairs as a share of those that the gain was seen after.
    pub fraction: f64,
    /// New pairs at least.
    pub fewest: u32,
    /// The share of the minimum effect that their estimate must reach.
    pub threshold: f64,
    /// How often so many new pairs are taken at most: again while 0 lies in the 95 % interval of all of
    /// them, and nothing is kept whose interval holds 0 to the end. 0, as in records of earlier
    /// versions: once, and the interval is not asked.
    #[serde(default)]
    pub rounds: u32,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { fraction: 0.5, fewest: 8, threshold: 0.5, rounds: 2 }
    }
}

impl Confirm {
    /// The new pairs that a gain seen after this many asks for at first.
    pub fn pairs(&self, after: u32) -> u32 {
        // A share that is no number asks for none; a cast saturates.
        self.fewest.max((self.fraction * f64::from(after)).ceil() as u32)
    }

    /// How often they are taken at most: more than [`MAX`] pairs have no bounds.
    fn last_round(&self, after: u32) -> u32 {
        self.rounds.min(MAX as u32 / self.pairs(after).max(1)).max(1)
    }

    /// Whether new pairs bear the gain out; none while that takes more of them.
    fn holds(&self, confirmed: &Confirmed, minimum_effect: f64) -> Option<bool> {
        if confirmed.estimate < self.threshold * minimum_effect {
            return Some(false);
        }
        let is_clear = confirmed.interval.is_none_or(|interval| interval.lower > 0.0);
        (self.rounds == 0 || is_clear).then_some(true)
    }
}

/// What to do after the pairs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Measure until there are this many pairs.
    GoOn {
        /// The pairs at the next look.
        until: u32,
    },
    /// A gain was seen: measure this many new pairs in fresh processes.
    Confirm {
        /// How many.
        pairs: u32,
    },
    /// It is over.
    End(Reason),
}

impl Default for Rule {
    fn default() -> Self {
        Self::with_looks(&[4, 8, 12, 16, 24, 32, 48, 64])
    }
}

impl Rule {
    /// The looks of a decision that may take long: up to 128 pairs.
    pub const FINAL_LOOKS: [u32; 10] = [4, 8, 12, 16, 24, 32, 48, 64, 96, 128];

    /// The rule for other looks. The first one that can reach 0.004 for the lower bound spends
    /// that, the later ones share 0.006 equally: .001 each for the default looks, .00075 each for
    /// [`Rule::FINAL_LOOKS`].
    pub fn with_looks(looks: &[u32]) -> Self {
        let first = looks.iter().position(|&n| k(n as usize, FIRST_LOOK).is_some());
        let later = looks.len() - first.map_or(looks.len(), |first| first + 1);
        let lower = |at: usize| match first {
            Some(first) if at == first => FIRST_LOOK,
            Some(first) if at > first => LATER_LOOKS / later as f64,
            _ => 0.0,
        };
        Self {
            looks: looks.to_vec(),
            lower_levels: (0..looks.len()).map(lower).collect(),
            upper_levels: looks
                .iter()
                .map(|&n| if n == 4 { UPPER_OF_FOUR } else { UPPER })
                .collect(),
            minimum_effect: 0.005,
            gross: 1.25_f64.ln(),
            confirm: Some(Confirm::default()),
        }
    }

    /// The rule for a mean over this many shapes: from four on, its smallest gain worth having is
    /// 0.2 %, because a gain of one shape is only a share of the mean's.
    #[must_use]
    pub fn of_shapes(mut self, shapes: usize) -> Self {
        if shapes >= 4 {
            self.minimum_effect = 0.002;
        }
        self
    }

    /// What to do after all pairs so far. It acts after two pairs and at looks; in between it names
    /// the next look. A `d` that is not finite proves nothing: the end is inconclusive.
    pub fn next(&self, d: &[f64]) -> Next {
        let n = d.len();
        if d.iter().any(|d| !d.is_finite()) {
            return Next::End(Reason::Inconclusive);
        }
        if self.grossly_slower(d) {
            return Next::End(Reason::GrosslySlower);
        }
        let last = self.looks.last().map_or(0, |&n| n as usize);
        if n > last {
            // Nothing was planned for this many: what the planned looks said stands.
            return self.end_of(&self.judge(d, &[]));
        }
        let Some(at) = self.looks.iter().position(|&look| look as usize == n) else {
            return self.go_on(n);
        };
        match self.look(at, d).and_then(|look| self.settles(&look)) {
            Some(Reason::Faster) => self.faster(self.looks[at]),
            Some(reason) => Next::End(reason),
            None if n == last => Next::End(Reason::Inconclusive),
            None => self.go_on(n),
        }
    }

    /// The verdict of recorded pairs, and of those that confirm it: what [`Rule::next`] would have
    /// said after each pair, up to where it ended. There may be more pairs than it needed. When
    /// there are fewer, nothing was proven before they ended, and that is inconclusive.
    pub fn judge(&self, d: &[f64], confirm: &[f64]) -> Verdict {
        let finite = d.iter().position(|d| !d.is_finite()).unwrap_or(d.len());
        let mut looks = Vec::new();
        for n in self.stops().take_while(|&n| n <= finite) {
            if n == GROSS_PAIRS && self.grossly_slower(&d[..n]) {
                looks.extend(two_pairs(&d[..n]));
                return Verdict::ended(Reason::GrosslySlower, looks);
            }
            let at = self.looks.iter().position(|&look| look as usize == n);
            let Some(look) = at.and_then(|at| self.look(at, &d[..n])) else { continue };
            looks.push(look);
            match self.settles(&look) {
                Some(Reason::Faster) => return self.confirmed(looks, look.pairs, confirm),
                Some(reason) => return Verdict::ended(reason, looks),
                None => {}
            }
        }
        let pairs = looks.last().map_or(finite as u32, |look| look.pairs);
        Verdict { pairs, ..Verdict::ended(Reason::Inconclusive, looks) }
    }

    /// How many new pairs there must be in all before it is known whether they confirm the gain that
    /// was seen in `d`; none when those at hand suffice, or none are needed.
    pub fn wanted_to_confirm(&self, d: &[f64], confirm: &[f64]) -> Option<u32> {
        let verdict = self.judge(d, confirm);
        let confirming = self.confirm.as_ref().filter(|_| verdict.pending)?;
        let a_round = confirming.pairs(verdict.pairs).max(1);
        let round = confirm.len() as u32 / a_round + 1;
        // Pairs that are no numbers leave it open for good.
        (round <= confirming.last_round(verdict.pairs)).then_some(round.saturating_mul(a_round))
    }

    /// Whether any look has a lower bound: without one, nothing can ever be kept.
    pub fn can_keep(&self) -> bool {
        let levels = self.looks.iter().zip(&self.lower_levels);
        levels.into_iter().any(|(&n, &level)| level > 0.0 && k(n as usize, level).is_some())
    }

    /// The pairs after which something may be decided, rising.
    fn stops(&self) -> impl Iterator<Item = usize> {
        let looks = self.looks.iter().map(|&n| n as usize);
        let before = looks.clone().filter(|&n| n < GROSS_PAIRS);
        let after = looks.filter(|&n| n > GROSS_PAIRS);
        before.chain([GROSS_PAIRS]).chain(after)
    }

    fn grossly_slower(&self, d: &[f64]) -> bool {
        self.gross > 0.0 && d.len() == GROSS_PAIRS && d.iter().all(|&d| d < -self.gross)
    }

    /// The look with this index: the Hodges-Lehmann estimate between bounds that are order
    /// statistics of the Walsh averages (Hodges & Lehmann 1963; Hollander & Wolfe, *Nonparametric
    /// Statistical Methods*, section 3.3).
    fn look(&self, at: usize, d: &[f64]) -> Option<Look> {
        let walsh = Walsh::of(d)?;
        let level = |levels: &[f64]| levels.get(at).copied().filter(|&level| level > 0.0);
        Some(Look {
            pairs: d.len() as u32,
            estimate: walsh.estimate(),
            lower: level(&self.lower_levels).and_then(|level| walsh.lower(level)),
            upper: level(&self.upper_levels).and_then(|level| walsh.upper(level)),
        })
    }

    /// What a look settles, if anything.
    fn settles(&self, look: &Look) -> Option<Reason> {
        let m = self.minimum_effect;
        if look.lower.is_some_and(|lower| lower > 0.0) && look.estimate >= m {
            return Some(Reason::Faster);
        }
        let upper = look.upper.filter(|&upper| upper < m)?;
        Some(if upper < 0.0 { Reason::Slower } else { Reason::NoWorthwhileDifference })
    }

    fn go_on(&self, n: usize) -> Next {
        let until = self.looks.iter().copied().find(|&look| look as usize > n);
        until.map_or(Next::End(Reason::Inconclusive), |until| Next::GoOn { until })
    }

    fn faster(&self, after: u32) -> Next {
        match &self.confirm {
            Some(confirm) => Next::Confirm { pairs: confirm.pairs(after) },
            None => Next::End(Reason::Faster),
        }
    }

    fn end_of(&self, verdict: &Verdict) -> Next {
        if verdict.pending { self.faster(verdict.pairs) } else { Next::End(verdict.reason) }
    }

    /// The verdict after a gain was seen.
    fn confirmed(&self, looks: Vec<Look>, after: u32, pairs: &[f64]) -> Verdict {
        let seen = Verdict::ended(Reason::Faster, looks);
        let Some(confirm) = &self.confirm else { return seen };
        let last = confirm.last_round(after);
        for round in 1..=last {
            let wanted = confirm.pairs(after).saturating_mul(round) as usize;
            let Some(confirmed) = pairs.get(..wanted).and_then(Confirmed::of) else { break };
            let holds = confirm.holds(&confirmed, self.minimum_effect);
            if let Some(holds) = holds.or_else(|| (round == last).then_some(false)) {
                let reason = if holds { Reason::Faster } else { Reason::NotConfirmed };
                return Verdict { reason, confirmed: Some(confirmed), ..seen };
            }
        }
        Verdict { pending: true, ..seen }
    }
}

/// The two first pairs as a look without bounds.
fn two_pairs(d: &[f64]) -> Option<Look> {
    let estimate = Walsh::of(d)?.estimate();
    Some(Look { pairs: d.len() as u32, estimate, lower: None, upper: None })
}
