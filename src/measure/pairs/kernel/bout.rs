//! One case in a pair of processes: load, warm up, slots in turn, compare.

use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::side::{Both, coin};
use super::contest::{Contest, SlotPlan};
use crate::backend::{Fault, LaunchLimit, Launched, Model, Order, Session};
use crate::measure::pairs::{CasePair, Side, Spent, Stop};
use crate::measure::sample::{Sample, loops, sample};
use crate::measure::slot::{Again, WARM_SETS};
use crate::measure::subject::{Halt, SlotEnd};
use crate::stats::Statistic;

/// A launch of the candidate may take so many times as long as the incumbent's, and this longer
/// (decision-rule, section 5, step 1).
const LIMIT_FACTOR: u32 = 3;
const LIMIT_MORE: Duration = Duration::from_secs(1);

/// In one pair of so many, outputs are read in the middle of both slots, after a launch drawn in
/// secret: a kernel that leaves its work to the next timed launch would have two of three for
/// nothing.
const SURPRISES: u32 = 4;

/// The median slot has a logarithm also where it is shorter than a step of the clock.
const SHORTEST_NS: f64 = 0.1;

/// How the slots of a case go; alike on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Launches per sample.
    looped: u32,
    timed: u32,
    discard: u32,
}

impl Shape {
    /// Before any launch was seen.
    fn first(plan: &SlotPlan) -> Self {
        Self { looped: 1, timed: plan.timed.max(1), discard: plan.discard }
    }

    fn sets(self) -> u32 {
        self.timed * self.looped
    }

    /// The same in so many sets: with fewer launches in a loop, then with fewer loops.
    fn within(self, sets: u32) -> Self {
        let sets = sets.max(1);
        let timed = self.timed.min(sets);
        Self { looped: self.looped.min(sets / timed), timed, ..self }
    }
}

/// A case, and what is known of it by now.
pub(super) struct Known {
    pub(super) case: usize,
    /// How its slots go, once its launches were seen.
    pub(super) shape: Option<Shape>,
    /// How long a launch of the incumbent takes, about.
    pub(super) incumbent_ns: Option<f64>,
}

/// What a bout gave.
pub(super) struct Slots {
    pub(super) pairs: Vec<CasePair>,
    pub(super) samples: Both<Vec<Sample>>,
    pub(super) looped: u32,
    /// Sets that were staged at a time.
    pub(super) ring: u32,
    /// Untimed launches of each side.
    pub(super) warmups: u32,
    /// Samples of each side that do not count, because the device was throttled.
    pub(super) discarded: u64,
}

/// A case in two processes of which one stands still.
pub(super) struct Bout<'a> {
    pub(super) contest: &'a mut dyn Contest,
    pub(super) plan: &'a SlotPlan,
    pub(super) sessions: &'a mut Both<Box<dyn Session>>,
    pub(super) started_first: Side,
    pub(super) known: &'a mut Known,
    pub(super) spent: &'a mut Spent,
}

/// What is loaded.
#[derive(Clone, Copy)]
struct Ring {
    sets: u32,
    /// The first set that no launch has had.
    fresh: u32,
    /// Sets from the first on that untimed launches have had.
    untimed: u32,
}

impl Ring {
    fn of(sets: u32) -> Self {
        Self { sets, fresh: Self::warm(sets), untimed: 0 }
    }

    /// Sets that untimed launches take turns on.
    fn warm(sets: u32) -> u32 {
        WARM_SETS.min(sets - 1)
    }

    /// Untimed launches took turns on the sets that are theirs.
    fn launched_untimed(&mut self, count: u32) {
        self.untimed = self.untimed.max(count.min(Self::warm(self.sets)));
    }

    fn left(self) -> u32 {
        self.sets - self.fresh
    }
}

