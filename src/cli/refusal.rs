//! Why a command ends without an answer: the one place where errors become a message, what to do
//! about it, and an exit code.

use super::exit::{self, Exit};
use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;
use crate::project::ProjectError;
use crate::project::host::TraceError;
use crate::project::promotion::PromotionError;

/// Why a command ends without an answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Files that are wrong.
    Diagnostics(Vec<Diagnostic>),
    /// Anything else: words, a hint, a code.
    Words(String, Option<String>, Exit),
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Words(error.to_string(), error.hint(), exit::of_error(&error))
    }
}

impl From<ProjectError> for Refusal {
    fn from(error: ProjectError) -> Self {
        match error {
            ProjectError::Mistakes(mistakes) => Self::Diagnostics(mistakes),
            ProjectError::Engine(error) => error.into(),
            ProjectError::Promotion(error) => error.into(),
            other => Self::Words(other.to_string(), hint(&other), code(&other)),
        }
    }
}

impl From<TraceError> for Refusal {
    fn from(error: TraceError) -> Self {
        let hint = "name a file in a folder that is there, or unset the variable";
        Self::Words(error.to_string(), Some(hint.to_owned()), Exit::User)
    }
}

impl From<PromotionError> for Refusal {
    fn from(error: PromotionError) -> Self {
        Self::Words(error.to_string(), what_next(&error), code_of_promotion(&error))
    }
}

/// The code of what a project cannot do.
fn code(error: &ProjectError) -> Exit {
    match error {
        ProjectError::Busy { .. } | ProjectError::Unwritable { .. } | ProjectError::Record(_) => {
            Exit::Infrastructure
        }
        ProjectError::NoDevice { .. } => Exit::NoDevice,
        ProjectError::Engine(error) => exit::of_error(error),
        ProjectError::Promotion(error) => code_of_promotion(error),
        _ => Exit::User,
    }
}

/// The code of a promotion that was refused.
fn code_of_promotion(error: &PromotionError) -> Exit {
    match error {
        PromotionError::Verdict { decision: crate::record::Decision::Undecided, .. } => {
            Exit::Undecided
        }
        PromotionError::Verdict { .. } => Exit::Candidate,
        PromotionError::HalfKept { .. }
        | PromotionError::Artifact(_)
        | PromotionError::State(_)
        | PromotionError::Record(_) => Exit::Infrastructure,
        _ => Exit::User,
    }
}

/// What to do about what a project cannot do.
fn hint(error: &ProjectError) -> Option<String> {
    let hint = match error {
        ProjectError::NoPipeline { tried, .. } => {
            let places: Vec<String> = tried.iter().map(|p| p.display().to_string()).collect();
            return Some(format!(
                "looked for {}; `optloop init` writes an example",
                places.join(", ")
            ));
        }
        ProjectError::NoDevice { missing, .. } => return Some(missing.hint.clone()),
        ProjectError::FolderNotText { .. } => {
            "rename it: keys, messages and pipelines hold paths as text"
        }
        ProjectError::NoState { .. } => "go to the project, or run a pipeline first",
        ProjectError::Busy { .. } => "wait for it, or leave out --no-wait",
        ProjectError::NotMeasuring { .. } => "name one: --stage NAME",
        ProjectError::NothingKept { .. } => "the first run of the pipeline sets the baseline",
        ProjectError::NoSuchSide { .. } => {
            "name a file, a revision such as HEAD~1, `best` or `baseline`"
        }
        ProjectError::NoProblem => "name the pipeline that builds them: --pipeline FILE",
        ProjectError::BestElsewhere => "keep or revert first: then your files are the best's",
        ProjectError::NothingScores { .. } => {
            "write incumbent = \"best\" in the stage that decides"
        }
        ProjectError::OutsideRuns { .. } => {
            "decide where it was measured; `optloop artifact ls` lists what there is"
        }
        ProjectError::OtherMachine { .. } => {
            "run the pipeline here, and decide on what it measures"
        }
        ProjectError::OnlyCopies { .. } => {
            "name the artifact of your own kernel: `optloop artifact ls` lists them"
        }
        ProjectError::NothingScored => "run the pipeline first",
        ProjectError::NothingToUndo => {
            "`optloop best` says what the best is; `optloop best undo` takes other changes back"
        }
        ProjectError::GitRevert(_) => {
            "nothing has changed; leave --git-revert out, and revert it yourself"
        }
        ProjectError::Promotion(error) => return what_next(error),
        ProjectError::Engine(error) => return error.hint(),
        ProjectError::Mistakes(_)
        | ProjectError::Unwritable { .. }
        | ProjectError::Record(_)
        | ProjectError::Unreadable(_)
        | ProjectError::Artifact(_) => return None,
    };
    Some(hint.to_owned())
}

