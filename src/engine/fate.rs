//! What would become of one node, as far as that can be told yet.

use super::explanation::{Answer, Field};
use crate::cache::NodeId;
use crate::digest::Digest;

/// What a node reads of one that would run.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) from: NodeId,
    pub(super) reads: Vec<String>,
}

/// What would become of one node.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) answer: Answer,
    pub(super) changes: Vec<Field>,
    pub(super) steps: Vec<Step>,
    pub(super) provided: Vec<NodeId>,
    pub(super) condition: Option<String>,
    pub(super) key: Digest,
    /// Files that would be put back, with what they would hold.
    pub(super) given: Vec<(String, (Digest, u32))>,
}

impl Fate {
    pub(super) fn of(answer: Answer, key: Digest) -> Self {
        let (changes, steps, provided, given) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { answer, changes, steps, provided, condition: None, key, given }
    }

    pub(super) fn moves(&self) -> bool {
        matches!(self.answer, Answer::Runs { .. } | Answer::Waits)
    }

    pub(super) fn passed(&self) -> bool {
        matches!(self.answer, Answer::Known | Answer::PutBack { .. })
    }
}
