//! What a candidate is held against.

use std::path::Path;

use super::Recipe;
use crate::engine::State;
use crate::host::Host;
use crate::record::ledger::Place;

/// What a candidate is held against.
pub struct DecisionContext<'a> {
    /// The state of the pipeline that measured it, looked at a moment ago.
    pub state: &'a State,
    /// The environment and the devices.
    pub host: &'a dyn Host,
    /// The stage that measured it, by its node's name: another pipeline's may have left the artifact.
    pub stage: &'a str,
    /// The pipeline's kernel files, below the root.
    pub kernel: &'a [String],
    /// What its incumbent is filed under.
    pub place: Place,
    /// The folder that stands for the root, below it, where what was measured is a copy of the
    /// project's files.
    pub copy: Option<String>,
    /// What the pipeline's files say of how its kernel is built, where that is asked.
    pub recipe: Option<Recipe>,
    /// Now, RFC 3339.
    pub at: String,
}

impl DecisionContext<'_> {
    /// The user's path, below the root, of a file as the plan names it; none for what optloop wrote
    /// and for what lies elsewhere.
    pub(super) fn own<'a>(&self, name: &'a str) -> Option<&'a str> {
        let copied =
            self.copy.as_deref().and_then(|copy| name.strip_prefix(copy)?.strip_prefix('/'));
        let plain = !name.starts_with('/') && !name.starts_with(".optloop/");
        copied.or(plain.then_some(name))
    }

    pub(super) fn root(&self) -> &Path {
        &self.state.paths.root
    }

    pub(super) fn folder(&self) -> &Path {
        &self.state.paths.state
    }
}
