//! The child side: the process that a candidate's code runs in.
//!
//! Entered by `optloop __worker` with the control socket as descriptor 0. It is the candidate's
//! from the moment the shared object is opened; the judge on the other side distrusts what it says.
#![expect(unsafe_code, reason = "maps memory, opens and calls foreign code")]

use std::ffi::{CString, OsStr, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::ptr::null_mut;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::net::RecvFlags;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::protocol::{self, Extent, Received, Reply, Request, SEGMENTS, Slot, VERSION};
use crate::process::{Limits, die_with_parent};

/// The name of the function that a built kernel exports.
pub(crate) const LAUNCH_SYMBOL: &str = "optloop_launch";

/// Descriptors from here on up are the worker's own.
const HIGH_FD: RawFd = 200;

/// Exit code of a worker that was not started by a judge, or cannot serve one.
pub(crate) const EXIT_ALONE: u8 = 97;

/// Exit code of a worker whose connection was broken from inside.
pub(crate) const EXIT_CUT_OFF: u8 = 98;

type Launch = unsafe extern "C" fn(*const *mut c_void);

/// Serves the judge on descriptor 0 until it says to leave or is gone. The second argument of the
/// command line, after the name of the worker command, is the judge's process id.
pub fn main() -> ExitCode {
    let Ok(socket) = prepare() else {
        return ExitCode::from(EXIT_ALONE);
    };
    if serve(&socket).is_ok() {
        return ExitCode::SUCCESS;
    }
    // The candidate may have closed the socket; closing it again would abort.
    std::mem::forget(socket);
    ExitCode::from(EXIT_CUT_OFF)
}

/// Ties this process to its judge and takes away what it does not need.
fn prepare() -> std::io::Result<OwnedFd> {
    let judge = std::env::args().nth(2).and_then(|id| id.parse().ok());
    die_with_parent(judge.ok_or(std::io::ErrorKind::InvalidInput)?)?;
    // Processor time is not limited here: a kernel may use every core until its deadline.
    Limits { file_bytes: 16 << 20, open_files: 256, cpu_seconds: u64::MAX, memory_bytes: None }
        .apply()?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), HIGH_FD)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    drop(null);
    close_others(socket.as_raw_fd());
    Ok(socket)
}

/// Closes every descriptor above 2 but `keep`: nothing of the judge's may leak into the candidate.
fn close_others(keep: RawFd) {
    let listed: Vec<RawFd> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (3..1024).collect(),
    };
    for fd in listed.into_iter().filter(|&fd| fd > 2 && fd != keep) {
        // SAFETY: nothing in this process owns a descriptor yet but `keep` and the standard ones;
        // the one that listed the folder is closed already and is skipped.
        unsafe {
            if rustix::io::fcntl_getfd(BorrowedFd::borrow_raw(fd)).is_ok() {
                rustix::io::close(fd);
            }
        }
    }
}

/// The loaded kernel and its mapped arguments.
struct Kernel {
    // Never dropped: unloading would run the candidate's destructors before the judge is done.
    launch: Launch,
    loaded: Option<Loaded>,
}

fn serve(socket: &OwnedFd) -> std::io::Result<()> {
    let mut kernel = None;
    loop {
        let (request, fds) = match protocol::receive::<Request>(socket, RecvFlags::empty())? {
            Received::Message(request, fds) => (request, fds),
            Received::Closed => return Ok(()),
            Received::Garbage => return Err(std::io::ErrorKind::InvalidData.into()),
        };
        let reply = match (request, &mut kernel) {
            (Request::Exit, _) => return Ok(()),
            (Request::Open { version, library, cpu }, None) => {
                open(version, &library, cpu).map(|opened| {
                    kernel = Some(opened);
                    Reply::Opened
                })
            }
            (Request::Load { slots, sets, strides }, Some(kernel)) => {
                kernel.loaded = None;
                Loaded::map(&Layout { slots, sets, strides }, fds).map(|loaded| {
                    kernel.loaded = Some(loaded);
                    Reply::Loaded
                })
            }
            (Request::Launch { first, count }, Some(Kernel { launch, loaded: Some(loaded) })) => {
                loaded.run(*launch, first, count).map(|()| Reply::Done)
            }
            _ => Err(Reply::Failed("a request out of order".into())),
        };
        let reply = reply.unwrap_or_else(|failed| failed);
        protocol::send(socket.as_fd(), &reply, &[])?;
    }
}

