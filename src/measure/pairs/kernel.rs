//! Pairs of two kernels: fresh processes of both, of which only one ever runs.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{CasePair, Pair, Pairs, Side, Spent, Stop};
use crate::backend::{Fault, Mode, Session};
use crate::measure::estimate::{self, Measurement, Taken};
use crate::measure::protocol::Halt;
use crate::measure::slot::SlotEnd;
use crate::measure::stopping;
use crate::stats::Statistic;
use bout::{Bout, Shape};

mod bout;

/// The two kernels that are compared: where their processes come from, what these are given and
/// what must come out.
pub trait Contest {
    /// The cases' labels, in order.
    fn labels(&self) -> Vec<String>;

    /// What is loaded from now on is drawn anew as far as a process could know it: no process that
    /// still runs may have seen it, nor one that could have left word of it. Called before each
    /// fresh pair of processes, and where memory is so short that a case is loaded again.
    fn renew(&mut self);

    /// Starts a fresh process with the kernel of `side` loaded.
    ///
    /// # Errors
    /// Why there is none.
    fn start(&mut self, side: Side) -> Result<Box<dyn Session>, Fault>;

    /// Stages inputs of a case, for at least 2 and at most `wanted` launches, and says for how
    /// many. Until the next [`Contest::renew`] a set of a number is the same for both sides and
    /// each time.
    ///
    /// # Errors
    /// Why none could be staged.
    fn load(
        &mut self,
        side: Side,
        session: &mut dyn Session,
        case: usize,
        wanted: u32,
    ) -> Result<u32, Fault>;

    /// Compares what a side's launch on `set` left in `session`.
    ///
    /// # Errors
    /// What differs, in words, or that it cannot be told.
    fn check(
        &mut self,
        side: Side,
        case: usize,
        set: u32,
        session: &mut dyn Session,
    ) -> Result<(), SlotEnd> {
        let outputs = session.outputs(set)?;
        self.compare(side, case, set, &outputs).map_err(SlotEnd::Wrong)
    }

    /// Compares outputs that were read before their slot ended; the error is the report.
    ///
    /// # Errors
    /// What differs, in words.
    fn compare(
        &mut self,
        side: Side,
        case: usize,
        set: u32,
        outputs: &[Vec<u8>],
    ) -> Result<(), String>;

    /// Takes back a process that is not needed any more.
    fn finish(&mut self, side: Side, session: Box<dyn Session>);
}

/// How slots go (decision-rule, section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct SlotPlan {
    /// Untimed launches at the start of each slot: the first after a change of sides is slower.
    pub discard: u32,
    /// Timed launches of a slot.
    pub timed: u32,
    /// A slot of launches longer than this is a single one, with none before it.
    pub single_over_ns: u64,
    /// Untimed launches per process and case.
    pub warmup: u32,
    /// Pairs that a pair of processes gives before fresh ones take over.
    pub per_group: u32,
    /// How the caches are when a launch begins.
    pub mode: Mode,
    /// What stands for a side's launches in its [`Measurement`].
    pub statistic: Statistic,
    /// Give up once the candidate is surely above.
    pub early_stop_us: Option<f64>,
}

impl Default for SlotPlan {
    fn default() -> Self {
        Self {
            discard: 1,
            timed: 3,
            single_over_ns: 10_000_000,
            warmup: 2,
            per_group: 2,
            mode: Mode::Hot,
            statistic: Statistic::Median,
            early_stop_us: None,
        }
    }
}

/// Something of each side.
#[derive(Debug, Clone, Default)]
struct Both<T> {
    incumbent: T,
    candidate: T,
}

impl<T> Both<T> {
    fn of(&self, side: Side) -> &T {
        match side {
            Side::Incumbent => &self.incumbent,
            Side::Candidate => &self.candidate,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Incumbent => &mut self.incumbent,
            Side::Candidate => &mut self.candidate,
        }
    }
}

/// A case, and what is known of it by now.
struct Known {
    case: usize,
    /// How its slots go, once its launches were seen.
    shape: Option<Shape>,
    /// How long a launch of the incumbent takes, about.
    incumbent_ns: Option<f64>,
}

/// Pairs from the processes of a [`Contest`].
pub struct KernelPairs<'a> {
    contest: &'a mut dyn Contest,
    plan: SlotPlan,
    cases: Vec<Known>,
    /// One per case.
    taken: Both<Vec<Taken>>,
    groups: u32,
    spent: Spent,
}

