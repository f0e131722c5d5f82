//! The best by somebody's word: set to a kernel that passed its check, begun anew, and the last
//! change of it taken back.

use std::path::{Path, PathBuf};

use super::keep::installed;
use super::line::{line, say};
use super::present::{self, Proof};
use super::{DecisionContext, Measured, PromotionError, Rationale, Says};
use crate::record::Status;
use crate::record::incumbent::{self, Change, Content};
use crate::record::ledger::{self, Line, Place, What};

/// A best that was set.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// The ledger's line.
    pub line: Line,
    /// Where the incumbent lies.
    pub folder: PathBuf,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// A change that took one away or brought one back.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The ledger's line.
    pub line: Line,
    /// The change that was taken back, for an undo.
    pub undone: Option<Line>,
    /// What made the best that stands now; none when there is none.
    pub standing: Option<Line>,
}

/// How a kernel that was measured becomes the best.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<'a> {
    /// The pipeline's kernel files, below the root: what is set is filed as these.
    pub kernel: &'a [String],
    /// The commit that holds it, where it is a revision.
    pub commit: Option<String>,
}

/// Makes what was just measured alone the best, whatever the best was.
///
/// # Errors
/// Why not; nothing has changed then.
pub fn set(
    context: &DecisionContext<'_>,
    measured: &Measured,
    named: &Named<'_>,
    why: &Rationale,
) -> Result<Set, PromotionError> {
    let passed = measured.artifact.status == Status::Passed;
    if !passed || !matches!(measured.says, Says::Alone) {
        return Err(PromotionError::NotPassed { artifact: measured.name.clone() });
    }
    let mut candidate = present::candidate(context, measured, Proof::Passed)?;
    rename(&mut candidate.sources, &candidate.headers, named.kernel)?;
    let mut line = line(What::Set, context, measured, candidate.digest);
    line.commit.clone_from(&named.commit);
    say(&mut line, why);
    let install = installed(line, candidate, measured, None);
    let intent = incumbent::begin(context.folder(), &install)?;
    let folder = context.place.folder(context.folder()).join(&intent.folder);
    let finished = incumbent::finish(context.folder(), intent, None)?;
    Ok(Set { line: finished.line, folder, warnings: finished.warnings })
}

/// Files a kernel under the names that the pipeline has for it: that is where a revert puts it.
fn rename(
    sources: &mut [Content],
    headers: &[Content],
    kernel: &[String],
) -> Result<(), PromotionError> {
    let folder = |path: &str| Path::new(path).parent().map(Path::to_owned);
    for (source, own) in sources.iter_mut().zip(kernel) {
        if folder(&source.path) != folder(own)
            && let Some(header) = headers.first()
        {
            return Err(PromotionError::BoundToFolder {
                source_file: source.path.clone(),
                header: header.path.clone(),
                own: own.clone(),
            });
        }
        source.path.clone_from(own);
    }
    Ok(())
}

/// Leaves a place without a best: the next run sets the baseline.
///
/// # Errors
/// When there is none, or something could not be written.
pub fn reset(
    state: &Path,
    place: &Place,
    why: &Rationale,
    at: String,
) -> Result<Changed, PromotionError> {
    let best = incumbent::current(state, place)?;
    let best = best.ok_or_else(|| PromotionError::NoBest(Box::new(place.clone())))?;
    let mut line = Line::new(What::Reset, place.clone(), best.digest, at);
    say(&mut line, why);
    let line = change(state, line)?;
    Ok(Changed { line, undone: None, standing: None })
}

/// Takes the last change of a place's best back: the one before it is the best again. git is left
/// alone.
///
/// # Errors
/// When there is none, or none of the kind that is asked for, or something could not be written.
pub fn undo(
    state: &Path,
    place: &Place,
    only: Option<What>,
    at: String,
) -> Result<Changed, PromotionError> {
    let known = ledger::read(state)?;
    let stands = known.stands(place);
    let last = stands.last().map(|stand| stand.change);
    let last = last.filter(|last| last.event != What::Baseline || stands.len() > 1);
    let place = || Box::new(place.clone());
    let last = last.ok_or_else(|| PromotionError::NothingToUndo(place()))?;
    if only.is_some_and(|only| only != last.event) {
        return Err(PromotionError::OtherChange { place: place(), change: last.event.word() });
    }
    let before = stands.len().checked_sub(2).and_then(|at| stands.get(at));
    let standing = before.and_then(|stand| stand.current).cloned();
    let digest = standing.as_ref().map_or(last.candidate, |line| line.candidate);
    let mut line = Line::new(What::Undo, *place(), digest, at);
    line.incumbent = Some(last.candidate);
    let undone = Some(last.clone());
    let line = change(state, line)?;
    Ok(Changed { line, undone, standing })
}

fn change(state: &Path, line: Line) -> Result<Line, PromotionError> {
    let intent = incumbent::begin(state, &Change::Rename(Box::new(line)));
    let intent = intent?;
    let finished = incumbent::finish(state, intent, None)?;
    Ok(finished.line)
}
