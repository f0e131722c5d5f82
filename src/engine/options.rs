//! What a run is asked to do, and what it needs from outside.

use super::event::Event;
use crate::host::Host;
use crate::process::Cancel;
use crate::process::jobserver::Tokens;

/// What a run is asked to do.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    /// Commands at the same time; `None`: as many as the jobserver or the processor allows.
    pub jobs: Option<usize>,
    /// Start stages that do not depend on a failed one.
    pub keep_going: bool,
    /// Run everything selected, known or not.
    pub rerun: bool,
    /// Refuse instead of waiting for a device.
    pub no_wait: bool,
    /// Trace what commands open and refuse what they did not declare.
    pub audit: bool,
    /// Unique name of this run.
    pub run: String,
}

/// What a run needs from outside.
pub struct Surroundings<'a> {
    /// Environment, devices, tools, the clock.
    pub host: &'a dyn Host,
    /// Where events go; called from several threads.
    pub sink: &'a (dyn Fn(&Event) + Sync),
    /// Ctrl-C.
    pub cancel: &'a Cancel,
    /// Job tokens.
    pub tokens: &'a Tokens,
}
