//! The best against the first baseline: how far a campaign has come, measured in one go. Gains of
//! steps that were each kept because they looked good add up to too much.

use std::path::Path;

use super::line::put;
use super::{Measured, PromotionError, Says};
use crate::digest::Digest;
use crate::plan::InputRole;
use crate::record::incumbent;
use crate::record::ledger::{self, Line, Place, What};
use crate::stats::block::Scale;

/// Keeps after which an anchor is due.
pub const EVERY: usize = 10;

/// The best beside the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// The ledger's line.
    pub line: Line,
    /// How many times better the steps claim to be together; none for metrics that are compared
    /// by their difference, whose steps have no product.
    pub product: Option<f64>,
}

impl Anchor {
    /// How many times better the best is: estimate, and ends of the 95 % interval.
    pub fn factor(&self) -> Option<(f64, Option<f64>, Option<f64>)> {
        let factor = |gain: f64| (gain < 1.0).then(|| 1.0 / (1.0 - gain));
        self.product?;
        let line = &self.line;
        Some((factor(line.gain?)?, line.lower.and_then(factor), line.upper.and_then(factor)))
    }

    /// Whether the steps claim more than can be: the whole interval lies below their product.
    pub fn falls_short(&self) -> bool {
        let upper = self.factor().and_then(|(_, _, upper)| upper);
        // Metrics that repeat come out equal but for rounding.
        let below = |(upper, product): (f64, f64)| upper < product * (1.0 - 1e-9);
        upper.zip(self.product).is_some_and(below)
    }
}

/// Writes down what a comparison of the best with the baseline said.
///
/// The caller holds the state's lock.
///
/// # Errors
/// When it was no such comparison, or the ledger cannot be written.
pub fn anchor(
    state: &Path,
    place: &Place,
    measured: &Measured,
    at: String,
) -> Result<Anchor, PromotionError> {
    let missing = || PromotionError::NoBaseline(Box::new(place.clone()));
    let best = incumbent::current(state, place)?.ok_or_else(missing)?;
    let baseline = incumbent::baseline(state, place)?.ok_or_else(missing)?;
    let mut line = Line::new(What::Anchor, place.clone(), best.digest, at);
    line.incumbent = Some(baseline.digest);
    line.artifact.clone_from(&measured.name);
    line.artifact_digest = measured.digest;
    line.sources.clone_from(&best.sources);
    line.value = measured.artifact.metrics.get(&place.metric);
    let scale = match &measured.says {
        Says::Compared { comparison, .. } if about(measured, &best.digest, &baseline.digest) => {
            put(comparison, &mut line);
            comparison.scoring.metric.scale
        }
        Says::Identical => {
            line.gain = Some(0.0);
            Scale::Log
        }
        _ => return Err(PromotionError::NoAnchor { artifact: measured.name.clone() }),
    };
    let known = ledger::read(state)?;
    let product = (scale == Scale::Log).then(|| ledger::product_of_steps(&known, place)).flatten();
    let line = ledger::append(state, &line)?.entry;
    Ok(Anchor { line, product })
}

/// Whether these two were compared. What was built anew from kept files need not be the same
/// bytes, so only what is known to be another kernel is refused.
fn about(measured: &Measured, best: &Digest, baseline: &Digest) -> bool {
    let other = |digest: Option<&str>, than: &Digest| digest.is_some_and(|d| d == than.hex());
    !other(measured.field(InputRole::Kernel.field()), baseline)
        && !other(measured.incumbent(), best)
}