fn open(version: u32, library: &[u8], cpu: Option<u32>) -> Result<Kernel, Reply> {
    if version != VERSION {
        let what = "the optloop executable was replaced during the run; start it again";
        return Err(Reply::Failed(what.into()));
    }
    if let Some(cpu) = cpu {
        pin(cpu).map_err(|e| Reply::Failed(format!("pinning to core {cpu}: {e}")))?;
    }
    let path = OsStr::from_bytes(library);
    let unloadable = |e: libloading::Error| Reply::Unloadable(describe(&e));
    // SAFETY: runs the candidate's constructors, in the process that is there for it.
    let library =
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(unloadable)?;
    let name = CString::new(LAUNCH_SYMBOL).expect("a constant without NUL");
    // SAFETY: the trampoline that every built kernel holds declares it with this type.
    let launch = *unsafe { library.get::<Launch>(name.as_c_str()) }.map_err(unloadable)?;
    std::mem::forget(library);
    Ok(Kernel { launch, loaded: None })
}

/// The loader's own words, which `libloading` keeps as the source.
fn describe(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

fn pin(cpu: u32) -> rustix::io::Result<()> {
    let mut set = CpuSet::new();
    if cpu as usize >= CpuSet::MAX_CPU {
        return Err(rustix::io::Errno::INVAL);
    }
    set.set(cpu as usize);
    sched_setaffinity(None, &set)
}

/// Where the sets of a case lie in their segments.
struct Layout {
    slots: Vec<Slot>,
    sets: u32,
    strides: (u64, u64),
}

/// Mapped memory of one case: one set of arguments per launch.
struct Loaded {
    sets: Vec<Set>,
    durations: Guarded,
}

/// The arguments of one launch.
#[derive(Default)]
struct Set {
    /// What the trampoline is given: one pointer per argument, to the buffer or the value.
    pointers: Vec<*mut c_void>,
    /// Copied before the launch.
    restores: Vec<Restore>,
    /// What `pointers` point to, with `buffers`.
    #[expect(clippy::vec_box, reason = "a value stays in place while the list grows")]
    scalars: Vec<Box<Scalar>>,
    buffers: Vec<Guarded>,
}

/// A value, aligned for every type.
#[repr(C, align(16))]
struct Scalar([u8; 16]);

/// A buffer's pristine bytes and where they go.
struct Restore {
    from: *const u8,
    to: *mut u8,
    bytes: usize,
}

impl Loaded {
    fn map(layout: &Layout, fds: Vec<OwnedFd>) -> Result<Self, Reply> {
        let [inputs, outputs, durations]: [OwnedFd; SEGMENTS] =
            fds.try_into().map_err(|_| Reply::Failed("segments are missing".into()))?;
        let failed = |e: rustix::io::Errno| Reply::Failed(format!("mapping shared memory: {e}"));
        let page = rustix::param::page_size();
        let whole =
            Extent::place(0, page, page).ok_or(Reply::Failed("the page size is not one".into()))?;
        let mut loaded = Self {
            sets: Vec::new(),
            durations: Guarded::map(&durations, &whole, Access::Write).map_err(failed)?,
        };
        for index in 0..u64::from(layout.sets) {
            let shift = (layout.strides.0 * index, layout.strides.1 * index);
            let mut set = Set::default();
            for slot in &layout.slots {
                set.add(slot, shift, (&inputs, &outputs)).map_err(failed)?;
            }
            loaded.sets.push(set);
        }
        Ok(loaded)
    }

    fn run(&self, launch: Launch, first: u32, count: u32) -> Result<(), Reply> {
        let range = first as usize..first as usize + count as usize;
        let missing = || Reply::Failed("a launch of a set that is not there".into());
        let sets = self.sets.get(range).ok_or_else(missing)?;
        for set in sets {
            set.restore();
        }
        let start = now();
        for set in sets {
            // SAFETY: the trampoline takes as many pointers as the problem has arguments, and the
            // judge sent as many slots. What the candidate does with them is contained by the
            // process, not by this call.
            unsafe { launch(set.pointers.as_ptr()) };
        }
        let end = now();
        // SAFETY: the segment is a page long.
        unsafe {
            self.durations.data.cast::<u64>().write_volatile(end.saturating_sub(start));
        }
        Ok(())
    }
}

impl Set {
    fn add(
        &mut self,
        slot: &Slot,
        shift: (u64, u64),
        (inputs, outputs): (&OwnedFd, &OwnedFd),
    ) -> rustix::io::Result<()> {
        let pointer = match slot {
            Slot::Scalar(bytes) => self.scalar(bytes)?,
            Slot::In(extent) => self.buffer(inputs, &extent.shifted(shift.0), Access::Read)?,
            Slot::Out(extent) => self.buffer(outputs, &extent.shifted(shift.1), Access::Write)?,
            Slot::Inout(from, to) => {
                let source = self.buffer(inputs, &from.shifted(shift.0), Access::Read)?;
                let target = self.buffer(outputs, &to.shifted(shift.1), Access::Write)?;
                let bytes = from.bytes.min(to.bytes) as usize;
                self.restores.push(Restore { from: source.cast(), to: target.cast(), bytes });
                target
            }
        };
        self.pointers.push(pointer);
        Ok(())
    }

    fn buffer(
        &mut self,
        segment: &OwnedFd,
        extent: &Extent,
        access: Access,
    ) -> rustix::io::Result<*mut c_void> {
        let mapped = Guarded::map(segment, extent, access)?;
        let pointer = mapped.buffer(extent);
        self.buffers.push(mapped);
        Ok(pointer)
    }

    fn scalar(&mut self, bytes: &[u8]) -> rustix::io::Result<*mut c_void> {
        let mut scalar = Box::new(Scalar([0; 16]));
        let target = scalar.0.get_mut(..bytes.len()).ok_or(rustix::io::Errno::INVAL)?;
        target.copy_from_slice(bytes);
        let pointer = scalar.0.as_mut_ptr().cast();
        self.scalars.push(scalar);
        Ok(pointer)
    }

    /// Gives `Inout` buffers their staged bytes.
    fn restore(&self) {
        for restore in &self.restores {
            // SAFETY: two mappings of at least `bytes` bytes, which never overlap.
            unsafe {
                restore.from.copy_to_nonoverlapping(restore.to, restore.bytes);
            }
        }
    }
}

/// Nanoseconds of the monotonic clock, through the vDSO.
#[inline]
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

/// A region of a segment between two pages that nothing may touch.
struct Guarded {
    base: *mut c_void,
    length: usize,
    data: *mut c_void,
}

impl Guarded {
    fn map(segment: &OwnedFd, extent: &Extent, access: Access) -> rustix::io::Result<Self> {
        let page = rustix::param::page_size();
        let region = usize::try_from(extent.region).map_err(|_| rustix::io::Errno::INVAL)?;
        let length = region.checked_add(2 * page).ok_or(rustix::io::Errno::INVAL)?;
        // SAFETY: a fresh reservation; the kernel picks the address.
        let base = unsafe {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            mmap_anonymous(null_mut(), length, ProtFlags::empty(), flags)?
        };
        let mut guarded = Self { base, length, data: null_mut() };
        let (protection, sharing) = match access {
            // Private, because a sealed segment may not be mapped shared before Linux 6.7.
            Access::Read => (ProtFlags::READ, MapFlags::PRIVATE),
            Access::Write => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        };
        let flags = sharing | MapFlags::FIXED | MapFlags::POPULATE;
        // SAFETY: replaces the inside of the reservation just made, and nothing else.
        guarded.data = unsafe {
            let inside = base.cast::<u8>().add(page).cast();
            mmap(inside, region, protection, flags, segment, extent.offset)?
        };
        Ok(guarded)
    }

    /// The buffer's first byte.
    fn buffer(&self, extent: &Extent) -> *mut c_void {
        let start = extent.start.min(extent.region) as usize;
        self.data.cast::<u8>().wrapping_add(start).cast()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the reservation that `map` made; pointers into it end with `Loaded`.
        let _unmapped = unsafe { munmap(self.base, self.length) };
    }
}
