//! What a campaign worked on before it took up another commit, and what it takes along.

use super::event::{Baseline, Begun, Judgement, Outcome};

/// What a campaign worked on before it took up another commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// How the epoch began.
    pub begun: Begun,
    /// What was measured then; none where the next epoch came before that.
    pub baseline: Option<Baseline>,
    /// Its last iteration; 0 for none.
    pub until: u32,
    /// How long it took to judge the kept changes that were merged into it, s.
    pub judging_s: f64,
}

/// The kept changes, merged with an adopted commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Its commit in the campaign's repository.
    pub commit: String,
    /// The iteration that the best came from.
    pub iteration: u32,
    /// What came of judging it.
    pub judgement: Option<Judgement>,
    /// It is the best of the epoch.
    pub is_kept: bool,
}

impl Merged {
    /// Whether it is not known yet if they stay.
    pub fn is_waiting(&self) -> bool {
        self.judgement.is_none() || (self.is_better() && !self.is_kept)
    }

    /// Whether they were judged better than the commit without them.
    pub fn is_better(&self) -> bool {
        self.judgement.as_ref().is_some_and(|judged| judged.outcome == Outcome::Better)
    }
}
