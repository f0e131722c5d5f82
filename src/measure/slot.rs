//! One case in one process: load, warm up, time, compare.

use serde::{Deserialize, Serialize};

use super::protocol::Subject;
use crate::backend::{Fault, Launched, Mode, Order, Session, Timer, Trouble};
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

/// A launch shorter than so many steps of the clock is timed in a loop (decision-rule, section 5:
/// the step must be under 0.2 % of what is timed).
const STEPS: f64 = 500.0;

/// But in no more launches than this, each on inputs and outputs of its own: what is shorter than
/// 80 ns is timed less exactly. Never a second time on the same buffers: a kernel that finds its own
/// result there may skip its work.
const MOST_LOOPS: f64 = 128.0;

/// The two clocks may differ by so much more than the hand-over.
const SLACK_NS: f64 = 2_000.0;

/// And by so many hand-overs: where judge and worker share a core, all is as much coarser.
const SLACK_HANDOVERS: f64 = 10.0;

/// And by this share of the reported time, before the judge's clock bears it out: the judge sleeps
/// between looks at a long launch.
const SLACK_SHARE: f64 = 0.05;

/// By this share, before it speaks against it.
const DOUBT_SHARE: f64 = 0.02;

/// But a sample counts for no less than the judge saw of it, less the hand-over and this: a kernel
/// that trails through the caches makes the way longer than it is without one.
const GRACE_NS: f64 = 500.0;

/// One timed sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Nanoseconds per launch.
    pub ns: f64,
    /// Nanoseconds per launch by the judge's clock.
    pub judged_ns: f64,
    /// Whether the judge's clock bears it out.
    pub confirmed: bool,
    /// Whether the judge saw the launch going on after it should have been over. Neither is true
    /// when the judge was off its core, for then it cannot tell.
    pub contradicted: bool,
}

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

/// Why a slot gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotEnd {
    /// The kernel or what is around it failed.
    Fault(Fault),
    /// An output differs from the reference's: the comparison's words.
    Wrong(String),
}

impl From<Fault> for SlotEnd {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
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
        let samples = self.time(session, subject, (ring, looped, discarded))?;
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
        (ring, looped, discarded): (u32, u32, u32),
    ) -> Result<Vec<Sample>, SlotEnd> {
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

/// Launches per sample that make it long enough for the clock.
pub(super) fn loops(typical_ns: u64, timer: Timer) -> u32 {
    let needed = STEPS * timer.step_ns;
    let launch = (typical_ns as f64 - timer.overhead_ns).max(1.0);
    if launch >= needed { 1 } else { (needed / launch).ceil().min(MOST_LOOPS) as u32 }
}

pub(super) fn sample(launched: Launched, timer: Timer, looped: u32) -> Sample {
    let (reported, judged) = (launched.reported_ns as f64, launched.judged_ns as f64);
    let per_launch = |ns: f64| ns.max(0.0) / f64::from(looped);
    let slack = SLACK_NS + SLACK_HANDOVERS * timer.handover_ns;
    let beyond = |seen: f64| seen - reported - timer.handover_ns;
    let contradicted = beyond(launched.at_least_ns as f64) > slack + DOUBT_SHARE * reported;
    let own = reported - timer.overhead_ns;
    // What is contradicted does not count at all, and is kept as it was told.
    let seen = launched.at_least_ns as f64 - timer.handover_ns - GRACE_NS;
    Sample {
        ns: per_launch(if contradicted { own } else { own.max(seen) }),
        judged_ns: per_launch(judged - timer.handover_ns),
        confirmed: !contradicted && beyond(judged) <= slack + SLACK_SHARE * reported,
        contradicted,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launches_under_500_steps_are_looped() {
        let timer =
            Timer { step_ns: 20.0, overhead_ns: 20.0, handover_ns: 200.0, ..Timer::default() };
        for (ns, expected) in [(10_020, 1), (5_020, 2), (1_020, 10), (20, 128), (1 << 40, 1)] {
            assert_eq!(loops(ns, timer), expected, "{ns} ns");
        }
    }

    #[test]
    fn the_judges_clock_bears_a_time_out_speaks_against_it_or_cannot_tell() {
        let timer =
            Timer { step_ns: 1.0, overhead_ns: 10.0, handover_ns: 200.0, ..Timer::default() };
        let judged_ns = 101_000;
        for (reported_ns, at_least_ns, confirmed, contradicted) in [
            (100_000, 100_900, true, false),
            (60_000, 100_900, false, true),
            (10, 100_900, false, true),
            // The judge was away when it ended.
            (60_000, 50_000, false, false),
            (100_000, 0, true, false),
            (10, 50_000, false, true),
        ] {
            let launched = Launched { reported_ns, judged_ns, at_least_ns };
            let sample = sample(launched, timer, 1);
            assert_eq!(
                (sample.confirmed, sample.contradicted),
                (confirmed, contradicted),
                "{reported_ns} ns, at least {at_least_ns} ns"
            );
        }
        // A lie that is too small to speak of does not pay either.
        let launched = Launched { reported_ns: 10_010, judged_ns: 14_000, at_least_ns: 13_800 };
        let small = sample(launched, timer, 1);
        assert_eq!((small.ns, small.contradicted), (13_100.0, false));
        let launched = Launched { reported_ns: 100_010, judged_ns, at_least_ns: 0 };
        let looped = sample(launched, timer, 10);
        assert_eq!((looped.ns, looped.confirmed), (10_000.0, true));
    }
}
