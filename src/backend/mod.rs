//! Where kernels run: the CPU, CUDA devices, and a scripted fake for tests.
//!
//! Not for: what a kernel computes (that is `problem`), how often it is launched (that is
//! `measure`) or what a failure means for a stage (that is `engine`). A kernel never runs in the
//! judge's process: a [`Session`] is the judge's side of one that runs elsewhere, and everything
//! that comes back through it is bounded and distrusted.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verify::{Dtype, Tolerance};

mod allowance;
pub(crate) mod control;
pub mod cpu;
pub mod cuda;
pub mod fake;
pub mod loads;
pub(crate) mod protocol;
pub mod worker;

pub use allowance::{Allowance, LaunchLimit, Model};
pub use cpu::Shelf;

/// What an input is drawn from, where it is so large that it is to exist once.
pub trait Draw: Sync + fmt::Debug {
    /// How many bytes it is.
    fn bytes(&self) -> usize;

    /// Draws it into memory of this length: the same bytes each time, whatever was there.
    fn draw(&self, into: &mut [u8]);

    /// The bytes by themselves.
    fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bytes()];
        self.draw(&mut bytes);
        bytes
    }
}

/// One argument of a launch, with the bytes it starts from.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A buffer the kernel only reads.
    In(&'a [u8]),
    /// A buffer of so many bytes that the kernel writes; poisoned before each batch.
    Out(usize),
    /// A buffer that is restored before each launch and written by it.
    Inout(&'a [u8]),
    /// An `In` that is drawn where it is to lie. Where a set has one, it has its turn alone: all sets
    /// of a [`Session::load`] write to the same outputs, which are poisoned anew for each.
    Drawn(&'a dyn Draw),
    /// An `Inout` of this kind.
    DrawnInout(&'a dyn Draw),
    /// A value, in the machine's byte order.
    Scalar(&'a [u8]),
}

/// How the caches are when the clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Buffers were just touched by the core that runs the kernel, as far as its caches hold them.
    Hot,
    /// Buffers were written back to memory and dropped from every cache.
    Cold,
}

impl Mode {
    /// The word in files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        }
    }
}

/// How many buffers one [`Session::load`] may stage, over all sets: each takes two of the mappings
/// that a process may have, of which there are 65530 unless the system says otherwise.
pub const MAX_BUFFERS: usize = 24_000;

/// The geometry of a launch on a device of many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Blocks, by axis.
    pub blocks: [u32; 3],
    /// Threads of a block, by axis.
    pub threads: [u32; 3],
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
}

/// What is to be launched: each of `count` sets in turn, back to back, timed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// The first set, counted from 0 in the order of [`Session::load`].
    pub first: u32,
    /// How many; at least 1.
    pub count: u32,
    /// How the caches are when it starts.
    pub mode: Mode,
}

/// What an [`Order`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Launched {
    /// Nanoseconds around all launches by the clock beside the kernel: exact, and not to be
    /// believed alone.
    pub reported_ns: u64,
    /// Nanoseconds from the order to the answer by the judge's own clock, out of the kernel's
    /// reach; [`Timer::handover_ns`] longer than what is reported, or more when the judge was off
    /// its core. It cannot have taken longer.
    pub judged_ns: u64,
    /// Nanoseconds after the order at which the judge last saw it unanswered, by the same clock: it
    /// cannot have been shorter. Far from `judged_ns` when the judge was off its core.
    pub at_least_ns: u64,
}

/// The clock of a session, measured before the kernel was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Timer {
    /// The smallest step that it shows.
    pub step_ns: f64,
    /// What it reports for nothing at all; taken off every launch.
    pub overhead_ns: f64,
    /// What the judge's clock shows beyond the reported time when nothing goes wrong.
    pub handover_ns: f64,
    /// What two events with nothing between them show, on devices that time by events: stated, and
    /// not taken off, for a launch hides most of it.
    #[serde(default)]
    pub empty_ns: f64,
}

/// The judge's side of one process in which a kernel is ready to be launched.
pub trait Session {
    /// The geometry of the launches of what is loaded next. A processor has none.
    fn shape(&mut self, _grid: Grid) {}

    /// Stages one set of arguments per launch, each with buffers of its own; replaces what was
    /// staged before. Outputs hold random bytes.
    ///
    /// # Errors
    /// The fault that ended the kernel's process, or that the memory is not there.
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault>;

