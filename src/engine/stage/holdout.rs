//! The cases that are held out, before a kernel is ranked: right on sizes that nobody knew.

use super::bench::BenchDef;
use super::judge::{Bench, Judge};
use super::{Failure, FailureClass};
use crate::backend::{Fault, Mode, Order};

/// Launches per case, each on inputs of its own.
const LAUNCHES: u32 = 2;

/// Checks the kernel on cases drawn in secret; how many there were. What it prints meanwhile is
/// dropped: it could tell their sizes.
pub(super) fn check(def: &BenchDef, bench: &Bench<'_>, seed: u64) -> Result<u32, Failure> {
    let mut judge = Judge::with_holdout(&def.problem, &def.reference, seed, bench);
    judge = judge.of_kernel(&def.kernel)?;
    let secret = def.problem.cases.len()..judge.cases.len();
    let count = secret.len() as u32;
    for case in secret {
        (bench.ctx.progress)(0.0, &judge.place(case));
        let sets = judge.draw(case, LAUNCHES)?;
        let outputs = launch(def, bench, (&judge, case, sets));
        let outputs = outputs.map_err(|fault| judge.failure(case, &fault))?;
        for (set, got) in (0..).zip(&outputs) {
            let judged = judge.compare(case, set, got);
            if !judged.passed() {
                let report = judged.reports.join("\n");
                let message = format!("{}: {report}", judge.place(case));
                return Err(Failure { class: FailureClass::Wrong, message });
            }
        }
    }
    Ok(count)
}

/// What the kernel leaves for each set, in a process of its own.
fn launch(
    def: &BenchDef,
    bench: &Bench<'_>,
    (judge, case, sets): (&Judge<'_>, usize, u32),
) -> Result<Vec<Vec<Vec<u8>>>, Fault> {
    let mut session = bench.open_kernel(&def.kernel)?;
    judge.shape(case, &mut *session);
    session.load(&judge.arguments(case, sets))?;
    let outputs = (0..sets).map(|set| {
        session.launch(Order { first: set, count: 1, mode: Mode::Hot })?;
        session.outputs(set)
    });
    let outputs = outputs.collect();
    session.finish();
    outputs
}
