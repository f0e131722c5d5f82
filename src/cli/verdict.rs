//! Comparisons in words.

use serde_json::{Value, json};

use crate::engine::stage::Look;
use crate::record::Artifact;
use crate::record::verdict::decision;
use crate::stats::sequential::{Verdict, gain};

/// A gain in per cent; what takes more than twice as long as a multiple.
fn percent(d: f64) -> String {
    match gain(d) {
        g if g < -1.0 => format!("{:.1}x time", 1.0 - g),
        g => format!("{:+.2} %", 100.0 * g),
    }
}

/// A look in a line: `candidate   8 pairs   +12.31 %   +11.02 % ..  +13.40 %   confirm …`.
pub(super) fn look(stage: &str, look: &Look) -> String {
    let bound = |d: Option<f64>| d.map_or_else(|| "?".to_owned(), percent);
    format!(
        "{stage} {:>4} pairs {:>9} ({} .. {}): {}",
        look.pairs,
        percent(look.estimate),
        bound(look.lower),
        bound(look.upper),
        look.next
    )
}

/// A verdict that was found again, as JSON.
pub(super) fn replayed(artifact: &Artifact, verdict: &Verdict, same: bool) -> Value {
    let look = verdict.deciding();
    json!({
        "event": "replayed",
        "version": 1,
        "run": artifact.run,
        "stage": artifact.stage,
        "decision": decision(verdict).word().to_lowercase(),
        "reason": verdict.reason.word(),
        "pairs": verdict.pairs,
        "estimate": look.map(|l| l.estimate),
        "lower": look.and_then(|l| l.lower),
        "upper": look.and_then(|l| l.upper),
        "confirm_pairs": verdict.confirmed.map_or(0, |c| c.pairs),
        "confirm_estimate": verdict.confirmed.map(|c| c.estimate),
        "gain_pct": verdict.estimate().map(|d| 100.0 * gain(d)),
        "same": same,
    })
}

/// A verdict that was found again, for people: its looks, then what they say.
pub(super) fn replayed_in_words(artifact: &Artifact, verdict: &Verdict, same: bool) -> String {
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
    let word = decision(verdict).word();
    let gain = verdict.estimate().map_or_else(String::new, |d| format!(", {}", percent(d)));
    let agrees = if same { "as recorded" } else { "NOT as recorded" };
    lines.push(format!(
        "{}/{}: {word}: {}{gain}, {} pairs; {agrees}",
        artifact.run,
        artifact.stage,
        verdict.reason.words(),
        verdict.all_pairs()
    ));
    lines.join("\n")
}
