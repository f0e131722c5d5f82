//! What a worker gives up before a candidate's code runs in it.
#![expect(unsafe_code, reason = "lends the control page to a signal handler")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::link::control::Control;
use super::super::link::protocol::{EXIT_TRAPPED, Reply};
use super::super::loads;
use crate::process::sandbox::{self, Confinement, SandboxLevel, SandboxMode, watch_traps};

/// Gives up the files and calls that no kernel needs, for good.
pub(in crate::backend) fn confine(
    mode: SandboxMode,
    library: &[u8],
    private: &[u8],
    control: &'static Control,
) -> Result<SandboxLevel, Reply> {
    let nothing = SandboxLevel { landlock_abi: 0, seccomp: false };
    if mode == SandboxMode::Off {
        return Ok(nothing);
    }
    mode.accept(SandboxLevel::available()).map_err(|e| Reply::Failed(e.to_string()))?;
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    // SAFETY: the control page stays mapped as long as this process lives.
    unsafe { watch_traps(control.crash.trapped.as_ptr(), i32::from(EXIT_TRAPPED)) }
        .map_err(Reply::failed("watching for refused calls"))?;
    let library = path(library);
    // The loader is to find them wherever they lie; they are all that it may read there.
    let needed = loads::needed(&library, &sandbox::library_path()).unwrap_or_default();
    let libraries = needed.into_iter().flat_map(|library| library.files);
    let reads = libraries.chain([library]).collect();
    let spec = Confinement { reads, writes: vec![path(private)] };
    sandbox::confine(&spec).map_err(|e| Reply::Failed(e.to_string()))
}
