//! Compares a kernel with the incumbent, pair by pair.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bench::{self, BenchDef, Notes};
use super::judge::{self, Bench, Built, Judge, Load};
use super::layouts::Deck;
use super::{Failure, FailureClass, Look, StageContext};
use crate::backend::{Fault, Session, Shelf};
use crate::engine::account::{LayoutsRecord, SideLayouts};
use crate::measure::pairs::{
    Comparison, Contest, Cut, Heard, KernelPairs, Scoring, Side, SlotPlan, Stop, Terms, decide,
};
use crate::measure::{Halt, Measurement, SlotEnd, Stopped};
use crate::pipeline::{Incumbent, RuleWork, Target};
use crate::stats::block::{Better, Combine, Metric, Scale};
use crate::stats::sequential::{Confirm, Next, Rule};

pub(super) mod account;
pub(super) mod calibrate;
pub mod calibration;
pub(in crate::engine) mod command;
pub(in crate::engine) mod identical;
mod probe;
pub(in crate::engine) mod sides;

/// Pairs that one pair of processes gives on a processor: each pair has layouts of its own, so that
/// what they are worth is in the spread from pair to pair, which the bounds rest on. Two pairs of
/// one layout would be taken for two that know nothing of each other.
const PER_PROCESS: u32 = 1;

/// And of one worker on a CUDA device, whose start costs as much as many pairs.
const CUDA_PER_PROCESS: u32 = 8;

/// No look is begun that would end after this share of the stage's own time limit.
const SHARE_OF_TIMEOUT: f64 = 0.8;

/// Inputs that stay staged from process to process may take this share of the memory that is free.
const SHELF_SHARE: u64 = 16;

/// What was found.
pub(super) struct Compared {
    pub(super) comparison: Comparison,
    /// Each side alone, from the launches of the comparison.
    pub(super) candidate: Measurement,
    pub(super) incumbent: Measurement,
    /// The layouts of each side, and which process had which.
    pub(super) layouts: LayoutsRecord,
    /// Pairs per pair of processes.
    pub(super) per_process: u32,
    /// What is wrong with the calibration that this rests on.
    pub(super) doubts: Vec<String>,
}

/// The rule of a stage for so many cases.
pub(super) fn rule(work: &RuleWork, looks: &[u32], cases: usize) -> Rule {
    let mut rule = Rule::with_looks(looks).of_shapes(cases);
    rule.minimum_effect = work.min_effect.unwrap_or(rule.minimum_effect);
    rule.gross = if work.gross > 0.0 { work.gross.ln() } else { 0.0 };
    for (levels, given) in
        [(&mut rule.lower_levels, &work.lower_levels), (&mut rule.upper_levels, &work.upper_levels)]
    {
        if given.len() == levels.len() {
            levels.clone_from(given);
        }
    }
    rule.confirm = work.confirm.then_some(Confirm {
        fraction: work.confirm_fraction,
        fewest: work.confirm_fewest,
        threshold: work.confirm_threshold,
    });
    rule
}

/// The time after which no look is begun.
pub(super) fn budget(rule: &RuleWork, timeout_ms: u64) -> Duration {
    let own = Duration::from_millis(rule.budget_ms);
    match timeout_ms {
        0 => own,
        ms => own.min(Duration::from_millis(ms).mul_f64(SHARE_OF_TIMEOUT)),
    }
}

/// Which looks are told as they are taken.
pub(super) fn tell(ctx: &StageContext<'_>, last: u32, heard: &Heard) {
    match heard {
        Heard::Pairs { pairs, until } => {
            let fraction = *pairs as f32 / last.max(1) as f32;
            (ctx.progress)(fraction, &format!("pair {pairs}, next look at {until}"));
        }
        Heard::Confirming { pairs, of } => {
            let fraction = *pairs as f32 / (*of).max(1) as f32;
            (ctx.progress)(fraction, &format!("confirming, pair {pairs} of {of}"));
        }
        Heard::Look { look, next } => (ctx.looked)(&Look {
            pairs: look.pairs,
            estimate: look.estimate,
            lower: look.lower,
            upper: look.upper,
            next: match next {
                Next::GoOn { .. } => "go on".to_owned(),
                Next::Confirm { pairs } => format!("confirm with {pairs} new pairs"),
                Next::End(reason) => reason.words().to_owned(),
            },
        }),
    }
}

