//! The judge's side of the control page: orders, waiting for their answers with its own clock at
//! hand, and keeping out of the worker's way meanwhile.
#![expect(unsafe_code, reason = "maps the control page")]

use std::hint::spin_loop;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::thread::{futex, set_current_timer_slack};

use super::super::contract::{Launched, Mode, Order};
use super::affinity::Cores;
use super::control::{Control, SeatSet, Verb};
use super::segment::Segment;
use crate::process::{Cancel, Running, Wake};

/// How long the judge spins for an answer before it sleeps between looks.
const SPIN: Duration = Duration::from_millis(1);

/// It sleeps for at most this share of the time that has gone by, so that the end of a launch is
/// known as exactly.
const SHARE: u32 = 64;

const SHORTEST_SLEEP: Duration = Duration::from_micros(15);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// Where the judge has no core of its own, it looks after the worker's life so often.
const SLICE: Duration = Duration::from_millis(4);

/// How long an idle worker spins for the next order: with a core of its own, and without.
const WORKER_SPIN_NS: (u64, u64) = (2_000_000, 3_000);

/// Between seeing the worker on its core and the order to go, no more than this may pass.
const PROMPT: Duration = Duration::from_micros(20);

/// How often the worker is waited for anew when it was not prompt.
const ATTEMPTS: u32 = 50;

/// Orders that the hand-over is measured with, and how long that may take.
const CALIBRATIONS: usize = 200;
const CALIBRATION: Duration = Duration::from_millis(50);

/// Who is asked, while the judge waits, whether waiting still makes sense.
pub(super) struct Sentry<'a> {
    pub(super) running: &'a mut Running,
    /// Silent as long as all is well.
    pub(super) socket: BorrowedFd<'a>,
    pub(super) deadline: Option<Instant>,
    pub(super) cancel: &'a Cancel,
}

/// Why waiting makes no sense any more.
#[derive(Debug)]
pub(super) enum Unanswered {
    Exited,
    /// Something came through the socket, or it was closed.
    Spoken,
    Deadline,
    Cancelled,
    Failed(io::Error),
}

impl Sentry<'_> {
    /// Sleeps for `pause`, unless something happens.
    fn look(&mut self, pause: Duration) -> Result<(), Unanswered> {
        let until = Instant::now() + pause;
        let until = self.deadline.map_or(until, |deadline| deadline.min(until));
        match self.running.wait(Some(self.socket), Some(until), self.cancel) {
            Ok(Wake::Exited) => Err(Unanswered::Exited),
            Ok(Wake::Ready) => Err(Unanswered::Spoken),
            Ok(Wake::Cancelled) => Err(Unanswered::Cancelled),
            Ok(Wake::Deadline) => match self.deadline {
                Some(deadline) if Instant::now() >= deadline => Err(Unanswered::Deadline),
                _ => Ok(()),
            },
            Err(error) => Err(Unanswered::Failed(error)),
        }
    }
}

/// When an answer came: after the first and before the second.
struct Seen {
    missing: Instant,
    there: Instant,
}

/// One worker's control page.
pub(super) struct Handshake {
    page: Page,
    number: u32,
    cores: Cores,
}

impl Handshake {
    pub(super) fn new(segment: &Segment, cores: Cores) -> io::Result<Self> {
        let page = Page::map(segment.fd())?;
        let judge = &page.control().judge;
        let spin_ns = if cores.apart() { WORKER_SPIN_NS.0 } else { WORKER_SPIN_NS.1 };
        judge.spin_ns.store(spin_ns, Relaxed);
        judge.wake.store(u32::from(!cores.has_own()), Relaxed);
        Ok(Self { page, number: 0, cores })
    }

    pub(super) fn control(&self) -> &Control {
        self.page.control()
    }

    /// Gives an order and waits until it is carried out.
    pub(super) fn carry_out(
        &mut self,
        verb: Verb,
        sentry: &mut Sentry<'_>,
    ) -> Result<(), Unanswered> {
        let order = self.post(verb);
        self.wake();
        self.answered(order, Instant::now(), sentry)?;
        Ok(())
    }

    /// An order about one set of a kernel of a device's worker.
    pub(super) fn about(
        &mut self,
        verb: Verb,
        of: SeatSet,
        sentry: &mut Sentry<'_>,
    ) -> Result<(), Unanswered> {
        let judge = &self.page.control().judge;
        judge.seat.store(of.seat, Relaxed);
        judge.first.store(of.set, Relaxed);
        judge.count.store(1, Relaxed);
        self.carry_out(verb, sentry)
    }

    /// Has the worker make ready for an order: restored, and in hot mode touched.
    pub(super) fn prepare(
        &mut self,
        order: Order,
        sentry: &mut Sentry<'_>,
    ) -> Result<(), Unanswered> {
        let judge = &self.page.control().judge;
        judge.first.store(order.first, Relaxed);
        judge.count.store(order.count, Relaxed);
        judge.touch.store(u32::from(order.mode == Mode::Hot), Relaxed);
        self.carry_out(Verb::Prepare, sentry)
    }

    /// Has the worker launch what was prepared, with the judge's clock around it.
    pub(super) fn launch(&mut self, sentry: &mut Sentry<'_>) -> Result<Launched, Unanswered> {
        let _aside = self.cores.stand_aside();
        self.timed(Verb::Go, sentry)
    }

