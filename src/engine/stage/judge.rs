//! What checking and measuring share: cases staged with the reference's answers, comparisons,
//! and what a fault means for a stage.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Failure, FailureClass, StageContext};
use crate::backend::cpu::{CpuSession, SessionOptions};
use crate::backend::{Argument, Fault, Mode, Order, Session};
use crate::digest::Digest;
use crate::pipeline::{Cores, Limits};
use crate::plan::kernel::WORKER_ENV;
use crate::problem::{Case, Problem, Role};
use crate::problem::{Staged, StagedArg, stage};
use crate::verify::{self, Comparison};

/// Where and until when a stage's workers run.
pub(super) struct Bench<'a> {
    pub(super) ctx: &'a StageContext<'a>,
    pub(super) core: Option<u32>,
    pub(super) deadline: Option<Instant>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(ctx: &'a StageContext<'a>, limits: &Limits, cores: Cores) -> Self {
        let limit = Duration::from_millis(limits.timeout_ms);
        let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
        Self { ctx, core: core(cores), deadline }
    }

    pub(super) fn open(&self, library: &Path) -> Result<CpuSession, Fault> {
        CpuSession::start(&SessionOptions {
            program: self.ctx.program,
            env: self.ctx.inherited(&WORKER_ENV),
            marker: self.ctx.marker,
            library,
            cpu: self.core,
            deadline: self.deadline,
            memory_bytes: None,
            dir: self.ctx.scratch,
            cancel: self.ctx.cancel,
        })
    }
}

/// Shared memory and copies in the judge may take this share of the memory that is free.
const MEMORY_SHARE: u64 = 4;

/// Inputs of one launch with the reference's outputs.
pub(super) struct Drawn {
    pub(super) staged: Staged,
    pub(super) want: Vec<Vec<u8>>,
}

/// The judge: draws inputs from a secret seed, has the reference, in a worker of its own, answer
/// them, and compares.
pub(super) struct Judge<'a> {
    pub(super) problem: &'a Problem,
    pub(super) cases: Vec<Case>,
    bench: &'a Bench<'a>,
    reference: &'a Path,
    seed: u64,
    /// Drawn so far, per case.
    pools: Vec<Vec<Drawn>>,
    answering: Option<CpuSession>,
    budget_bytes: u64,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        problem: &'a Problem,
        reference: &'a Path,
        seed: u64,
        bench: &'a Bench<'a>,
    ) -> Self {
        let cases = problem.cases.clone();
        let pools = cases.iter().map(|_| Vec::new()).collect();
        let budget_bytes = free_bytes() / MEMORY_SHARE;
        Self { problem, cases, bench, reference, seed, pools, answering: None, budget_bytes }
    }

    /// Draws until `wanted` sets of a case are there, or as many as memory holds, but at least
    /// two; how many there are.
    pub(super) fn draw(&mut self, case: usize, wanted: u32) -> Result<u32, Failure> {
        while self.pools[case].len() < wanted as usize {
            let drawn = self.answered(case, self.pools[case].len() as u64)?;
            self.pools[case].push(drawn);
            let each: u64 = self.pools[case].first().map_or(0, Drawn::bytes);
            // Once in the judge, once in shared memory.
            if self.pools[case].len() >= 2
                && 2 * each * (self.pools[case].len() as u64 + 1) > self.budget_bytes
            {
                break;
            }
        }
        Ok((self.pools[case].len() as u32).min(wanted))
    }

    fn answered(&mut self, case: usize, number: u64) -> Result<Drawn, Failure> {
        let (problem, drawn) = (self.problem, &self.cases[case]);
        let label = &drawn.label;
        (self.bench.ctx.progress)(0.0, &format!("reference, {label}"));
        let seed = set_seed(self.seed, case as u64, number);
        let staged = stage(problem, drawn, seed).map_err(|e| Failure {
            class: FailureClass::Failed,
            message: format!("problem `{}`, case {label}: {e}", problem.name),
        })?;
        let blame = |fault: Fault| reference_failure(problem, &fault);
        let session = match &mut self.answering {
            Some(session) => session,
            None => self.answering.insert(self.bench.open(self.reference).map_err(blame)?),
        };
        let want = answer(session, &staged).map_err(blame)?;
        Ok(Drawn { staged, want })
    }

    /// The first `count` sets of a case as the backend takes them.
    pub(super) fn arguments(&self, case: usize, count: u32) -> Vec<Vec<Argument<'_>>> {
        self.pools[case].iter().take(count as usize).map(|d| arguments(&d.staged)).collect()
    }

    /// Compares what a launch on a set left with what the reference left.
    pub(super) fn compare(&self, case: usize, set: u32, got: &[Vec<u8>]) -> Judged {
        let drawn = &self.pools[case][set as usize];
        compare(self.problem, &drawn.staged, &drawn.want, got)
    }
}

