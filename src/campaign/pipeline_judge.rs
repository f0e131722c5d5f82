//! The judge of every real campaign: the project's pipeline, run in the judge's tree.

use std::fs;
use std::path::Path;

use super::anchored::Anchored;
use super::event::{Baseline, Better, Judgement, Outcome};
use super::judge::{Blocked, Judge};
use crate::cache::index::flag;
use crate::diagnostic::Diagnostic;
use crate::engine::account::ComparisonRecord;
use crate::engine::event::StageFinished;
use crate::engine::stage::{Failure, FailureClass};
use crate::engine::{Outcome as StageOutcome, StageRecord};
use crate::host::Host;
use crate::pipeline::{Direction, Overrides};
use crate::plan::{Definition, StageKind};
use crate::process::Cancel;
use crate::project::promotion::{Anchor, PromotionError, Rationale};
use crate::project::{
    Access, Comparison, Observer, Opened, Project, ProjectError, RunMode, RunReport, RunRequest,
    Sides,
};
use crate::record::ledger::{self, What};
use crate::record::{Artifact, Decision};
use crate::stats::Scale;

/// How many cases of a baseline are described by their bounds.
const MAX_BOUNDS: usize = 8;

/// How many lines of a failed command's output a reason holds.
const PRINTED_LINES: usize = 15;

/// Judges by a pipeline of the tree.
pub struct PipelineJudge<'a> {
    /// Files, devices and tools.
    pub host: &'a dyn Host,
    /// The pipeline file, below the tree.
    pub pipeline: &'a Path,
    /// Who follows its runs.
    pub observer: &'a dyn Observer,
    /// Ends what runs.
    pub cancel: &'a Cancel,
}

/// A stage that is compared with the best, by which number.
struct Scoring {
    stage: String,
    metric: String,
    better: Better,
}

impl Judge for PipelineJudge<'_> {
    fn baseline(&mut self, tree: &Path) -> Result<Baseline, Blocked> {
        // A baseline that a kill left half made is made anew.
        let state = tree.join(".optloop");
        let refused = |e: std::io::Error| Blocked::Refused {
            message: format!("cannot make {} anew: {e}", state.display()),
        };
        // It lies in the campaign's folder, and the tree links to it.
        let own = state.canonicalize().unwrap_or_else(|_| state.clone());
        fs::remove_dir_all(&own).map_err(refused)?;
        fs::create_dir_all(&own).map_err(refused)?;
        let mut opened = self.open(tree)?;
        let scoring = scoring(&opened);
        let report = self.run(&mut opened, RunMode::Normal)?;
        if let Some(failed) = failed(&report) {
            let message = format!("the project as it is does not pass: {failed}");
            return Err(Blocked::Refused { message });
        }
        scoring.into_iter().find_map(|scoring| first(tree, scoring, &report)).ok_or_else(|| {
            let message = "no stage of the pipeline that compares with the best gave a number: write \
                           incumbent = \"best\" in the one that decides";
            Blocked::Refused { message: message.to_owned() }
        })
    }

    fn judge(&mut self, tree: &Path, baseline: &Baseline) -> Result<Judgement, Blocked> {
        let mut opened = self.open(tree)?;
        let report = self.run(&mut opened, RunMode::Normal)?;
        judgement(tree, baseline, &report)
    }

    fn promote(&mut self, tree: &Path, judgement: &Judgement) -> Result<(), Blocked> {
        let opened = self.open(tree)?;
        let file = tree.join(judgement.artifact.as_deref().unwrap_or_default());
        let candidate = opened.candidate(std::slice::from_ref(&file)).map_err(blocked)?;
        let why = Rationale { summary: judgement.reason.clone(), ..Rationale::default() };
        match candidate.keep(&why, None) {
            Ok(_) => Ok(()),
            // A process that was killed did it.
            Err(ProjectError::Promotion(
                PromotionError::OtherIncumbent { .. } | PromotionError::Identical,
            )) if is_kept(&opened, &file) => Ok(()),
            Err(error) => Err(blocked(error)),
        }
    }

    fn confirm(&mut self, tree: &Path, baseline: &Baseline) -> Result<f64, Blocked> {
        let mut opened = self.open(tree)?;
        let report = self.run(&mut opened, RunMode::Rerun)?;
        let stage = report.stages.iter().find(|stage| stage.stage == baseline.stage);
        let value = stage.and_then(|stage| stage.metrics.get(&baseline.metric));
        value.ok_or_else(|| Blocked::Refused {
            message: format!("`{}` gave no {}", baseline.stage, baseline.metric),
        })
    }

    fn anchor(&mut self, tree: &Path, baseline: &Baseline) -> Result<Anchored, Blocked> {
        let comparison = Comparison {
            sides: Sides::Anchor,
            stage: baseline.stage.clone(),
            changes: Overrides::default(),
        };
        let project = self.project(tree)?;
        let compared = project.compare(&comparison, &[self.observer], &|| self.cancel.clone());
        let compared = compared.map_err(blocked)?;
        if compared.report.summary.interrupted || self.cancel.is_set() {
            return Err(Blocked::Interrupted);
        }
        let anchor = compared.note_anchor(&comparison).map_err(blocked)?;
        let none = || Blocked::Refused { message: "nothing was measured".to_owned() };
        let Anchor { line, product } = anchor.ok_or_else(none)?;
        let file = tree.join(".optloop").join(&line.artifact);
        let below = file.strip_prefix(tree).unwrap_or(&file).to_string_lossy().into_owned();
        Ok(Anchored {
            gain: line.gain,
            lower: line.lower,
            upper: line.upper,
            steps: product,
            artifact: Some(below),
            message: None,
        })
    }
}