/// What to do about a promotion that was refused.
pub(super) fn what_next(error: &PromotionError) -> Option<String> {
    match error {
        PromotionError::Stale { artifact, pipeline, .. } => Some(format!(
            "run `optloop pipeline {pipeline}` again, and decide on what it measures; {artifact} \
             is about something else"
        )),
        PromotionError::NotInHistory { pipeline, .. } => Some(format!(
            "begin from here with `optloop best set HEAD --pipeline {pipeline}`, or take the last \
             keep back: `optloop keep --undo`"
        )),
        PromotionError::OtherFiles { folder, .. } => {
            Some(format!("the best so far lies in {folder}/sources: copy it where you want it"))
        }
        PromotionError::OtherHeader { folder, .. } => {
            Some(format!("move it away first; the best so far's lies in {folder}/sources"))
        }
        PromotionError::BoundToFolder { own, .. } => Some(format!("copy it to {own} and set that")),
        PromotionError::HalfKept { .. }
        | PromotionError::Artifact(_)
        | PromotionError::State(_)
        | PromotionError::Record(_) => None,
        other => Some(fixed_next(other).to_owned()),
    }
}

/// The same, where it does not depend on what the error holds.
fn fixed_next(error: &PromotionError) -> &'static str {
    match error {
        PromotionError::Verdict { .. } => "put the incumbent back with `optloop revert`",
        PromotionError::Identical | PromotionError::MeasuredAlone => {
            "change the kernel, run the pipeline, and keep what that measures"
        }
        PromotionError::NothingDecided { .. } => "run the pipeline once more",
        PromotionError::OtherIncumbent { .. } => {
            "run the pipeline again, and decide on what it measures"
        }
        PromotionError::NoIncumbent { .. } => "run the pipeline: what passes first is the baseline",
        PromotionError::NothingToRestore { .. } => {
            "the first passing run of the pipeline makes one: the baseline"
        }
        PromotionError::Copy { .. } => {
            "name the artifact of your own kernel: `optloop artifact ls` lists them; or make what \
             was measured the best: `optloop best set REVISION --pipeline FILE`"
        }
        PromotionError::NotMeasuring { .. } => "name the artifact of a stage that does",
        PromotionError::SeveralFiles { .. } => {
            "a command is compared through ${kernel}, which is one file"
        }
        PromotionError::NotAnInput { .. } => {
            "add inputs = [\"${kernel}\"] to the stage, and run it again"
        }
        PromotionError::UnwrittenBuild { .. } => {
            "write it there, under [compile], run the pipeline, and keep what that measures"
        }
        PromotionError::NotWhole { .. } | PromotionError::CommitFailed { .. } => {
            "mend that, or leave the commit to yourself: --no-commit"
        }
        PromotionError::NotPassed { .. } => "set a kernel that passes its check",
        PromotionError::NoBest(_) => "the next passing run of the pipeline sets it",
        PromotionError::NoBaseline(_) => "the first passing run of the pipeline sets it",
        PromotionError::NoAnchor { .. } => "run `optloop compare --anchor` again",
        PromotionError::NothingToUndo(_) => "`optloop best reset` begins anew",
        PromotionError::OtherChange { .. } => "take that back with `optloop best undo`",
        _ => "",
    }
}
