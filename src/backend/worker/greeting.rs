//! The judge's first message: both are of one version, the worker is on its core, and the control
//! page is mapped.
#![expect(unsafe_code, reason = "maps the control page")]

use std::os::fd::OwnedFd;
use std::ptr::null_mut;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::super::link::control::Control;
use super::super::link::protocol::{Reply, VERSION};
use super::attend::Attendant;
use super::crash;

/// What the first message says to every kind of worker.
pub(in crate::backend) struct Greeting {
    /// The judge's [`VERSION`].
    pub(in crate::backend) version: u32,
    /// The core to stay on.
    pub(in crate::backend) cpu: Option<u32>,
    /// The control page, and nothing else.
    pub(in crate::backend) fds: Vec<OwnedFd>,
}

impl Greeting {
    /// Who attends to the control page from now on.
    pub(in crate::backend) fn accept(self, socket: &OwnedFd) -> Result<Attendant, Reply> {
        if self.version != VERSION {
            let what = "the optloop executable was replaced during the run; start it again";
            return Err(Reply::Failed(what.into()));
        }
        if let Some(cpu) = self.cpu {
            pin(cpu).map_err(Reply::failed(&format!("pinning to core {cpu}")))?;
        }
        let [page]: [OwnedFd; 1] =
            self.fds.try_into().map_err(|_| Reply::Failed("the control page is missing".into()))?;
        let control = map(&page).map_err(Reply::failed("mapping the control page"))?;
        crash::install(control).map_err(Reply::failed("setting signal handlers"))?;
        Attendant::new(control, socket).map_err(Reply::failed("looking at the socket"))
    }
}

/// Keeps this process on one core.
fn pin(cpu: u32) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    if cpu as usize >= CpuSet::MAX_CPU {
        return Err(Errno::INVAL);
    }
    set.set(cpu as usize);
    sched_setaffinity(None, &set)
}

/// Maps the control page for as long as this process lives.
fn map(page: &OwnedFd) -> rustix::io::Result<&'static Control> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    let length = rustix::param::page_size();
    // SAFETY: a fresh mapping at an address that the system picks; the judge sealed the file's
    // size, one page, which holds a `Control`. It is never unmapped, and consists of atomics.
    unsafe {
        let base = mmap(null_mut(), length, protection, MapFlags::SHARED, page, 0)?;
        base.cast::<Control>().as_ref().ok_or(Errno::FAULT)
    }
}
