//! Events that cannot stand where they stand.

/// An event that cannot follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {number} of the log cannot stand there: {why}")]
pub struct OutOfOrder {
    /// Which, from 1.
    pub number: usize,
    /// Why.
    pub why: Misplaced,
}

/// Why an event cannot follow those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// Nothing follows an end.
    #[error("the campaign had ended")]
    AfterTheEnd,
    /// A baseline belongs to a campaign.
    #[error("the campaign has not begun")]
    NotBegun,
    /// Iterations come after the baseline.
    #[error("nothing was measured yet")]
    NotMeasured,
    /// One iteration at a time.
    #[error("iteration {0} has not ended")]
    StillOpen(u32),
    /// Numbers have no gaps.
    #[error("iteration {found} cannot follow {last}")]
    Gap {
        /// The number that was found.
        found: u32,
        /// The one before it.
        last: u32,
    },
    /// It is about an iteration that has ended, or was not opened.
    #[error("iteration {0} is not under way")]
    NotUnderWay(u32),
    /// Epochs have no gaps.
    #[error("epoch {found} cannot follow {last}")]
    Epoch {
        /// The number that was found.
        found: u32,
        /// The one before it.
        last: u32,
    },
    /// It is about kept changes on an adopted commit.
    #[error("no kept changes were merged with an adopted commit, or they were judged already")]
    NothingMerged,
    /// What was kept was committed and measured.
    #[error("what was kept has no commit or no value")]
    NothingToKeep,
    /// What goes back to the agent was committed and judged.
    #[error("what goes back to the agent has no commit or was not judged")]
    NothingToSendBack,
}