impl<'a> PipelineJudge<'a> {
    fn project(&self, tree: &Path) -> Result<Project<'a>, Blocked> {
        let pipeline = tree.join(self.pipeline);
        Project::find(&pipeline.to_string_lossy(), self.host).map_err(blocked)
    }

    fn open(&self, tree: &Path) -> Result<Opened<'a>, Blocked> {
        let project = self.project(tree)?;
        project.open(Overrides::default(), Access::Wait, &[self.observer]).map_err(blocked)
    }

    fn run(&self, opened: &mut Opened<'_>, mode: RunMode) -> Result<RunReport, Blocked> {
        let request = RunRequest { mode, ..RunRequest::default() };
        let report = opened.run(&request, &[self.observer], &|| self.cancel.clone());
        let report = report.map_err(blocked)?;
        if report.summary.interrupted || self.cancel.is_set() {
            return Err(Blocked::Interrupted);
        }
        Ok(report)
    }
}

fn blocked(error: ProjectError) -> Blocked {
    let message = match error {
        ProjectError::Mistakes(mistakes) => {
            let told: Vec<String> = mistakes.iter().map(in_words).collect();
            told.join("; ")
        }
        other => other.to_string(),
    };
    Blocked::Refused { message }
}

/// A mistake with its place.
fn in_words(mistake: &Diagnostic) -> String {
    match mistake.location() {
        Some(place) => format!("{}:{}: {}", place.path.display(), place.line, mistake.message),
        None => mistake.message.clone(),
    }
}

/// The stages that are to be compared with the best while there is none, the last one first.
fn scoring(opened: &Opened<'_>) -> Vec<Scoring> {
    let index = &opened.state.index;
    let nodes = index.node_ids().rev();
    let found = nodes.filter_map(|node| {
        let stored = opened.state.definition(node).ok()?;
        let question = stored.question.filter(|_| index.node(node).has(flag::FIRST))?;
        let better = match stored.definition {
            Definition::Command(command) => command.metric.map(|metric| metric.better),
            _ => None,
        };
        let better = match better {
            Some(Direction::Higher) => Better::Higher,
            Some(Direction::Lower) | None => Better::Lower,
        };
        let stage = index.node_name(node).to_owned();
        Some(Scoring { stage, metric: question.metric, better })
    });
    found.collect()
}

