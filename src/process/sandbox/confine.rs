//! A process confines itself.

use rustix::thread::set_no_new_privs;

use super::files::{self, Confinement};
use super::filter;
use super::level::{SandboxError, SandboxLevel};
use crate::process::trace;

impl SandboxLevel {
    /// What this machine offers to this process; two system calls that change nothing.
    pub fn available() -> Self {
        Self { landlock_abi: files::abi(), seccomp: filter::available() }
    }
}

/// Confines this process for good, as far as the machine can, and says how far that was.
///
/// Threads that it starts later are confined with it; one that it has already is not, so this is
/// for a process with a single thread. [`super::watch_traps`] comes before, for its handler cannot be
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
