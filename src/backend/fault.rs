//! What went wrong in or around a kernel, and how that reads.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::allowance::Model;

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
