//! What a line of the ledger says.

use serde::{Deserialize, Serialize};

/// What was decided or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The first kernel of a place, or a new start: what later gains are gains over.
    Baseline,
    /// The candidate is the incumbent from now on.
    Keep,
    /// The candidate went; its files were put back.
    Revert,
    /// The numbers did not say.
    Undecided,
    /// The incumbent was measured against the baseline.
    Anchor,
    /// Somebody made a kernel the incumbent, whatever the numbers say.
    Set,
    /// There is no incumbent any more: the next is a baseline.
    Reset,
    /// The last change of the incumbent was taken back.
    Undo,
}

impl What {
    /// As it is written everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Keep => "keep",
            Self::Revert => "revert",
            Self::Undecided => "undecided",
            Self::Anchor => "anchor",
            Self::Set => "set",
            Self::Reset => "reset",
            Self::Undo => "undo",
        }
    }
}
