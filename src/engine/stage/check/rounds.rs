//! The launches of one case: fresh inputs, the same buffers with new ones, inputs that are nearly
//! those of before, and the very same once more.

use std::time::Duration;

use super::super::Failure;
use super::super::judge::{Drawn, Judge, Judged, Load, Loaded, arguments, outputs};
use super::growth::{Error, errors};
use crate::backend::{Argument, Fault, Mode, Order, Session};
use crate::digest::Digest;

/// How long a process that left a wrong output may go on, to see whether it finishes it late.
const PAUSE: Duration = Duration::from_millis(50);

/// What one case showed.
#[derive(Default)]
pub(super) struct Round {
    pub(super) judged: Judged,
    /// Digests of what the first set's launch left, per output: what its repeats are held against.
    pub(super) left: Vec<Digest>,
    /// Outputs that a repeat in the same process left otherwise, by name.
    pub(super) unsteady: Vec<String>,
    /// Rounding errors of the first set's outputs.
    pub(super) errors: Vec<Error>,
}

/// A kernel's session and the case that it is launched on.
pub(super) struct Table<'a, 'b> {
    pub(super) judge: &'a mut Judge<'b>,
    pub(super) session: &'a mut dyn Session,
    pub(super) case: usize,
}

/// Where a set comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Pool(usize),
    Made(&'a Drawn),
}

impl<'a> Source<'a> {
    fn drawn(self, judge: &'a Judge<'_>, case: usize) -> &'a Drawn {
        match self {
            Self::Pool(set) => &judge.drawn(case)[set],
            Self::Made(drawn) => drawn,
        }
    }
}

impl Table<'_, '_> {
    /// All launches of the case; stops at the first that differs.
    pub(super) fn rounds(&mut self, launches: u32) -> Result<Round, Failure> {
        let drawn = self.judge.draw(self.case, 2 * launches.max(1))? as usize;
        let each = (drawn / 2).max(1);
        let mut round = Round::default();
        let fresh: Vec<_> = (0..each).map(Source::Pool).collect();
        self.first(&fresh, &mut round)?;
        // As many buffers of the same sizes as before: a fresh mapping takes the place of the last,
        // so that who remembers places finds other content there.
        let anew: Vec<_> = (each..drawn).map(Source::Pool).collect();
        self.more(&anew, each, "new inputs in the same buffers", &mut round)?;
        if round.judged.passed() && !self.judge.is_secret(self.case) {
            self.again(each, drawn, &mut round)?;
        }
        Ok(round)
    }

    /// A near twin of a set, an exact repeat of another, and a near twin of that.
    fn again(&mut self, each: usize, drawn: usize, round: &mut Round) -> Result<(), Failure> {
        let of = if drawn > each { each } else { 0 };
        self.near_twin(of, each, round)?;
        if !round.judged.passed() {
            return Ok(());
        }
        self.load(&[Source::Pool(0)], each)?;
        let launched = self.launch(0, Source::Pool(0))?;
        round.judged.merge(launched.judged.on("inputs that it was launched on before"));
        round.unsteady = self.differing(&round.left, &launched.left);
        // A twin differs in a thousandth of its elements, which may be those that a kernel knows its
        // inputs by. Of large sets that is many, and another twin would take long.
        if round.judged.passed() && of > 0 && !self.judge.is_large(self.case) {
            self.near_twin(0, each, round)?;
        }
        Ok(())
    }

    /// A set that differs from one that was launched on in a few elements.
    fn near_twin(&mut self, of: usize, each: usize, round: &mut Round) -> Result<(), Failure> {
        let mut twin = self.judge.twin(self.case, of)?;
        self.prepare_made(&mut twin)?;
        let words = "inputs that differ from earlier ones in a few elements";
        self.more(&[Source::Made(&twin)], each, words, round)
    }

