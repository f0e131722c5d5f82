//! The entries of an index by their names.

use std::collections::HashMap;

use crate::cache::{EntryId, Index, Kind};

/// Entry ids by kind and name; made when the first discovery needs it.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(Kind, String), EntryId>);

impl Names {
    pub(super) fn of(index: &Index) -> Self {
        let all = index.entry_ids().map(|id| {
            let (kind, name) = index.entry_name(id);
            ((kind, name.to_owned()), id)
        });
        Self(all.collect())
    }

    /// The id of an entry and whether it had to be added.
    pub(super) fn id(&mut self, index: &mut Index, kind: Kind, name: &str) -> (EntryId, bool) {
        if let Some(&id) = self.0.get(&(kind, name.to_owned())) {
            return (id, false);
        }
        let id = index.add_entry(kind, name);
        self.0.insert((kind, name.to_owned()), id);
        (id, true)
    }
}
