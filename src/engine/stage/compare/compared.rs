//! Pairs of two kernels, until it is decided.

use std::time::Instant;

use super::contested::Contested;
use super::duel::Duel;
use super::terms::{budget, metric, tell};
use crate::engine::account::LayoutsRecord;
use crate::engine::stage::bench::{self, Notes};
use crate::engine::stage::{Failure, FailureClass};
use crate::measure::pairs::{Comparison, Cut, KernelPairs, Scoring, Side, SlotPlan, Terms, decide};
use crate::measure::{Measurement, Statistic, Stopped};
use crate::stats::sequential::Rule;

/// What was found.
pub(in crate::engine::stage) struct Compared {
    pub(in crate::engine::stage) comparison: Comparison,
    /// Each side alone, from the launches of the comparison.
    pub(in crate::engine::stage) candidate: Measurement,
    pub(in crate::engine::stage) incumbent: Measurement,
    /// The layouts of each side, and which process had which.
    pub(in crate::engine::stage) layouts: LayoutsRecord,
    /// Pairs per pair of processes.
    pub(in crate::engine::stage) per_process: u32,
    /// What is wrong with the calibration that this rests on.
    pub(in crate::engine::stage) doubts: Vec<String>,
}

/// How pairs are made, and when there are enough.
pub(super) struct Course {
    pub(super) rule: Rule,
    /// Pairs per pair of processes.
    pub(super) per_process: u32,
    /// Above this the candidate is given up, µs.
    pub(super) early_stop_us: Option<f64>,
}

impl Course {
    fn slots(&self, duel: &Duel<'_>, statistic: Statistic) -> SlotPlan {
        let work = &duel.trial.def.work;
        SlotPlan {
            discard: work.rule.discard,
            timed: work.rule.timed,
            warmup: work.warmup,
            per_group: self.per_process,
            mode: bench::mode(work.mode),
            early_stop_us: self.early_stop_us,
            statistic,
            ..SlotPlan::default()
        }
    }

    fn terms(self, duel: &Duel<'_>, statistic: Statistic) -> Terms {
        let work = &duel.trial.def.work;
        Terms {
            scoring: Scoring { statistic, metric: metric(&work.rule) },
            seed: duel.trial.seed,
            budget: Some(budget(&work.rule, work.limits.timeout_ms)),
            guard: work.rule.guard,
            rule: self.rule,
        }
    }
}

/// Measures pairs until the rule says that it is decided.
pub(super) fn run(
    duel: Duel<'_>,
    mut course: Course,
    notes: &mut Notes,
) -> Result<Compared, Failure> {
    let bench = duel.trial.bench().noting(&notes.journal);
    let mut contest = Contested::new(duel, &bench, &mut notes.log)?;
    let statistic = bench::statistic(&duel.trial.def.work.metric)?;
    if contest.judge.has_large() {
        // Of a large case each pair of processes has one fresh set.
        course.per_process = 1;
    }
    let per_process = course.per_process;
    let plan = course.slots(&duel, statistic);
    let terms = course.terms(&duel, statistic);
    let started = Instant::now();
    let last = terms.rule.looks.last().copied().unwrap_or(1);
    let mut pairs = KernelPairs::new(&mut contest, plan);
    let decided = decide(&terms, &mut pairs, &|| started.elapsed(), &|heard| {
        tell(duel.trial.ctx, last, heard);
    });
    let sides = [Side::Candidate, Side::Incumbent].map(|side| pairs.measurement(side));
    let layouts = contest.layouts();
    if let Some(failure) = contest.failure.take() {
        return Err(failure);
    }
    let comparison = decided.map_err(|stop| contest.blame(stop))?;
    let [Some(mut candidate), Some(incumbent)] = sides else {
        let message = "a case was never launched".to_owned();
        return Err(Failure { class: FailureClass::Infrastructure, message });
    };
    if comparison.cut == Some(Cut::TooSlow) {
        candidate.stopped = Some(Stopped::TooSlow);
    }
    let doubts = Vec::new();
    Ok(Compared { comparison, candidate, incumbent, layouts, per_process, doubts })
}
