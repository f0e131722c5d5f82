//! By which rule a stage decides, how long it may take, and what it tells meanwhile.

use std::time::Duration;

use crate::engine::stage::{Look, StageContext};
use crate::measure::pairs::Heard;
use crate::pipeline::RuleWork;
use crate::stats::block::{Combine, Direction, Metric, Scale};
use crate::stats::sequential::{Confirm, Next, Rule};

/// Pairs that one pair of processes gives on a processor: each pair has layouts of its own, so that
/// what they are worth is in the spread from pair to pair, which the bounds rest on. Two pairs of
/// one layout would be taken for two that know nothing of each other.
pub(super) const PER_PROCESS: u32 = 1;

/// And of one worker on a CUDA device, whose start costs as much as many pairs.
pub(super) const CUDA_PER_PROCESS: u32 = 8;

/// No look is begun that would end after this share of the stage's own time limit.
const SHARE_OF_TIMEOUT: f64 = 0.8;

/// The rule of a stage for so many cases.
pub(super) fn rule(work: &RuleWork, looks: &[u32], cases: usize) -> Rule {
    let mut rule = Rule::with_looks(looks).of_shapes(cases);
    rule.minimum_effect = work.min_effect.unwrap_or(rule.minimum_effect);
    rule.gross = if work.gross > 0.0 { work.gross.ln() } else { 0.0 };
    for (levels, given) in
        [(&mut rule.lower_levels, &work.lower_levels), (&mut rule.upper_levels, &work.upper_levels)]
    {
        if given.len() == levels.len() {
            levels.clone_from(given);
        }
    }
    rule.confirm = work.confirm.then_some(Confirm {
        fraction: work.confirm_fraction,
        fewest: work.confirm_fewest,
        threshold: work.confirm_threshold,
        ..Confirm::default()
    });
    rule
}

/// The time after which no look is begun.
pub(super) fn budget(rule: &RuleWork, timeout_ms: u64) -> Duration {
    let own = Duration::from_millis(rule.budget_ms);
    match timeout_ms {
        0 => own,
        ms => own.min(Duration::from_millis(ms).mul_f64(SHARE_OF_TIMEOUT)),
    }
}

/// Which looks are told as they are taken.
pub(super) fn tell(ctx: &StageContext<'_>, last: u32, heard: &Heard) {
    match heard {
        Heard::Pairs { pairs, until } => {
            let fraction = *pairs as f32 / last.max(1) as f32;
            (ctx.progress)(fraction, &format!("pair {pairs}, next look at {until}"));
        }
        Heard::Confirming { pairs, of } => {
            let fraction = *pairs as f32 / (*of).max(1) as f32;
            (ctx.progress)(fraction, &format!("confirming, pair {pairs} of {of}"));
        }
        Heard::Look { look, next } => (ctx.looked)(&Look {
            pairs: look.pairs,
            estimate: look.estimate,
            lower: look.lower,
            upper: look.upper,
            next: match next {
                Next::GoOn { .. } => "go on".to_owned(),
                Next::Confirm { pairs } => format!("confirm with {pairs} new pairs"),
                Next::End(reason) => reason.words().to_owned(),
            },
        }),
    }
}

/// Kernel times: lower is better, and cases count by their weights.
pub(super) fn metric(rule: &RuleWork) -> Metric {
    Metric {
        better: Direction::Lower,
        scale: Scale::Log,
        combine: Combine::Weighted(rule.weights.clone()),
    }
}
