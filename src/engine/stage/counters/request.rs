//! A command that is to be watched, and how tools are run on it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{self, Cancel, CommandSpec, Exit, Finished};

/// A command to be watched.
#[derive(Debug, Clone, Copy)]
pub struct CountersRequest<'a> {
    /// The command; its program is an absolute path.
    pub argv: &'a [OsString],
    /// Its whole environment; its `PATH` is where the tools are looked for.
    pub env: &'a [(OsString, OsString)],
    /// Where it runs.
    pub dir: &'a Path,
    /// A private folder for what the tools write.
    pub scratch: &'a Path,
    /// Names its processes; unique among those in flight.
    pub marker: &'a str,
    /// How long one run may take; a simulated one takes 30 to 100 times as long as a plain one.
    pub timeout: Option<Duration>,
    /// Count only inside this function and what it calls, where the tool can (callgrind).
    pub function: Option<&'a str>,
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// Finds a tool on the request's own `PATH`.
pub(super) fn find(tool: &str, request: &CountersRequest<'_>) -> Option<PathBuf> {
    let path = request.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    process::resolve(OsStr::new(tool), request.dir, path?)
}

/// Runs a tool; `part` tells it from the stage's other processes.
pub(super) fn run(
    request: &CountersRequest<'_>,
    tool: &Path,
    part: &str,
    args: Vec<OsString>,
) -> Result<Finished, String> {
    let mut spec = CommandSpec::new(tool, request.dir, format!("{}.{part}", request.marker));
    spec.args = args;
    spec.env = request.env.to_vec();
    // Numbers with points and messages in English, whatever the user's language.
    spec.env.retain(|(name, _)| name != "LC_ALL");
    spec.env.push(("LC_ALL".into(), "C".into()));
    spec.timeout = request.timeout;
    process::run(&spec, request.cancel).map_err(|e| e.to_string())
}

/// How a watched command ended, when it did not pass.
pub(super) fn ended(finished: &Finished) -> Option<String> {
    match finished.exit {
        Exit::Code(0) => None,
        Exit::Code(code) => Some(format!("the command exited with {code}")),
        Exit::Signal(signal) => Some(format!("the command was ended by signal {signal}")),
        Exit::TimedOut => Some("the command took too long and was ended".to_owned()),
        Exit::Cancelled => Some("interrupted".to_owned()),
    }
}