impl Bout<'_> {
    /// `count` pairs.
    pub(super) fn run(&mut self, count: u32, rng: &mut ChaCha8Rng) -> Result<Slots, Stop> {
        let first = self.known.shape.unwrap_or(Shape::first(self.plan));
        let mut ring = self.load(count * first.sets())?;
        let incumbent_ns = self.warm_up(ring, rng)?;
        ring.launched_untimed(self.warmups());
        let wanted = self.known.shape.unwrap_or_else(|| self.shape(incumbent_ns));
        if count * wanted.sets() > ring.left() && wanted.looped > first.looped {
            ring = self.load(count * wanted.sets())?;
        }
        let shape = wanted.within(ring.left());
        self.known.shape = Some(shape);
        let mut slots = Slots {
            pairs: Vec::with_capacity(count as usize),
            samples: Both::default(),
            looped: shape.looped,
            ring: ring.sets,
            warmups: self.warmups() + count * shape.discard,
            discarded: 0,
        };
        let mut again = Again::default();
        while slots.pairs.len() < count as usize {
            if shape.sets() > ring.left() {
                // Memory is short, and what was launched before is not fresh any more.
                self.check_untimed(ring)?;
                self.contest.renew();
                let left = count - slots.pairs.len() as u32;
                ring = self.load(left * shape.sets())?;
                if shape.sets() > ring.left() {
                    return Err(Stop::nobodys("there is less memory for inputs than before"));
                }
            }
            let (pair, samples) = self.pair(shape, ring, rng)?;
            ring.fresh += shape.sets();
            ring.launched_untimed(shape.discard);
            if self.counts(&mut again)? {
                slots.pairs.push(pair);
                slots.samples.incumbent.extend(samples.incumbent);
                slots.samples.candidate.extend(samples.candidate);
            } else {
                slots.warmups += shape.discard;
                slots.discarded += u64::from(shape.timed);
            }
        }
        self.check_untimed(ring)?;
        self.known.shape = Some(self.longer_loops(shape, &slots));
        Ok(slots)
    }

    /// More launches a sample where those that were timed are shorter than the clock needs. Untimed
    /// ones have no say in it: a kernel could take its time there.
    fn longer_loops(&self, shape: Shape, slots: &Slots) -> Shape {
        let needed = |side| {
            let times: Vec<f64> = slots.samples.of(side).iter().map(counted_ns).collect();
            let timer = self.sessions.of(side).timer();
            let typical = Statistic::Median.of_slot(&times)?;
            Some(loops((typical + timer.overhead_ns) as u64, timer))
        };
        // A single launch a slot is long.
        let loops = Side::BOTH.into_iter().filter_map(needed).max().filter(|_| shape.discard > 0);
        Shape { looped: loops.map_or(shape.looped, |loops| loops.max(shape.looped)), ..shape }
    }

    /// Whether a pair counts: not when either side's session says why it should not.
    fn counts(&mut self, again: &mut Again) -> Result<bool, Stop> {
        let sides = Side::BOTH.map(|side| self.sessions.of_mut(side).disturbed());
        let case = self.known.case;
        // The device's doing, and nobody's.
        let stop = |fault| Stop { side: None, halt: Halt::Fault { case, fault } };
        let counts = again.counts(sides.into_iter().flatten().next()).map_err(stop)?;
        self.spent.discarded_throttled += u64::from(!counts);
        Ok(counts)
    }

    /// At least one: how slots go follows from how long a launch takes.
    fn warmups(&self) -> u32 {
        self.plan.warmup.max(1)
    }

    /// Loads both sides with `timed` fresh sets, or as many as memory holds.
    fn load(&mut self, timed: u32) -> Result<Ring, Stop> {
        let mut sets = WARM_SETS + timed;
        for side in [self.started_first, self.started_first.other()] {
            let session = &mut **self.sessions.of_mut(side);
            let loaded = self.contest.load(side, session, self.known.case, sets);
            sets = loaded.map_err(|fault| self.stopped(side, fault))?.min(sets);
            self.pause(side)?;
        }
        if sets < 2 {
            return Err(Stop::nobodys("there is no memory for the inputs of two launches"));
        }
        Ok(Ring::of(sets))
    }

    /// Launches both sides without counting; what the incumbent takes, for a candidate that returned
    /// at once, or took its time, would choose by it how it is timed.
    fn warm_up(&mut self, ring: Ring, rng: &mut ChaCha8Rng) -> Result<u64, Stop> {
        let drawn = coin(rng);
        // What the candidate may take is known from the incumbent alone.
        let first = if self.known.incumbent_ns.is_some() { drawn } else { Side::Incumbent };
        let mut incumbent_ns = 0;
        for side in [first, first.other()] {
            self.limit();
            let mut latest_ns = 0;
            for number in 0..self.warmups() {
                latest_ns = self.launch(side, number % Ring::warm(ring.sets), 1)?.reported_ns;
            }
            self.pause(side)?;
            if side == Side::Incumbent {
                incumbent_ns = latest_ns;
                self.known.incumbent_ns.get_or_insert(latest_ns as f64);
            }
        }
        Ok(incumbent_ns)
    }

    /// How slots go when the incumbent takes so long.
    fn shape(&self, incumbent_ns: u64) -> Shape {
        if incumbent_ns > self.plan.single_over_ns {
            return Shape { looped: 1, timed: 1, discard: 0 };
        }
        let looped = |side| loops(incumbent_ns, self.sessions.of(side).timer());
        let looped = looped(Side::Incumbent).max(looped(Side::Candidate));
        Shape { looped, ..Shape::first(self.plan) }
    }

    /// One slot of each side, and then what they left.
    fn pair(
        &mut self,
        shape: Shape,
        ring: Ring,
        rng: &mut ChaCha8Rng,
    ) -> Result<(CasePair, Both<Vec<Sample>>), Stop> {
        let first = coin(rng);
        let surprise = surprise(shape, rng);
        let mut pair = CasePair { first, incumbent: Vec::new(), candidate: Vec::new() };
        let mut early = Both::default();
        let mut samples = Both::<Vec<Sample>>::default();
        for side in [first, first.other()] {
            let slot = Slot { side, shape, ring, surprise };
            let (taken, read) = self.slot(&slot)?;
            *early.of_mut(side) = read;
            let counted: Vec<f64> = taken.iter().map(counted_ns).collect();
            if side == Side::Incumbent {
                self.known.incumbent_ns = Statistic::Median.of_slot(&counted);
                pair.incumbent = counted;
            } else {
                pair.candidate = counted;
            }
            *samples.of_mut(side) = taken;
        }
        for side in Side::BOTH {
            let early = std::mem::take(early.of_mut(side));
            self.check(&Slot { side, shape, ring, surprise }, early)?;
        }
        Ok((pair, samples))
    }

    /// The timed launches of one side, and the outputs that were read between them.
    fn slot(&mut self, slot: &Slot) -> Result<(Vec<Sample>, Early), Stop> {
        let &Slot { side, shape, ring, surprise } = slot;
        self.limit();
        for number in 0..shape.discard {
            self.launch(side, number % Ring::warm(ring.sets), 1)?;
        }
        let mut samples = Vec::with_capacity(shape.timed as usize);
        let mut early = Early::new();
        for index in 0..shape.timed {
            let launched = self.launch(side, slot.first_of(index), shape.looped)?;
            samples.push(sample(launched, self.sessions.of(side).timer(), shape.looped));
            if surprise == Some(index) {
                early = self.read_early(slot, index)?;
            }
        }
        self.pause(side)?;
        Ok((samples, early))
    }

    fn read_early(&mut self, slot: &Slot, index: u32) -> Result<Early, Stop> {
        let sets = slot.first_of(index)..slot.first_of(index + 1);
        let read = |set| {
            let outputs = self.sessions.of_mut(slot.side).outputs(set);
            outputs.map_err(|fault| self.stopped(slot.side, fault))
        };
        sets.map(read).collect()
    }

    /// Compares what every timed launch of a slot left; `early` was read before the slot ended.
    fn check(&mut self, slot: &Slot, mut early: Early) -> Result<(), Stop> {
        let (side, case) = (slot.side, self.known.case);
        let read = slot.surprise.map_or(0..0, |i| slot.first_of(i)..slot.first_of(i + 1));
        for set in slot.first_of(0)..slot.first_of(slot.shape.timed) {
            let right = if read.contains(&set) {
                let outputs = std::mem::take(&mut early[(set - read.start) as usize]);
                self.contest.compare(side, case, set, &outputs).map_err(SlotEnd::Wrong)
            } else {
                let session = &mut **self.sessions.of_mut(side);
                self.contest.check(side, case, set, session)
            };
            right.map_err(|end| match end {
                SlotEnd::Fault(fault) => self.stopped(side, fault),
                SlotEnd::Wrong(report) => {
                    Stop { side: Some(side), halt: Halt::Wrong { case, report } }
                }
            })?;
        }
        Ok(())
    }

    /// Compares what the latest untimed launches left: they do the work, too.
    fn check_untimed(&mut self, ring: Ring) -> Result<(), Stop> {
        if !self.contest.keeps_outputs(self.known.case) {
            return Ok(());
        }
        let untimed = Shape { looped: 1, timed: ring.untimed, discard: 0 };
        for side in Side::BOTH {
            let ring = Ring { fresh: 0, ..ring };
            self.check(&Slot { side, shape: untimed, ring, surprise: None }, Early::new())?;
        }
        Ok(())
    }

    fn launch(&mut self, side: Side, first: u32, count: u32) -> Result<Launched, Stop> {
        self.spent.launches += 1;
        let order = Order { first, count, mode: self.plan.mode };
        let launched = self.sessions.of_mut(side).launch(order);
        launched.map_err(|fault| self.stopped(side, fault))
    }

    fn pause(&mut self, side: Side) -> Result<(), Stop> {
        let paused = self.sessions.of_mut(side).pause();
        paused.map_err(|fault| self.stopped(side, fault))
    }

    /// Says how long the candidate may take, as far as that is known.
    fn limit(&mut self) {
        if let Some(ns) = self.known.incumbent_ns {
            let takes = Duration::from_nanos(ns as u64);
            let (model, times, more) = (Model::Incumbent, LIMIT_FACTOR, LIMIT_MORE);
            self.sessions.candidate.limit(Some(LaunchLimit { model, takes, times, more }));
        }
    }

    fn stopped(&self, side: Side, fault: Fault) -> Stop {
        Stop { side: Some(side), halt: Halt::Fault { case: self.known.case, fault } }
    }
}

/// The outputs of one sample's sets.
type Early = Vec<Vec<Vec<u8>>>;

/// One side's turn.
#[derive(Clone, Copy)]
struct Slot {
    side: Side,
    shape: Shape,
    ring: Ring,
    surprise: Option<u32>,
}

impl Slot {
    /// The first set of a sample; those of both sides are alike.
    fn first_of(&self, index: u32) -> u32 {
        self.ring.fresh + index * self.shape.looped
    }
}

/// After which sample of a pair outputs are read at once, if after any.
fn surprise(shape: Shape, rng: &mut ChaCha8Rng) -> Option<u32> {
    let draw = rng.next_u32();
    let places = shape.timed - 1;
    (places > 0 && draw.is_multiple_of(SURPRISES)).then(|| draw / SURPRISES % places)
}

/// What counts of a sample. Where the judge's clock does not bear it out, that clock's own time,
/// which cannot be too short.
fn counted_ns(sample: &Sample) -> f64 {
    let ns = if sample.confirmed { sample.ns } else { sample.ns.max(sample.judged_ns) };
    ns.max(SHORTEST_NS)
}
