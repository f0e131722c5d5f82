//! Kept changes as commits on a branch of the user's repository.

use std::path::{Path, PathBuf};

use super::event::{Begun, Status};
use super::history::{History, Iteration};
use crate::git::{self, Message, Outside, Private, Published, Step, Target};

/// Where a campaign's changes go.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The campaign's folder.
    pub folder: &'a Path,
    /// The project's root, in a checkout of the user's or in a clone of it.
    pub root: &'a Path,
    /// What the `git` program gets.
    pub outside: &'a Outside,
}

/// Why nothing is published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There was no commit to put changes on.
    #[error(
        "the project was in no git repository with a commit when the campaign began: \
         `optloop loop diff` prints its changes"
    )]
    NoCommit,
    /// There is nothing yet.
    #[error("the campaign has kept nothing yet")]
    NothingKept,
    /// A change does not fit, or git refuses.
    #[error(transparent)]
    Git(#[from] git::Error),
}

/// The branch of a campaign's present epoch.
pub fn branch(history: &History) -> String {
    let id = history.begun.as_ref().map(|begun| begun.id.as_str()).unwrap_or_default();
    match history.epoch() {
        1 => format!("optloop/{id}"),
        epoch => format!("optloop/{id}-epoch{epoch}"),
    }
}

/// Makes a commit of each kept change that the campaign's branch does not have. The user's files,
/// index and HEAD stay as they are.
///
/// # Errors
/// When there is nothing to publish, a change does not fit, or git refuses; the branch is where it
/// was then.
pub fn publish(to: Destination<'_>, history: &History) -> Result<Published, PublishError> {
    let begun = history.begun.as_ref().ok_or(PublishError::NothingKept)?;
    let start = begun.head.as_deref().ok_or(PublishError::NoCommit)?;
    let steps = steps(to.folder, history)?;
    if steps.is_empty() {
        return Err(PublishError::NothingKept);
    }
    let scratch = to.folder.join("publishing");
    let branch = branch(history);
    let target = Target { root: to.root, branch: &branch, start, scratch: &scratch };
    Ok(git::publish(&target, &steps, to.outside)?)
}

/// Every kept change, oldest first.
fn steps(folder: &Path, history: &History) -> Result<Vec<Step>, PublishError> {
    let Some(begun) = &history.begun else { return Ok(Vec::new()) };
    let repository = folder.join("repo");
    let mut before = begun.base.as_str();
    let mut steps = Vec::new();
    if let Some(merged) = history.merged.as_ref().filter(|merged| merged.is_kept) {
        steps.push(merged_step(folder, history, begun, &merged.commit)?);
        before = &merged.commit;
    }
    let from = history.epochs.last().map_or(0, |epoch| epoch.until);
    let present = history.iterations.iter().filter(|one| one.number > from);
    for iteration in present.filter(|one| one.status == Some(Status::Kept)) {
        let Some(commit) = iteration.commit.as_deref() else { continue };
        let changed = iteration.proposal.iter().flat_map(|proposal| &proposal.files);
        let paths: Vec<PathBuf> = changed.map(|file| PathBuf::from(&file.path)).collect();
        steps.push(Step {
            id: format!("{}/{}", begun.id, iteration.number),
            message: message(folder, history, iteration),
            files: git::edits(&repository, before, commit, &paths)?,
        });
        before = commit;
    }
    Ok(steps)
}

/// The kept changes of earlier epochs, as one commit on the one that was adopted.
fn merged_step(
    folder: &Path,
    history: &History,
    begun: &Begun,
    merged: &str,
) -> Result<Step, PublishError> {
    let repository = folder.join("repo");
    let differing = Private::open(&repository)?.differing(&begun.base, merged)?;
    let paths: Vec<PathBuf> = differing.there.into_iter().chain(differing.gone).collect();
    let judged = history.merged.as_ref().and_then(|merged| merged.judgement.as_ref());
    let kept = history.iterations.iter().filter(|one| one.status == Some(Status::Kept));
    let from = history.epochs.last().map_or(0, |epoch| epoch.until);
    let numbers: Vec<String> =
        kept.filter(|one| one.number <= from).map(|one| one.number.to_string()).collect();
    let iterations = numbers.join(", ");
    Ok(Step {
        id: format!("{}/epoch{}", begun.id, history.epoch()),
        message: Message {
            title: format!("experiment(optimize): the changes of iterations {iterations}"),
            body: judged.map(|judged| judged.reason.clone()).unwrap_or_default(),
            trailers: Vec::new(),
        },
        files: git::edits(&repository, &begun.base, merged, &paths)?,
    })
}

/// What a commit says: what was changed, what came of it, and where the measurement lies.
fn message(folder: &Path, history: &History, iteration: &Iteration) -> Message {
    let number = iteration.number;
    let said = iteration.proposal.as_ref().map(|proposal| proposal.description.trim());
    let said = said.filter(|said| !said.is_empty()).unwrap_or("a change");
    let mut trailers = Vec::new();
    let mut body = String::new();
    if let Some(judged) = &iteration.judgement {
        body.clone_from(&judged.reason);
        if let (Some(value), Some(baseline)) = (judged.value, &history.baseline) {
            let metric =
                format!("{} {value}, {} at the beginning", baseline.metric, baseline.value);
            trailers.push(("Optloop-Metric".to_owned(), metric));
        }
        if let Some(artifact) = &judged.artifact {
            let id = folder.file_name().unwrap_or_default().to_string_lossy();
            let place = format!(".optloop/campaigns/{id}/judge/{artifact}");
            trailers.push(("Optloop-Artifact".to_owned(), place));
        }
    }
    Message { title: format!("experiment(optimize/i{number}): {said}"), body, trailers }
}