/// The first number of a stage, where it gave one: a stage that confirms a gain is skipped while
/// there is nothing to gain on.
fn first(tree: &Path, scoring: Scoring, report: &RunReport) -> Option<Baseline> {
    let stage = report.stages.iter().find(|stage| stage.stage == scoring.stage)?;
    let value = stage.metrics.get(&scoring.metric)?;
    Some(Baseline {
        stage: scoring.stage,
        metric: scoring.metric,
        better: scoring.better,
        value,
        artifact: artifact(tree, stage).unwrap_or_default(),
        matches: stage.detail.as_ref().and_then(StageRecord::matches),
        device: device(tree, stage),
        bounds: bounds(stage),
        ..Baseline::default()
    })
}

/// What a stage was measured on.
fn device(tree: &Path, stage: &StageFinished) -> Option<String> {
    let artifact = Artifact::read(&tree.join(artifact(tree, stage)?)).ok()?;
    Some(artifact.provenance.device_identity).filter(|device| !device.is_empty())
}

/// The least times of a stage's cases, in words. Those held out have sizes that nobody may know.
fn bounds(stage: &StageFinished) -> Vec<String> {
    let Some(StageRecord::Bench(bench)) = &stage.detail else { return Vec::new() };
    let known = bench.cases.iter().filter_map(|case| Some((case, case.roofline.as_ref()?)));
    let words = known.map(|(case, roofline)| {
        let (floor, bound, share) = (roofline.floor_us, &roofline.bound, 100.0 * roofline.share);
        format!(
            "{}: {floor:.3} µs at least ({bound}), of which {share:.0} % is reached",
            case.label
        )
    });
    words.take(MAX_BOUNDS).collect()
}

/// The first stage that failed, in words.
fn failed(report: &RunReport) -> Option<String> {
    report.stages.iter().find_map(|stage| {
        let failure = failure(stage)?;
        Some(format!("{}: {}", stage.stage, failure.message))
    })
}

fn failure(stage: &StageFinished) -> Option<&Failure> {
    match &stage.outcome {
        StageOutcome::Failed { failure } => Some(failure),
        _ => None,
    }
}

fn artifact(tree: &Path, stage: &StageFinished) -> Option<String> {
    let has_one = !stage.artifact.is_empty();
    let file = tree.join(".optloop").join(&stage.artifact);
    let below = file.strip_prefix(tree).unwrap_or(&file);
    has_one.then(|| below.to_string_lossy().into_owned())
}

/// The end of what a command printed that failed, on lines of its own. What kernel stages print is
/// in their messages, as far as a candidate may know it.
fn printed(tree: &Path, stage: &StageFinished) -> String {
    let artifact = artifact(tree, stage).and_then(|file| Artifact::read(&tree.join(file)).ok());
    let command = artifact.filter(|artifact| artifact.kind == StageKind::Command);
    let output = command.map(|artifact| artifact.output).unwrap_or_default();
    let lines: Vec<&str> = output.trim().lines().collect();
    let end = lines[lines.len().saturating_sub(PRINTED_LINES)..].join("\n");
    if end.is_empty() { end } else { format!("\n{end}") }
}

