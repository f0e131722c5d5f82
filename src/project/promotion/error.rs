//! Why nothing was decided of a candidate.

use crate::engine::EngineError;
use crate::measure::pairs::NoValue;
use crate::record::{Decision, Place, RecordError, Status};

/// Why nothing was decided; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum PromotionError {
    /// The numbers say otherwise.
    #[error("the verdict is {}, so it is not kept: {why}", decision.word())]
    Verdict {
        /// What they say.
        decision: Decision,
        /// Why.
        why: String,
    },
    /// The candidate is the incumbent's very code.
    #[error("this is the incumbent's very code")]
    Identical,
    /// The candidate was measured without an incumbent.
    #[error("this was measured alone, beside nothing that it could be better than")]
    MeasuredAlone,
    /// The stage ended before anything could be decided.
    #[error("nothing was decided: {status}")]
    NothingDecided {
        /// How it ended.
        status: Status,
    },
    /// The candidate was compared with an incumbent that is not the present one.
    #[error(
        "{artifact} was compared with another incumbent than the present one, which came at {at}"
    )]
    OtherIncumbent {
        /// What was measured.
        artifact: String,
        /// When the present one became the incumbent, RFC 3339.
        at: String,
    },
    /// There is no incumbent to be better than.
    #[error("there is no incumbent of {problem} that this is better than")]
    NoIncumbent {
        /// What is computed.
        problem: String,
    },
    /// There is no incumbent to go back to.
    #[error("there is no incumbent of {problem} to go back to")]
    NothingToRestore {
        /// What is computed.
        problem: String,
    },
    /// The project is not what was measured any more.
    #[error("{what}")]
    Stale {
        /// What changed.
        what: Stale,
        /// What was measured.
        artifact: String,
        /// The pipeline that measured it.
        pipeline: String,
    },
    /// What was measured is a git revision or a kept kernel.
    #[error("{artifact} is about a git revision or a kept kernel, and no file of yours")]
    Copy {
        /// What was measured.
        artifact: String,
    },
    /// The stage does not measure a kernel.
    #[error("`{stage}` measures nothing itself")]
    NotMeasuring {
        /// Which.
        stage: String,
    },
    /// A command is compared through its one kernel file.
    #[error("`{stage}` is a command, and the kernel has not one file")]
    SeveralFiles {
        /// Which.
        stage: String,
    },
    /// A kernel file is not among what the stage reads.
    #[error("`{stage}` does not name {path} among its inputs")]
    NotAnInput {
        /// Which stage.
        stage: String,
        /// Which file.
        path: String,
    },
    /// The candidate was built in a way that the pipeline's files do not say.
    #[error("the candidate was built with {}, which {pipeline} does not say", settings.join(", "))]
    UnwrittenBuild {
        /// Flags, defines and the like.
        settings: Vec<String>,
        /// The pipeline file.
        pipeline: String,
    },
    /// Files that make the difference cannot be committed.
    #[error("the candidate cannot be committed whole, so it is not kept: {}", files.join("; "))]
    NotWhole {
        /// Each with the reason.
        files: Vec<String>,
    },
    /// The commit failed, and the keep was taken back.
    #[error("the kernel cannot be committed, so it is not kept: {why}")]
    CommitFailed {
        /// What git, or a hook, said.
        why: String,
    },
    /// The best is not in what is checked out.
    #[error("the best so far is not in this history, so it is not put back: {why}")]
    NotInHistory {
        /// Why not.
        why: String,
        /// The pipeline that measured the candidate.
        pipeline: String,
    },
    /// The best's files are not the candidate's.
    #[error(
        "the candidate is {measured}, and the best so far is {best}: nothing is written over a \
         file that was not measured"
    )]
    OtherFiles {
        /// The candidate's files.
        measured: String,
        /// The best's.
        best: String,
        /// Where the best lies.
        folder: String,
    },
    /// A header of the best's holds something that was not measured.
    #[error(
        "{path} is not what the best so far was built with, and the candidate does not read it: it \
         was not measured, and is not written over"
    )]
    OtherHeader {
        /// Which.
        path: String,
        /// Where the best lies.
        folder: String,
    },
    /// What is to be set did not pass.
    #[error("{artifact} is no measurement that passed")]
    NotPassed {
        /// What was measured.
        artifact: String,
    },
    /// A kernel reads a header from where it lies, and is to be filed elsewhere.
    #[error("{source_file} reads {header} from where it lies, and is not {own}")]
    BoundToFolder {
        /// The kernel's file.
        source_file: String,
        /// What it reads.
        header: String,
        /// The pipeline's kernel file.
        own: String,
    },
    /// There is no best that could be given up.
    #[error("there is no best of {}", .0.words())]
    NoBest(Box<Place>),
    /// There is no baseline to be better than.
    #[error("there is no baseline of {} by {}", .0.problem, .0.metric)]
    NoBaseline(Box<Place>),
    /// An artifact is not about the best beside the baseline.
    #[error("{artifact} does not compare the best with the baseline")]
    NoAnchor {
        /// What was measured.
        artifact: String,
    },
    /// Nothing was done to a best since its baseline.
    #[error("nothing was done to the best of {} that could be taken back", .0.words())]
    NothingToUndo(Box<Place>),
    /// The last change of a best is of another kind.
    #[error("the last change of the best of {} is a {change}", place.words())]
    OtherChange {
        /// Of which best.
        place: Box<Place>,
        /// What it is.
        change: &'static str,
    },
    /// A commit failed, and the keep could not be taken back.
    #[error("{why}; and taking the keep back failed: {source}")]
    HalfKept {
        /// Why the commit failed.
        why: String,
        /// Why the keep stands half done: the next command ends it.
        source: RecordError,
    },
    /// The artifact is not what was measured.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// What is known of the stages cannot be read.
    #[error(transparent)]
    State(EngineError),
    /// What is recorded of decisions cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why an artifact is nothing to decide on.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It, or what is recorded beside it, cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It has changed since it was recorded.
    #[error(
        "{artifact} is not what was recorded: it has changed since {}; measure again",
        since.words()
    )]
    Altered {
        /// Which.
        artifact: String,
        /// Since when.
        since: Since,
    },
    /// Its launches make no comparison.
    #[error("{artifact}: {source}")]
    NoComparison {
        /// Which.
        artifact: String,
        /// Why not.
        source: NoValue,
    },
    /// Its launches give another verdict.
    #[error(
        "{artifact}: its launches say `{found}`, and its verdict, `{recorded}`, is not made of them: \
         it is not what was measured; measure again"
    )]
    OtherVerdict {
        /// Which.
        artifact: String,
        /// What they say.
        found: String,
        /// What it says.
        recorded: String,
    },
    /// Its launches do not say KEEP, and it says that it passed.
    #[error(
        "{artifact}: its launches say {}, and it says that it passed: it is not what was measured; \
         measure again",
        decision.word()
    )]
    NotPassed {
        /// Which.
        artifact: String,
        /// What its launches say.
        decision: Decision,
    },
}

/// Since when an artifact has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// It was decided on.
    Decision,
    /// It was analysed.
    Analysis,
    /// Its run ended.
    Run,
}

impl Since {
    fn words(self) -> &'static str {
        match self {
            Self::Decision => "it was decided on",
            Self::Analysis => "it was analysed",
            Self::Run => "its run",
        }
    }
}

/// What changed since a candidate was measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// The stage that measured it is gone.
    #[error("the pipeline has no stage `{0}` any more")]
    NoStage(String),
    /// A stage that comes before the measurement has not passed on the files as they are.
    #[error("`{0}` has not passed on what the files are now")]
    NotPassed(String),
    /// The pipeline does not build this kernel any more.
    #[error("nothing builds this kernel any more")]
    NotBuilt,
    /// The kernel is another, or is built in another way.
    #[error("the kernel, or how it is built, has changed since")]
    Kernel,
    /// A file is another.
    #[error("{0} has changed since")]
    File(String),
    /// A file that only the stage reads is another.
    #[error("{0}, which the stage reads, has changed since")]
    Input(String),
    /// A kernel file is gone.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, String),
    /// The built kernel is neither in the store nor where it was built.
    #[error("the built kernel is not kept any more")]
    Binary,
}
