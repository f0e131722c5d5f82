//! What a stage is compared with, and by which numbers that is decided.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Spanned;

/// What the kernel is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Incumbent {
    /// Nothing: the kernel is measured alone.
    None,
    /// The best kept so far of this problem, device and metric, if there is one.
    Best,
    /// A file, relative to the pipeline's folder.
    File(String),
    /// The kernel's own files as they are at a git revision.
    Git(String),
    /// The first of this problem, device and metric, if there is one.
    Baseline,
}

/// What becomes of a win in which one case loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// Nothing.
    Off,
    /// It is told.
    Warn,
    /// It is no win.
    Revert,
}

/// The numbers of the decision, as written under `[stages.NAME.rule]`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// The least gain worth keeping, as a share: `0.005`; 0.002 from four cases on.
    #[schemars(range(min = 0))]
    pub min_effect: Option<Spanned<f64>>,
    /// Two first pairs slower by more than this factor end it at once; 0 switches that off.
    pub gross: Option<Spanned<f64>>,
    /// One-sided level of the lower bound at each look of `repeats`; 0: not looked at.
    pub lower_levels: Option<Spanned<Vec<f64>>>,
    /// One-sided level of the upper bound at each look of `repeats`; 0: not looked at.
    pub upper_levels: Option<Spanned<Vec<f64>>>,
    /// False: a win needs no confirmation.
    pub confirm: Option<Spanned<bool>>,
    /// Pairs of the confirmation as a share of the pairs that it took to win.
    pub confirm_fraction: Option<Spanned<f64>>,
    /// Pairs of the confirmation, at least.
    pub confirm_fewest: Option<Spanned<u32>>,
    /// The confirmation's estimate must reach this share of `min_effect`.
    pub confirm_threshold: Option<Spanned<f64>>,
    /// Launches that begin a slot and are not counted.
    pub discard: Option<Spanned<u32>>,
    /// Launches of a slot that are counted.
    #[schemars(range(min = 1))]
    pub timed: Option<Spanned<u32>>,
    /// Pairs that one pair of processes gives; by calibration when not given.
    #[schemars(range(min = 1))]
    pub pairs_per_process: Option<Spanned<u32>>,
    /// What becomes of a win in which one case loses by more than 2 %.
    pub guard: Option<Spanned<Guard>>,
    /// What each case counts, in the order of the problem's cases; all alike when not given.
    pub weights: Option<Spanned<Vec<f64>>>,
    /// No look is begun that would end later than this: `60s`.
    pub budget: Option<Spanned<String>>,
}

/// The numbers of the decision. What is `None` follows from what is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleWork {
    /// The least gain worth keeping; `None`: 0.005, or 0.002 from four cases on.
    pub min_effect: Option<f64>,
    /// Two first pairs slower by more than this factor end it; 0: never.
    pub gross: f64,
    /// Level of the lower bound per look; empty: as the rule spends them.
    pub lower_levels: Vec<f64>,
    /// Level of the upper bound per look; empty: as the rule spends them.
    pub upper_levels: Vec<f64>,
    /// Whether a win is confirmed.
    pub confirm: bool,
    /// Pairs of the confirmation as a share of those before.
    pub confirm_fraction: f64,
    /// Pairs of the confirmation, at least.
    pub confirm_fewest: u32,
    /// Share of the least gain that the confirmation must reach.
    pub confirm_threshold: f64,
    /// Launches of a slot that are not counted.
    pub discard: u32,
    /// Launches of a slot that are counted.
    pub timed: u32,
    /// Pairs per pair of processes; `None`: by calibration, or 2.
    pub pairs_per_process: Option<u32>,
    /// What becomes of a win in which one case loses.
    pub guard: Guard,
    /// What each case counts; empty: all alike.
    pub weights: Vec<f64>,
    /// No look is begun that would end later.
    pub budget_ms: u64,
}

impl Default for RuleWork {
    /// The rule as its error rates were measured.
    fn default() -> Self {
        Self {
            min_effect: None,
            gross: 1.25,
            lower_levels: Vec::new(),
            upper_levels: Vec::new(),
            confirm: true,
            confirm_fraction: 0.5,
            confirm_fewest: 8,
            confirm_threshold: 0.5,
            discard: 1,
            timed: 3,
            pairs_per_process: None,
            guard: Guard::Warn,
            weights: Vec::new(),
            budget_ms: 60_000,
        }
    }
}
