//! Two kernels with their judge, taking turns.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::duel::Duel;
use crate::backend::{Fault, Session, Shelf};
use crate::engine::account::LayoutsRecord;
use crate::engine::stage::bench::Trial;
use crate::engine::stage::judge::{self, Bench, Built, Judge, Load, SetId};
use crate::engine::stage::layouts::Deck;
use crate::engine::stage::{Failure, FailureClass};
use crate::measure::pairs::{Both, Contest, Side, Stop};
use crate::measure::{Halt, SlotEnd};
use crate::pipeline::Target;

/// Inputs that stay staged from process to process may take this share of the memory that is free.
const SHELF_SHARE: u64 = 16;

/// Both sides with their judge.
pub(super) struct Contested<'a> {
    duel: Duel<'a>,
    bench: &'a Bench<'a>,
    pub(super) judge: Judge<'a>,
    /// How each side's kernel is launched.
    built: Both<Built>,
    /// What each side's processes are started with, on a processor.
    decks: Both<Deck>,
    /// On a CUDA device both kernels are in one worker: the session of the side that has not asked
    /// for it yet.
    second: Option<(Side, Box<dyn Session>)>,
    /// What outputs are read into.
    outputs: Vec<Vec<u8>>,
    /// Inputs that stay staged: one copy for each side of a pair of processes.
    shelves: [Shelf; 2],
    /// Which side has which; drawn for each pair of processes.
    swapped: bool,
    rng: ChaCha8Rng,
    /// Processes that were not taken back yet.
    running: u32,
    log: &'a mut Vec<u8>,
    /// A failure that is no kernel's, kept on its way through the protocol.
    pub(super) failure: Option<Failure>,
}

impl<'a> Contested<'a> {
    /// Both kernels of a duel, none of them started; what they print is added to `log`.
    pub(super) fn new(
        duel: Duel<'a>,
        bench: &'a Bench<'a>,
        log: &'a mut Vec<u8>,
    ) -> Result<Self, Failure> {
        let Trial { def, ctx, seed } = duel.trial;
        let judge = Judge::new(&def.problem, &def.reference, seed, bench);
        let built = Both {
            incumbent: judge.built(duel.incumbent).map_err(|failure| duel.incumbents(&failure))?,
            candidate: judge.built(&def.kernel)?,
        };
        let deck = |side: Side, folder: &str, seed: u64| {
            Deck::of(duel.kernel(side), &ctx.scratch.join("layouts").join(folder), seed)
        };
        let decks = Both {
            incumbent: deck(Side::Incumbent, "incumbent", seed)?,
            candidate: deck(Side::Candidate, "candidate", !seed)?,
        };
        Ok(Self {
            duel,
            bench,
            judge,
            built,
            decks,
            second: None,
            outputs: Vec::new(),
            shelves: [(); 2].map(|()| Shelf::new(judge::free_bytes() / SHELF_SHARE)),
            swapped: false,
            rng: ChaCha8Rng::seed_from_u64(seed),
            running: 0,
            log,
            failure: None,
        })
    }

    /// The layouts of each side, and which process had which.
    pub(super) fn layouts(&self) -> LayoutsRecord {
        LayoutsRecord {
            candidate: self.decks.candidate.record(),
            incumbent: Some(self.decks.incumbent.record()),
        }
    }

    /// The stage's failure behind a stop.
    pub(super) fn blame(&self, stop: Stop) -> Failure {
        let label = |case: usize| self.judge.cases.get(case).map_or("", |c| c.label.as_str());
        let failure = match stop.halt {
            Halt::Fault { case, fault } => judge::kernel_failure(label(case), &fault),
            Halt::Wrong { case, report } => Failure {
                class: FailureClass::Wrong,
                message: format!("case {}: {report}", label(case)),
            },
        };
        if stop.side != Some(Side::Incumbent) {
            return failure;
        }
        self.duel.incumbents(&failure)
    }

    fn open(&mut self, side: Side) -> Result<Box<dyn Session>, Fault> {
        let Target::Cuda(device) = self.bench.target else {
            return self.bench.open_kernel(self.decks.of_mut(side).draw());
        };
        if let Some((_, session)) = self.second.take_if(|(waiting, _)| *waiting == side) {
            return Ok(session);
        }
        let kernels = [self.duel.kernel(side), self.duel.kernel(side.other())];
        let [first, second] = self.bench.open_both(device, kernels)?;
        self.second = Some((side.other(), second));
        Ok(first)
    }

    /// Whether no process can leave word for those that come after it.
    fn is_sealed(&self) -> bool {
        Side::BOTH.into_iter().all(|side| self.built.of(side).is_device_only())
            || self.bench.level().is_full()
    }
}

impl Contest for Contested<'_> {
    fn labels(&self) -> Vec<String> {
        self.judge.cases.iter().map(|c| c.label.clone()).collect()
    }

    fn renew(&mut self) {
        // A process that runs has seen what it is given again; where the sandbox is not full, a file
        // or a socket could carry word to the next.
        if self.running > 0 || !self.is_sealed() {
            self.judge.forget();
            self.shelves.iter_mut().for_each(Shelf::clear);
        }
        self.swapped = self.rng.next_u32() & 1 == 0;
    }

    fn start(&mut self, side: Side) -> Result<Box<dyn Session>, Fault> {
        let session = self.open(side)?;
        self.running += 1;
        Ok(session)
    }

    fn load(
        &mut self,
        side: Side,
        session: &mut dyn Session,
        case: usize,
        wanted: u32,
    ) -> Result<u32, Fault> {
        let drawn = self.judge.draw(case, wanted);
        let sets = drawn.map_err(|failure| judge::kept(&mut self.failure, failure))?;
        if self.judge.is_large(case) {
            // Here both sides read the same pages: there is no memory for more, and so much is in no
            // cache for long.
            self.built.of(side).shape(case, session);
            let loaded = self.judge.load_large(case, Load::Ring(sets), session);
            session.limit(self.judge.limit(case));
            return loaded
                .map_err(|failure| judge::kept(&mut self.failure, failure))?
                .map(|()| sets);
        }
        // Never on the pages that the other side reads: whoever comes second would find them in the
        // caches. And not always on the same ones: where they lie has a speed of its own.
        let shelf = usize::from((side == Side::Candidate) != self.swapped);
        let number = case as u64;
        self.built.of(side).shape(case, session);
        session.limit(self.judge.limit(case));
        let (judge, shelf) = (&self.judge, &mut self.shelves[shelf]);
        judge::load_what_fits(sets, &mut |sets| {
            session.load_shared(&judge.arguments(case, sets), number, shelf)
        })
    }

    fn keeps_outputs(&self, case: usize) -> bool {
        !self.judge.is_large(case)
    }

    fn check(
        &mut self,
        _side: Side,
        case: usize,
        set: u32,
        session: &mut dyn Session,
    ) -> Result<(), SlotEnd> {
        self.judge.check(SetId { case, set }, session, &mut self.outputs)
    }

    fn compare(
        &mut self,
        _side: Side,
        case: usize,
        set: u32,
        outputs: &[Vec<u8>],
    ) -> Result<(), String> {
        let judged = self.judge.compare(case, set, outputs);
        if judged.passed() { Ok(()) } else { Err(judged.reports.join("\n")) }
    }

    fn finish(&mut self, _side: Side, mut session: Box<dyn Session>) {
        self.running -= 1;
        // Where one side's could not be had, the other's is not asked for.
        self.second = None;
        self.log.extend(session.finish());
    }
}
