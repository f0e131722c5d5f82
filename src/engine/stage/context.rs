//! What every stage kind is given.

use std::ffi::OsString;
use std::path::Path;

use super::outcome::Look;
use crate::host::Host;
use crate::process::Cancel;

/// What every stage kind is given.
#[derive(Clone, Copy)]
pub struct StageContext<'a> {
    /// The node's name.
    pub name: &'a str,
    /// Folder that relative paths start from (absolute).
    pub dir: &'a Path,
    /// A private folder for this attempt, removed afterwards.
    pub scratch: &'a Path,
    /// The state folder: what is known of this machine lies below it.
    pub state: &'a Path,
    /// What processes carry in their environment, so that a later run can find what a killed one
    /// left behind; unique among the stages in flight.
    pub marker: &'a str,
    /// The environment that this run was started in, the device, and this very program, which
    /// workers are started from.
    pub host: &'a dyn Host,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
    /// Called with progress in [0, 1] and a few words.
    pub progress: &'a (dyn Fn(f32, &str) + Sync),
    /// Called at each look of a comparison.
    pub looked: &'a (dyn Fn(&Look) + Sync),
}

impl StageContext<'_> {
    /// Those of the named variables that are set.
    pub(super) fn inherited(&self, names: &[&str]) -> Vec<(OsString, OsString)> {
        names.iter().filter_map(|name| Some((name.into(), self.host.var(name)?))).collect()
    }
}
