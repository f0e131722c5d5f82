//! How a worker's process is started.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::allowance::Allowance;
use crate::process::{Cancel, CommandSpec};

/// Bytes of a candidate's own printing that are kept.
const MAX_OUTPUT: usize = 1 << 20;

/// What a worker is started with.
pub(in crate::backend) struct Spawn<'a> {
    /// The executable that answers to `word`: optloop's own.
    pub(in crate::backend) program: &'a Path,
    /// The argument that makes it a worker, and of which kind.
    pub(in crate::backend) word: &'a str,
    /// The worker's whole environment, but for the folder of its own.
    pub(in crate::backend) env: Vec<(OsString, OsString)>,
    /// See [`CommandSpec::marker`]; a number that makes it unique is added.
    pub(in crate::backend) marker: &'a str,
    /// The built kernel: an absolute path.
    pub(in crate::backend) library: &'a Path,
    /// The core to stay on.
    pub(in crate::backend) cpu: Option<u32>,
    /// How long the kernel may run.
    pub(in crate::backend) allowance: &'a Allowance,
    /// Where the worker gets a folder of its own, in which it runs and which goes with it.
    pub(in crate::backend) dir: &'a Path,
    /// Ctrl-C.
    pub(in crate::backend) cancel: &'a Cancel,
}

impl Spawn<'_> {
    /// The command line of one that has this folder of its own.
    pub(super) fn command(&self, private: &Path) -> CommandSpec {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let marker = format!("{}.w{number}", self.marker);
        let mut spec = CommandSpec::new(self.program, private, marker);
        spec.args = vec![self.word.into(), std::process::id().to_string().into()];
        spec.env.clone_from(&self.env);
        spec.env.extend(["HOME", "TMPDIR"].map(|name| (name.into(), private.into())));
        // Nothing that a worker could tidy up is worth waiting for.
        spec.grace = Duration::ZERO;
        spec.max_output = MAX_OUTPUT;
        spec
    }
}