    /// The first launches of the case: what they leave is remembered.
    fn first(&mut self, sets: &[Source<'_>], round: &mut Round) -> Result<(), Failure> {
        self.load(sets, sets.len())?;
        for (slot, source) in sets.iter().enumerate() {
            let launched = self.launch(slot as u32, *source)?;
            if slot == 0 {
                round.left = launched.left;
                if self.judge.problem.growth.is_some() && !self.judge.is_secret(self.case) {
                    let got = self.session.outputs(slot as u32);
                    let got = got.map_err(|fault| self.judge.failure(self.case, &fault))?;
                    round.errors = errors(source.drawn(self.judge, self.case), &got);
                }
            }
            round.judged.merge(launched.judged);
            if !round.judged.passed() {
                break;
            }
        }
        Ok(())
    }

    /// Further launches, unless something differed already.
    fn more(
        &mut self,
        sets: &[Source<'_>],
        each: usize,
        inputs: &str,
        round: &mut Round,
    ) -> Result<(), Failure> {
        if !round.judged.passed() || sets.is_empty() {
            return Ok(());
        }
        self.load(sets, each)?;
        for (slot, source) in sets.iter().enumerate() {
            let launched = self.launch(slot as u32, *source)?;
            round.judged.merge(launched.judged.on(inputs));
            if !round.judged.passed() {
                break;
            }
        }
        Ok(())
    }

    /// Launches the first set in a process that has not seen it; the names of outputs that differ
    /// from what `left` says, and the nanoseconds that it says it took.
    pub(super) fn elsewhere(&mut self, round: &mut Round) -> Result<(Vec<String>, u64), Failure> {
        self.load(&[Source::Pool(0)], 1)?;
        let launched = self.launch(0, Source::Pool(0))?;
        round.judged.merge(launched.judged.on("the first inputs in a fresh process"));
        Ok((self.differing(&round.left, &launched.left), launched.ns))
    }

    /// Stages `sets`, filled up to `count` with sets of the pool that are not launched; of a large case
    /// one at a time.
    fn load(&mut self, sets: &[Source<'_>], count: usize) -> Result<(), Failure> {
        self.judge.shape(self.case, self.session);
        let loaded = if self.judge.is_large(self.case) {
            // What was made is loaded since it was answered.
            match sets.first() {
                Some(Source::Pool(set)) => self.load_large(Load::One(*set))?,
                _ => Ok(()),
            }
        } else {
            let all: Vec<Vec<Argument<'_>>> = sets
                .iter()
                .copied()
                .chain((0..count.saturating_sub(sets.len())).map(Source::Pool))
                .map(|source| arguments(&source.drawn(self.judge, self.case).staged))
                .collect();
            self.session.load(&all)
        };
        loaded.map_err(|fault| self.judge.failure(self.case, &fault))
    }

    /// Has the reference answer a set that was made of another, where it has not.
    fn prepare_made(&mut self, made: &mut Drawn) -> Result<(), Failure> {
        if !self.judge.is_large(self.case) {
            return Ok(());
        }
        self.judge.shape(self.case, self.session);
        let loaded = self.load_large(Load::Made(made))?;
        loaded.map_err(|fault| self.judge.failure(self.case, &fault))
    }

    fn load_large(&mut self, load: Load<'_>) -> Result<Result<(), Fault>, Failure> {
        let loaded = self.judge.load_large(self.case, load, self.session)?;
        // How long a launch may take is known from the reference's answer.
        self.judge.shape(self.case, self.session);
        Ok(loaded)
    }

    fn launch(&mut self, slot: u32, source: Source<'_>) -> Result<Launched, Failure> {
        let drawn = source.drawn(self.judge, self.case);
        let loaded = Loaded { case: self.case, drawn, slot };
        let launched = launch(self.judge, &mut *self.session, loaded);
        launched.map_err(|fault| self.judge.failure(self.case, &fault))
    }

    /// Names of the outputs whose bits are others.
    fn differing(&self, left: &[Digest], now: &[Digest]) -> Vec<String> {
        let names = outputs(&self.judge.drawn(self.case)[0].staged);
        let pairs = left.iter().zip(now);
        names.zip(pairs).filter(|(_, (a, b))| a != b).map(|(o, _)| o.name.to_owned()).collect()
    }
}

/// One launch, compared.
pub(super) struct Launched {
    pub(super) judged: Judged,
    /// A digest of each output.
    left: Vec<Digest>,
    ns: u64,
}

/// Launches a set that is loaded, and compares. What differs at first and agrees a moment later was
/// finished by something that the launch left running.
pub(super) fn launch(
    judge: &Judge<'_>,
    session: &mut dyn Session,
    loaded: Loaded<'_>,
) -> Result<Launched, Fault> {
    let Loaded { case, drawn, slot } = loaded;
    let ns = session.launch(Order { first: slot, count: 1, mode: Mode::Hot })?.reported_ns;
    let (judged, left) = judge.compare_in_parts(loaded, session)?;
    if !judged.passed() {
        let later = session.reread(slot, PAUSE)?;
        if judge.compare_with(case, drawn, &later).passed() {
            let what = "its output was finished after the launch had returned".into();
            return Err(Fault::Cheating { what });
        }
    }
    Ok(Launched { judged, left, ns })
}
