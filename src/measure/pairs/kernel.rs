//! Pairs of two kernels: fresh processes of both, of which only one ever runs.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::side::{Both, coin};
use super::{CasePair, Pair, Pairs, Side, Spent, Stop};
use crate::backend::{Fault, Session};
use crate::measure::estimate::{self, Measurement, Taken};
use crate::measure::stopping;
use crate::measure::subject::Halt;
use bout::{Bout, Known};
pub use contest::{Contest, SlotPlan};

mod bout;
mod contest;

/// A process of each side.
struct Started {
    /// Which was started first.
    first: Side,
    sessions: Both<Box<dyn Session>>,
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
    fn start(&mut self, first: Side) -> Result<Started, Stop> {
        let earlier = self.start_one(first)?;
        match self.start_one(first.other()) {
            Ok(later) => {
                let sessions = match first {
                    Side::Incumbent => Both { incumbent: earlier, candidate: later },
                    Side::Candidate => Both { incumbent: later, candidate: earlier },
                };
                Ok(Started { first, sessions })
            }
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
        started: &mut Started,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<CasePair>>, Stop> {
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        order.shuffle(rng);
        let mut all = vec![Vec::new(); order.len()];
        for case in order {
            let mut bout = Bout {
                contest: self.contest,
                plan: &self.plan,
                sessions: &mut started.sessions,
                started_first: started.first,
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
                taken.timer = started.sessions.of(side).timer();
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
        let mut started = self.start(coin(rng))?;
        let slots = self.cases(count, &mut started, rng);
        self.contest.finish(Side::Incumbent, started.sessions.incumbent);
        self.contest.finish(Side::Candidate, started.sessions.candidate);
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
