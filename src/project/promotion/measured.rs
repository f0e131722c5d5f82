//! An artifact that something is to be decided on, held against everything that was recorded of it.

use std::path::{Path, PathBuf};

use super::error::{ArtifactError, Since};
use crate::digest::Digest;
use crate::engine::stage::FailureClass;
use crate::engine::{Event, StageRecord};
use crate::measure::pairs::{Comparison, Decided};
use crate::pipeline::Purpose;
use crate::plan::{InputRole, StageKind};
use crate::record::{Artifact, Decision, RecordError, Status, analysis, ledger};

/// What an artifact says of its candidate.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// It was compared with the incumbent.
    Compared {
        /// All of it.
        comparison: Box<Comparison>,
        /// What its launches say, found again from them.
        decided: Decided,
    },
    /// It is the incumbent's very code.
    Identical,
    /// It was measured, with nothing beside it.
    Alone,
    /// It failed before it could be compared.
    Failed,
}

/// An artifact with its name and digest.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Below the state folder.
    pub name: String,
    /// BLAKE3 of its file.
    pub digest: Digest,
    /// What is in it.
    pub artifact: Artifact,
    /// What it says.
    pub says: Says,
}

/// The state folder that an artifact lies in: `STATE/runs/RUN/STAGE.json`.
pub fn state_of(file: &Path) -> Option<PathBuf> {
    let runs = file.parent()?.parent()?;
    let state = runs.parent()?;
    let named = runs.file_name()? == "runs" && state.file_name()? == ".optloop";
    named.then(|| state.to_owned())
}

impl Measured {
    /// Reads an artifact below `state` and decides it again from its launches.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was recorded of it.
    pub fn read(state: &Path, file: &Path) -> Result<Self, ArtifactError> {
        let path = || file.to_owned();
        let bytes = std::fs::read(file)
            .map_err(|source| RecordError::Unreadable { path: path(), source })?;
        let artifact: Artifact = serde_json::from_slice(&bytes)
            .map_err(|source| RecordError::NoArtifact { path: path(), source })?;
        let name = file.strip_prefix(state).unwrap_or(file).to_string_lossy().into_owned();
        let says = says(&name, &artifact)?;
        let measured = Self { name, digest: Digest::of(&bytes), artifact, says };
        measured.prove(state, file)?;
        Ok(measured)
    }

    /// Whether a run can have left it: what is decided on must be what was measured.
    fn prove(&self, state: &Path, file: &Path) -> Result<(), ArtifactError> {
        let altered = |since| Err(ArtifactError::Altered { artifact: self.name.clone(), since });
        let known = ledger::read(state)?;
        let mut decided = known.lines.iter().filter(|line| line.artifact == self.name);
        if decided.any(|line| line.artifact_digest != self.digest) {
            return altered(Since::Decision);
        }
        if analysis::read(file)?.entries.iter().any(|entry| entry.artifact != self.digest) {
            return altered(Since::Analysis);
        }
        match self.as_told(state, file) {
            Some(false) => altered(Since::Run),
            Some(true) | None => Ok(()),
        }
    }

    /// Whether it says what its run told when the stage ended; `None` when that is not known.
    fn as_told(&self, state: &Path, file: &Path) -> Option<bool> {
        let log = std::fs::read_to_string(file.with_file_name("events.jsonl")).ok()?;
        let name = file.strip_prefix(state).ok()?.to_string_lossy().into_owned();
        let told =
            log.lines().filter(|line| line.contains("\"stage_finished\"")).find_map(|line| {
                match serde_json::from_str(line) {
                    Ok(Event::StageFinished(finished)) if finished.artifact == name => {
                        Some(finished)
                    }
                    _ => None,
                }
            })?;
        let artifact = &self.artifact;
        Some(
            told.detail == artifact.result
                && told.decision == artifact.decision
                && told.metrics == artifact.metrics
                && told.fields == artifact.key_fields
                && Status::of(&told.outcome) == artifact.status,
        )
    }

    /// A field of its key.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = &self.artifact.key_fields;
        fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Digest of the incumbent that it was to be compared with.
    pub(super) fn incumbent(&self) -> Option<&str> {
        self.field(InputRole::Incumbent.field()).or_else(|| {
            let files = self.opponents();
            self.field(&format!("input:{}", files.first()?))
        })
    }

    /// The files of the incumbent that a command was run on.
    pub(super) fn opponents(&self) -> Vec<String> {
        let Some(written) = self.field("definition.opponent.kernel") else { return Vec::new() };
        // Before there could be several it was the bare name.
        serde_json::from_str(written).unwrap_or_else(|_| vec![written.to_owned()])
    }

    /// What is to be decided of it: what its launches say, and what every other failure means.
    pub fn decision(&self) -> Option<Decision> {
        if let (Says::Compared { decided, .. }, Some(_)) = (&self.says, &self.artifact.decision) {
            return Some(decided.decision);
        }
        let neutral = [
            FailureClass::Infrastructure,
            FailureClass::Setup,
            FailureClass::Defect,
            FailureClass::Interrupted,
            FailureClass::NoDevice,
            FailureClass::TooNoisy,
            FailureClass::Problem,
            FailureClass::Incumbent,
        ];
        match self.artifact.status {
            Status::Passed => None,
            Status::Failed(class) if neutral.contains(&class) => None,
            Status::Failed(_) => Some(Decision::Revert),
        }
    }

    /// Whether an artifact is of a stage that scores: a comparison or a measurement.
    pub fn scores(artifact: &Artifact) -> bool {
        let Some(record) = &artifact.result else { return artifact.kind == StageKind::Bench };
        matches!(record, StageRecord::Unmeasured(_))
            || record.comparison().is_some()
            || record.identical().is_some()
            || matches!(record.purpose(), Some(Purpose::Candidate | Purpose::Final))
    }
}

fn says(name: &str, artifact: &Artifact) -> Result<Says, ArtifactError> {
    let record = artifact.result.as_ref();
    let Some(comparison) = record.and_then(StageRecord::comparison) else {
        let identical = record.is_some_and(|record| record.identical().is_some());
        return Ok(match identical {
            _ if artifact.status != Status::Passed => Says::Failed,
            true => Says::Identical,
            false => Says::Alone,
        });
    };
    let name = || name.to_owned();
    let comparison = comparison.record.clone();
    let again = comparison
        .again()
        .map_err(|source| ArtifactError::NoComparison { artifact: name(), source })?;
    if !comparison.holds(&again) {
        return Err(ArtifactError::OtherVerdict {
            artifact: name(),
            found: again.verdict.reason.words().to_owned(),
            recorded: comparison.verdict.reason.words().to_owned(),
        });
    }
    let decided = again.decided;
    if artifact.status == Status::Passed && decided.decision != Decision::Keep {
        let decision = decided.decision;
        return Err(ArtifactError::NotPassed { artifact: name(), decision });
    }
    Ok(Says::Compared { comparison: Box::new(comparison), decided })
}
