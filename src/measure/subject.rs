//! What is measured and how, and why there is no measurement.

use std::time::Duration;

use crate::backend::{Fault, Mode, Session};
use crate::stats::Statistic;

/// How a measurement goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    /// Total timed samples per case at each look, rising.
    pub looks: Vec<u32>,
    /// Timed samples per case that one process gives before it is replaced by a fresh one.
    pub per_process: u32,
    /// Untimed launches per process and case, at least.
    pub warmup: u32,
    /// Give up once the metric is surely above.
    pub early_stop_us: Option<f64>,
    /// Stop at a look when the interval's relative half-width is at most this.
    pub precision: Option<f64>,
    /// No look is begun that would end later than this, but for the first.
    pub budget: Option<Duration>,
    /// What the headline number is made from.
    pub statistic: Statistic,
    /// How the caches are when a launch begins.
    pub mode: Mode,
    /// What orders and moments of looking are drawn from; the kernel must not foresee them.
    pub seed: u64,
}

/// What is measured: where fresh processes come from, what they are given and what must come out.
pub trait Subject {
    /// The cases' labels, in order.
    fn labels(&self) -> Vec<String>;

    /// Starts a fresh process with the kernel loaded.
    ///
    /// # Errors
    /// Why there is none.
    fn start(&mut self) -> Result<Box<dyn Session>, Fault>;

    /// Stages inputs of a case that this process has not seen, for at least 2 and at most `wanted`
    /// launches, and says for how many.
    ///
    /// # Errors
    /// Why none could be staged.
    fn load(&mut self, session: &mut dyn Session, case: usize, wanted: u32) -> Result<u32, Fault>;

    /// Compares what launch `set` of the latest [`Subject::load`] left in `session`.
    ///
    /// # Errors
    /// What differs, in words, or that it cannot be told.
    fn check(&mut self, case: usize, set: u32, session: &mut dyn Session) -> Result<(), SlotEnd>;

    /// Whether outputs of untimed launches are still there when those that are timed are over: large
    /// sets have one output buffer in turn.
    fn keeps_outputs(&self, _case: usize) -> bool {
        true
    }

    /// What is loaded from now on is drawn anew: a slot is taken again, and the process that runs
    /// has seen what it was given.
    fn renew(&mut self) {}

    /// How long it has taken so far: what [`Protocol::budget`] is held against.
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    /// Takes back a process that is not needed any more.
    fn finish(&mut self, session: Box<dyn Session>);
}

/// Why there is no measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Halt {
    /// The kernel or what is around it failed.
    Fault {
        /// Index of the case.
        case: usize,
        /// What happened.
        fault: Fault,
    },
    /// An output differs from the reference's.
    Wrong {
        /// Index of the case.
        case: usize,
        /// The comparison's words.
        report: String,
    },
}

/// Why a slot gave nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotEnd {
    /// The kernel or what is around it failed.
    Fault(Fault),
    /// An output differs from the reference's: the comparison's words.
    Wrong(String),
}

impl From<Fault> for SlotEnd {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