/// Compares.
pub(super) fn run(
    def: &BenchDef,
    incumbent: &Path,
    ctx: &StageContext<'_>,
    seed: u64,
    notes: &mut Notes,
) -> Result<Compared, Failure> {
    let place = calibration::Place::of(def, ctx);
    let known = calibration::read(&place);
    let calibrated = known.as_ref().map(|k| k.calibration.pairs_per_process);
    let usual = match def.target {
        Target::Cpu(_) => PER_PROCESS,
        Target::Cuda(_) => calibrated.unwrap_or(CUDA_PER_PROCESS),
    };
    let per_process = def.work.rule.pairs_per_process.unwrap_or(usual);
    let rule = rule(&def.work.rule, &def.work.repeats, def.problem.cases.len());
    let duel = Duel { def, incumbent, ctx, seed };
    let compared = duel.run(rule, per_process, def.work.early_stop_us, notes)?;
    calibration::count(&place);
    let mut doubts = known.map_or_else(Vec::new, |known| known.doubts(&place));
    if def.work.compile.layouts > 1 && matches!(def.target, Target::Cpu(_)) {
        doubts.extend(unmoved(&compared.layouts));
    }
    Ok(Compared { doubts, ..compared })
}

/// That a side could not be moved: what its place is worth then counts as its own.
fn unmoved(layouts: &LayoutsRecord) -> Option<String> {
    let is_one = |side: &SideLayouts| side.count == 1;
    let (verb, owners) =
        match (is_one(&layouts.candidate), layouts.incumbent.as_ref().is_some_and(is_one)) {
            (false, false) => return None,
            (true, false) => ("has", "the candidate"),
            (false, true) => ("has", "the incumbent"),
            (true, true) => ("have", "both sides"),
        };
    Some(format!(
        "{owners} {verb} one layout: where its code happens to lie may be worth some per cent, and is \
         not in the interval"
    ))
}

/// Two binaries that compute the same.
pub(super) struct Duel<'a> {
    pub(super) def: &'a BenchDef,
    pub(super) incumbent: &'a Path,
    pub(super) ctx: &'a StageContext<'a>,
    pub(super) seed: u64,
}

impl Duel<'_> {
    pub(super) fn run(
        &self,
        rule: Rule,
        per_process: u32,
        early_stop_us: Option<f64>,
        notes: &mut Notes,
    ) -> Result<Compared, Failure> {
        let (def, ctx) = (self.def, self.ctx);
        let bench = Bench::new(ctx, &def.work.limits, &def.target)
            .confined(def.work.sandbox)
            .noting(&notes.journal);
        let judge = Judge::new(&def.problem, &def.reference, self.seed, &bench);
        let built = Both {
            incumbent: judge.built(self.incumbent).map_err(|failure| self.incumbents(&failure))?,
            candidate: judge.built(&def.kernel)?,
        };
        let shelves = [(); 2].map(|()| Shelf::new(judge::free_bytes() / SHELF_SHARE));
        let deck = |kernel: &Path, side: &str, seed: u64| {
            Deck::of(kernel, &ctx.scratch.join("layouts").join(side), seed)
        };
        let decks = Both {
            incumbent: deck(self.incumbent, "incumbent", self.seed)?,
            candidate: deck(&def.kernel, "candidate", !self.seed)?,
        };
        let mut contest = Contested {
            duel: self,
            bench: &bench,
            judge,
            built,
            decks,
            second: None,
            outputs: Vec::new(),
            shelves,
            swapped: false,
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            running: 0,
            log: &mut notes.log,
            failure: None,
        };
        let statistic = bench::statistic(&def.work.metric)?;
        let terms = Terms {
            scoring: Scoring { statistic, metric: metric(&def.work.rule) },
            seed: self.seed,
            budget: Some(budget(&def.work.rule, def.work.limits.timeout_ms)),
            guard: def.work.rule.guard,
            rule,
        };
        // Of a large case each pair of processes has one fresh set.
        let per_process = if contest.judge.has_large() { 1 } else { per_process };
        let plan = SlotPlan {
            discard: def.work.rule.discard,
            timed: def.work.rule.timed,
            warmup: def.work.warmup,
            per_group: per_process,
            mode: bench::mode(def.work.mode),
            early_stop_us,
            statistic,
            ..SlotPlan::default()
        };
        let started = Instant::now();
        let last = terms.rule.looks.last().copied().unwrap_or(1);
        let mut pairs = KernelPairs::new(&mut contest, plan);
        let decided =
            decide(&terms, &mut pairs, &|| started.elapsed(), &|heard| tell(ctx, last, heard));
        let sides = (pairs.measurement(Side::Candidate), pairs.measurement(Side::Incumbent));
        let layouts = contest.decks.record();
        if let Some(failure) = contest.failure.take() {
            return Err(failure);
        }
        let comparison = decided.map_err(|stop| contest.blame(stop))?;
        let (Some(candidate), Some(incumbent)) = sides else {
            let message = "a case was never launched".to_owned();
            return Err(Failure { class: FailureClass::Infrastructure, message });
        };
        let mut candidate = candidate;
        if comparison.cut == Some(Cut::TooSlow) {
            candidate.stopped = Some(Stopped::TooSlow);
        }
        let doubts = Vec::new();
        Ok(Compared { comparison, candidate, incumbent, layouts, per_process, doubts })
    }
}

