//! Holds a device's clock at one rate while it is measured, and gives it back on every way out.
//!
//! The rate is the base clock, the one that the device sustains under its power limit (NVML's
//! `NVML_CLOCK_LIMIT_ID_TDP`); where a device does not know that, its default applications clock.
//!
//! A process of its own holds the lock: `optloop __clocks DEVICE`, with a socket to the judge as its
//! standard input. When the socket closes, as it does however the judge ends, or when it is told to end
//! by TERM, it gives the clock back. Only where that process itself is killed, together with its
//! container say, does the lock stay: `nvidia-smi -rgc` takes it off. NVML does not tell of a lock that
//! was there before; that one is lost.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{Clock, ClockLimitId};
use nvml_wrapper::enums::device::GpuLockedClocksSetting;
use nvml_wrapper::error::NvmlError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::find::Places;
use super::nvml;
use crate::host::Host;
use crate::process::{self, Cancel, CommandSpec, Running, SpawnError, Stdin, Wake};

/// The argument that makes this executable hold a lock.
pub const CLOCKS_COMMAND: &str = "__clocks";

/// How long locking, and giving back, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer.
const MAX_ANSWER: usize = 1000;

/// Begins the answer of a process that holds the lock.
const LOCKED: &str = "locked ";

/// What a lock needs.
#[derive(Debug)]
pub struct Request<'a> {
    /// The executable that answers to [`CLOCKS_COMMAND`]: optloop's own.
    pub program: &'a Path,
    /// The device: its number as CUDA programs see it, or `GPU-` and its UUID.
    pub device: &'a str,
    /// The whole environment, by which NVML is found.
    pub env: &'a [(OsString, OsString)],
    /// Ctrl-C.
    pub cancel: &'a Cancel,
}

/// Why a clock is not held.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// There is no connection to a process that could hold it.
    #[error("the clock cannot be locked: {0}")]
    Connection(#[source] io::Error),
    /// That process cannot be started.
    #[error("the clock cannot be locked: {0}")]
    Start(#[from] SpawnError),
    /// It has ended.
    #[error("the clock cannot be locked: the process that was to hold it has ended")]
    Ended,
    /// It closed the connection.
    #[error("the clock cannot be locked: the process that was to hold it said nothing")]
    SaidNothing,
    /// It waits for the driver.
    #[error("the clock cannot be locked: the driver does not answer")]
    NoAnswer,
    /// Ctrl-C.
    #[error("the clock cannot be locked: interrupted")]
    Interrupted,
    /// The driver refuses: why, and what helps.
    #[error("the clock cannot be locked: {0}")]
    Refused(String),
}

/// A clock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    /// At what, in words.
    pub rate: String,
    socket: Option<OwnedFd>,
    running: Running,
}

impl Lock {
    /// Holds the device's clock.
    ///
    /// # Errors
    /// Why it cannot be held, and what helps.
    pub fn take(request: &Request<'_>) -> Result<Self, ClockError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (socket, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(|e| ClockError::Connection(e.into()))?;
        // Not below the mark of any state: whoever cleans up after a killed judge must not kill what
        // is just giving the clock back.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let marker = format!("clocks.{}.{number}", std::process::id());
        let mut spec = CommandSpec::new(request.program, "/", marker);
        spec.args = vec![CLOCKS_COMMAND.into(), request.device.into()];
        spec.env = request.env.to_vec();
        let mut running = process::start(&spec, Stdin::Socket(theirs))?;
        match answer(&socket, &mut running, request.cancel) {
            Ok(rate) => Ok(Self { rate, socket: Some(socket), running }),
            Err(why) => {
                // It may have the lock already: it is let go the same way.
                drop(Self { rate: String::new(), socket: Some(socket), running });
                Err(why)
            }
        }
    }

    /// Whether the process that holds it is still there.
    pub fn is_held(&mut self) -> bool {
        matches!(
            self.running.wait(None, Some(Instant::now()), &Cancel::default()),
            Ok(Wake::Deadline)
        )
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.socket.take());
        let until = Some(Instant::now() + PATIENCE);
        // What does not end by itself is killed when `running` goes; no more can be done here.
        let _end = self.running.wait(None, until, &Cancel::default());
    }
}

