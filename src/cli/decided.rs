//! What `keep` and `revert` share: which artifact is meant, why, and the decision in a line.

use super::args::SaidArgs;
use super::artifact;
use super::refusal::Refusal;
use super::ui::Ui;
use crate::engine::StageRecord;
use crate::project::host::Disk;
use crate::project::promotion::Rationale;
use crate::project::{Candidate, Decidable, Opened, Project, short_name, state_folder};
use crate::record::Decision;
use crate::record::ledger::Line;

/// The artifact that is named; or the last that something can be decided on, then what is older.
pub(super) fn decidable(wanted: &str, ui: &Ui) -> Result<Decidable, Refusal> {
    if wanted != "last" {
        return Ok(Decidable::one(artifact::find(wanted)?));
    }
    let found = Decidable::last(&state_folder(&Disk)?)?;
    if let (Some(skipped), Some(own)) = (&found.skipped, found.artifacts.first()) {
        let (skipped, own) = (short_name(skipped), short_name(own));
        ui.note(&format!(
            "note: the last comparison, {skipped}, was of a git revision or a kept kernel; this is \
             about {own}"
        ));
    }
    Ok(found)
}

/// Opens the project that they come from.
pub(super) fn open(decidable: &Decidable, ui: &Ui) -> Result<Opened<'static>, Refusal> {
    let first = decidable.artifacts.first().cloned().unwrap_or_default();
    Ok(Project::of_artifact(&first, &Disk, &[ui])?)
}

/// Why it is decided so.
pub(super) fn rationale(args: &SaidArgs) -> Rationale {
    Rationale {
        summary: args.summary.clone(),
        feedback: args.feedback.clone(),
        next_step: args.next_step.clone().unwrap_or_default(),
    }
}

/// The decision in a line: what was measured says the rest.
pub(super) fn verdict(candidate: &Candidate<'_>, decision: Decision, line: &Line) -> String {
    let artifact = &candidate.measured.artifact;
    let words = artifact.result.as_ref().and_then(StageRecord::words);
    let why = match words {
        Some(words) => words.to_owned(),
        None if artifact.message.is_empty() => "it was measured alone".to_owned(),
        None => artifact.message.clone(),
    };
    format!("{} {}: {why}", decision.word(), line.place.words())
}

/// What people should know of it.
pub(super) fn warn(warnings: &[String], ui: &Ui) {
    for warning in warnings {
        ui.complain(&format!("warning: {warning}"));
    }
}
