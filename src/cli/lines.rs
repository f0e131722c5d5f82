//! Lines of `--format json` that are no events of a run: one type for each, from which the schema is
//! made too.

pub(super) mod campaign;
mod forecast;
pub(super) mod inspected;
pub(super) mod kept;
pub(super) mod machine;

use serde::Serialize;

use self::campaign::{
    CampaignDiffLine, CampaignPublishedLine, CampaignStatusLine, CampaignSteeredLine,
};
pub(super) use self::forecast::{FORECAST_VERSION, ForecastLine, WouldLine};
use self::inspected::{
    AsmDiffLine, AsmLine, DeviceCodeDiffLine, DeviceCodeLine, EntryDiffLine, EntryLine,
    EntryOnlyInLine, FunctionDiffLine, FunctionLine, FunctionOnlyInLine, ResourcesDiffLine,
    ResourcesLine,
};
use self::kept::{
    AnalysisLine, ArtifactLine, ArtifactsLine, CacheCollectedLine, CacheStatsLine,
    CacheVerifiedLine, GraphLine, InitLine,
};
use self::machine::{CheckLine, DeviceLine, PartLine};
use super::exit::Exit;
use crate::campaign::lint::Finding;
use crate::diagnostic::DiagnosticRecord;
use crate::engine::account::CaseRecord;
use crate::engine::explain::{Counts, Explanation};
use crate::record::{Decision, ledger};
use crate::stats::{Metrics, Reason};

/// Rises when a reader of the lines about decisions would have to change.
pub(super) const DECISION_VERSION: u32 = 1;

/// One of them.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Line {
    /// Why nothing can be done.
    Error {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
        /// The exit code.
        exit: u8,
    },
    /// A mistake in a file.
    Diagnostic(DiagnosticRecord),
    /// A candidate is the incumbent now.
    Kept(KeptLine),
    /// The incumbent's files are back.
    Reverted(RevertedLine),
    /// The best was held against the baseline.
    Anchored(AnchoredLine),
    /// A verdict was found again from recorded launches.
    Replayed(ReplayedLine),
    /// The best of a problem, or that there is none.
    Best(Box<BestLine>),
    /// A kernel was made the best.
    BestSet(BestSetLine),
    /// There is no best any more.
    BestReset(BestChangedLine),
    /// The last change of the best was taken back.
    BestUndone(BestChangedLine),
    /// What follows is about these stages.
    ExplainStarted(ForecastLine),
    /// What a run of these stages would do.
    DryRunStarted(ForecastLine),
    /// What a run would do with a stage, and why.
    Explanation(Explanation),
    /// What a run would do with a stage that is not known.
    Would(WouldLine),
    /// How many stages there are of each answer.
    DryRunFinished(Counts),
    /// A stage of a pipeline.
    GraphStage(GraphLine),
    /// A file of the example.
    InitFile(InitLine),
    /// How much is kept.
    CacheStats(CacheStatsLine),
    /// What was removed of it.
    CacheCollected(CacheCollectedLine),
    /// What was proved of it.
    CacheVerified(CacheVerifiedLine),
    /// How many artifacts follow.
    Artifacts(ArtifactsLine),
    /// An artifact in short.
    Artifact(Box<ArtifactLine>),
    /// What somebody decided about an artifact.
    Analysis(AnalysisLine),
    /// Something that kernels run on, or why there is no such thing.
    Device(DeviceLine),
    /// A library or tool for CUDA devices.
    Part(PartLine),
    /// One thing that the doctor looked at.
    Check(Box<CheckLine>),
    /// A kernel's assembly, whose functions follow.
    InspectAsm(AsmLine),
    /// What changed in it follows.
    InspectAsmDiff(AsmDiffLine),
    /// A kernel's PTX, whose functions follow.
    InspectPtx(DeviceCodeLine),
    /// What changed in it follows.
    InspectPtxDiff(DeviceCodeDiffLine),
    /// A kernel's machine code, whose functions follow.
    InspectSass(DeviceCodeLine),
    /// What changed in it follows.
    InspectSassDiff(DeviceCodeDiffLine),
    /// A function.
    Function(FunctionLine),
    /// A function that one version lacks.
    FunctionOnlyIn(FunctionOnlyInLine),
    /// What changed in a function.
    FunctionDiff(FunctionDiffLine),
    /// What kernels use of a CUDA device; they follow.
    InspectResources(ResourcesLine),
    /// What changed in that follows.
    InspectResourcesDiff(ResourcesDiffLine),
    /// What one kernel uses.
    Entry(EntryLine),
    /// A kernel that one version lacks.
    EntryOnlyIn(EntryOnlyInLine),
    /// What changed in a kernel.
    EntryDiff(Box<EntryDiffLine>),
    /// How a campaign is doing.
    CampaignStatus(Box<CampaignStatusLine>),
    /// What iterations of a campaign changed.
    CampaignDiff(CampaignDiffLine),
    /// Something that is not as it should be in a campaign's folder.
    CampaignFinding(Finding),
    /// A request was left for a campaign.
    CampaignSteered(CampaignSteeredLine),
    /// What a campaign has kept is on a branch.
    CampaignPublished(CampaignPublishedLine),
}

