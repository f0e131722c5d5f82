//! The judge: sets of inputs with the reference's answers, drawn, forgotten and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::answers::{self, Answered};
use super::bench::{Bench, free_bytes};
use super::built::Built;
use super::drawn::{Drawn, arguments};
use super::fault::{kernel_failure, reference_failure, withheld_failure};
use super::judged::{self, Judged};
use super::limits::{AT_A_TIME, LARGE_SETS, LIMIT_MORE, LIMIT_TIMES, MEMORY_SHARE, threshold};
use crate::backend::cpu::CpuSession;
use crate::backend::{Argument, Fault, Grid, LaunchLimit, MAX_BUFFERS, Model, Session, Shelf};
use crate::digest::Digest;
use crate::engine::stage::{Failure, FailureClass};
use crate::problem::{
    ArgKind, Case, Problem, Role, Staged, bytes_needed, draw_holdout, stage, twin, work,
};
use crate::verify::{Dtype, Tolerance};

/// The judge: draws inputs from a secret seed, has the reference, in a worker of its own, answer
/// them, and compares.
pub(in crate::engine::stage) struct Judge<'a> {
    pub(in crate::engine::stage) problem: &'a Problem,
    /// The problem's own, then those held out, which are labelled `hold-out 1` and so on. The sizes
    /// of these are nobody's business: see [`Self::is_secret`].
    pub(in crate::engine::stage) cases: Vec<Case>,
    pub(super) bench: &'a Bench<'a>,
    pub(super) reference: &'a Path,
    pub(super) seed: u64,
    /// What the hold-out is drawn from: never recorded, and not to be had from what is.
    secret: u64,
    /// Drawn so far, per case.
    pub(super) pools: Vec<Vec<Drawn>>,
    answering: Option<CpuSession>,
    /// How long the reference takes for a launch, per case.
    paces: BTreeMap<usize, Duration>,
    /// Cases at which the reference was seen to write all of its outputs.
    pub(super) examined: BTreeSet<usize>,
    /// How the candidate's kernel is launched.
    built: Built,
    /// How each output is compared, in argument order.
    pub(super) like: Vec<(Dtype, Tolerance)>,
    /// Sets that were drawn and are not used any more.
    forgotten: u64,
    budget_bytes: u64,
    /// From how many bytes on a set is large.
    pub(super) large_bytes: u64,
    /// The inputs of a large case, in whose memory others are drawn.
    pub(super) shelf: Shelf,
}

/// What a set's seed is drawn for besides its number: sets of different uses never coincide.
#[derive(Clone, Copy)]
enum Use {
    Pool = 0,
    Twin = 1,
    Unanswered = 2,
}

impl<'a> Judge<'a> {
    /// A judge of the problem's own cases.
    pub(in crate::engine::stage) fn new(
        problem: &'a Problem,
        reference: &'a Path,
        seed: u64,
        bench: &'a Bench<'a>,
    ) -> Self {
        let cases = problem.cases.clone();
        let pools = cases.iter().map(|_| Vec::new()).collect();
        let budget_bytes = free_bytes() / MEMORY_SHARE;
        let secret = rand::random();
        Self {
            problem,
            cases,
            bench,
            reference,
            seed,
            secret,
            pools,
            answering: None,
            paces: BTreeMap::new(),
            examined: BTreeSet::new(),
            built: Built::default(),
            like: judged::like(problem),
            forgotten: 0,
            budget_bytes,
            large_bytes: threshold(bench),
            shelf: Shelf::new(u64::MAX),
        }
    }

    /// A judge of the problem's own cases and of the hold-out, which is drawn anew.
    pub(in crate::engine::stage) fn with_holdout(
        problem: &'a Problem,
        reference: &'a Path,
        seed: u64,
        bench: &'a Bench<'a>,
    ) -> Self {
        let mut judge = Self::new(problem, reference, seed, bench);
        let mut rng = ChaCha8Rng::seed_from_u64(judge.secret);
        for (number, case) in (1..).zip(draw_holdout(problem, &mut rng)) {
            judge.cases.push(Case { label: format!("hold-out {number}"), ..case });
            judge.pools.push(Vec::new());
        }
        judge
    }

    /// Whether the case is held out: its sizes, and whatever they could be computed from (counts,
    /// positions, times, what the kernel prints), must not be told.
    pub(in crate::engine::stage) fn is_secret(&self, case: usize) -> bool {
        case >= self.problem.cases.len()
    }

    /// Draws until `wanted` sets of a case are there, or as many as memory holds, but at least
    /// two; how many there are.
    pub(in crate::engine::stage) fn draw(
        &mut self,
        case: usize,
        wanted: u32,
    ) -> Result<u32, Failure> {
        self.room(case)?;
        if self.is_large(case) {
            return self.plan(case, wanted);
        }
        let wanted = (wanted as usize).min(self.mappable());
        loop {
            let have = self.pools[case].len();
            let fits = |&sets: &usize| sets <= 2 || self.holds(case, sets);
            let more = (have + 1..=wanted.min(have + AT_A_TIME)).take_while(fits).count();
            if more == 0 {
                return Ok(have.min(wanted) as u32);
            }
            let staged = self.pooled(case, have..have + more)?;
            let drawn = self.answered(case, staged)?;
            self.pools[case].extend(drawn);
        }
    }

