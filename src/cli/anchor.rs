//! The best so far beside the first baseline, run and printed: for `compare --anchor`, and for `keep`
//! when it is time.

use super::args::Format;
use super::exit::Exit;
use super::lines::{AnchoredLine, DecisionLine, Line};
use super::refusal::Refusal;
use super::ui::Ui;
use super::words::GainUnit;
use super::{results, words};
use crate::project::promotion::Anchor;
use crate::project::{Comparison, Project};

/// Runs it, and writes down what it said. Whether the best is better is no failure.
pub(super) fn run(
    project: &Project<'_>,
    comparison: &Comparison,
    ui: &Ui,
) -> Result<Exit, Refusal> {
    let compared = project.compare(comparison, &[ui], &results::interrupts)?;
    let exit = results::print(&compared.opened, &compared.report, ui);
    if !matches!(exit, Exit::Ok | Exit::Candidate | Exit::Undecided) {
        return Ok(exit);
    }
    let Some(anchor) = compared.note_anchor(comparison)? else { return Ok(exit) };
    if ui.format == Format::Json {
        ui.json(&line(&anchor));
    } else {
        ui.line(&in_words(&anchor));
    }
    Ok(Exit::Ok)
}

/// As a line of JSON.
fn line(anchor: &Anchor) -> Line {
    Line::Anchored(AnchoredLine {
        about: DecisionLine::of(&anchor.line),
        product_of_steps: anchor.product,
        falls_short: anchor.falls_short(),
    })
}

fn in_words(anchor: &Anchor) -> String {
    let line = &anchor.line;
    let of = format!("{} by {}", line.place.problem, line.place.metric);
    let unit = if anchor.product.is_some() { GainUnit::Percent } else { GainUnit::Metric };
    let gain = words::gain(line, unit);
    let mut text = format!("ANCHOR {of}: the best beside the baseline: gain {gain}");
    if let (Some((factor, lower, upper)), Some(product)) = (anchor.factor(), anchor.product) {
        let times = match (lower, upper) {
            (Some(lower), Some(upper)) if lower < upper => {
                format!("{factor:.3} x ({lower:.3} .. {upper:.3})")
            }
            _ => format!("{factor:.3} x"),
        };
        text.push_str(&format!("\n  {times}; the steps that were kept say {product:.3} x"));
    }
    if anchor.falls_short() {
        text.push_str(
            "\n  the whole interval lies below what the steps say: some of them gained less than \
             was measured; this number holds, not their product",
        );
    }
    text
}