fn answer(socket: &OwnedFd, running: &mut Running, cancel: &Cancel) -> Result<String, ClockError> {
    let until = Some(Instant::now() + PATIENCE);
    let mut text = Vec::new();
    while !text.ends_with(b"\n") && text.len() < MAX_ANSWER {
        match running.wait(Some(socket.as_fd()), until, cancel) {
            Ok(Wake::Ready) => {}
            Ok(Wake::Exited) => return Err(ClockError::Ended),
            Ok(Wake::Deadline) => return Err(ClockError::NoAnswer),
            Ok(Wake::Cancelled) => return Err(ClockError::Interrupted),
            Err(error) => return Err(ClockError::Connection(error)),
        }
        let mut bytes = [0; MAX_ANSWER];
        match rustix::io::read(socket, &mut bytes) {
            Ok(0) => return Err(ClockError::SaidNothing),
            Ok(count) => text.extend_from_slice(&bytes[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(ClockError::Connection(error.into())),
        }
    }
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    text.strip_prefix(LOCKED).map(str::to_owned).ok_or(ClockError::Refused(text))
}

/// Holds a lock until the judge on the other side of the standard input is gone, or TERM comes.
/// `device` is the second argument of the command line.
pub fn main(device: Option<OsString>, host: &dyn Host) -> ExitCode {
    let stdin = rustix::stdio::stdin();
    // A pipe or a terminal is nobody who waits for an answer.
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(stdin, 3) else { return ExitCode::FAILURE };
    let Ok(cancel) = process::install() else { return ExitCode::FAILURE };
    let device = device.unwrap_or_default();
    let held = hold(&device.to_string_lossy(), &socket, &cancel, host);
    if let Err(why) = held {
        say(&socket, &why);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn hold(name: &str, socket: &OwnedFd, cancel: &Cancel, host: &dyn Host) -> Result<(), String> {
    let (_, library) =
        nvml::open(&Places::of(host)).map_err(|(why, hint)| format!("{why} ({hint})"))?;
    let mut device = nvml::device(library, name, Path::new("/"), host)?;
    let rate = lock(&mut device).map_err(|error| refusal(&error))?;
    say(socket, &format!("{LOCKED}{rate}"));
    await_end(socket, cancel);
    device.reset_gpu_locked_clocks().map_err(|e| format!("the clock stays locked: {e}"))
}

/// The base clock, or else the default applications clock.
fn lock(device: &mut Device<'_>) -> Result<String, NvmlError> {
    let base = GpuLockedClocksSetting::Symbolic {
        lower_bound: ClockLimitId::Tdp,
        upper_bound: ClockLimitId::Tdp,
    };
    let refused = match device.set_gpu_locked_clocks(base) {
        Ok(()) => return Ok("base clock".to_owned()),
        Err(refused @ (NvmlError::InvalidArg | NvmlError::NotSupported)) => refused,
        Err(other) => return Err(other),
    };
    // What the device then says of its first wish is what people should read.
    let Ok(mhz) = device.default_applications_clock(Clock::Graphics) else { return Err(refused) };
    device.set_gpu_locked_clocks(GpuLockedClocksSetting::Numeric {
        min_clock_mhz: mhz,
        max_clock_mhz: mhz,
    })?;
    Ok(format!("default applications clock, {mhz} MHz"))
}

fn refusal(error: &NvmlError) -> String {
    match error {
        NvmlError::NoPermission => {
            "only root may: lock it by hand before (sudo nvidia-smi -lgc MHZ,MHZ, \
                                    and -rgc afterwards), or leave the clock as it is"
                .to_owned()
        }
        NvmlError::NotSupported | NvmlError::InvalidArg => {
            "this device does not let its clock be locked: leave it as it is".to_owned()
        }
        other => format!("{other} ({})", nvml::hint(other)),
    }
}

/// Until the other end is closed, anything is said there, or a stop is asked for.
fn await_end(socket: &OwnedFd, cancel: &Cancel) {
    while !cancel.is_set() {
        let mut all = vec![PollFd::new(socket, PollFlags::IN)];
        let stop = cancel.fd();
        all.extend(stop.iter().map(|stop| PollFd::new(stop, PollFlags::IN)));
        match poll(&mut all, None) {
            Ok(_) if all.iter().any(|fd| !fd.revents().is_empty()) => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Tells the judge. Where it has gone nobody is to be told; the end comes next.
fn say(socket: &OwnedFd, text: &str) {
    let line = format!("{}\n", text.replace('\n', " "));
    let quiet = rustix::net::SendFlags::NOSIGNAL;
    let _sent = rustix::net::send(socket, line.as_bytes(), quiet);
}