/// What a run says of its candidate.
fn judgement(tree: &Path, baseline: &Baseline, report: &RunReport) -> Result<Judgement, Blocked> {
    // A stage that ends by a decision has failed for the pipeline, and not here.
    let broken =
        report.stages.iter().find(|stage| stage.decision.is_none() && failure(stage).is_some());
    if let Some((stage, failure)) = broken.and_then(|stage| Some((stage, failure(stage)?))) {
        return Ok(Judgement {
            artifact: artifact(tree, stage),
            reason: format!("{}: {}{}", stage.stage, failure.message, printed(tree, stage)),
            ..Judgement::of(outcome_of(failure)?)
        });
    }
    if let Some(forged) = forged(tree, baseline, report) {
        return Ok(forged);
    }
    let mut backwards = report.stages.iter().rev();
    if let Some((stage, decided)) = backwards.find_map(|s| Some((s, s.decision.as_ref()?))) {
        let outcome = match decided.decision {
            Decision::Keep => Outcome::Better,
            Decision::Revert => Outcome::Worse,
            Decision::Undecided => Outcome::Undecided,
        };
        let own = report.stages.iter().find(|stage| stage.stage == baseline.stage);
        let value = own.and_then(|stage| stage.metrics.get(&baseline.metric));
        let compared = stage.detail.as_ref().and_then(StageRecord::comparison);
        let gain = decided.gain.map(|gain| gain.value);
        return Ok(Judgement {
            share: gain.and_then(|gain| share(compared?, gain)),
            value: stage.metrics.get(&baseline.metric).or(value),
            gain,
            lower: decided.gain.map(|gain| gain.lower),
            upper: decided.gain.map(|gain| gain.upper),
            artifact: artifact(tree, stage),
            reason: stage
                .detail
                .as_ref()
                .and_then(StageRecord::words)
                .unwrap_or_default()
                .to_owned(),
            ..Judgement::of(outcome)
        });
    }
    let identical = |stage: &&StageFinished| {
        stage.detail.as_ref().is_some_and(|record| record.identical().is_some())
    };
    if let Some(stage) = report.stages.iter().rev().find(identical) {
        return Ok(Judgement {
            value: stage.metrics.get(&baseline.metric),
            gain: Some(0.0),
            artifact: artifact(tree, stage),
            reason: "it builds to the very code of the best".to_owned(),
            ..Judgement::of(Outcome::Worse)
        });
    }
    Err(Blocked::Refused { message: format!("`{}` decided nothing", baseline.stage) })
}

/// A gain as a share of the incumbent's metric, where the metric is compared by ratios.
fn share(compared: &ComparisonRecord, gain: f64) -> Option<f64> {
    match compared.record.scoring.metric.scale {
        Scale::Log => Some(gain),
        Scale::Difference => None,
    }
}

/// A candidate that prints the metric more or less often than the unchanged project did: the line
/// that counts may be its own.
fn forged(tree: &Path, baseline: &Baseline, report: &RunReport) -> Option<Judgement> {
    let stage = report.stages.iter().find(|stage| stage.stage == baseline.stage)?;
    let (then, now) = (baseline.matches?, stage.detail.as_ref().and_then(StageRecord::matches)?);
    let reason = format!(
        "`{}` is printed {now} times, and {then} times by the project as it was: the one that counts \
         need not be the harness's",
        baseline.metric
    );
    let artifact = artifact(tree, stage);
    let judgement = Judgement { artifact, reason, ..Judgement::of(Outcome::Guard) };
    (now != then).then_some(judgement)
}

/// Whose fault a failure is.
fn outcome_of(failure: &Failure) -> Result<Outcome, Blocked> {
    Ok(match failure.class {
        FailureClass::Interrupted => return Err(Blocked::Interrupted),
        FailureClass::NoDevice
        | FailureClass::Problem
        | FailureClass::Setup
        | FailureClass::Incumbent => {
            return Err(Blocked::Refused { message: failure.message.clone() });
        }
        FailureClass::Infrastructure | FailureClass::TooNoisy | FailureClass::Defect => {
            Outcome::Infrastructure
        }
        FailureClass::Inconclusive => Outcome::Undecided,
        FailureClass::NotBetter => Outcome::Worse,
        FailureClass::Failed
        | FailureClass::Wrong
        | FailureClass::Crashed
        | FailureClass::TimedOut
        | FailureClass::Cheating
        | FailureClass::TooSlow
        | FailureClass::Implausible => Outcome::Failed,
    })
}

/// Whether the last keep was of this artifact.
fn is_kept(opened: &Opened<'_>, artifact: &Path) -> bool {
    let state = opened.project.state();
    let Ok(known) = ledger::read(&state) else { return false };
    let last = known.lines.iter().rev().find(|line| line.event == What::Keep);
    last.is_some_and(|line| state.join(&line.artifact) == artifact)
}
