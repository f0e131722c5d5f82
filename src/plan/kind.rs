//! Which stage kinds there are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of stage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Runs a command.
    Command,
    /// Builds a kernel.
    Compile,
    /// Compares a kernel with the reference.
    Check,
    /// Measures a kernel.
    Bench,
    /// Takes the best of a matrix.
    Best,
}

impl StageKind {
    /// The kind's word, for people, records and keys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Compile => "compile",
            Self::Check => "check",
            Self::Bench => "bench",
            Self::Best => "best",
        }
    }
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_recorded_by_its_word() {
        for kind in [
            StageKind::Command,
            StageKind::Compile,
            StageKind::Check,
            StageKind::Bench,
            StageKind::Best,
        ] {
            assert_eq!(serde_json::to_value(kind).expect("encodes"), kind.word());
        }
    }
}