    fn timed(&mut self, verb: Verb, sentry: &mut Sentry<'_>) -> Result<Launched, Unanswered> {
        self.await_presence(sentry)?;
        let sent = Instant::now();
        let order = self.post(verb);
        let posted = Instant::now();
        self.wake();
        let seen = self.answered(order, posted, sentry)?;
        let reported_ns = self.page.control().worker.elapsed_ns.load(Relaxed);
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Ok(Launched {
            reported_ns,
            judged_ns: ns(seen.there.duration_since(sent)),
            at_least_ns: ns(seen.missing.saturating_duration_since(posted)),
        })
    }

    /// What the judge's clock shows beyond the reported time, in the middle of many empty launches.
    pub(super) fn calibrate(&mut self, sentry: &mut Sentry<'_>) -> Result<f64, Unanswered> {
        let _aside = self.cores.stand_aside();
        let started = Instant::now();
        let mut beyond = Vec::with_capacity(CALIBRATIONS);
        while beyond.len() < CALIBRATIONS {
            let launched = self.timed(Verb::Empty, sentry)?;
            beyond.push(launched.judged_ns.saturating_sub(launched.reported_ns));
            if started.elapsed() > CALIBRATION {
                break;
            }
        }
        beyond.sort_unstable();
        // Other work only makes the way longer, and what it is thought to take is not held against
        // the kernel: the lower quartile, not the middle.
        Ok(beyond[beyond.len() / 4] as f64)
    }

    /// Waits until the worker is seen on its core a moment ago.
    fn await_presence(&mut self, sentry: &mut Sentry<'_>) -> Result<(), Unanswered> {
        for _ in 0..ATTEMPTS {
            if !self.cores.apart() {
                break;
            }
            self.carry_out(Verb::Attend, sentry)?;
            if !self.cores.has_own() || self.beats(sentry)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether the worker was seen spinning just now.
    fn beats(&self, sentry: &mut Sentry<'_>) -> Result<bool, Unanswered> {
        let beat = self.page.control().pulse.beat.load(Relaxed);
        // One that has gone to sleep again, for the judge was off its core, does not beat.
        let there = |control: &Control| {
            let pulse = &control.pulse;
            pulse.beat.load(Relaxed) != beat || pulse.asleep.load(Relaxed) != 0
        };
        let seen = self.wait(there, Instant::now(), sentry)?;
        Ok(seen.there.elapsed() < PROMPT && seen.there - seen.missing < PROMPT)
    }

    fn post(&mut self, verb: Verb) -> u32 {
        self.number = self.number.wrapping_add(1);
        let order = verb.order(self.number);
        self.page.control().judge.order.store(order, SeqCst);
        order
    }

    /// Wakes a worker that has been idle for long.
    fn wake(&self) {
        let control = self.page.control();
        if control.pulse.asleep.load(SeqCst) != 0 {
            // That it woke by itself is as good.
            let _woken = futex::wake(&control.judge.order, futex::Flags::empty(), 1);
        }
    }

    fn answered(
        &self,
        order: u32,
        since: Instant,
        sentry: &mut Sentry<'_>,
    ) -> Result<Seen, Unanswered> {
        self.wait(|control| control.worker.answer.load(Acquire) == order, since, sentry)
    }

    /// Waits for what cannot have been so before `since`.
    fn wait(
        &self,
        done: impl Fn(&Control) -> bool,
        since: Instant,
        sentry: &mut Sentry<'_>,
    ) -> Result<Seen, Unanswered> {
        let control = self.page.control();
        let mut missing = since;
        let mut precise = None;
        loop {
            let looked = Instant::now();
            let answer = control.worker.answer.load(Relaxed);
            if done(control) {
                return Ok(Seen { missing, there: Instant::now() });
            }
            missing = looked;
            let elapsed = looked - since;
            if !self.cores.has_own() {
                sleep_for_answer(control, answer);
                sentry.look(Duration::ZERO)?;
            } else if elapsed < SPIN {
                spin_loop();
            } else {
                precise.get_or_insert_with(PreciseSleep::begin);
                sentry.look((elapsed / SHARE).clamp(SHORTEST_SLEEP, LONGEST_SLEEP))?;
            }
        }
    }
}

/// While this lives, sleeps of this thread end as exactly as the system can: the 50 µs that it may
/// add by default would be most of a short sleep.
struct PreciseSleep;

impl PreciseSleep {
    fn begin() -> Self {
        // A thread that cannot have it sleeps longer.
        let _refused = set_current_timer_slack(NonZeroU64::new(1));
        Self
    }
}

impl Drop for PreciseSleep {
    fn drop(&mut self) {
        let _refused = set_current_timer_slack(None);
    }
}

/// Lets the worker have the judge's core.
fn sleep_for_answer(control: &Control, answer: u32) {
    let slice = rustix::time::Timespec { tv_sec: 0, tv_nsec: i64::from(SLICE.subsec_nanos()) };
    // Time out, an answer and a spurious wake all lead to another look.
    let _woken = futex::wait(&control.worker.answer, futex::Flags::empty(), answer, Some(&slice));
}

/// The mapping of the page.
struct Page(*mut Control);

// SAFETY: a mapping of its own that consists of atomics; any thread may use it.
unsafe impl Send for Page {}

impl Page {
    fn map(segment: BorrowedFd<'_>) -> io::Result<Self> {
        let length = rustix::param::page_size();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address that the system picks.
        let base = unsafe { mmap(null_mut(), length, protection, MapFlags::SHARED, segment, 0)? };
        Ok(Self(base.cast()))
    }

    fn control(&self) -> &Control {
        // SAFETY: mapped until drop; the file's size is sealed, at one page, which holds a
        // `Control`, and that consists of atomics, for which every bit pattern is valid.
        unsafe { &*self.0 }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `map`, which nothing borrows any more.
        let _unmapped = unsafe { munmap(self.0.cast(), rustix::param::page_size()) };
    }
}