    /// Sets of the pool, drawn on every core: nothing is timed meanwhile.
    fn pooled(&self, case: usize, numbers: Range<usize>) -> Result<Vec<Staged>, Failure> {
        let seeds: Vec<u64> = numbers.map(|number| self.pool_seed(case, number)).collect();
        let (problem, sizes) = (self.problem, &self.cases[case]);
        (self.bench.ctx.progress)(0.0, &format!("drawing inputs, {}", sizes.label));
        let staged: Result<Vec<_>, _> =
            seeds.into_par_iter().map(|seed| stage(problem, sizes, seed)).collect();
        staged.map_err(|e| self.unstageable(case, &e))
    }

    /// Forgets what was drawn: for a kernel that could have left word of it for its next process.
    pub(in crate::engine::stage) fn forget(&mut self) {
        self.forgotten += self.pools.iter().map(Vec::len).max().unwrap_or(0) as u64;
        self.pools.iter_mut().for_each(Vec::clear);
        self.shelf.clear();
    }

    /// How many sets of buffers a process can map at a time.
    fn mappable(&self) -> usize {
        let buffers = self.problem.args.iter().map(|arg| match arg.kind {
            ArgKind::Buffer { role: Role::Inout, .. } => 2,
            ArgKind::Buffer { .. } => 1,
            ArgKind::Scalar(_) => 0,
        });
        MAX_BUFFERS / buffers.sum::<usize>().max(1)
    }

    /// Whether memory holds so many sets of a case: once in the judge, once in shared memory. Of a
    /// large one it holds no more than are loaded at a time.
    pub(in crate::engine::stage) fn holds(&self, case: usize, sets: usize) -> bool {
        if self.is_large(case) {
            return sets <= LARGE_SETS;
        }
        let each = bytes_needed(self.problem, &self.cases[case]).unwrap_or(u64::MAX / 4);
        each.saturating_mul(2 * sets as u64) <= self.budget_bytes
    }

    /// What was drawn of a case so far.
    pub(in crate::engine::stage) fn drawn(&self, case: usize) -> &[Drawn] {
        &self.pools[case]
    }

    /// A set that differs from one of the pool in a few elements, answered by the reference.
    pub(in crate::engine::stage) fn twin(
        &mut self,
        case: usize,
        of: usize,
    ) -> Result<Drawn, Failure> {
        let seed = self.set_seed(case, Use::Twin, of as u64);
        let staged = twin(&self.pools[case][of].staged, self.problem, seed);
        if self.is_large(case) {
            // Its answer makes way for the twin's; it can be had again.
            self.pools[case][of].want = Vec::new();
            return Ok(Drawn { staged, want: Vec::new(), seed });
        }
        let answered = self.answered(case, vec![staged])?.pop();
        Ok(answered.expect("each set is answered"))
    }

    /// A set of inputs that no kernel has seen and that nobody answers.
    pub(in crate::engine::stage) fn unanswered(
        &self,
        case: usize,
        number: u64,
    ) -> Result<Staged, Failure> {
        self.staged(case, Use::Unanswered, number)
    }

    /// How much a launch does, as far as the problem says: for an order of cases, no more.
    pub(in crate::engine::stage) fn cost(&self, case: usize) -> f64 {
        let case = &self.cases[case];
        let bytes = bytes_needed(self.problem, case).unwrap_or(u64::MAX) as f64;
        bytes * work(self.problem, case).flops.unwrap_or(1.0).max(1.0)
    }

    pub(super) fn pool_seed(&self, case: usize, number: usize) -> u64 {
        self.set_seed(case, Use::Pool, self.forgotten + number as u64)
    }

