//! A command, what it finds on its input, and why it could not be started.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::capture::Capture;
use super::errno::lasts;

/// A command, complete: nothing is taken from this process's own environment.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// The executable, an absolute path (see [`super::resolve`]).
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub args: Vec<OsString>,
    /// The whole environment; the marker is added.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs.
    pub dir: PathBuf,
    /// How its output is kept.
    pub capture: Capture,
    /// How long it may run; `None` for ever.
    pub timeout: Option<Duration>,
    /// How long its tree may go on after TERM before it is killed.
    pub grace: Duration,
    /// How many bytes of each output stream are kept; half from each end.
    pub max_output: usize,
    /// Names the command in the environment of all it starts; unique among those in flight.
    pub marker: String,
}

impl CommandSpec {
    /// A command with no arguments, an empty environment, no timeout, two seconds of grace and
    /// one MiB of merged output.
    pub fn new(
        program: impl Into<PathBuf>,
        dir: impl Into<PathBuf>,
        marker: impl Into<String>,
    ) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: dir.into(),
            capture: Capture::Merged,
            timeout: None,
            grace: Duration::from_secs(2),
            max_output: 1 << 20,
            marker: marker.into(),
        }
    }
}

/// What a command finds on its standard input.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// One end of a socket pair; the other end sees a hang-up when the command has gone.
    Socket(OwnedFd),
}

/// Why a command could not be started or watched.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A relative program would be looked up by rules that nobody chose here.
    #[error("cannot start `{program}`: the program must be an absolute path")]
    NotAbsolute {
        /// The program as given.
        program: PathBuf,
    },
    /// The system refused to start it.
    #[error("cannot start `{program}` in `{dir}`: {hint}", program = program.display(), dir = dir.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The directory it should have run in.
        dir: PathBuf,
        /// What is wrong, in words.
        hint: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It was started but could not be watched, and has been ended.
    #[error("cannot watch `{program}` ({what}): {source}", program = program.display())]
    Watch {
        /// The program.
        program: PathBuf,
        /// Which step failed.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SpawnError {
    /// True when the next try would fail as well.
    pub fn lasts(&self) -> bool {
        match self {
            Self::NotAbsolute { .. } => true,
            Self::Start { source, .. } => lasts(source),
            Self::Watch { .. } => false,
        }
    }
}
