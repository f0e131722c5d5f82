//! Lines about what lies in a project: of `graph`, `init`, `cache` and `artifact`.

use std::path::PathBuf;

use serde::Serialize;

use crate::engine::upkeep::{Freed, Stats, Verified};
use crate::plan::StageKind;
use crate::record::analysis::Analysis;
use crate::record::{Decision, Status};
use crate::stats::Metrics;

/// Rises when a reader of these lines would have to change.
pub(in crate::cli) const KEPT_VERSION: u32 = 1;

/// A stage of a pipeline. Of `graph`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct GraphLine {
    /// Of these lines.
    #[schemars(extend("const" = KEPT_VERSION))]
    pub(in crate::cli) version: u32,
    /// Its name.
    pub(in crate::cli) stage: String,
    /// Names of the stages that it needs.
    pub(in crate::cli) needs: Vec<String>,
    /// Made by the plan rather than named in the file.
    pub(in crate::cli) implicit: bool,
}

/// A file of the example. Of `init`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct InitLine {
    /// Of these lines.
    #[schemars(extend("const" = KEPT_VERSION))]
    pub(in crate::cli) version: u32,
    /// Its name below the folder.
    pub(in crate::cli) file: String,
    /// What became of it.
    pub(in crate::cli) done: Done,
}

/// What became of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Done {
    /// It is new.
    Written,
    /// It was there with this very content.
    Same,
    /// It was there with another content, and stays as it is.
    Kept,
    /// A line was added at its end.
    Extended,
}

/// How much is kept. Of `cache stats`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CacheStatsLine {
    /// Of these lines.
    #[schemars(extend("const" = KEPT_VERSION))]
    pub(in crate::cli) version: u32,
    /// How much.
    #[serde(flatten)]
    pub(in crate::cli) stats: Stats,
}

/// What was removed. Of `cache gc`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CacheCollectedLine {
    /// Of these lines.
    #[schemars(extend("const" = KEPT_VERSION))]
    pub(in crate::cli) version: u32,
    /// How much.
    #[serde(flatten)]
    pub(in crate::cli) freed: Freed,
}

/// What was proved. Of `cache verify`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct CacheVerifiedLine {
    /// Of these lines.
    #[schemars(extend("const" = KEPT_VERSION))]
    pub(in crate::cli) version: u32,
    /// What.
    #[serde(flatten)]
    pub(in crate::cli) verified: Verified,
}

/// How many artifacts follow. Of `artifact ls`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct ArtifactsLine {
    /// Of these lines.
    #[schemars(extend("const" = KEPT_VERSION))]
    pub(in crate::cli) version: u32,
    /// How many.
    pub(in crate::cli) count: usize,
}

/// An artifact in short. Of `artifact ls`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct ArtifactLine {
    /// Its file.
    pub(in crate::cli) path: PathBuf,
    /// When it was made, RFC 3339.
    pub(in crate::cli) at: String,
    /// The run that made it.
    pub(in crate::cli) run: String,
    /// Its stage.
    pub(in crate::cli) stage: String,
    /// The stage's kind.
    pub(in crate::cli) kind: StageKind,
    /// `passed` or the failure's class.
    pub(in crate::cli) status: Status,
    /// Named numbers.
    pub(in crate::cli) metrics: Metrics,
    /// What other commands take for it: `RUN/STAGE`.
    pub(in crate::cli) name: String,
    /// How often somebody analysed it; null where that cannot be read.
    pub(in crate::cli) analyses: Option<usize>,
    /// What was decided last; null without an analysis.
    pub(in crate::cli) decision: Option<Decision>,
    /// Whether that was about another content of the file; null without an analysis.
    pub(in crate::cli) stale: Option<bool>,
}

/// What somebody decided about an artifact. Of `artifact show` and `artifact analyze`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(in crate::cli) struct AnalysisLine {
    /// Whether it was about another content of the file.
    pub(in crate::cli) stale: bool,
    /// As it is kept.
    #[serde(flatten)]
    pub(in crate::cli) analysis: Analysis,
}
