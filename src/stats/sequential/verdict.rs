//! What came out of a decision's pairs: numbers and a reason, not yet what to do about it.

use serde::{Deserialize, Serialize};

use crate::stats::signed_rank::Walsh;
use crate::stats::{Interval, LEVEL};

/// Why a decision ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The candidate is faster by a gain worth having.
    Faster,
    /// It is slower.
    Slower,
    /// The first two pairs both say that it is slower by far.
    GrosslySlower,
    /// If it is faster, then by less than is worth having.
    NoWorthwhileDifference,
    /// The pairs ended before anything was proven.
    Inconclusive,
    /// A gain was seen, and new pairs in fresh processes did not show it.
    NotConfirmed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Faster,
        Self::Slower,
        Self::GrosslySlower,
        Self::NoWorthwhileDifference,
        Self::Inconclusive,
        Self::NotConfirmed,
    ];

    /// As it is written in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::GrosslySlower => "grossly_slower",
            Self::NoWorthwhileDifference => "no_worthwhile_difference",
            Self::Inconclusive => "inconclusive",
            Self::NotConfirmed => "not_confirmed",
        }
    }

    /// As it is said to people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::GrosslySlower => "grossly slower",
            Self::NoWorthwhileDifference => "no worthwhile difference",
            Self::Inconclusive => "inconclusive",
            Self::NotConfirmed => "not confirmed",
        }
    }
}

/// The numbers at one look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Look {
    /// The pairs that it rests on.
    pub pairs: u32,
    /// The Hodges-Lehmann estimate of `d`.
    pub estimate: f64,
    /// The lower bound; `None` when the pairs are too few for its level.
    pub lower: Option<f64>,
    /// The upper bound; `None` when the pairs are too few for its level.
    pub upper: Option<f64>,
}

/// What the new pairs said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Confirmed {
    /// How many there were.
    pub pairs: u32,
    /// The Hodges-Lehmann estimate of their `d` alone.
    pub estimate: f64,
    /// With its 95 % interval; `None` when they are too few for one.
    pub interval: Option<Interval>,
}

impl Confirmed {
    /// The estimate of new pairs; `None` without any, or when one is not finite.
    pub(super) fn of(pairs: &[f64]) -> Option<Self> {
        let walsh = Walsh::of(pairs)?;
        let interval = walsh.interval(LEVEL).map(|centre| centre.interval);
        Some(Self { pairs: pairs.len() as u32, estimate: walsh.estimate(), interval })
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// Why it ended.
    pub reason: Reason,
    /// The pairs that it rests on, those that confirm it not counted.
    pub pairs: u32,
    /// Every look; the last one decided. Grossly slower code has one without bounds.
    pub looks: Vec<Look>,
    /// What the new pairs said, where they were asked for and all there.
    pub confirmed: Option<Confirmed>,
    /// A gain was seen, but the pairs that would confirm it are not there.
    pub pending: bool,
}

impl Verdict {
    /// Ended at the last of these looks, nothing confirmed.
    pub(in crate::stats) fn ended(reason: Reason, looks: Vec<Look>) -> Self {
        let pairs = looks.last().map_or(0, |look| look.pairs);
        Self { reason, pairs, looks, confirmed: None, pending: false }
    }

    /// The estimate to report: that of the new pairs where there are any, because the one that
    /// ended the search is too good on average.
    pub fn estimate(&self) -> Option<f64> {
        self.confirmed.map(|c| c.estimate).or_else(|| self.looks.last().map(|look| look.estimate))
    }

    /// The look that decided.
    pub fn deciding(&self) -> Option<&Look> {
        self.looks.last()
    }

    /// Whether a gain was proven, and confirmed where the rule asks for it.
    pub fn is_keep(&self) -> bool {
        self.reason == Reason::Faster && !self.pending
    }

    /// All pairs, those that confirm it too.
    pub fn all_pairs(&self) -> u32 {
        self.pairs + self.confirmed.map_or(0, |c| c.pairs)
    }
}

/// The gain that a `d` stands for, as a share of the incumbent's time: 1 - e^-d.
pub fn gain(d: f64) -> f64 {
    -(-d).exp_m1()
}
