//! One case in one process: load, warm up, time, compare.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::sample::{Sample, loops, sample};
use super::subject::{SlotEnd, Subject};
use crate::backend::{Fault, Mode, Order, Session, Timer, Trouble};
use crate::stats;

/// Inputs that warm-ups take turns on; they are never timed.
pub(super) const WARM_SETS: u32 = 2;

/// Launches that bring code and predictors back after a pause, before the clock counts again.
const DISCARDED: u32 = 1;

/// After one launch of so many outputs are read at once.
const SURPRISES: u32 = 4;

/// A launch longer than this brings back by itself what a pause has taken, and is as long the next time
/// (the slots of pairs are single ones from here on, too).
const LONG_NS: u64 = 10_000_000;

/// Warm-ups go on at most this many times as long as asked for.
const PATIENCE: u32 = 8;

/// Warm-ups beyond those asked for take at most this long together.
const WARMUP_NS: u64 = 200_000_000;

/// What a slot gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// In order of time.
    pub samples: Vec<Sample>,
    /// Launches per sample.
    pub looped: u32,
    /// Untimed launches.
    pub warmups: u32,
    /// Sets that were staged at a time.
    pub ring: u32,
}

/// What is to be done.
pub(super) struct Slot {
    pub(super) case: usize,
    /// Samples to take.
    pub(super) wanted: u32,
    /// Warm-ups, at least.
    pub(super) warmup: u32,
    pub(super) mode: Mode,
    /// Launches per sample, once they are known.
    pub(super) looped: Option<u32>,
    /// A random number: when to look at outputs.
    pub(super) draw: u64,
}

/// How the samples of a slot are taken.
#[derive(Clone, Copy)]
struct Timing {
    /// Sets that are staged.
    ring: u32,
    /// Launches per sample.
    looped: u32,
    /// Untimed launches after each pause.
    discarded: u32,
}

impl Timing {
    /// As many launches a sample as are needed and the ring holds, where a launch takes so long.
    fn of(ring: u32, needed: u32, typical_ns: u64) -> Self {
        // Where memory is short these are fewer than wanted, and the others come from fresh processes,
        // in which nothing is known of these inputs.
        let looped = needed.min(ring - WARM_SETS.min(ring - 1)).max(1);
        let discarded = if typical_ns > LONG_NS { 0 } else { DISCARDED };
        Self { ring, looped, discarded }
    }
}

/// What a launch of the samples takes, as the worker's clock has it.
fn middle_ns(samples: &[Sample], timer: Timer) -> u64 {
    let times: Vec<f64> = samples.iter().map(|sample| sample.ns).collect();
    (stats::summary(&times).map_or(0.0, |times| times.median) + timer.overhead_ns) as u64
}

impl Slot {
    pub(super) fn run(
        &self,
        session: &mut dyn Session,
        subject: &mut dyn Subject,
    ) -> Result<Loaded, SlotEnd> {
        let looped = self.looped.unwrap_or(1);
        let mut ring = self.load(session, subject, looped)?;
        let (mut warmups, mut typical) = self.warm_up(session, ring)?;
        let needed = self.looped.unwrap_or_else(|| loops(typical, session.timer()));
        if needed > looped {
            ring = self.load(session, subject, needed)?;
            let again = self.warm_up(session, ring)?;
            (warmups, typical) = (warmups + again.0, again.1);
        }
        let mut timing = Timing::of(ring, needed, typical);
        let mut samples = self.time(session, subject, timing)?;
        if self.looped.is_none() {
            let timed = loops(middle_ns(&samples, session.timer()), session.timer());
            if timed > 2 * needed || 2 * timed < needed {
                // Warm-ups took more or less time than the launches that count, on purpose or not: how
                // these are timed follows from themselves.
                subject.renew();
                ring = self.load(session, subject, timed)?;
                let again = self.warm_up(session, ring)?;
                warmups += again.0;
                timing = Timing::of(ring, timed, again.1);
                samples = self.time(session, subject, timing)?;
            }
        }
        Ok(Loaded { samples, looped: timing.looped, warmups, ring })
    }

