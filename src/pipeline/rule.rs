//! What a stage is compared with, and by which numbers that is decided.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::Findings;
use super::{CommandWork, Purpose, Work};
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

impl Purpose {
    /// What a command is for that does not say so.
    pub(super) fn of_command(stage: &str) -> Self {
        if stage == "final" { Self::Final } else { Self::Candidate }
    }
}

impl CommandWork {
    /// Whether it is run on an incumbent as well, where there is one.
    pub fn compares(&self) -> bool {
        self.incumbent != Incumbent::None && self.metric.is_some()
    }
}

impl Work {
    /// Whether it compares with the best of its place, and so decides what becomes of a kernel.
    pub fn scores(&self) -> bool {
        match self {
            Self::Bench(bench) => {
                bench.incumbent == Incumbent::Best && bench.purpose != Purpose::Calibrate
            }
            Self::Command(command) => {
                command.incumbent == Incumbent::Best && command.metric.is_some()
            }
            Self::Check(_) => false,
        }
    }
}

impl Findings {
    /// `none`, `best`, `baseline`, `file:PATH` or `git:REV`.
    pub(super) fn incumbent(&mut self, written: &Spanned<String>) -> Incumbent {
        let text = written.value.as_str();
        let given = |rest: &str| (!rest.is_empty()).then(|| rest.to_owned());
        let read = match text.split_once(':') {
            None if text == "none" => Some(Incumbent::None),
            None if text == "best" => Some(Incumbent::Best),
            None if text == "baseline" => Some(Incumbent::Baseline),
            Some(("file", path)) => given(path).map(Incumbent::File),
            Some(("git", revision)) => given(revision).map(Incumbent::Git),
            _ => None,
        };
        read.unwrap_or_else(|| {
            let message = format!("`{text}` is no incumbent");
            self.at("bad-incumbent", message, &written.span, "to compare with").help(
                "write \"best\", \"baseline\", \"none\", \"file:PATH\" or \"git:REVISION\", such \
                 as \"git:HEAD~1\"",
            );
            Incumbent::None
        })
    }

    /// The numbers of the decision for so many looks.
    pub(super) fn rule(&mut self, file: Option<&RuleFile>, looks: usize) -> RuleWork {
        let mut work = RuleWork::default();
        let Some(file) = file else { return work };
        let share = |value: &f64| (0.0..1.0).contains(value);
        work.min_effect = file.min_effect.as_ref().map(|v| v.value);
        self.bounded("min_effect", file.min_effect.as_ref(), share, "from 0 up to 1, not 1");
        let factor = |v: &f64| *v == 0.0 || (*v > 1.0 && v.is_finite());
        self.bounded("gross", file.gross.as_ref(), factor, "0, or a factor above 1 such as 1.25");
        let positive = |v: &f64| *v >= 0.0 && v.is_finite();
        let wanted = "0 or more";
        self.bounded("confirm_fraction", file.confirm_fraction.as_ref(), positive, wanted);
        self.bounded("confirm_threshold", file.confirm_threshold.as_ref(), positive, wanted);
        self.bounded("timed", file.timed.as_ref(), |n| *n > 0, "1 or more");
        self.bounded("pairs_per_process", file.pairs_per_process.as_ref(), |n| *n > 0, "1 or more");
        for (key, levels) in
            [("lower_levels", &file.lower_levels), ("upper_levels", &file.upper_levels)]
        {
            let right = |all: &Vec<f64>| {
                all.len() == looks && all.iter().all(|level| (0.0..=0.5).contains(level))
            };
            let wanted = format!("{looks} levels from 0 to 0.5, one for each look of `repeats`");
            self.bounded(key, levels.as_ref(), right, &wanted);
        }
        let weights = |all: &Vec<f64>| {
            all.iter().all(|w| *w >= 0.0 && w.is_finite()) && all.iter().sum::<f64>() > 0.0
        };
        self.bounded("weights", file.weights.as_ref(), weights, "numbers of 0 or more, not all 0");
        work.gross = file.gross.as_ref().map_or(work.gross, |v| v.value);
        work.lower_levels = file.lower_levels.as_ref().map(|v| v.value.clone()).unwrap_or_default();
        work.upper_levels = file.upper_levels.as_ref().map(|v| v.value.clone()).unwrap_or_default();
        work.confirm = file.confirm.as_ref().is_none_or(|v| v.value);
        let or = |v: Option<&Spanned<f64>>, usual: f64| v.map_or(usual, |v| v.value);
        work.confirm_fraction = or(file.confirm_fraction.as_ref(), work.confirm_fraction);
        work.confirm_threshold = or(file.confirm_threshold.as_ref(), work.confirm_threshold);
        let count = |v: Option<&Spanned<u32>>, usual: u32| v.map_or(usual, |v| v.value);
        work.confirm_fewest = count(file.confirm_fewest.as_ref(), work.confirm_fewest);
        work.discard = count(file.discard.as_ref(), work.discard);
        work.timed = count(file.timed.as_ref(), work.timed);
        work.pairs_per_process = file.pairs_per_process.as_ref().map(|v| v.value);
        work.guard = file.guard.as_ref().map_or(work.guard, |v| v.value);
        work.weights = file.weights.as_ref().map(|v| v.value.clone()).unwrap_or_default();
        work.budget_ms = self.duration("budget", file.budget.as_ref(), work.budget_ms);
        work
    }

    fn bounded<T>(
        &mut self,
        key: &str,
        value: Option<&Spanned<T>>,
        right: impl Fn(&T) -> bool,
        wanted: &str,
    ) {
        if let Some(value) = value.filter(|value| !right(&value.value)) {
            let message = format!("`{key}` is out of range");
            self.at("out-of-range", message, &value.span, "not this")
                .help(format!("write {wanted}"));
        }
    }
}