    /// [`Session::load`] of sets that other sessions are given too: what stands on `shelf` under
    /// `number` is not staged again.
    ///
    /// # Errors
    /// As there.
    fn load_shared(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        number: u64,
        shelf: &mut Shelf,
    ) -> Result<(), Fault> {
        let (_, _) = (number, shelf);
        self.load(sets)
    }

    /// Forgets what is staged, so that its memory can be used for what comes next.
    fn unload(&mut self) {}

    /// Launches the kernel. `Inout` buffers start from their staged bytes.
    ///
    /// # Errors
    /// What the kernel did instead.
    fn launch(&mut self, order: Order) -> Result<Launched, Fault>;

    /// What a set's launch left in each `Out` and `Inout` buffer, in argument order. The process is
    /// stopped first and stays so until the next launch, so that nothing can be finished later.
    ///
    /// # Errors
    /// That the kernel wrote beside its buffers, or that the memory cannot be read.
    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault>;

    /// [`Session::outputs`] into buffers that are there already.
    ///
    /// # Errors
    /// As there.
    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        *into = self.outputs(set)?;
        Ok(())
    }

    /// [`Session::outputs`] in parts of `bytes` bytes, for outputs that are not to be copied whole:
    /// `look` is called on several threads, with the output's number and where the part begins in it.
    ///
    /// # Errors
    /// As there; what was seen until then proves nothing.
    fn outputs_in_parts(
        &mut self,
        set: u32,
        bytes: usize,
        look: &(dyn Fn(usize, usize, &[u8]) + Sync),
    ) -> Result<(), Fault> {
        for (number, output) in self.outputs(set)?.iter().enumerate() {
            for (part, found) in output.chunks(bytes.max(1)).enumerate() {
                look(number, part * bytes, found);
            }
        }
        Ok(())
    }

    /// Whether all outputs of a set agree with `want`, in argument order, each by its type and
    /// tolerance; found out where the outputs lie. `None` where that cannot be done or would prove
    /// nothing: then [`Session::outputs`] tells. A kernel that does not agree is always asked for its
    /// outputs, so that the host's comparison has the last word.
    ///
    /// # Errors
    /// As [`Session::outputs`].
    fn agrees(
        &mut self,
        set: u32,
        want: &[Vec<u8>],
        like: &[(Dtype, Tolerance)],
    ) -> Result<Option<bool>, Fault> {
        let (_, _, _) = (set, want, like);
        Ok(None)
    }

    /// Why what was measured since this was asked last does not count, in a few words: the device
    /// was throttled, say. `None` where all is well or nothing is known.
    fn disturbed(&mut self) -> Option<String> {
        None
    }

    /// Lets the process go on for `pause` and then reads again: what differs from
    /// [`Session::outputs`] was written after the launch had returned.
    ///
    /// # Errors
    /// As there.
    fn reread(&mut self, set: u32, pause: Duration) -> Result<Vec<Vec<u8>>, Fault> {
        let Duration { .. } = pause;
        self.outputs(set)
    }

    /// Lets the whole process stand still until its next order, so that it takes nothing from
    /// another on its core.
    ///
    /// # Errors
    /// That it cannot be stopped, or has left something running.
    fn pause(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// How long one [`Session::launch`] may take from now on, warm-ups too: what goes on for longer
    /// is ended as [`Fault::Overlong`]. `None`: until the session's [`Allowance`] is spent.
    fn limit(&mut self, _launch: Option<LaunchLimit>) {}

    /// The session's clock.
    fn timer(&self) -> Timer;

    /// Ends the kernel's process and gives back what it printed.
    fn finish(&mut self) -> Vec<u8>;
}

/// What went wrong in or around a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its process was ended by a signal.
    Crashed {
        /// The signal's number.
        signal: i32,
        /// Where, as far as it is known: which buffer, which function; else empty.
        place: String,
    },
    /// It wrote beside its buffers.
    Stray {
        /// Which buffer, how far outside.
        what: String,
    },
    /// A sanitizer stopped it.
    Sanitizer {
        /// The sanitizer's finding in a line or two.
        what: String,
    },
    /// It ended its process by itself.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// It was not back in time.
    TimedOut,
    /// One launch took far longer than another kernel takes for the same.
    Overlong {
        /// What it was let take.
        limit: Duration,
        /// The other kernel.
        model: Model,
        /// What that takes.
        takes: Duration,
    },
    /// The built kernel cannot be loaded.
    Unloadable {
        /// The loader's words.
        what: String,
    },
    /// It tampered with the measurement.
    Cheating {
        /// What was seen.
        what: String,
    },
    /// A device gave up on it, or would not take it.
    Device {
        /// What kind of trouble.
        trouble: Trouble,
        /// The driver's name for it, and what was tried.
        what: String,
    },
    /// Not the kernel's doing, and it may go away.
    Infrastructure {
        /// What failed.
        what: String,
    },
    /// Neither the kernel's doing nor anything that goes away: what was asked for, or how this
    /// machine is set up, rules it out.
    Setup {
        /// What rules it out, and what to do.
        what: String,
    },
    /// A stop was asked for.
    Interrupted,
}

