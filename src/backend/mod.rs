//! Where kernels run: the CPU, CUDA devices, and a scripted fake for tests.
//!
//! Not for: what a kernel computes (that is `problem`), how often it is launched (that is
//! `measure`) or what a failure means for a stage (that is `engine`). A kernel never runs in the
//! judge's process: a [`Session`] is the judge's side of one that runs elsewhere, and everything
//! that comes back through it is bounded and distrusted.

use std::fmt;

pub mod cpu;
pub mod cuda;
pub mod fake;
pub(crate) mod protocol;
pub mod worker;

/// One argument of a launch, with the bytes it starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A buffer the kernel only reads.
    In(&'a [u8]),
    /// A buffer of so many bytes that the kernel writes; poisoned before each batch.
    Out(usize),
    /// A buffer that is restored before each launch and written by it.
    Inout(&'a [u8]),
    /// A value, in the machine's byte order.
    Scalar(&'a [u8]),
}

/// Whether a batch counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// The durations are thrown away.
    Warmup,
    /// The durations are samples.
    Timed,
}

/// What a batch of launches took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Launches {
    /// Nanoseconds of each launch, in order; empty for a warm-up.
    pub ns: Vec<u64>,
}

/// The judge's side of one kernel that is ready to be launched.
pub trait Session {
    /// Puts the arguments of one case into place.
    ///
    /// # Errors
    /// The fault that ended the kernel's process, or that the memory is not there.
    fn load(&mut self, arguments: &[Argument<'_>]) -> Result<(), Fault>;

    /// Launches the kernel `count` times on what was loaded. Outputs are poisoned before.
    ///
    /// # Errors
    /// What the kernel did instead.
    fn launch(&mut self, count: u32, timing: Timing) -> Result<Launches, Fault>;

    /// What the last launch left in each `Out` and `Inout` buffer, in argument order.
    ///
    /// # Errors
    /// When the memory cannot be read.
    fn outputs(&mut self) -> Result<Vec<Vec<u8>>, Fault>;

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
    },
    /// It ended its process by itself.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// It was not back in time.
    TimedOut,
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
    /// Not the kernel's doing.
    Infrastructure {
        /// What failed.
        what: String,
    },
    /// A stop was asked for.
    Interrupted,
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
            Self::Crashed { signal } => match signal_name(*signal) {
                Some((name, words)) => write!(f, "crashed with {name} ({words})"),
                None => write!(f, "crashed with signal {signal}"),
            },
            Self::Exited { code } => {
                write!(f, "ended its process with exit code {code} instead of returning")
            }
            Self::TimedOut => f.write_str("was not back before the deadline"),
            Self::Unloadable { what } => write!(f, "cannot be loaded: {what}"),
            Self::Cheating { what } => write!(f, "tampered with the measurement: {what}"),
            Self::Infrastructure { what } => f.write_str(what),
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

    #[test]
    fn faults_read_as_what_the_kernel_did() {
        for (fault, words) in [
            (Fault::Crashed { signal: 11 }, "crashed with SIGSEGV (an access"),
            (Fault::Crashed { signal: 64 }, "crashed with signal 64"),
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
