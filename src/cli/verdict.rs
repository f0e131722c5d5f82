//! Comparisons in words.

use super::lines::{DECISION_VERSION, Line, ReplayedLine};
use crate::engine::StageRecord;
use crate::engine::stage::Look;
use crate::measure::pairs::Again;
use crate::record::Artifact;
use crate::stats::sequential::gain;

/// Gains in one unit: in per cent, or where one of them takes more than twice as long, as multiples.
fn gains(all: &[f64]) -> impl Fn(f64) -> String {
    let many_times = all.iter().any(|&d| gain(d) < -1.0);
    move |d| match gain(d) {
        g if many_times => format!("{:.1}x time", 1.0 - g),
        g => format!("{:+.2} %", 100.0 * g),
    }
}

/// A look in a line: `candidate   8 pairs   +12.31 %   +11.02 % ..  +13.40 %   confirm …`.
pub(super) fn look(stage: &str, look: &Look) -> String {
    let bounds = [look.lower, look.upper];
    let all: Vec<f64> = bounds.into_iter().flatten().chain([look.estimate]).collect();
    let percent = gains(&all);
    let bound = |d: Option<f64>| d.map_or_else(|| "?".to_owned(), &percent);
    format!(
        "{stage} {:>4} pairs {:>9} ({} .. {}): {}",
        look.pairs,
        percent(look.estimate),
        bound(look.lower),
        bound(look.upper),
        look.next
    )
}

/// A verdict that was found again from the launches of an artifact.
pub(super) struct Replayed<'a> {
    /// Whose launches.
    pub(super) artifact: &'a Artifact,
    /// What they say.
    pub(super) again: &'a Again,
    /// Whether that is what was recorded.
    pub(super) same: bool,
}

/// As JSON.
pub(super) fn replayed(&Replayed { artifact, again, same }: &Replayed<'_>) -> Line {
    let verdict = &again.verdict;
    let look = verdict.deciding();
    Line::Replayed(ReplayedLine {
        version: DECISION_VERSION,
        run: artifact.run.clone(),
        stage: artifact.stage.clone(),
        decision: again.decided.decision.word().to_lowercase(),
        reason: verdict.reason,
        pairs: verdict.pairs,
        estimate: look.map(|l| l.estimate),
        lower: look.and_then(|l| l.lower),
        upper: look.and_then(|l| l.upper),
        confirm_pairs: verdict.confirmed.map_or(0, |c| c.pairs),
        confirm_estimate: verdict.confirmed.map(|c| c.estimate),
        gain_pct: verdict.estimate().map(|d| 100.0 * gain(d)),
        harmed: harmed(artifact, again),
        same,
    })
}

/// The cases that surely got slower, by their labels.
fn harmed(artifact: &Artifact, again: &Again) -> Vec<String> {
    let compared = artifact.result.as_ref().and_then(StageRecord::comparison);
    let label = |case: usize| Some(compared?.cases.get(case)?.label.clone());
    let name = |case: usize| label(case).unwrap_or_else(|| format!("case {case}"));
    again.harmed.iter().map(|harmed| name(harmed.case)).collect()
}

/// For people: its looks, then what they say.
pub(super) fn replayed_in_words(&Replayed { artifact, again, same }: &Replayed<'_>) -> String {
    let verdict = &again.verdict;
    let mut lines: Vec<String> = Vec::new();
    let last = verdict.looks.len();
    for (number, taken) in (1..).zip(&verdict.looks) {
        let next = match verdict.confirmed {
            _ if number < last => "go on".to_owned(),
            Some(confirmed) => format!("confirm with {} new pairs", confirmed.pairs),
            None => verdict.reason.words().to_owned(),
        };
        let shown = Look {
            pairs: taken.pairs,
            estimate: taken.estimate,
            lower: taken.lower,
            upper: taken.upper,
            next,
        };
        lines.push(look(&artifact.stage, &shown));
    }
    let word = again.decided.decision.word();
    let slower = harmed(artifact, again).join(", ");
    let but = if again.decided.is_guarded() {
        format!("; but slower at {slower}")
    } else {
        String::new()
    };
    let gain = verdict.estimate().map_or_else(String::new, |d| format!(", {}", gains(&[d])(d)));
    let agrees = if same { "as recorded" } else { "NOT as recorded" };
    lines.push(format!(
        "{}/{}: {word}: {}{gain}, {} pairs{but}; {agrees}",
        artifact.run,
        artifact.stage,
        verdict.reason.words(),
        verdict.all_pairs()
    ));
    lines.join("\n")
}
