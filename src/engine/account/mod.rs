//! What a stage records of itself: one type per stage kind, read back as it was written.
//!
//! The stage kinds make these, [`StageFinished`](super::StageFinished) and artifacts hold them, and
//! everybody above reads their fields. Not for: deciding anything, or words for people.

mod bench;
mod check;
mod command;
mod compared;
mod compile;
mod device;
mod profile;
#[cfg(test)]
pub(crate) mod samples;

use serde::{Deserialize, Serialize};

pub use bench::{BenchRecord, CaseRecord, OutliersRecord, RooflineRecord, TelemetryRecord};
pub use check::{
    CheckRecord, CheckedCase, ControlRecord, EnduranceRecord, GrowthRecord, HoldoutRecord,
    MemoryRecord, SanitizersRecord, UnsteadyRecord,
};
pub use command::{CommandRecord, TreesRecord};
pub use compared::{CalibrationRecord, ComparedCase, ComparisonRecord, IdenticalRecord, NumbersOf};
pub use compile::{CompileRecord, CompiledLayouts, LayoutsRecord, SideLayouts};
pub use device::DeviceConditions;
pub use profile::{CountersReport, HotLine, ProfileRecord, RemarkRecord, Tool};

use crate::measure::pairs::Decided;
use crate::pipeline::Purpose;

/// What a stage records, by its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StageRecord {
    /// Of a command that has a metric.
    Command(Box<CommandRecord>),
    /// Of a compile.
    Compile(CompileRecord),
    /// Of a check, however far it came.
    Check(Box<CheckRecord>),
    /// Of a measurement.
    Bench(Box<BenchRecord>),
    /// Of a measurement that ended before there was a number.
    Unmeasured(UnmeasuredRecord),
    /// Of the best of a matrix.
    Best(BestRecord),
}

/// What is known of a measurement that ended before there was a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UnmeasuredRecord {
    /// What inputs were drawn from.
    pub seed: u64,
}

/// The best of a matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BestRecord {
    /// The member that won.
    pub best: String,
    /// By which number.
    pub by: String,
    /// That number.
    pub value: f64,
    /// All members that have it.
    pub members: Vec<MemberRecord>,
    /// What the winner recorded.
    pub of: Option<Box<StageRecord>>,
}

/// A member of a matrix with its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MemberRecord {
    /// Its name.
    pub member: String,
    /// The number that the best is chosen by.
    pub value: f64,
}

/// A kept record is of another shape than this program's.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NotUnderstood(#[from] serde_json::Error);

impl StageRecord {
    /// A record as a result keeps it.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn decode(kept: &serde_json::Value) -> Result<Option<Self>, NotUnderstood> {
        Ok(Option::<Self>::deserialize(kept)?)
    }

    /// As a result keeps it.
    pub fn encode(record: Option<&Self>) -> serde_json::Value {
        // Our own types always encode.
        serde_json::to_value(record).unwrap_or_default()
    }

    /// What was decided of a candidate, where it was compared.
    pub fn decided(&self) -> Option<Decided> {
        self.chosen()?.comparison().map(|comparison| comparison.record.decided())
    }

    /// What is recorded of the point that was chosen, where this is the best of a matrix.
    pub fn chosen(&self) -> Option<&Self> {
        match self {
            Self::Best(best) => best.of.as_deref()?.chosen(),
            record => Some(record),
        }
    }

    /// A measurement.
    pub fn bench(&self) -> Option<&BenchRecord> {
        match self {
            Self::Bench(bench) => Some(bench),
            _ => None,
        }
    }

    /// A command's number.
    pub fn command(&self) -> Option<&CommandRecord> {
        match self {
            Self::Command(command) => Some(command),
            _ => None,
        }
    }

    /// What it was compared with, and what came of that.
    pub fn comparison(&self) -> Option<&ComparisonRecord> {
        match self {
            Self::Bench(bench) => bench.comparison.as_ref(),
            Self::Command(command) => command.comparison.as_ref(),
            _ => None,
        }
    }

    /// Why it was measured, where that was said.
    pub fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::Bench(bench) => Some(bench.purpose),
            Self::Command(command) => command.purpose,
            _ => None,
        }
    }

    /// That it is the incumbent's very code, where it is.
    pub fn identical(&self) -> Option<&IdenticalRecord> {
        match self {
            Self::Bench(bench) => bench.identical.as_ref(),
            Self::Command(command) => command.identical.as_ref(),
            _ => None,
        }
    }

    /// How often a command printed its metric; none where there is no command.
    pub fn matches(&self) -> Option<usize> {
        match self {
            Self::Command(command) => Some(command.matches),
            _ => None,
        }
    }

    /// How much identical code was found to differ.
    pub fn calibration(&self) -> Option<&CalibrationRecord> {
        self.bench()?.calibration.as_ref()
    }

    /// What is said of a comparison, a calibration or identical code, for people.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Bench(bench) => bench.words.as_deref(),
            Self::Command(command) => command.words.as_deref(),
            _ => None,
        }
    }

    /// What people should know beside the verdict.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Bench(bench) => &bench.warnings,
            Self::Command(command) => &command.warnings,
            _ => &[],
        }
    }

    /// Results that are yes or no, which conditions may read beside the named numbers; of the best of
    /// a matrix those of the point that was chosen.
    pub fn flags(&self) -> Vec<(&'static str, bool)> {
        match self.chosen() {
            Some(Self::Bench(bench)) => {
                vec![("stopped_early", bench.stopped_early), ("unstable", bench.is_unstable())]
            }
            Some(Self::Check(check)) => {
                check.deterministic.map(|it_is| ("deterministic", it_is)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A number as it can be recorded: JSON has neither infinities nor what is no number.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_apart_by_its_kind_and_by_nothing_else() {
        let seed = StageRecord::Unmeasured(UnmeasuredRecord { seed: u64::MAX });
        let json = serde_json::to_string(&seed).expect("encodes");
        assert_eq!(json, format!("{{\"kind\":\"unmeasured\",\"seed\":{}}}", u64::MAX));
        assert_eq!(serde_json::from_str::<StageRecord>(&json).expect("decodes"), seed);
        let unnamed = serde_json::from_str::<StageRecord>("{\"seed\":7}");
        assert!(unnamed.is_err_and(|e| e.to_string().contains("kind")));
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_no_record_says_so() {
        let record = StageRecord::Compile(CompileRecord::default());
        let kept = StageRecord::encode(Some(&record));
        assert_eq!(StageRecord::decode(&kept).expect("a record"), Some(record));
        assert_eq!(StageRecord::decode(&StageRecord::encode(None)).expect("none"), None);
        let unknown = serde_json::json!({ "kind": "unheard of" });
        assert!(
            StageRecord::decode(&unknown).is_err_and(|why| why.to_string().contains("unheard of"))
        );
    }

    #[test]
    fn the_best_of_a_matrix_speaks_for_the_member_that_won() {
        let of = |of| BestRecord {
            best: "a".to_owned(),
            by: "n".to_owned(),
            value: 1.0,
            members: Vec::new(),
            of,
        };
        let command = CommandRecord::of_number("n", None, 1);
        let record = StageRecord::Command(Box::new(command.clone()));
        let best = StageRecord::Best(of(Some(Box::new(record))));
        assert_eq!(best.chosen().and_then(StageRecord::command), Some(&command));
        assert_eq!(StageRecord::Best(of(None)).chosen(), None);
    }
}
