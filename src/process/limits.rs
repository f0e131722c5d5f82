//! Resource limits that a worker sets on itself before it runs foreign code.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Upper bounds; a limit that is lower already stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that one file may grow to.
    pub file_bytes: u64,
    /// File descriptors open at once.
    pub open_files: u64,
    /// Seconds of processor time, over all threads.
    pub cpu_seconds: u64,
    /// Bytes of address space. `None` where a device driver or a sanitizer runs: they reserve
    /// far more than they use.
    pub memory_bytes: Option<u64>,
}

impl Limits {
    /// Applies the limits to this process for good and turns core dumps off.
    ///
    /// # Errors
    /// When the kernel refuses one of them.
    pub fn apply(&self) -> io::Result<()> {
        lower(Resource::Core, 0)?;
        lower(Resource::Fsize, self.file_bytes)?;
        lower(Resource::Nofile, self.open_files)?;
        lower(Resource::Cpu, self.cpu_seconds)?;
        self.memory_bytes.map_or(Ok(()), |bytes| lower(Resource::As, bytes))
    }
}

/// Hard limit too: what is given away here cannot be taken back by the code that follows.
fn lower(resource: Resource, bound: u64) -> io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(bound, |old| old.min(bound));
    Ok(setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })?)
}
