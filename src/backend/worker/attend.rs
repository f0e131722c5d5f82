//! Serving the control page: launches without a system call between the judge's order and the
//! answer.
#![expect(unsafe_code, reason = "calls foreign code")]

use std::ffi::c_void;
use std::hint::{black_box, spin_loop};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};

use super::super::control::{Control, Verb};
use super::super::protocol::Reply;
use super::kernel::Launch;
use super::memory::{Loaded, Set};

/// Turns between two looks at the clock while nothing is asked for.
const TURNS: u32 = 64;

/// Readings that the clock's step and the cost of nothing are found from.
const READINGS: usize = 1001;

/// The worker's side of the control page.
pub(in crate::backend) struct Attendant {
    pub(in crate::backend) control: &'static Control,
    /// The latest order that was carried out.
    seen: u32,
    /// The socket's identity: the candidate may close it or put another in its place.
    socket: (u64, u64),
}

impl Attendant {
    pub(in crate::backend) fn new(control: &'static Control, socket: &OwnedFd) -> io::Result<Self> {
        Ok(Self { control, seen: 0, socket: identity(socket)? })
    }

    /// Carries out orders until one says to go back to the socket. The error says that there is
    /// no socket any more.
    pub(super) fn attend(
        &mut self,
        socket: &OwnedFd,
        launch: Option<Launch>,
        loaded: Option<&Loaded>,
    ) -> io::Result<()> {
        loop {
            let order = self.next();
            let (first, count) =
                (self.control.judge.first.load(Relaxed), self.control.judge.count.load(Relaxed));
            let sets = loaded.map_or(&[][..], |loaded| loaded.range(first, count));
            match (Verb::of(order), launch) {
                (Some(Verb::Prepare), _) => self.prepare(sets),
                (Some(Verb::Go), Some(launch)) => self.note(timed(launch, sets)),
                (Some(Verb::Empty), _) => self.note(timed(nothing, &[Set::default()])),
                _ => {}
            }
            self.answer(order);
            match Verb::of(order) {
                Some(Verb::Leave) => return Ok(()),
                Some(Verb::Go) => self.still_connected(socket)?,
                _ => {}
            }
        }
    }

    /// Waits for the next order: spinning, so that it is seen at once, and asleep when none comes.
    pub(in crate::backend) fn next(&mut self) -> u32 {
        let (judge, pulse) = (&self.control.judge, &self.control.pulse);
        let spin_ns = judge.spin_ns.load(Relaxed);
        let mut beat = pulse.beat.load(Relaxed);
        let mut since = now();
        loop {
            for _ in 0..TURNS {
                let order = judge.order.load(Acquire);
                if order != self.seen {
                    self.seen = order;
                    return order;
                }
                beat = beat.wrapping_add(1);
                pulse.beat.store(beat, Relaxed);
                spin_loop();
            }
            if now().saturating_sub(since) > spin_ns {
                pulse.asleep.store(1, SeqCst);
                // Returns at once when an order came before it was asleep, and now and then
                // without reason; both lead to another look.
                let _woken = futex::wait(&judge.order, futex::Flags::empty(), self.seen, None);
                pulse.asleep.store(0, SeqCst);
                since = now();
            }
        }
    }

    /// The candidate may have closed the socket, or put another in its place.
    pub(in crate::backend) fn still_connected(&self, socket: &OwnedFd) -> io::Result<()> {
        if identity(socket)? == self.socket {
            return Ok(());
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    fn prepare(&self, sets: &[Set]) {
        sets.iter().for_each(Set::restore);
        if self.control.judge.touch.load(Relaxed) != 0 {
            sets.iter().for_each(Set::touch);
        }
    }

    pub(in crate::backend) fn note(&self, elapsed_ns: u64) {
        self.control.worker.elapsed_ns.store(elapsed_ns, Relaxed);
    }

    pub(in crate::backend) fn answer(&self, order: u32) {
        let answer = &self.control.worker.answer;
        answer.store(order, Release);
        if self.control.judge.wake.load(Relaxed) != 0 {
            // Nobody asleep there is no error.
            let _woken = futex::wake(answer, futex::Flags::empty(), 1);
        }
    }
}

/// Launches once per set, back to back; nanoseconds around all of it.
#[inline(never)]
fn timed(launch: Launch, sets: &[Set]) -> u64 {
    let start = now();
    for set in sets {
        // SAFETY: the trampoline takes as many pointers as the problem has arguments, and the
        // judge sent as many slots. What the candidate does with them is contained by the
        // process, not by this call.
        unsafe { launch(set.pointers.as_ptr()) };
    }
    let end = now();
    end.saturating_sub(start)
}

/// A kernel that does nothing.
unsafe extern "C" fn nothing(arguments: *const *mut c_void) {
    black_box(arguments);
}

/// The clock's smallest step, and what a launch of nothing takes by it.
pub(super) fn measure_clock() -> Reply {
    let steps = (0..READINGS).map(|_| {
        let first = now();
        now().saturating_sub(first)
    });
    let step_ns = steps.filter(|&step| step > 0).min().unwrap_or(1);
    let sets = [Set::default()];
    let mut empty: Vec<u64> = (0..READINGS).map(|_| timed(black_box(nothing), &sets)).collect();
    empty.sort_unstable();
    Reply::Ready { step_ns, overhead_ns: empty[READINGS / 2] }
}

/// Nanoseconds of the monotonic clock, through the vDSO.
#[inline]
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn identity(socket: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(socket)?;
    Ok((stat.st_dev, stat.st_ino))
}
