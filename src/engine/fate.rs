//! What would become of one node, as far as that can be told yet.

use super::explain::Forecast;
use super::explanation::{Answer, Field};
use crate::digest::Digest;

/// What a node reads of one that would run.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) from: u32,
    pub(super) reads: Vec<String>,
}

/// What would become of one node.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) answer: Answer,
    pub(super) changes: Vec<Field>,
    pub(super) steps: Vec<Step>,
    pub(super) provided: Vec<u32>,
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

impl Forecast<'_> {
    /// The fields of the key under which a node's result is kept, when it is.
    pub fn key_fields(&self, node: u32) -> Option<Vec<(String, String)>> {
        let fate = self.fates.get(node as usize)?.as_ref()?;
        self.state.store.action(&fate.key).map(|action| action.fields)
    }

    /// What an entry would hold after the run; `None` when a stage would write it anew.
    pub fn content_of(&self, entry: u32) -> Option<Digest> {
        if self.written.contains_key(&entry) {
            return None;
        }
        let index = &self.state.index;
        let (_, name) = index.entry_name(entry);
        let there = index.entries.get(entry as usize).map(|e| e.digest);
        self.given.get(name).map(|(digest, _)| *digest).or(there).filter(|digest| !digest.is_none())
    }
}
