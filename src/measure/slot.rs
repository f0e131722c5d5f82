//! One case in one process: load, warm up, time, compare.

use super::sample::{Sample, loops, sample};
use super::subject::{SlotEnd, Subject};
use crate::backend::{Fault, Mode, Order, Session, Trouble};
use crate::stats;

/// Inputs that warm-ups take turns on; they are never timed.
pub(super) const WARM_SETS: u32 = 2;

/// Launches that bring code and predictors back after a pause, before the clock counts again.
const DISCARDED: u32 = 1;

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
        let looped = needed.min(ring - WARM_SETS.min(ring - 1)).max(1);
        // Where memory is short these are fewer than wanted, and the others come from fresh processes,
        // in which nothing is known of these inputs.
        let discarded = if typical > LONG_NS { 0 } else { DISCARDED };
        let samples = self.time(session, subject, Timing { ring, looped, discarded })?;
        Ok(Loaded { samples, looped, warmups, ring })
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

    /// Launches on inputs of its own until times have settled, or as often as was asked for where a
    /// launch is long; how often, and the latest time.
    fn warm_up(&self, session: &mut dyn Session, ring: u32) -> Result<(u32, u64), SlotEnd> {
        let mut times: Vec<f64> = Vec::new();
        let mut spent = 0;
        loop {
            let first = times.len() as u32 % WARM_SETS.min(1 + self.warmup).min(ring - 1);
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
    /// all at the end, and of those so far after a launch drawn in secret, so that none can leave
    /// its work to the next.
    fn time(
        &self,
        session: &mut dyn Session,
        subject: &mut dyn Subject,
        timing: Timing,
    ) -> Result<Vec<Sample>, SlotEnd> {
        let Timing { ring, looped, discarded } = timing;
        let warm = WARM_SETS.min(ring - 1);
        let samples_now = self.wanted.min((ring - warm) / looped).max(1);
        let surprise = (self.draw % u64::from(samples_now)) as u32;
        let mut samples = Vec::with_capacity(samples_now as usize);
        let mut compared = warm;
        for index in 0..samples_now {
            if index == 0 || index == surprise + 1 {
                for again in 0..discarded {
                    let first = again % warm;
                    session.launch(Order { first, count: 1, mode: self.mode })?;
                }
            }
            let first = warm + index * looped;
            let order = Order { first, count: looped, mode: self.mode };
            samples.push(sample(session.launch(order)?, session.timer(), looped));
            if index == surprise || index + 1 == samples_now {
                let end = first + looped;
                for set in compared..end {
                    subject.check(self.case, set, session)?;
                }
                compared = end;
            }
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
