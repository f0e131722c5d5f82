//! Whether the machine has the memory that a case needs, before any is taken.

use super::super::{Failure, FailureClass};
use super::bench::{Memory, memory};
use super::sets::Judge;
use crate::problem::{ArgKind, Case, Problem, Role, StagedArg, bytes_needed, plan};

/// What is left for everything else on the machine.
const RESERVE: u64 = 128 << 20;

/// Buffers of one set, by what becomes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Needs {
    inputs: u64,
    outputs: u64,
}

impl Needs {
    fn of(problem: &Problem, case: &Case) -> Self {
        let mut needs = Self::default();
        let Ok(planned) = plan(problem, case, 0) else { return needs };
        for (arg, staged) in problem.args.iter().zip(&planned.args) {
            let bytes = match staged {
                StagedArg::Later { drawing, .. } => drawing.bytes() as u64,
                StagedArg::Buffer { data, .. } => data.len() as u64,
                StagedArg::Scalar { .. } => 0,
            };
            match arg.kind {
                ArgKind::Buffer { role: Role::In, .. } => needs.inputs += bytes,
                ArgKind::Buffer { role: Role::Out, .. } => needs.outputs += bytes,
                ArgKind::Buffer { role: Role::Inout, .. } => {
                    needs.inputs += bytes;
                    needs.outputs += bytes;
                }
                ArgKind::Scalar(_) => {}
            }
        }
        needs
    }

    /// What a large case takes at most: two sets of inputs and an answer, or one and three, and the
    /// outputs of a kernel.
    fn of_large(self) -> u64 {
        let measured = 2 * self.inputs + self.outputs;
        let checked = self.inputs + 3 * self.outputs;
        measured.max(checked).saturating_add(self.outputs)
    }
}

impl Judge<'_> {
    /// That a case's sets fit into memory, at least as few of them as it can do with.
    ///
    /// # Errors
    /// The problem's where they can never fit; else that memory is taken.
    pub(super) fn room(&self, case: usize) -> Result<(), Failure> {
        if !self.pools[case].is_empty() {
            return Ok(());
        }
        let sizes = &self.cases[case];
        let needed = if self.is_large(case) {
            Needs::of(self.problem, sizes).of_large()
        } else {
            // Two sets, in the judge and in shared memory.
            bytes_needed(self.problem, sizes).unwrap_or(0).saturating_mul(4)
        };
        let place = self.place(case);
        match refusal(needed, memory()) {
            None => Ok(()),
            Some((class, what)) => {
                let message = format!("problem `{}`, {place}: {what}", self.problem.name);
                Err(Failure { class, message })
            }
        }
    }
}

/// Why so much memory cannot be had, and whose matter that is.
fn refusal(needed: u64, memory: Memory) -> Option<(FailureClass, String)> {
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let wanted = needed.saturating_add(RESERVE);
    if wanted <= memory.free {
        return None;
    }
    let Memory { whole, free } = memory;
    let numbers = format!(
        "its buffers and the reference's answers need {} MiB, and of {} MiB {} MiB are free",
        mib(needed),
        mib(whole),
        mib(free)
    );
    if wanted > whole {
        let what = format!("{numbers}: choose smaller sizes, or a machine with more memory");
        return Some((FailureClass::Problem, what));
    }
    let what = format!("{numbers}: end what takes them, and run it again");
    Some((FailureClass::Infrastructure, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_fits_is_the_problems_matter_and_what_is_taken_is_the_machines() {
        const GIB: u64 = 1 << 30;
        let memory = Memory { whole: 16 * GIB, free: 4 * GIB };
        assert_eq!(refusal(3 * GIB, memory), None);
        let (class, what) = refusal(5 * GIB, memory).unwrap();
        assert_eq!(class, FailureClass::Infrastructure);
        assert!(what.contains("need 5120 MiB, and of 16384 MiB 4096 MiB are free"), "{what}");
        let (class, what) = refusal(17 * GIB, memory).unwrap();
        assert_eq!(class, FailureClass::Problem);
        assert!(what.contains("choose smaller sizes"), "{what}");
    }

    #[test]
    fn a_large_case_takes_six_buffers_of_three() {
        // `out = a + b`: two inputs, one output.
        assert_eq!(Needs { inputs: 2, outputs: 1 }.of_large(), 6);
    }
}
