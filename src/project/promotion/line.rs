//! The ledger's line about a decision: its numbers, and what was said.

use super::context::DecisionContext;
use super::measured::{Measured, Says};
use crate::digest::Digest;
use crate::measure::pairs::Comparison;
use crate::record::Status;
use crate::record::ledger::{Line, What};

/// What people or agents say about a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rationale {
    /// Why, in a sentence or a few.
    pub summary: String,
    /// Signals and outliers, one text each.
    pub feedback: Vec<String>,
    /// What to try next.
    pub next_step: String,
}

/// The ledger's line about a measured candidate.
pub(super) fn line(
    event: What,
    context: &DecisionContext<'_>,
    measured: &Measured,
    candidate: Digest,
) -> Line {
    let artifact = &measured.artifact;
    let mut line = Line::new(event, context.place.clone(), candidate, context.at.clone());
    line.artifact.clone_from(&measured.name);
    line.artifact_digest = measured.digest;
    line.value = artifact.metrics.get(&context.place.metric);
    line.seconds = Some(artifact.seconds);
    match &measured.says {
        Says::Compared { comparison, decided } => {
            put(comparison, &mut line);
            line.reason = Some(decided.reason.word().to_owned());
        }
        Says::Identical => line.reason = Some("identical".to_owned()),
        Says::Alone | Says::Failed => {}
    }
    // A failure that is no verdict says more than the verdict does.
    if artifact.decision.is_none() && artifact.status != Status::Passed {
        line.reason = Some(artifact.status.to_string());
    }
    line
}

/// Writes a comparison's numbers down.
pub(super) fn put(comparison: &Comparison, line: &mut Line) {
    let reported = comparison.reported();
    line.gain = reported.map(|r| r.gain);
    line.lower = reported.map(|r| r.lower);
    line.upper = reported.map(|r| r.upper);
    line.pairs = Some(comparison.verdict.all_pairs());
    line.launches = Some(comparison.spent.launches);
    line.seconds = Some(comparison.seconds);
}

pub(super) fn say(line: &mut Line, why: &Rationale) {
    line.summary.clone_from(&why.summary);
    line.feedback.clone_from(&why.feedback);
    line.next_step.clone_from(&why.next_step);
}
