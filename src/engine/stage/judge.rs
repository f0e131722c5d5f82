//! What checking and measuring share: cases staged with the reference's answers, comparisons,
//! and what a fault means for a stage.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Failure, FailureClass, StageContext};
use crate::backend::cpu::{CpuSession, SessionOptions};
use crate::backend::{Argument, Fault, Session, Timing};
use crate::pipeline::Limits;
use crate::plan::kernel::WORKER_ENV;
use crate::problem::{Case, Problem, Role};
use crate::problem::{Staged, StagedArg, stage};
use crate::verify::{self, Comparison};

/// Where and until when a stage's workers run.
pub(super) struct Bench<'a> {
    pub(super) ctx: &'a StageContext<'a>,
    pub(super) cpu: Option<u32>,
    pub(super) deadline: Option<Instant>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(ctx: &'a StageContext<'a>, limits: &Limits, cpu: Option<u32>) -> Self {
        let limit = Duration::from_millis(limits.timeout_ms);
        let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
        Self { ctx, cpu, deadline }
    }

    pub(super) fn open(&self, library: &Path) -> Result<CpuSession, Fault> {
        CpuSession::start(&SessionOptions {
            program: self.ctx.program,
            env: self.ctx.inherited(&WORKER_ENV),
            marker: self.ctx.marker,
            library,
            cpu: self.cpu,
            deadline: self.deadline,
            dir: self.ctx.scratch,
            cancel: self.ctx.cancel,
        })
    }
}

/// A case with its inputs and the reference's outputs.
pub(super) struct Subject<'a> {
    pub(super) case: &'a Case,
    pub(super) staged: Staged,
    pub(super) want: Vec<Vec<u8>>,
}

/// Stages all cases and has the reference, in a worker of its own, answer them.
pub(super) fn subjects<'a>(
    problem: &'a Problem,
    reference: &Path,
    seed: u64,
    bench: &Bench<'_>,
) -> Result<Vec<Subject<'a>>, Failure> {
    let blame = |fault: Fault| reference_failure(problem, &fault);
    let mut session = bench.open(reference).map_err(blame)?;
    let mut subjects = Vec::new();
    for case in &problem.cases {
        (bench.ctx.progress)(0.0, &format!("reference, {}", case.label));
        let staged = stage(problem, case, seed).map_err(|e| Failure {
            class: FailureClass::Failed,
            message: format!("problem `{}`, case {}: {e}", problem.name, case.label),
        })?;
        let want = answer(&mut session, &staged).map_err(blame)?;
        subjects.push(Subject { case, staged, want });
    }
    session.finish();
    Ok(subjects)
}

fn answer(session: &mut dyn Session, staged: &Staged) -> Result<Vec<Vec<u8>>, Fault> {
    session.load(&arguments(staged))?;
    session.launch(1, Timing::Warmup)?;
    session.outputs()
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
pub(super) fn compare(
    problem: &Problem,
    staged: &Staged,
    want: &[Vec<u8>],
    got: &[Vec<u8>],
) -> Judged {
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
        Fault::Crashed { .. } | Fault::Exited { .. } => FailureClass::Crashed,
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
            (Fault::Crashed { signal: 11 }, FailureClass::Crashed),
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
