//! Incumbent against candidate, pair by pair, until the rule says enough.
//!
//! A pair is one slot of each side, next to each other in time and in an order drawn for it, so
//! that what the machine does meanwhile touches both (Bulej et al. 2020, *Duet benchmarking*).
//! Every few pairs come from fresh processes of both sides, because a process has a speed of its
//! own (Georges et al. 2007; Kalibera & Jones 2013). Nothing measured is used for two decisions.
//!
//! [`decide`] knows of no kernel: pairs come from whatever implements [`Pairs`], such as
//! [`KernelPairs`], and a [`Comparison`] keeps every launch, so that its verdict can be found
//! again from them alone.

use serde::{Deserialize, Serialize};

mod comparison;
mod decide;
mod decision;
mod kernel;
mod scoring;
mod side;
#[cfg(test)]
mod tests;

pub use comparison::{Again, Comparison, Cut, Reported};
pub use decide::{Heard, Terms, decide};
pub use decision::{Decided, Decision, DecisionReason};
pub use kernel::{Contest, KernelPairs, SlotPlan};
pub use scoring::{NoValue, Scoring};
pub use side::{Both, Side};

use rand_chacha::ChaCha8Rng;

use super::subject::Halt;
use crate::backend::Fault;

/// One pair, as it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pair {
    /// Which pair of fresh processes it is from, counted from 0; pairs that confirm count on.
    pub group: u32,
    /// A slot of each side for every case.
    pub cases: Vec<CasePair>,
}

/// A case's two slots: what counts of each timed launch, in order of time. Nanoseconds where it is
/// a kernel, the metric's own unit where it is a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CasePair {
    /// Whose slot came first.
    pub first: Side,
    /// Of the incumbent.
    pub incumbent: Vec<f64>,
    /// Of the candidate.
    pub candidate: Vec<f64>,
}

impl CasePair {
    /// The launches of one side.
    pub fn of(&self, side: Side) -> &[f64] {
        match side {
            Side::Incumbent => &self.incumbent,
            Side::Candidate => &self.candidate,
        }
    }
}

/// Why there are no pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// At whose turn; `None` when it was nobody's.
    pub side: Option<Side>,
    /// What happened.
    pub halt: Halt,
}

impl Stop {
    /// A stop that no side brought about.
    pub fn nobodys(what: impl Into<String>) -> Self {
        let fault = Fault::Infrastructure { what: what.into() };
        Self { side: None, halt: Halt::Fault { case: 0, fault } }
    }
}

/// What pairs cost so far.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Spent {
    /// Launches on both sides, with those that were not timed; a loop is one.
    pub launches: u64,
    /// Fresh processes of both sides.
    pub processes: u64,
    /// Pairs of slots that were thrown away and taken again because the device was throttled.
    #[serde(default)]
    pub discarded_throttled: u64,
}

/// Where pairs come from.
pub trait Pairs {
    /// `count` more pairs, from processes that nobody has used before; whatever is left to chance
    /// is drawn from `rng`.
    ///
    /// # Errors
    /// The first fault or wrong output, and whose it was.
    fn group(&mut self, count: u32, rng: &mut ChaCha8Rng) -> Result<Vec<Pair>, Stop>;

    /// How many pairs a pair of processes gives, at most.
    fn per_group(&self) -> u32;

    /// What all of it cost so far.
    fn spent(&self) -> Spent;

    /// Whether the candidate is so slow that it is given up, whatever the incumbent takes. Asked
    /// after the first pairs and at each look.
    fn surely_too_slow(&self) -> bool {
        false
    }
}
