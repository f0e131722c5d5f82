//! Sets so large that a few of them would fill the machine: their inputs exist once, where workers map
//! them, drawn there by the judge and drawn anew in the same memory; their outputs have turns in one
//! buffer and are compared where they lie.

use std::time::Duration;

use super::super::Failure;
use super::answers::{self, Answered};
use super::drawn::{Drawn, arguments};
use super::fault::reference_failure;
use super::limits::{BUDGET, LARGE_SETS};
use super::sets::Judge;
use crate::backend::cpu::CpuSession;
use crate::backend::{Argument, Fault, Mode, Order, Session};
use crate::problem::{bytes_needed, plan};

/// What is to be loaded.
pub(in crate::engine::stage) enum Load<'a> {
    /// The first sets of the pool, of which the reference answers those from the second on: the first
    /// is there to warm up on.
    Ring(u32),
    /// One set of the pool, answered.
    One(usize),
    /// One set that is of no pool, answered.
    Made(&'a mut Drawn),
}

/// Sets of a large case, of which the reference answers those from `fresh` on.
struct Asked<'a> {
    sets: &'a mut [Drawn],
    fresh: usize,
}

impl Judge<'_> {
    /// Whether sets of a case are large.
    pub(in crate::engine::stage) fn is_large(&self, case: usize) -> bool {
        let bytes = bytes_needed(self.problem, &self.cases[case]);
        bytes.is_ok_and(|bytes| bytes >= self.large_bytes)
    }

    /// Whether any case has large sets.
    pub(in crate::engine::stage) fn has_large(&self) -> bool {
        (0..self.cases.len()).any(|case| self.is_large(case))
    }

    /// How long a measurement may go on, where any case has large sets.
    pub(in crate::engine::stage) fn budget(&self) -> Option<Duration> {
        self.has_large().then_some(BUDGET)
    }

    /// Notes what the sets of a large case are drawn from; how many there are.
    pub(super) fn plan(&mut self, case: usize, wanted: u32) -> Result<u32, Failure> {
        let wanted = (wanted as usize).clamp(1, LARGE_SETS);
        for number in self.pools[case].len()..wanted {
            let seed = self.pool_seed(case, number);
            let staged = plan(self.problem, &self.cases[case], seed);
            let staged = staged.map_err(|e| self.unstageable(case, &e))?;
            self.pools[case].push(Drawn { staged, want: Vec::new(), seed });
        }
        Ok(wanted as u32)
    }

    /// Has a session load sets of a large case, and the reference answer them first where it has not
    /// yet: on the same memory. Answers to other large cases are forgotten; they can be had again.
    pub(in crate::engine::stage) fn load_large(
        &mut self,
        case: usize,
        load: Load<'_>,
        session: &mut dyn Session,
    ) -> Result<Result<(), Fault>, Failure> {
        self.make_way(case);
        let mut pool = std::mem::take(&mut self.pools[case]);
        let mut asked = match load {
            Load::Ring(sets) => {
                let fresh = 1.min(sets as usize - 1);
                Asked { sets: &mut pool[..sets as usize], fresh }
            }
            Load::One(set) => Asked { sets: &mut pool[set..=set], fresh: 0 },
            Load::Made(made) => Asked { sets: std::slice::from_mut(made), fresh: 0 },
        };
        let answered = self.answer_large(case, &mut asked, Some(&mut *session));
        let loaded = answered.map(|()| {
            (self.bench.ctx.progress)(0.0, &format!("staging inputs, {}", self.cases[case].label));
            let (number, arguments) = loading(asked.sets);
            session.load_shared(&arguments, number, &mut self.shelf)
        });
        self.pools[case] = pool;
        loaded
    }

    /// Has the reference answer a set of a large case, where it has not; of another it has.
    pub(in crate::engine::stage) fn answer(
        &mut self,
        case: usize,
        set: usize,
    ) -> Result<(), Failure> {
        if !self.is_large(case) {
            return Ok(());
        }
        self.make_way(case);
        let mut pool = std::mem::take(&mut self.pools[case]);
        let mut asked = Asked { sets: &mut pool[set..=set], fresh: 0 };
        let answered = self.answer_large(case, &mut asked, None);
        self.pools[case] = pool;
        answered
    }

    /// Other large cases' answers.
    fn make_way(&mut self, case: usize) {
        for other in (0..self.pools.len()).filter(|&other| other != case) {
            if self.is_large(other) {
                for drawn in &mut self.pools[other] {
                    drawn.want = Vec::new();
                }
            }
        }
    }

    /// The reference's answers to the sets that are to be answered.
    fn answer_large(
        &mut self,
        case: usize,
        asked: &mut Asked<'_>,
        session: Option<&mut dyn Session>,
    ) -> Result<(), Failure> {
        let (sets, fresh) = (&mut *asked.sets, asked.fresh);
        if sets[fresh..].iter().all(|drawn| !drawn.want.is_empty()) {
            return Ok(());
        }
        // What it has loaded is not needed any more, and its memory is.
        if let Some(session) = session {
            session.unload();
        }
        let progress = self.bench.ctx.progress;
        progress(0.0, &format!("drawing inputs, {}", self.cases[case].label));
        let problem = self.problem;
        let blame = |fault: Fault| reference_failure(problem, &fault);
        // A process of its own each time: what it has mapped goes with it.
        let mut reference = self.bench.open(self.reference).map_err(blame)?;
        let (number, staged) = loading(sets);
        let loaded = reference.load_shared(&staged, number, &mut self.shelf);
        loaded.map_err(blame)?;
        progress(0.0, &format!("reference, {}", self.cases[case].label));
        let mut answers = Vec::new();
        for (index, set) in sets.iter().enumerate().skip(fresh) {
            let order = Order { first: index as u32, count: 1, mode: Mode::Hot };
            let launched = reference.launch(order).map_err(blame)?;
            self.note_pace(case, Duration::from_nanos(launched.reported_ns));
            let want = reference.outputs(index as u32).map_err(blame)?;
            if self.examined.insert(case) {
                let shelf = &mut self.shelf;
                let mut again =
                    |session: &mut CpuSession| session.load_shared(&staged, number, shelf);
                let answered = Answered { staged: &set.staged, want: &want, slot: index as u32 };
                let left = answers::left_out(&mut reference, &answered, &mut again);
                answers::whole(&self.question(case), &left.map_err(blame)?)?;
            }
            answers::without_nan(&self.question(case), std::slice::from_ref(&want))?;
            answers.push(want);
        }
        drop(staged);
        for (drawn, want) in sets[fresh..].iter_mut().zip(answers) {
            drawn.want = want;
        }
        Ok(())
    }
}

/// What a session is given: a number for the shelf, and the sets' arguments.
fn loading(sets: &[Drawn]) -> (u64, Vec<Vec<Argument<'_>>>) {
    let number = sets.iter().fold(0_u64, |number, set| number.rotate_left(7) ^ set.seed);
    (number, sets.iter().map(|set| arguments(&set.staged)).collect())
}