impl<'a> KernelPairs<'a> {
    /// No process is started before the first group.
    pub fn new(contest: &'a mut dyn Contest, plan: SlotPlan) -> Self {
        let labels = contest.labels();
        let taken: Vec<Taken> = labels.iter().map(|label| Taken::new(label)).collect();
        let known = |case| Known { case, shape: None, incumbent_ns: None };
        Self {
            contest,
            plan,
            cases: (0..labels.len()).map(known).collect(),
            taken: Both { incumbent: taken.clone(), candidate: taken },
            groups: 0,
            spent: Spent::default(),
        }
    }

    /// All launches of a side so far as a measurement of its own; `None` before the first.
    pub fn measurement(&self, side: Side) -> Option<Measurement> {
        estimate::describe(self.plan.statistic, self.taken.of(side))
    }

    /// A process of each side, in the order that was drawn, all of which stand still.
    fn start(&mut self, first: Side) -> Result<Both<Box<dyn Session>>, Stop> {
        let earlier = self.start_one(first)?;
        match self.start_one(first.other()) {
            Ok(later) => Ok(match first {
                Side::Incumbent => Both { incumbent: earlier, candidate: later },
                Side::Candidate => Both { incumbent: later, candidate: earlier },
            }),
            Err(stop) => {
                self.contest.finish(first, earlier);
                Err(stop)
            }
        }
    }

    fn start_one(&mut self, side: Side) -> Result<Box<dyn Session>, Stop> {
        let first = self.cases.first().map_or(0, |known| known.case);
        let stopped = |fault| Stop { side: Some(side), halt: Halt::Fault { case: first, fault } };
        let mut session = self.contest.start(side).map_err(stopped)?;
        self.spent.processes += 1;
        match session.pause() {
            Ok(()) => Ok(session),
            Err(fault) => {
                self.contest.finish(side, session);
                Err(stopped(fault))
            }
        }
    }

    /// The pairs of every case, one list per case.
    fn cases(
        &mut self,
        count: u32,
        sessions: &mut Both<Box<dyn Session>>,
        (first, rng): (Side, &mut ChaCha8Rng),
    ) -> Result<Vec<Vec<CasePair>>, Stop> {
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        order.shuffle(rng);
        let mut all = vec![Vec::new(); order.len()];
        for case in order {
            let mut bout = Bout {
                contest: self.contest,
                plan: &self.plan,
                sessions,
                started_first: first,
                known: &mut self.cases[case],
                spent: &mut self.spent,
            };
            let slots = bout.run(count, rng)?;
            for side in Side::BOTH {
                let taken = &mut self.taken.of_mut(side)[case];
                taken.ring = slots.ring;
                taken.warmups += slots.warmups;
                taken.discarded_throttled += slots.discarded;
                taken.looped = Some(slots.looped);
                taken.timer = sessions.of(side).timer();
                taken.processes.push(slots.samples.of(side).clone());
            }
            self.believable(case)?;
            all[case] = slots.pairs;
        }
        Ok(all)
    }

    /// Times that the judge's clock speaks against, in most launches of a case, were made up.
    fn believable(&self, case: usize) -> Result<(), Stop> {
        for side in [Side::Candidate, Side::Incumbent] {
            let taken = &self.taken.of(side)[case];
            if taken.is_forged() {
                let fault = Fault::Cheating { what: taken.disbelief() };
                return Err(Stop { side: Some(side), halt: Halt::Fault { case, fault } });
            }
        }
        Ok(())
    }
}

impl Pairs for KernelPairs<'_> {
    fn group(&mut self, count: u32, rng: &mut ChaCha8Rng) -> Result<Vec<Pair>, Stop> {
        if self.cases.is_empty() {
            return Err(Stop::nobodys("there is nothing to launch"));
        }
        self.contest.renew();
        let first = coin(rng);
        let mut sessions = self.start(first)?;
        let slots = self.cases(count, &mut sessions, (first, rng));
        self.contest.finish(Side::Incumbent, sessions.incumbent);
        self.contest.finish(Side::Candidate, sessions.candidate);
        let mut slots: Vec<_> = slots?.into_iter().map(Vec::into_iter).collect();
        let group = self.groups;
        self.groups += 1;
        let pair = |_| Pair { group, cases: slots.iter_mut().filter_map(Iterator::next).collect() };
        Ok((0..count).map(pair).collect())
    }

    fn per_group(&self) -> u32 {
        self.plan.per_group.max(1)
    }

    fn spent(&self) -> Spent {
        self.spent
    }

    fn surely_too_slow(&self) -> bool {
        let limit = self.plan.early_stop_us;
        let slow = |limit| stopping::too_slow(limit, self.plan.statistic, &self.taken.candidate);
        limit.is_some_and(slow)
    }
}

/// Which side goes first.
fn coin(rng: &mut ChaCha8Rng) -> Side {
    if rng.next_u32() & 1 == 0 { Side::Incumbent } else { Side::Candidate }
}