impl Duel<'_> {
    fn incumbents(&self, failure: &Failure) -> Failure {
        let called = self.def.against.as_deref().unwrap_or("the same binary");
        incumbents(&self.def.work.incumbent, called, failure)
    }
}

/// A failure of the incumbent's, which is nobody's candidate's doing. What failed once by what it
/// computes fails every time: that is not to be tried again, but changed.
pub(super) fn incumbents(incumbent: &Incumbent, called: &str, failure: &Failure) -> Failure {
    let Failure { class, message } = failure;
    let passing = [FailureClass::Infrastructure, FailureClass::Interrupted, FailureClass::NoDevice];
    if passing.contains(class) {
        let message = format!(
            "the incumbent ({called}) could not be run, so there is nothing to compare with: {message}"
        );
        return Failure { class: *class, message };
    }
    let to_do = match incumbent {
        Incumbent::Best | Incumbent::Baseline => {
            "to begin anew with the kernel as it is now: `optloop best reset`, then run the pipeline"
        }
        _ => "name another incumbent, or write incumbent = \"none\"",
    };
    let message = format!(
        "the incumbent ({called}) fails this itself, so there is nothing to compare with: \
         {message}\n{to_do}"
    );
    Failure { class: FailureClass::Incumbent, message }
}

/// Kernel times: lower is better, and cases count by their weights.
fn metric(rule: &RuleWork) -> Metric {
    Metric {
        better: Better::Lower,
        scale: Scale::Log,
        combine: Combine::Weighted(rule.weights.clone()),
    }
}

/// Something of each side.
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

impl Both<Deck> {
    fn record(&self) -> LayoutsRecord {
        LayoutsRecord {
            candidate: self.candidate.record(),
            incumbent: Some(self.incumbent.record()),
        }
    }
}

/// Both sides with their judge.
struct Contested<'a> {
    duel: &'a Duel<'a>,
    bench: &'a Bench<'a>,
    judge: Judge<'a>,
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
    failure: Option<Failure>,
}

impl Contested<'_> {
    fn blame(&self, stop: Stop) -> Failure {
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

    fn library(&self, side: Side) -> &Path {
        match side {
            Side::Candidate => &self.duel.def.kernel,
            Side::Incumbent => self.duel.incumbent,
        }
    }

    fn open(&mut self, side: Side) -> Result<Box<dyn Session>, Fault> {
        let Target::Cuda(device) = self.bench.target else {
            return self.bench.open_kernel(self.decks.of_mut(side).draw());
        };
        if let Some((_, session)) = self.second.take_if(|(waiting, _)| *waiting == side) {
            return Ok(session);
        }
        let kernels = [self.library(side), self.library(side.other())];
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

    fn check(
        &mut self,
        _side: Side,
        case: usize,
        set: u32,
        session: &mut dyn Session,
    ) -> Result<(), SlotEnd> {
        self.judge.check((case, set), session, &mut self.outputs)
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
