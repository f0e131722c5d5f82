//! The cases that are held out, before a kernel is ranked: right on sizes that nobody knew.

use super::bench::BenchDef;
use super::judge::{Bench, Judge, Load, Loaded, SetId, arguments};
use super::{Failure, FailureClass};
use crate::backend::{Mode, Order, Session};

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
        let opened = bench.open_kernel(&def.kernel);
        let mut session = opened.map_err(|fault| judge.failure(case, &fault))?;
        let checked =
            (0..sets).try_for_each(|set| one(&mut judge, &mut *session, SetId { case, set }));
        session.finish();
        checked?;
    }
    Ok(count)
}

/// One launch, compared.
fn one(judge: &mut Judge<'_>, session: &mut dyn Session, id: SetId) -> Result<(), Failure> {
    let SetId { case, set } = id;
    let loaded = if judge.is_large(case) {
        judge.load_large(case, Load::One(set as usize), session)?
    } else {
        session.load(&[arguments(&judge.drawn(case)[set as usize].staged)])
    };
    judge.shape(case, session);
    let judged = loaded.and_then(|()| {
        session.launch(Order { first: 0, count: 1, mode: Mode::Hot })?;
        let drawn = &judge.drawn(case)[set as usize];
        Ok(judge.compare_in_parts(Loaded { case, drawn, slot: 0 }, session)?.0)
    });
    let judged = judged.map_err(|fault| judge.failure(case, &fault))?;
    if judged.passed() {
        return Ok(());
    }
    let message = format!("{}: {}", judge.place(case), judged.reports.join("\n"));
    Err(Failure { class: FailureClass::Wrong, message })
}