impl Line {
    /// Why nothing can be done.
    pub(super) fn error(message: &str, help: Option<&str>, exit: Exit) -> Self {
        let (message, help) = (message.to_owned(), help.map(str::to_owned));
        Self::Error { message, help, exit: exit as u8 }
    }
}

/// What every line about a decision says.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct DecisionLine {
    /// Of these lines.
    #[schemars(extend("const" = DECISION_VERSION))]
    version: u32,
    /// What is computed.
    problem: String,
    /// What it was measured on.
    device: String,
    /// What decides.
    metric: String,
    /// 1 less the ratio of the times, or a difference in the metric's unit.
    gain: Option<f64>,
    /// Lower end of its 95 % interval; null without one.
    lower: Option<f64>,
    /// Upper end.
    upper: Option<f64>,
    /// Pairs measured.
    pairs: Option<u32>,
    /// The artifact, relative to the state folder.
    artifact: String,
    /// Number of the ledger's line.
    line: u64,
}

impl DecisionLine {
    /// One about a line of the ledger.
    pub(super) fn of(line: &ledger::Line) -> Self {
        Self {
            version: DECISION_VERSION,
            problem: line.place.problem.clone(),
            device: line.place.device.clone(),
            metric: line.place.metric.clone(),
            gain: line.gain,
            lower: line.lower,
            upper: line.upper,
            pairs: line.pairs,
            artifact: line.artifact.clone(),
            line: line.seq,
        }
    }
}

/// Of `keep`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct KeptLine {
    /// What was decided.
    pub(super) decision: Decision,
    /// What every such line says.
    #[serde(flatten)]
    pub(super) about: DecisionLine,
    /// The verdict's reason, or the failure's class.
    pub(super) reason: Option<String>,
    /// The folder with all that is kept of it.
    pub(super) incumbent: String,
    /// Its files, relative to the root.
    pub(super) files: Vec<String>,
    /// The commit that holds them; null without one.
    pub(super) commit: Option<String>,
}

/// Of `revert`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct RevertedLine {
    /// What was decided.
    pub(super) decision: Decision,
    /// What every such line says.
    #[serde(flatten)]
    pub(super) about: DecisionLine,
    /// The verdict's reason, or the failure's class.
    pub(super) reason: Option<String>,
    /// Files that were put back.
    pub(super) restored: Vec<String>,
    /// Where the candidate's files are kept.
    pub(super) kept: Option<String>,
}

/// Of `compare --anchor`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct AnchoredLine {
    /// What every such line says.
    #[serde(flatten)]
    pub(super) about: DecisionLine,
    /// How many times better the kept steps say it is; null for differences.
    pub(super) product_of_steps: Option<f64>,
    /// The whole interval lies below what the steps say.
    pub(super) falls_short: bool,
}