    fn load(
        &self,
        session: &mut dyn Session,
        subject: &mut dyn Subject,
        looped: u32,
    ) -> Result<u32, SlotEnd> {
        let wanted = WARM_SETS + self.wanted * looped;
        let ring = subject.load(session, self.case, wanted)?;
        if ring < 2 {
            let what = "there is no memory for the inputs of two launches".into();
            return Err(Fault::Infrastructure { what }.into());
        }
        Ok(ring)
    }

    /// Sets that warm-ups take turns on, each of which has had one.
    fn untimed_sets(&self, ring: u32) -> u32 {
        WARM_SETS.min(self.warmup.max(1)).min(ring - 1)
    }

    /// Launches on inputs of its own until times have settled, or as often as was asked for where a
    /// launch is long; how often, and the latest time.
    fn warm_up(&self, session: &mut dyn Session, ring: u32) -> Result<(u32, u64), SlotEnd> {
        let mut times: Vec<f64> = Vec::new();
        let mut spent = 0;
        loop {
            let first = times.len() as u32 % self.untimed_sets(ring);
            let launched = session.launch(Order { first, count: 1, mode: self.mode })?;
            let latest = launched.reported_ns;
            times.push(latest.max(1) as f64);
            spent += launched.judged_ns;
            let done = times.len() as u32;
            let patient = done < self.warmup.max(1) * PATIENCE && spent < WARMUP_NS;
            let over = latest > LONG_NS || !patient || stats::settled(&times);
            if done >= self.warmup && over {
                return Ok((done, latest));
            }
        }
    }

    /// Times as many samples as the loaded sets allow, and compares every launch's outputs: of
    /// all at the end, and of those so far after launches drawn in secret, each by itself, so that
    /// none can leave its work to the next, whatever came before it.
    fn time(
        &self,
        session: &mut dyn Session,
        subject: &mut dyn Subject,
        timing: Timing,
    ) -> Result<Vec<Sample>, SlotEnd> {
        let Timing { ring, looped, discarded } = timing;
        let warm = WARM_SETS.min(ring - 1);
        let samples_now = self.wanted.min((ring - warm) / looped).max(1);
        let mut rng = ChaCha8Rng::seed_from_u64(self.draw);
        let mut paused = true;
        let mut samples = Vec::with_capacity(samples_now as usize);
        let mut compared = warm;
        for index in 0..samples_now {
            if paused {
                for again in 0..discarded {
                    let first = again % warm;
                    session.launch(Order { first, count: 1, mode: self.mode })?;
                }
            }
            let first = warm + index * looped;
            let order = Order { first, count: looped, mode: self.mode };
            samples.push(sample(session.launch(order)?, session.timer(), looped));
            paused = rng.random_ratio(1, SURPRISES);
            if paused || index + 1 == samples_now {
                let end = first + looped;
                for set in compared..end {
                    subject.check(self.case, set, session)?;
                }
                compared = end;
            }
        }
        // The latest warm-ups do the work, too: how a launch is timed is no reason to leave it.
        let untimed = if subject.keeps_outputs(self.case) { self.untimed_sets(ring) } else { 0 };
        for set in 0..untimed {
            subject.check(self.case, set, session)?;
        }
        Ok(samples)
    }
}

/// Slots that are taken again in a row because the device was not itself, at most.
const MOST_AGAIN: u32 = 8;

/// Counts slots that are taken again.
#[derive(Debug, Default)]
pub(super) struct Again {
    in_a_row: u32,
}

impl Again {
    /// Whether what was just taken counts: not when the session says why it should not.
    ///
    /// # Errors
    /// That this goes on.
    pub(super) fn counts(&mut self, disturbed: Option<String>) -> Result<bool, Fault> {
        let Some(why) = disturbed else {
            self.in_a_row = 0;
            return Ok(true);
        };
        self.in_a_row += 1;
        if self.in_a_row <= MOST_AGAIN {
            return Ok(false);
        }
        let what = format!("{why}, {} times in a row", self.in_a_row);
        Err(Fault::Device { trouble: Trouble::Throttled, what })
    }
}
