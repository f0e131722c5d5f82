//! What a worker gives up for good before it opens a candidate's code.
//!
//! [`confine`] is called by a process on itself, while it has one thread. Landlock takes its
//! files away but for system libraries and a private folder; a seccomp filter takes away the
//! calls that no kernel needs. Both are asked for by system call, never by the kernel's version,
//! for distributions carry patches back and containers forbid.

mod calls;
mod files;
mod filter;
mod traps;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use rustix::thread::set_no_new_privs;

use super::trace;

pub use calls::syscall_name;
pub use files::library_path;
pub use traps::{trapped_call, watch_traps};

/// How much of a sandbox a pipeline asks for.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    /// What this machine offers, and the level is recorded.
    #[default]
    Auto,
    /// All of it, or nothing runs.
    Required,
    /// None.
    Off,
}

impl SandboxMode {
    /// Refuses a level that is less than what was asked for.
    ///
    /// # Errors
    /// [`SandboxError::Missing`] when all of it is required and `level` is not full.
    pub fn accept(self, level: SandboxLevel) -> Result<(), SandboxError> {
        if self == Self::Required && !level.is_full() {
            return Err(SandboxError::Missing(level));
        }
        Ok(())
    }
}

/// Which parts of the sandbox there are.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct SandboxLevel {
    /// The Landlock interface in use, 0 for none.
    pub landlock_abi: u32,
    /// Calls are filtered.
    pub seccomp: bool,
}

impl SandboxLevel {
    /// What this machine offers to this process; two system calls that change nothing.
    pub fn available() -> Self {
        Self { landlock_abi: files::abi(), seccomp: filter::available() }
    }

    /// In words: `landlock abi 7, seccomp` or `none`.
    pub fn describe(&self) -> String {
        match (self.landlock_abi, self.seccomp) {
            (0, false) => "none".to_owned(),
            (0, true) => "seccomp".to_owned(),
            (abi, false) => format!("landlock abi {abi}"),
            (abi, true) => format!("landlock abi {abi}, seccomp"),
        }
    }

    /// Both files and calls are confined. The oldest Landlock is enough for that: what later ones
    /// add (truncation, TCP, devices, signals) the filter refuses or the rules never open.
    pub fn is_full(&self) -> bool {
        self.landlock_abi > 0 && self.seccomp
    }
}

/// What a confined process may still open, beyond the system's libraries and a few devices.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// Files and folders to read: the shared object, and where its libraries lie. Folders of
    /// `LD_LIBRARY_PATH` are readable without being named.
    pub reads: Vec<PathBuf>,
    /// Private folders, to read and write but not to execute from.
    pub writes: Vec<PathBuf>,
}

/// Why a process is not confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine has less than what is required.
    #[error(
        "the sandbox is required, and of Landlock and seccomp this machine offers: {have}; use \
         Linux 5.13 or later with `landlock` among its `lsm=`, outside a container that forbids \
         them, or set `sandbox = \"auto\"` to run with less",
        have = .0.describe()
    )]
    Missing(SandboxLevel),
    /// New privileges could not be renounced.
    #[error("cannot renounce new privileges: {0}; set `sandbox = \"off\"` to run without")]
    Privileges(#[source] std::io::Error),
    /// Landlock is there and refused its rules.
    #[error("cannot confine files by Landlock: {0}; set `sandbox = \"off\"` to run without")]
    Files(#[from] landlock::RulesetError),
    /// Seccomp is there and refused the filter.
    #[error("cannot filter calls by seccomp: {0}; set `sandbox = \"off\"` to run without")]
    Calls(#[from] seccompiler::Error),
}

/// Confines this process for good, as far as the machine can, and says how far that was.
///
/// Threads that it starts later are confined with it; one that it has already is not, so this is
/// for a process with a single thread. [`watch_traps`] comes before, for its handler cannot be
/// set afterwards.
///
/// # Errors
/// When the kernel refuses what it offered. The process may then be confined in part, and ends.
pub fn confine(spec: &Confinement) -> Result<SandboxLevel, SandboxError> {
    // Once files are confined the trace could not be opened any more.
    let trace = trace::hold();
    let level = SandboxLevel::available();
    trace.note(|| format!("sandbox: this machine offers {}", level.describe()));
    let confined = confine_to(level, spec, &trace);
    trace.note(|| match &confined {
        Ok(()) => format!("sandbox: confined by {}", level.describe()),
        Err(error) => format!("sandbox: {error}"),
    });
    confined.map(|()| level)
}

fn confine_to(
    level: SandboxLevel,
    spec: &Confinement,
    trace: &trace::Held,
) -> Result<(), SandboxError> {
    set_no_new_privs(true).map_err(|e| SandboxError::Privileges(e.into()))?;
    if level.landlock_abi > 0 {
        files::confine(spec, trace)?;
    }
    if level.seccomp {
        filter::install(std::process::id())?;
    }
    Ok(())
}
