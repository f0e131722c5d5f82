//! Serving the control page: launches without a system call between the judge's order and the
//! answer.

use std::hint::spin_loop;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use rustix::thread::futex;
use rustix::time::{ClockId, clock_gettime};

use super::super::link::control::Control;

/// Turns between two looks at the clock while nothing is asked for.
const TURNS: u32 = 64;

/// The worker's side of the control page.
pub(in crate::backend) struct Attendant {
    pub(in crate::backend) control: &'static Control,
    /// The latest order that was carried out.
    seen: u32,
    /// The socket's identity: the candidate may close it or put another in its place.
    socket: (u64, u64),
}

impl Attendant {
    pub(super) fn new(control: &'static Control, socket: &OwnedFd) -> io::Result<Self> {
        Ok(Self { control, seen: 0, socket: identity(socket)? })
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

    /// What the launches of an order took.
    #[inline]
    pub(in crate::backend) fn note(&self, elapsed_ns: u64) {
        self.control.worker.elapsed_ns.store(elapsed_ns, Relaxed);
    }

    /// The order is carried out.
    #[inline]
    pub(in crate::backend) fn answer(&self, order: u32) {
        let answer = &self.control.worker.answer;
        answer.store(order, Release);
        if self.control.judge.wake.load(Relaxed) != 0 {
            // Nobody asleep there is no error.
            let _woken = futex::wake(answer, futex::Flags::empty(), 1);
        }
    }
}

/// Nanoseconds of the monotonic clock, through the vDSO.
#[inline]
pub(in crate::backend) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn identity(socket: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(socket)?;
    Ok((stat.st_dev, stat.st_ino))
}
