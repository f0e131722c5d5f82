//! What came of a run.

use std::io;

use super::baseline::Baseline;
use crate::engine::event::StageFinished;
use crate::engine::{Outcome, RunFinished, StageRecord};
use crate::record::Decision;

/// What came of a run, with everything that was measured and decided in it.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Its folder below `runs/`; none when everything was cached: then nothing is recorded.
    pub run: Option<String>,
    /// Stages in the order in which they ended. When everything was cached, those that
    /// [`CachedStages`](super::CachedStages) asks for.
    pub stages: Vec<StageFinished>,
    /// How many ended in which way.
    pub summary: RunFinished,
    /// Kernels that became a baseline afterwards, and why others did not.
    pub baselines: Vec<Baseline>,
    /// Why the run is not on disk as a whole, if it is not: it went on all the same.
    pub unrecorded: Option<io::Error>,
}

impl RunReport {
    /// Stages with numbers or verdicts, and those that failed.
    pub fn notable(&self) -> impl DoubleEndedIterator<Item = &StageFinished> {
        self.stages.iter().filter(|stage| {
            let has_result = stage.detail.is_some() || !stage.metrics.is_empty();
            has_result || matches!(stage.outcome, Outcome::Failed { .. })
        })
    }

    /// The artifact of a stage, or of the last point of its matrix; relative to the state folder.
    pub fn artifact_of(&self, stage: &str) -> Option<&str> {
        let is_it =
            |s: &&StageFinished| s.stage.split('[').next() == Some(stage) || s.stage == stage;
        self.artifacts().rfind(is_it).map(|s| s.artifact.as_str())
    }

    /// The artifact of the last stage that has one; relative to the state folder.
    pub fn last_artifact(&self) -> Option<&str> {
        self.artifacts().next_back().map(|stage| stage.artifact.as_str())
    }

    /// The last stage that compared its kernel, or measured one that is the very same.
    pub fn last_compared(&self) -> Option<&StageFinished> {
        let is_compared =
            |record: &StageRecord| record.comparison().is_some() || record.identical().is_some();
        self.notable().rfind(|s| s.detail.as_ref().is_some_and(is_compared))
    }

    /// What was decided of the candidate by the last stage that compared it.
    pub fn decision(&self) -> Option<Decision> {
        let decided = self.stages.iter().rev().find_map(|stage| stage.decision.as_ref())?;
        Some(decided.decision)
    }

    fn artifacts(&self) -> impl DoubleEndedIterator<Item = &StageFinished> {
        self.notable().filter(|stage| !stage.artifact.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stage::{Failure, FailureClass};
    use crate::measure::pairs::{Decided, DecisionReason};
    use crate::plan::StageKind;

    /// A stage that measured something and left an artifact.
    fn measured(stage: &str, decision: Option<Decision>) -> StageFinished {
        let mut finished = StageFinished::empty(StageKind::Bench, Outcome::Ran);
        finished.stage = stage.to_owned();
        finished.artifact = format!("runs/r/{stage}.json");
        finished.metrics.set("median_us", 1.0);
        finished.decision = decision.map(|decision| Decided {
            decision,
            reason: DecisionReason::Slower,
            gain: None,
        });
        finished
    }

    #[test]
    fn artifacts_and_the_decision_are_those_of_the_last_stage_that_has_them() {
        let failure = Failure { class: FailureClass::Wrong, message: String::new() };
        let failed = StageFinished::empty(StageKind::Check, Outcome::Failed { failure });
        let plain = StageFinished::empty(StageKind::Compile, Outcome::Ran);
        let report = RunReport {
            stages: vec![
                measured("sweep[n=1]", Some(Decision::Revert)),
                plain,
                measured("sweep[n=2]", Some(Decision::Keep)),
                measured("profile", None),
                failed,
            ],
            ..RunReport::default()
        };
        assert_eq!(report.notable().count(), 4);
        assert_eq!(report.artifact_of("sweep"), Some("runs/r/sweep[n=2].json"));
        assert_eq!(report.artifact_of("sweep[n=1]"), Some("runs/r/sweep[n=1].json"));
        assert_eq!(report.artifact_of("smoke"), None);
        assert_eq!(report.last_artifact(), Some("runs/r/profile.json"));
        assert_eq!(report.decision(), Some(Decision::Keep));
        assert_eq!(RunReport::default().decision(), None);
    }
}
