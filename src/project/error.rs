//! Why a project cannot do what it was asked for.

use std::io;
use std::path::PathBuf;

use super::promotion::{ArtifactError, PromotionError};
use super::short_name;
use crate::diagnostic::Diagnostic;
use crate::engine::EngineError;
use crate::engine::device::Missing;
use crate::git;
use crate::record::{Place, RecordError};

/// Why a project cannot do what it was asked for. A stage that fails is a result, not an error.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no pipeline of that name.
    #[error("there is no pipeline `{name}`")]
    NoPipeline {
        /// As it was given.
        name: String,
        /// Where it was looked for.
        tried: Vec<PathBuf>,
    },
    /// Keys, messages and pipelines hold paths as text.
    #[error("the name of the folder {} is not UTF-8", folder.display())]
    FolderNotText {
        /// The pipeline's.
        folder: PathBuf,
    },
    /// Nothing has run in a folder, or in one above it.
    #[error("there is no .optloop/ in {} or above it", folder.display())]
    NoState {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The pipeline's files are wrong: every mistake of all of them.
    #[error("the pipeline's files have {} mistakes", .0.len())]
    Mistakes(Vec<Diagnostic>),
    /// Another process works on the project, and waiting was ruled out.
    #[error("{holder} is at work on {}", root.display())]
    Busy {
        /// Which process.
        holder: String,
        /// The project's root.
        root: PathBuf,
    },
    /// A stage asks for a device that is not there.
    #[error("{}{also}", missing.what)]
    NoDevice {
        /// What is missing, and what to do about it.
        missing: Missing,
        /// What else is missing for such a device, behind a semicolon; often empty.
        also: String,
    },
    /// What keeps a run from going on.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No stage of that name gives a number that decides.
    #[error("this pipeline has no stage `{stage}` that measures")]
    NotMeasuring {
        /// As it was given.
        stage: String,
    },
    /// Nothing is kept of what a stage measures yet.
    #[error("there is no {which} of {} yet", place.words())]
    NothingKept {
        /// `best` or `baseline`.
        which: &'static str,
        /// What it would be filed under.
        place: Box<Place>,
    },
    /// A side of a comparison is neither a file nor a revision.
    #[error("`{name}` is no file, and as a revision: {why}")]
    NoSuchSide {
        /// As it was given.
        name: String,
        /// Why it is no revision.
        why: String,
    },
    /// There is no `problem.toml` beside kernels that are compared without a pipeline.
    #[error("there is no `problem.toml` beside these, to say what they must compute")]
    NoProblem,
    /// The best has several files, and the pipeline's kernel files hold something else.
    #[error("the best has several files, and yours are not these")]
    BestElsewhere,
    /// No stage of a pipeline compares with the best.
    #[error("{} has no stage that compares with the best", pipeline.display())]
    NothingScores {
        /// The pipeline file.
        pipeline: PathBuf,
    },
    /// An artifact does not lie where runs put them.
    #[error("{} lies in no .optloop/runs/", artifact.display())]
    OutsideRuns {
        /// Which.
        artifact: PathBuf,
    },
    /// An artifact is of another machine: nothing follows from it here.
    #[error("{artifact} was measured on another machine, or another setting of this one")]
    OtherMachine {
        /// Which.
        artifact: String,
    },
    /// All that was measured last is of git revisions or kept kernels.
    #[error(
        "the last comparison, {}, was of a git revision or a kept kernel",
        short_name(artifact)
    )]
    OnlyCopies {
        /// The last.
        artifact: PathBuf,
    },
    /// No stage that scores has run yet.
    #[error("there is no artifact of a stage that scores yet")]
    NothingScored,
    /// There is no keep, or something came after it.
    #[error("there is no keep to take back: nothing was kept, or something came after it")]
    NothingToUndo,
    /// The commit of a keep could not be taken back.
    #[error(transparent)]
    GitRevert(git::Error),
    /// A file could not be written or followed to where it lies.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What is on disk about decisions cannot be read or written.
    #[error(transparent)]
    Record(RecordError),
    /// A file about decisions that was asked for cannot be read.
    #[error(transparent)]
    Unreadable(RecordError),
    /// The artifact that was asked for is nothing to decide on.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Nothing became of a candidate.
    #[error(transparent)]
    Promotion(#[from] PromotionError),
}
