//! The page that judge and worker share: orders one way, answers the other, without a system call
//! between them. Its size is sealed, so nobody can fault on it; each side treats what it reads there
//! as claims of the other. Atomics throughout, for a candidate may write here at any
//! time.

use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};

/// The whole page. All zeros is its beginning.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Control {
    pub(crate) judge: JudgeLine,
    pub(crate) worker: WorkerLine,
    pub(crate) pulse: PulseLine,
    pub(crate) crash: CrashLine,
    pub(crate) places: PlacesLine,
    pub(crate) stray: StrayLine,
}

/// What the judge writes. Lines apart from each other, so that no side's writing slows the other's.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct JudgeLine {
    /// The latest order, see [`Verb`]; written after everything that belongs to it.
    pub(crate) order: AtomicU32,
    /// The first set it is about.
    pub(crate) first: AtomicU32,
    /// How many.
    pub(crate) count: AtomicU32,
    /// Not 0: touch their buffers when preparing.
    pub(crate) touch: AtomicU32,
    /// Not 0: the judge sleeps until it is woken.
    pub(crate) wake: AtomicU32,
    /// How long an idle worker spins before it sleeps.
    pub(crate) spin_ns: AtomicU64,
    /// Which kernel of a CUDA worker it is about.
    pub(crate) seat: AtomicU32,
}

/// What the worker answers.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct WorkerLine {
    /// The order that was carried out last; written after everything that belongs to it.
    pub(crate) answer: AtomicU32,
    /// What its launches took.
    pub(crate) elapsed_ns: AtomicU64,
    /// The driver's code, where it did not carry out the order; 0 else.
    pub(crate) trouble: AtomicU32,
    /// Not 0: what runs on the device reaches this process's memory by itself.
    pub(crate) reaches_host: AtomicU32,
    /// What was found after an order to look for it: elements that do not agree, say.
    pub(crate) found: AtomicU64,
    /// Registers of a thread of the device code that was loaded last, one up; 0 where the driver did
    /// not tell, and for a kernel with host code.
    pub(crate) registers: AtomicU32,
    /// Shared memory that its code declares.
    pub(crate) static_shared_bytes: AtomicU32,
    /// Local memory of a thread of it.
    pub(crate) local_bytes: AtomicU32,
}

/// Whether the worker is on its core at this moment.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct PulseLine {
    /// Grows while it spins.
    pub(crate) beat: AtomicU64,
    /// Not 0: it sleeps on [`JudgeLine::order`].
    pub(crate) asleep: AtomicU32,
}

/// What a signal handler saw, and the number of a system call that was refused.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct CrashLine {
    /// [`CRASH_NONE`], being written, or [`CRASH_WHOLE`].
    pub(crate) state: AtomicU32,
    pub(crate) signal: AtomicI32,
    /// One of the `ACCESS_` values.
    pub(crate) access: AtomicU32,
    /// The address that was accessed.
    pub(crate) address: AtomicU64,
    /// The instruction.
    pub(crate) instruction: AtomicU64,
    /// The system call that a sandbox refused, one up; 0 for none.
    pub(crate) trapped: AtomicI64,
}

/// Where things lie in the worker's address space: only for words about a crash.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct PlacesLine {
    /// Where the inputs segment is mapped, its first guard page included.
    pub(crate) inputs: AtomicU64,
    pub(crate) outputs: AtomicU64,
    /// Where the kernel's shared object is loaded.
    pub(crate) object: AtomicU64,
    /// The lowest address that the main stack may grow to.
    pub(crate) stack: AtomicU64,
}

/// What a device's launch wrote where it must not.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub(crate) struct StrayLine {
    /// One of the `STRAY_` values.
    pub(crate) kind: AtomicU32,
    /// The red zone, counted from 0 over the segment, or the argument, from 0.
    pub(crate) place: AtomicU32,
    /// The first changed word of that zone.
    pub(crate) word: AtomicU64,
    /// How many words are changed in all zones.
    pub(crate) count: AtomicU64,
    /// How long the device was at work beyond the latest launch's own time, by its own clock.
    pub(crate) beyond_ns: AtomicU64,
}

