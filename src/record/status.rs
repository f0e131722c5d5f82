//! How a measured stage ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::Outcome;
use crate::engine::stage::FailureClass;

/// How a measured stage ended, in one word: `passed`, or the class of its failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It passed.
    Passed,
    /// It did not.
    #[serde(untagged)]
    Failed(FailureClass),
}

impl Status {
    /// Of a stage that ran.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failed { failure } => Self::Failed(failure.class),
            _ => Self::Passed,
        }
    }

    /// As it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(class) => class.word(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_recorded_by_its_word_and_read_back() {
        for (status, word) in [
            (Status::Passed, "passed"),
            (Status::Failed(FailureClass::Failed), "failed"),
            (Status::Failed(FailureClass::TooSlow), "too_slow"),
            (Status::Failed(FailureClass::NoDevice), "no_device"),
        ] {
            let written = serde_json::to_value(status).expect("encodes");
            assert_eq!((written.as_str(), status.word()), (Some(word), word));
            assert_eq!(serde_json::from_value::<Status>(written).expect("reads"), status);
        }
        assert!(serde_json::from_str::<Status>("\"fine\"").is_err());
    }
}
