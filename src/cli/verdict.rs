//! Comparisons in words.

use crate::engine::stage::Look;
use crate::stats::sequential::gain;

/// A look in a line: `candidate   8 pairs   +12.31 %   +11.02 % ..  +13.40 %   confirm …`.
pub(super) fn look(stage: &str, look: &Look) -> String {
    let percent = |d: f64| format!("{:+.2} %", 100.0 * gain(d));
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
