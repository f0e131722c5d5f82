//! The two kernels of a comparison, and how their slots go.

use crate::backend::{Fault, Mode, Session};
use crate::measure::pairs::Side;
use crate::measure::subject::SlotEnd;
use crate::stats::Statistic;

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

    /// Whether outputs of untimed launches are still there when those that are timed are over: large
    /// sets have one output buffer in turn.
    fn keeps_outputs(&self, _case: usize) -> bool {
        true
    }

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
