//! Comparing what a launch left with what the reference left.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::digest::Digest;
use crate::problem::{ArgKind, Problem, Role, Staged, StagedArg};
use crate::verify::{self, Comparison, Dtype, Part, Tolerance};

/// How each output is compared, in argument order.
pub(super) fn like(problem: &Problem) -> Vec<(Dtype, Tolerance)> {
    let output = |role: &Role| matches!(role, Role::Out | Role::Inout);
    let like = problem.args.iter().filter_map(|arg| match &arg.kind {
        ArgKind::Buffer { role, .. } if output(role) => Some((arg.dtype, problem.tolerance)),
        _ => None,
    });
    like.collect()
}

/// What comparing all outputs of one launch found.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::engine::stage) struct Judged {
    pub(in crate::engine::stage) elements: u64,
    pub(in crate::engine::stage) mismatches: u64,
    pub(in crate::engine::stage) max_abs: f64,
    pub(in crate::engine::stage) max_rel: f64,
    /// One per output that differs.
    pub(in crate::engine::stage) reports: Vec<String>,
}

impl Judged {
    pub(in crate::engine::stage) fn passed(&self) -> bool {
        self.reports.is_empty()
    }

    /// Takes over what another launch of the same case showed.
    pub(in crate::engine::stage) fn merge(&mut self, other: Self) {
        self.elements += other.elements;
        self.mismatches += other.mismatches;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.max_rel = self.max_rel.max(other.max_rel);
        self.reports.extend(other.reports);
    }

    /// The same without anything that a size could be read from.
    pub(super) fn withheld(self) -> Self {
        if self.passed() {
            return Self::default();
        }
        let share = self.mismatches as f64 / (self.elements.max(1)) as f64;
        let words = match share {
            s if s < 0.01 => "less than a hundredth",
            s if s < 0.1 => "less than a tenth",
            s if s < 0.5 => "less than half",
            s if s < 1.0 => "more than half",
            _ => "all",
        };
        Self { reports: vec![format!("{words} of the elements differ")], ..Self::default() }
    }

    /// Says in every report on what inputs the launch was.
    pub(in crate::engine::stage) fn on(mut self, inputs: &str) -> Self {
        for report in &mut self.reports {
            *report = format!("on {inputs}, {report}");
        }
        self
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

/// A buffer that is compared.
pub(in crate::engine::stage) struct Output<'a> {
    pub(in crate::engine::stage) name: &'a str,
    pub(in crate::engine::stage) dtype: Dtype,
    shape: &'a [usize],
}

/// The outputs of a launch, in argument order.
pub(in crate::engine::stage) fn outputs(staged: &Staged) -> impl Iterator<Item = Output<'_>> {
    staged.args.iter().filter_map(|arg| match arg {
        StagedArg::Buffer { name, dtype, role: Role::Out | Role::Inout, shape, .. }
        | StagedArg::Later { name, dtype, role: Role::Inout, shape, .. } => {
            Some(Output { name, dtype: *dtype, shape })
        }
        _ => None,
    })
}

/// Bytes of an output that a thread reads and compares at once: they fit its second-level cache.
pub(super) const PART: usize = 128 * 1024;

/// Outputs that are compared part by part, as they are read.
pub(super) struct InParts<'a> {
    problem: &'a Problem,
    outputs: Vec<Output<'a>>,
    want: &'a [Vec<u8>],
    found: Mutex<Vec<Found>>,
}

/// What a part of an output showed.
struct Found {
    output: usize,
    start: usize,
    comparison: Comparison,
    digest: Digest,
}

impl<'a> InParts<'a> {
    pub(super) fn new(problem: &'a Problem, staged: &'a Staged, want: &'a [Vec<u8>]) -> Self {
        Self { problem, outputs: outputs(staged).collect(), want, found: Mutex::default() }
    }

    /// Takes in a part of an output, on any thread.
    pub(super) fn look(&self, output: usize, start: usize, got: &[u8]) {
        let want = self.want.get(output).and_then(|want| want.get(start..start + got.len()));
        let (Some(want), Some(Output { dtype, .. })) = (want, self.outputs.get(output)) else {
            return;
        };
        let part = Part { got, want, start: (start / dtype.size_bytes()) as u64 };
        let tolerance = &self.problem.tolerance;
        let comparison = verify::compare_part(part, *dtype, tolerance);
        let digest = Digest::of(got);
        let found = Found { output, start, comparison, digest };
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(found);
    }

    /// What all parts show together, and a digest of each output.
    pub(super) fn judged(self) -> (Judged, Vec<Digest>) {
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|found| (found.output, found.start));
        let mut found = found.into_iter().peekable();
        let mut judged = Judged::default();
        let mut digests = Vec::with_capacity(self.outputs.len());
        for (number, output) in self.outputs.iter().enumerate() {
            let mut all = Comparison::empty(self.problem.tolerance);
            let mut parts = Vec::new();
            while let Some(part) = found.next_if(|found| found.output == number) {
                all = all.append(part.comparison);
                parts.extend(part.digest.0);
            }
            judged.add(&all, output.name, output.shape);
            digests.push(Digest::of(&parts));
        }
        (judged, digests)
    }
}

/// Compares every output with the reference's.
pub(super) fn compare(
    problem: &Problem,
    staged: &Staged,
    want: &[Vec<u8>],
    got: &[Vec<u8>],
) -> Judged {
    let mut judged = Judged::default();
    for (output, (want, got)) in outputs(staged).zip(want.iter().zip(got)) {
        let comparison = verify::compare(got, want, output.dtype, &problem.tolerance);
        judged.add(&comparison, output.name, output.shape);
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withheld_report_tells_a_share_and_no_number() {
        for (mismatches, words) in [
            (1, "a hundredth"),
            (50, "a tenth"),
            (499, "less than half"),
            (900, "more"),
            (1000, "all"),
        ] {
            let reports = vec!["y[3, 999]: got 1, want 2".to_owned()];
            let judged = Judged { elements: 1000, mismatches, max_abs: 3.0, max_rel: 1.0, reports };
            let withheld = judged.withheld();
            assert_eq!((withheld.elements, withheld.mismatches), (0, 0));
            let [report] = withheld.reports.as_slice() else { panic!("one report") };
            assert!(report.contains(words) && !report.contains(char::is_numeric), "{report}");
        }
        assert!(Judged { elements: 10, ..Judged::default() }.withheld().passed());
    }
}