/// What a device ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The kernel did what ends it: an illegal address or instruction, a failed assertion.
    Crashed,
    /// The device does not take such a launch: too many threads, registers or shared memory.
    Refused,
    /// There is too little device memory.
    OutOfMemory,
    /// Its memory failed (ECC).
    Memory,
    /// The device is gone, or was reset.
    Lost,
    /// It was too hot or short of power for too long.
    Throttled,
    /// Anything else that the driver says.
    Other,
}

impl Trouble {
    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Crashed => "crashed on the device",
            Self::Refused => "asks for more than the device has",
            Self::OutOfMemory => "the device is out of memory",
            Self::Memory => "the device's memory failed (ECC)",
            Self::Lost => "the device was lost",
            Self::Throttled => "the device was throttled all the time",
            Self::Other => "the driver failed",
        }
    }
}

impl Fault {
    /// An infrastructure fault: what was tried, and why it failed.
    pub(crate) fn infrastructure(what: &str, why: impl fmt::Display) -> Self {
        Self::Infrastructure { what: format!("{what}: {why}") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed { signal, place } => {
                match signal_name(*signal) {
                    Some((name, words)) => write!(f, "crashed with {name} ({words})")?,
                    None => write!(f, "crashed with signal {signal}")?,
                }
                if place.is_empty() { Ok(()) } else { write!(f, ": {place}") }
            }
            Self::Stray { what } => write!(f, "wrote where it must not: {what}"),
            Self::Sanitizer { what } => write!(f, "was stopped by a sanitizer: {what}"),
            Self::Exited { code } => {
                write!(f, "ended its process with exit code {code} instead of returning")
            }
            Self::TimedOut => f.write_str("was not back before the deadline"),
            Self::Overlong { limit, model, takes } => write!(
                f,
                "was not back before the deadline of a launch: it was ended after {limit:.1?}, and \
                 the {} takes {takes:.1?}",
                model.name()
            ),
            Self::Unloadable { what } => write!(f, "cannot be loaded: {what}"),
            Self::Cheating { what } => write!(f, "tampered with the measurement: {what}"),
            Self::Device { trouble, what } => write!(f, "{}: {what}", trouble.words()),
            Self::Infrastructure { what } | Self::Setup { what } => f.write_str(what),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Fault {}

/// Name and meaning of the signals that end a kernel.
fn signal_name(signal: i32) -> Option<(&'static str, &'static str)> {
    Some(match signal {
        4 => ("SIGILL", "an instruction this machine does not have"),
        5 => ("SIGTRAP", "a trap, such as a failed check of the compiler's"),
        6 => ("SIGABRT", "abort, such as a failed assertion"),
        7 => ("SIGBUS", "memory that is not there"),
        8 => ("SIGFPE", "an integer division by zero or overflow"),
        9 => ("SIGKILL", "killed from outside, such as for memory"),
        11 => ("SIGSEGV", "an access outside its buffers, or a write to an input"),
        15 => ("SIGTERM", "ended from outside"),
        24 => ("SIGXCPU", "its limit of processor time"),
        25 => ("SIGXFSZ", "its limit of file size"),
        31 => ("SIGSYS", "a system call that is not allowed"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashed(signal: i32, place: &str) -> Fault {
        Fault::Crashed { signal, place: place.into() }
    }

    #[test]
    fn faults_read_as_what_the_kernel_did() {
        for (fault, words) in [
            (crashed(11, ""), "crashed with SIGSEGV (an access"),
            (crashed(64, ""), "crashed with signal 64"),
            (crashed(11, "past `y`"), "input): past `y`"),
            (Fault::Exited { code: 3 }, "exit code 3"),
            (
                Fault::infrastructure("creating shared memory", "no space"),
                "creating shared memory: no space",
            ),
        ] {
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }
}
