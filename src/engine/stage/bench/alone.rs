//! A kernel measured with nothing beside it.

use std::time::{Duration, Instant};

use super::def::{BenchDef, Notes, Trial, mode, statistic};
use crate::backend::{Fault, Session};
use crate::engine::account::LayoutsRecord;
use crate::engine::stage::judge::{self, Bench, Judge, Load, SetId};
use crate::engine::stage::layouts::Deck;
use crate::engine::stage::{Failure, FailureClass, holdout};
use crate::measure::{self, Halt, Measurement, Protocol, SlotEnd};
use crate::pipeline::Purpose;

/// A kernel measured alone.
pub(super) struct Alone {
    pub(super) measurement: Measurement,
    pub(super) layouts: LayoutsRecord,
}

/// Measures it.
pub(super) fn run(trial: Trial<'_>, notes: &mut Notes) -> Result<Alone, Failure> {
    let Trial { def, ctx, seed } = trial;
    let mut protocol = protocol(def, seed)?;
    let bench = trial.bench().noting(&notes.journal);
    if def.work.purpose == Purpose::Leaderboard {
        holdout::check(def, &bench, seed)?;
    }
    let judge = Judge::new(&def.problem, &def.reference, seed, &bench).of_kernel(&def.kernel)?;
    protocol.budget = judge.budget();
    let mut benched = Benched {
        bench: &bench,
        judge,
        deck: Deck::of(&def.kernel, &ctx.scratch.join("layouts"), seed)?,
        log: &mut notes.log,
        outputs: Vec::new(),
        started: Instant::now(),
        failure: None,
    };
    let result = measure::measure(&protocol, &mut benched, ctx.progress);
    let layouts = LayoutsRecord { candidate: benched.deck.record(), incumbent: None };
    if let Some(failure) = benched.failure.take() {
        return Err(failure);
    }
    let label = |case: usize| benched.judge.cases.get(case).map_or("", |c| c.label.as_str());
    result.map(|measurement| Alone { measurement, layouts }).map_err(|halt| match halt {
        Halt::Fault { case, fault } => judge::kernel_failure(label(case), &fault),
        Halt::Wrong { case, report } => Failure {
            class: FailureClass::Wrong,
            message: format!("case {}: {report}", label(case)),
        },
    })
}

fn protocol(def: &BenchDef, seed: u64) -> Result<Protocol, Failure> {
    let work = &def.work;
    Ok(Protocol {
        looks: work.repeats.clone(),
        per_process: def.samples_per_process(),
        warmup: work.warmup,
        early_stop_us: work.early_stop_us,
        precision: work.precision,
        statistic: statistic(&work.metric)?,
        budget: None,
        mode: mode(work.mode),
        seed,
    })
}

/// A kernel to be measured, with its judge.
struct Benched<'a> {
    bench: &'a Bench<'a>,
    judge: Judge<'a>,
    /// What each process is started with.
    deck: Deck,
    log: &'a mut Vec<u8>,
    /// What outputs are read into.
    outputs: Vec<Vec<u8>>,
    started: Instant,
    /// A failure that is not the kernel's, kept on its way through the protocol.
    failure: Option<Failure>,
}

impl measure::Subject for Benched<'_> {
    fn labels(&self) -> Vec<String> {
        self.judge.cases.iter().map(|c| c.label.clone()).collect()
    }

    fn start(&mut self) -> Result<Box<dyn Session>, Fault> {
        let (session, sealed) = self.bench.open_sealed(self.deck.draw())?;
        if !sealed {
            // A file, a socket: something could carry word to this process from the one before.
            self.judge.forget();
        }
        Ok(session)
    }

    fn load(&mut self, session: &mut dyn Session, case: usize, wanted: u32) -> Result<u32, Fault> {
        let drawn = self.judge.draw(case, wanted);
        let sets = drawn.map_err(|failure| judge::kept(&mut self.failure, failure))?;
        self.judge.shape(case, session);
        if self.judge.is_large(case) {
            let loaded = self.judge.load_large(case, Load::Ring(sets), session);
            // How long a launch may take is known from the reference's answer.
            self.judge.shape(case, session);
            return loaded
                .map_err(|failure| judge::kept(&mut self.failure, failure))?
                .map(|()| sets);
        }
        judge::load_what_fits(sets, &mut |sets| session.load(&self.judge.arguments(case, sets)))
    }

    fn keeps_outputs(&self, case: usize) -> bool {
        !self.judge.is_large(case)
    }

    fn check(&mut self, case: usize, set: u32, session: &mut dyn Session) -> Result<(), SlotEnd> {
        self.judge.check(SetId { case, set }, session, &mut self.outputs)
    }

    fn renew(&mut self) {
        self.judge.forget();
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn finish(&mut self, mut session: Box<dyn Session>) {
        self.log.extend(session.finish());
    }
}