/// All is as it should be.
pub(crate) const STRAY_NONE: u32 = 0;
/// Red zones between inputs are changed.
pub(crate) const STRAY_INPUTS: u32 = 1;
/// Red zones between outputs are changed.
pub(crate) const STRAY_OUTPUTS: u32 = 2;
/// An input is changed.
pub(crate) const STRAY_INPUT: u32 = 3;

/// Nothing was recorded.
pub(crate) const CRASH_NONE: u32 = 0;
/// The record is whole.
pub(crate) const CRASH_WHOLE: u32 = 2;

/// What was tried at the address of a crash is not known.
pub(crate) const ACCESS_UNKNOWN: u32 = 0;
/// It was read.
pub(crate) const ACCESS_READ: u32 = 1;
/// It was written.
pub(crate) const ACCESS_WRITE: u32 = 2;
/// It was executed.
pub(crate) const ACCESS_EXECUTE: u32 = 3;

/// What an order asks for; its low bits, below a number that makes each order differ from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Verb {
    /// Restore and touch the buffers of the sets.
    Prepare = 1,
    /// Be there, spinning.
    Attend = 2,
    /// Launch the sets.
    Go = 3,
    /// Launch nothing, as often as there are sets.
    Empty = 4,
    /// Go back to the socket.
    Leave = 5,
    /// Bring the outputs of a set from the device, and see what was written beside them.
    Collect = 6,
    /// Hold the outputs of a set against the answers.
    Agree = 7,
}

const VERB_BITS: u32 = 3;

impl Verb {
    const ALL: [Self; 7] = [
        Self::Prepare,
        Self::Attend,
        Self::Go,
        Self::Empty,
        Self::Leave,
        Self::Collect,
        Self::Agree,
    ];

    /// The order of this number.
    pub(crate) fn order(self, number: u32) -> u32 {
        number << VERB_BITS | self as u32
    }

    /// What an order asks for.
    pub(crate) fn of(order: u32) -> Option<Self> {
        let low = order & ((1 << VERB_BITS) - 1);
        Self::ALL.into_iter().find(|&verb| verb as u32 == low)
    }
}

/// One set of one kernel of a CUDA worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeatSet {
    /// The kernel.
    pub(crate) seat: u32,
    /// The set, counted from 0.
    pub(crate) set: u32,
}

/// What [`CrashLine`] says, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) signal: i32,
    pub(crate) access: u32,
    pub(crate) address: u64,
    pub(crate) instruction: u64,
}

impl CrashLine {
    /// The record, once it is whole.
    pub(crate) fn read(&self) -> Option<Crash> {
        (self.state.load(Ordering::Acquire) == CRASH_WHOLE).then(|| Crash {
            signal: self.signal.load(Ordering::Relaxed),
            access: self.access.load(Ordering::Relaxed),
            address: self.address.load(Ordering::Relaxed),
            instruction: self.instruction.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_of_one_verb_differ_and_keep_their_verb() {
        for verb in Verb::ALL {
            assert_eq!(Verb::of(verb.order(7)), Some(verb));
            assert_ne!(verb.order(7), verb.order(8));
            assert_eq!(Verb::of(verb.order(u32::MAX)), Some(verb));
        }
        for nonsense in [0, 8, 0xffff_fff8] {
            assert_eq!(Verb::of(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_page_is_smaller_than_every_page() {
        assert!(size_of::<Control>() <= 4096);
    }

    #[test]
    fn a_crash_is_read_only_when_it_is_whole() {
        let line = CrashLine::default();
        line.signal.store(11, Ordering::Relaxed);
        for state in [CRASH_NONE, 1] {
            line.state.store(state, Ordering::Relaxed);
            assert_eq!(line.read(), None);
        }
        line.state.store(CRASH_WHOLE, Ordering::Release);
        assert_eq!(line.read().map(|crash| crash.signal), Some(11));
    }
}