/// Of `replay`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct ReplayedLine {
    /// Of these lines.
    #[schemars(extend("const" = DECISION_VERSION))]
    pub(super) version: u32,
    /// The run of the artifact.
    pub(super) run: String,
    /// Its stage.
    pub(super) stage: String,
    /// What follows: `keep`, `revert` or `undecided`.
    pub(super) decision: String,
    /// The verdict's reason.
    pub(super) reason: Reason,
    /// Pairs that were looked at.
    pub(super) pairs: u32,
    /// At the look that decided: logarithm of the incumbent's time over the candidate's.
    pub(super) estimate: Option<f64>,
    /// Its lower bound there; null where the pairs are too few.
    pub(super) lower: Option<f64>,
    /// Its upper bound there.
    pub(super) upper: Option<f64>,
    /// New pairs that confirm it.
    pub(super) confirm_pairs: u32,
    /// Their estimate; null without any.
    pub(super) confirm_estimate: Option<f64>,
    /// The gain, per cent.
    pub(super) gain_pct: Option<f64>,
    /// Cases that are surely slower, where the guard looks at cases.
    pub(super) harmed: Vec<String>,
    /// As it was recorded.
    pub(super) same: bool,
}

/// What every line about the best says.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct OfBest {
    /// Of these lines.
    #[schemars(extend("const" = DECISION_VERSION))]
    version: u32,
    /// What is computed.
    problem: String,
    /// What it was measured on.
    device: String,
    /// What decides.
    metric: String,
    /// Digest of the built kernel; null when there is none.
    best: Option<String>,
}

impl OfBest {
    /// One about the best of a place.
    pub(super) fn at(place: &ledger::Place, best: Option<String>) -> Self {
        Self {
            version: DECISION_VERSION,
            problem: place.problem.clone(),
            device: place.device.clone(),
            metric: place.metric.clone(),
            best,
        }
    }
}

/// Of `best show` and `best ls`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct BestLine {
    /// What every such line says.
    #[serde(flatten)]
    pub(super) about: OfBest,
    /// Since when.
    pub(super) at: Option<String>,
    /// The event of the ledger that made it.
    pub(super) how: Option<String>,
    /// Over the one before.
    pub(super) gain: Option<f64>,
    /// Its files and headers, relative to the root.
    pub(super) files: Vec<String>,
    /// As measured then.
    pub(super) metrics: Metrics,
    /// The same, case by case.
    pub(super) cases: Vec<CaseRecord>,
    /// The commit that holds it.
    pub(super) commit: Option<String>,
    /// Why that is not in what is checked out.
    pub(super) not_in_history: Option<String>,
    /// The folder with all that is kept of it.
    pub(super) incumbent: Option<String>,
    /// Relative to the state folder.
    pub(super) artifact: Option<String>,
    /// Keeps and sets since the baseline.
    pub(super) steps: usize,
    /// Number of the ledger's line that made it.
    pub(super) line: Option<u64>,
    /// Number of the line that made the baseline.
    pub(super) baseline: Option<u64>,
}

/// Of `best set`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct BestSetLine {
    /// What every such line says.
    #[serde(flatten)]
    pub(super) about: OfBest,
    /// The folder with all that is kept of it.
    pub(super) incumbent: String,
    /// Its files, relative to the root.
    pub(super) files: Vec<String>,
    /// The commit that it was taken from.
    pub(super) commit: Option<String>,
    /// Relative to the state folder.
    pub(super) artifact: String,
    /// Number of the ledger's line.
    pub(super) line: u64,
}

/// Of `best reset`, `best undo` and `keep --undo`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(super) struct BestChangedLine {
    /// What every such line says.
    #[serde(flatten)]
    pub(super) about: OfBest,
    /// The event that was taken back.
    pub(super) undone: Option<String>,
    /// The commit of that, which stays as it is.
    pub(super) commit: Option<String>,
    /// Number of the ledger's line.
    pub(super) line: u64,
}
