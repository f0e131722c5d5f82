//! A command that is to be watched, and how tools are run on it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{self, Cancel, CommandSpec, Exit, Finished, SpawnError};

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
) -> Result<Finished, SpawnError> {
    let mut spec = CommandSpec::new(tool, request.dir, format!("{}.{part}", request.marker));
    spec.args = args;
    spec.env = request.env.to_vec();
    // Numbers with points and messages in English, whatever the user's language.
    spec.env.retain(|(name, _)| name != "LC_ALL");
    spec.env.push(("LC_ALL".into(), "C".into()));
    spec.timeout = request.timeout;
    process::run(&spec, request.cancel)
}

/// Why nothing was counted, and what mends it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Uncounted {
    /// The tool is not there.
    #[error("{tool} is not installed: {install}")]
    NotInstalled { tool: &'static str, install: &'static str },
    /// The system forbids it.
    #[error(
        "perf may not count here: sysctl kernel.perf_event_paranoid=1 (as root; in a container also \
         --cap-add PERFMON)"
    )]
    Forbidden,
    /// There is nothing that counts.
    #[error(
        "perf finds no hardware counters, as in most virtual machines and containers: use a bare machine, \
         or switch the virtual PMU on (KVM: -cpu host,pmu=on)"
    )]
    NoCounters,
    /// The tool itself fails; its first line.
    #[error("perf does not work here: {0}")]
    Broken(String),
    /// The tool cannot be started.
    #[error("{0}")]
    Start(String),
    /// The command under it ended early.
    #[error("{tool} did not count to the end: {how}")]
    Ended { tool: &'static str, how: String },
    /// The simulated processor does not know the kernel's instructions.
    #[error(
        "valgrind does not know an instruction of {place}: build what is profiled without AVX-512 \
         (-mno-avx512f after -march=native)"
    )]
    UnknownInstruction { place: String },
    /// The tool left no file.
    #[error("callgrind wrote no {}: {why}", .file.display())]
    NoFile { file: PathBuf, why: String },
    /// The file has no counts.
    #[error("callgrind counted nothing in {function}: is it called, and exported?")]
    Nothing { function: String },
}

impl From<SpawnError> for Uncounted {
    fn from(e: SpawnError) -> Self {
        Self::Start(e.to_string())
    }
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
