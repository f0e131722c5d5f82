//! What the `git` program gets from outside.

use std::ffi::OsString;

use crate::host::Host;
use crate::process::Cancel;

/// What the `git` program gets.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// The environment that optloop was started in.
    pub(super) env: Vec<(OsString, OsString)>,
    /// Ends the program, and with it the commit.
    pub(super) cancel: Cancel,
}

impl Outside {
    /// With the environment of `host`.
    pub fn of(host: &dyn Host, cancel: Cancel) -> Self {
        Self { env: host.vars(), cancel }
    }
}