impl Drawn {
    fn bytes(&self) -> u64 {
        let staged = self.staged.args.iter().map(|arg| match arg {
            StagedArg::Buffer { data, .. } => data.len() as u64,
            StagedArg::Scalar { .. } => 0,
        });
        staged.sum::<u64>() + self.want.iter().map(|w| w.len() as u64).sum::<u64>()
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

/// What the system could give without swapping; a modest guess where it does not say.
fn free_bytes() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: Option<u64> = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
    kib.map_or(1 << 30, |kib| kib * 1024)
}

fn answer(session: &mut dyn Session, staged: &Staged) -> Result<Vec<Vec<u8>>, Fault> {
    session.load(&[arguments(staged)])?;
    session.launch(Order { first: 0, count: 1, mode: Mode::Hot })?;
    session.outputs(0)
}

/// The staged arguments as the backend takes them.
pub(super) fn arguments(staged: &Staged) -> Vec<Argument<'_>> {
    let argument = |arg| match arg {
        &StagedArg::Scalar { dtype, ref bytes, .. } => {
            Argument::Scalar(&bytes[..dtype.size_bytes()])
        }
        StagedArg::Buffer { role: Role::In, data, .. } => Argument::In(data),
        StagedArg::Buffer { role: Role::Out, data, .. } => Argument::Out(data.len()),
        StagedArg::Buffer { role: Role::Inout, data, .. } => Argument::Inout(data),
    };
    staged.args.iter().map(argument).collect()
}

/// What comparing all outputs of one launch found.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Judged {
    pub(super) elements: u64,
    pub(super) mismatches: u64,
    pub(super) max_abs: f64,
    pub(super) max_rel: f64,
    /// One per output that differs.
    pub(super) reports: Vec<String>,
}

impl Judged {
    pub(super) fn passed(&self) -> bool {
        self.reports.is_empty()
    }

    /// Takes over what another launch of the same case showed.
    pub(super) fn merge(&mut self, other: Self) {
        self.elements += other.elements;
        self.mismatches += other.mismatches;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.max_rel = self.max_rel.max(other.max_rel);
        self.reports.extend(other.reports);
    }

    fn add(&mut self, comparison: &Comparison, name: &str, shape: &[usize]) {
        self.elements += comparison.elements;
        self.mismatches += comparison.mismatches;
        self.max_abs = self.max_abs.max(comparison.max_abs);
        self.max_rel = self.max_rel.max(comparison.max_rel);
        if !comparison.passed() {
            self.reports.push(verify::report(comparison, name, shape));
        }
    }
}

/// Compares every output with the reference's.
fn compare(problem: &Problem, staged: &Staged, want: &[Vec<u8>], got: &[Vec<u8>]) -> Judged {
    let outputs = staged.args.iter().filter_map(|arg| match arg {
        StagedArg::Buffer { name, dtype, role: Role::Out | Role::Inout, shape, .. } => {
            Some((name, *dtype, shape))
        }
        _ => None,
    });
    let mut judged = Judged::default();
    for ((name, dtype, shape), (want, got)) in outputs.zip(want.iter().zip(got)) {
        let comparison = verify::compare(got, want, dtype, &problem.tolerance);
        judged.add(&comparison, name, shape);
    }
    judged
}

/// A fault of the candidate's as the stage's failure; `place` is the case.
pub(super) fn kernel_failure(place: &str, fault: &Fault) -> Failure {
    let message = match fault {
        Fault::Interrupted => fault.to_string(),
        Fault::Infrastructure { what } => format!("case {place}: {what}"),
        Fault::Unloadable { .. } => format!("the kernel {fault}"),
        _ => format!("case {place}: the kernel {fault}"),
    };
    Failure { class: class(fault), message }
}

fn class(fault: &Fault) -> FailureClass {
    match fault {
        Fault::Crashed { .. } | Fault::Exited { .. } | Fault::Sanitizer { .. } => {
            FailureClass::Crashed
        }
        Fault::Stray { .. } => FailureClass::Wrong,
        Fault::TimedOut => FailureClass::TimedOut,
        Fault::Unloadable { .. } => FailureClass::Failed,
        Fault::Cheating { .. } => FailureClass::Cheating,
        Fault::Infrastructure { .. } => FailureClass::Infrastructure,
        Fault::Interrupted => FailureClass::Interrupted,
    }
}

/// The reference is the problem author's: what it does wrong is never the candidate's crash.
fn reference_failure(problem: &Problem, fault: &Fault) -> Failure {
    let class = match class(fault) {
        class @ (FailureClass::Infrastructure | FailureClass::Interrupted) => class,
        _ => FailureClass::Failed,
    };
    let name = &problem.name;
    let message = match fault {
        Fault::Interrupted | Fault::Infrastructure { .. } => fault.to_string(),
        _ => format!("the reference of problem `{name}` {fault}; mend it before judging kernels"),
    };
    Failure { class, message }
}

/// The core that a kernel is pinned to; `None` for all of them. The engine picks the last that it
/// may use: interrupts and everything that nobody pinned prefer the first.
pub(super) fn core(cores: Cores) -> Option<u32> {
    match cores {
        Cores::Picked => crate::backend::cpu::last_core(),
        Cores::One(core) => Some(core),
        Cores::All => None,
    }
}

/// A seed that nobody can foresee, unless one is given.
pub(super) fn seed(given: Option<u64>) -> u64 {
    given.unwrap_or_else(rand::random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_class() {
        let what = || "x".to_owned();
        for (fault, expected) in [
            (Fault::Crashed { signal: 11, place: what() }, FailureClass::Crashed),
            (Fault::Sanitizer { what: what() }, FailureClass::Crashed),
            (Fault::Stray { what: what() }, FailureClass::Wrong),
            (Fault::Exited { code: 0 }, FailureClass::Crashed),
            (Fault::TimedOut, FailureClass::TimedOut),
            (Fault::Unloadable { what: what() }, FailureClass::Failed),
            (Fault::Cheating { what: what() }, FailureClass::Cheating),
            (Fault::Infrastructure { what: what() }, FailureClass::Infrastructure),
            (Fault::Interrupted, FailureClass::Interrupted),
        ] {
            assert_eq!(kernel_failure("n=1", &fault).class, expected, "{fault:?}");
        }
    }
}