    fn set_seed(&self, case: usize, r#use: Use, number: u64) -> u64 {
        let seed = if self.is_secret(case) { self.secret } else { self.seed };
        set_seed(seed, case as u64, ((r#use as u64) << 32) + number)
    }

    fn staged(&self, case: usize, r#use: Use, number: u64) -> Result<Staged, Failure> {
        let seed = self.set_seed(case, r#use, number);
        let staged = stage(self.problem, &self.cases[case], seed);
        staged.map_err(|e| self.unstageable(case, &e))
    }

    pub(super) fn unstageable(&self, case: usize, why: &dyn std::fmt::Display) -> Failure {
        let (name, label) = (&self.problem.name, &self.cases[case].label);
        let message = if self.is_secret(case) {
            format!(
                "problem `{name}`: the ranges of its hold-out hold sizes at which an argument has \
                 no value; narrow them"
            )
        } else {
            format!("problem `{name}`, case {label}: {why}")
        };
        Failure { class: FailureClass::Problem, message }
    }

    fn answered(&mut self, case: usize, staged: Vec<Staged>) -> Result<Vec<Drawn>, Failure> {
        let label = &self.cases[case].label;
        (self.bench.ctx.progress)(0.0, &format!("reference, {label}"));
        let blame = |fault: Fault| reference_failure(self.problem, &fault);
        let session = match &mut self.answering {
            Some(session) => session,
            None => self.answering.insert(self.bench.open(self.reference).map_err(blame)?),
        };
        let answer = answers::answer(session, &staged).map_err(blame)?;
        if self.examined.insert(case) {
            let first = Answered { staged: &staged[0], want: &answer.want[0], slot: 0 };
            let mut again = |session: &mut CpuSession| session.load(&[arguments(&staged[0])]);
            let session = self.answering.as_mut().expect("it has just answered");
            let left = answers::left_out(session, &first, &mut again).map_err(blame)?;
            answers::whole(&self.question(case), &left)?;
        }
        // After that: what was never written may be NaN by chance.
        answers::without_nan(&self.question(case), &answer.want)?;
        self.note_pace(case, answer.each);
        // What is there is not drawn from its seed again.
        let drawn = |(staged, want)| Drawn { staged, want, seed: 0 };
        Ok(staged.into_iter().zip(answer.want).map(drawn).collect())
    }

    /// What is asked of the reference at a case.
    pub(super) fn question(&self, case: usize) -> answers::Question<'_> {
        let (label, is_secret) = (&self.cases[case].label, self.is_secret(case));
        answers::Question { problem: self.problem, label, is_secret }
    }

    pub(super) fn note_pace(&mut self, case: usize, each: Duration) {
        let pace = self.paces.entry(case).or_insert(each);
        *pace = each.min(*pace);
    }

    /// How long a launch of the candidate's may take at a case, once the reference has answered there.
    pub(in crate::engine::stage) fn limit(&self, case: usize) -> Option<LaunchLimit> {
        let takes = *self.paces.get(&case)?;
        let (model, times, more) = (Model::Reference, LIMIT_TIMES, LIMIT_MORE);
        Some(LaunchLimit { model, takes, times, more })
    }

    /// The first `count` sets of a case that is not large as the backend takes them.
    pub(in crate::engine::stage) fn arguments(
        &self,
        case: usize,
        count: u32,
    ) -> Vec<Vec<Argument<'_>>> {
        self.pools[case].iter().take(count as usize).map(|d| arguments(&d.staged)).collect()
    }

    /// The judge of this very kernel: finds out how it is launched at each case.
    pub(in crate::engine::stage) fn of_kernel(mut self, kernel: &Path) -> Result<Self, Failure> {
        self.built = self.built(kernel)?;
        Ok(self)
    }

    /// How a built kernel is launched at each case.
    pub(in crate::engine::stage) fn built(&self, kernel: &Path) -> Result<Built, Failure> {
        Built::of(self.bench, self.problem, &self.cases, kernel)
    }

    /// The geometry of a case's launch.
    pub(in crate::engine::stage) fn grid(&self, case: usize) -> Grid {
        self.built.grid(case)
    }

    /// Says how what is loaded next of a case is launched, and how long that may take.
    pub(in crate::engine::stage) fn shape(&self, case: usize, session: &mut dyn Session) {
        self.built.shape(case, session);
        session.limit(self.limit(case));
    }

    /// Compares what a launch on a set left with what the reference left.
    pub(in crate::engine::stage) fn compare(
        &self,
        case: usize,
        set: u32,
        got: &[Vec<u8>],
    ) -> Judged {
        self.compare_with(case, &self.pools[case][set as usize], got)
    }

    /// [`Self::compare`] for a set that may not be of the pool.
    pub(in crate::engine::stage) fn compare_with(
        &self,
        case: usize,
        drawn: &Drawn,
        got: &[Vec<u8>],
    ) -> Judged {
        let judged = judged::compare(self.problem, &drawn.staged, &drawn.want, got);
        if self.is_secret(case) { judged.withheld() } else { judged }
    }

    /// How a case is called in a failure.
    pub(in crate::engine::stage) fn place(&self, case: usize) -> String {
        let label = &self.cases[case].label;
        if self.is_secret(case) {
            format!("{label} (sizes are withheld)")
        } else {
            format!("case {label}")
        }
    }

    /// A fault of the candidate's at a case as the stage's failure.
    pub(in crate::engine::stage) fn failure(&self, case: usize, fault: &Fault) -> Failure {
        let label = &self.cases[case].label;
        if self.is_secret(case) {
            withheld_failure(label, fault)
        } else {
            kernel_failure(label, fault)
        }
    }
}

/// A seed of its own for each set.
fn set_seed(seed: u64, case: u64, number: u64) -> u64 {
    let mut bytes = [0; 24];
    for (part, value) in bytes.chunks_exact_mut(8).zip([seed, case, number]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    let digest = Digest::of(&bytes);
    u64::from_le_bytes(digest.0[..8].try_into().expect("a digest is longer than 8 bytes"))
}
