//! Many launches in one process, every one compared: finds kernels that are right at first only, or
//! every second time.

use std::time::{Duration, Instant};

use super::super::judge::{Judge, Load, arguments};
use super::super::{Failure, FailureClass};
use super::rounds::launch;
use crate::backend::Session;
use crate::engine::account::EnduranceRecord;

/// How long large sets are launched in a row.
const LARGE_PATIENCE: Duration = Duration::from_secs(1);

/// Sets that take turns.
const POOL: u32 = 8;

/// The problem's own case whose launches cost least.
pub(super) fn cheapest(judge: &Judge<'_>) -> Option<usize> {
    let own = (0..judge.cases.len()).filter(|&case| !judge.is_secret(case));
    own.min_by(|&a, &b| judge.cost(a).total_cmp(&judge.cost(b)))
}

/// Launches `case` so often, or until it is time; outputs are poisoned anew before each set's turn.
pub(super) fn run(
    judge: &mut Judge<'_>,
    session: &mut dyn Session,
    (case, wanted): (usize, u32),
    until: Instant,
) -> Result<EnduranceRecord, Failure> {
    let mut done = EnduranceRecord { case: judge.cases[case].label.clone(), launches: 0, wanted };
    if wanted == 0 {
        return Ok(done);
    }
    let pool = judge.draw(case, POOL.min(wanted).max(2))? as usize;
    if judge.is_large(case) {
        return large(judge, session, done, (case, until.min(Instant::now() + LARGE_PATIENCE)));
    }
    let mut turn = 0;
    while done.launches < wanted && Instant::now() < until {
        // Another order each time, so that no buffer gets its old content back.
        let order: Vec<usize> = (0..pool).map(|slot| (slot + turn) % pool).collect();
        turn += 1;
        let sets: Vec<_> =
            order.iter().map(|&set| arguments(&judge.drawn(case)[set].staged)).collect();
        judge.shape(case, session);
        session.load(&sets).map_err(|fault| judge.failure(case, &fault))?;
        let left = (wanted - done.launches) as usize;
        for (slot, &set) in order.iter().enumerate().take(left) {
            done.launches += 1;
            one(judge, session, (case, slot as u32, set), done.launches)?;
        }
    }
    Ok(done)
}

/// The same for a large case: the first set again and again, in outputs poisoned anew, for a shorter
/// time.
fn large(
    judge: &mut Judge<'_>,
    session: &mut dyn Session,
    mut done: EnduranceRecord,
    (case, until): (usize, Instant),
) -> Result<EnduranceRecord, Failure> {
    while done.launches < done.wanted && Instant::now() < until {
        judge.shape(case, session);
        let loaded = judge.load_large(case, Load::One(0), session)?;
        loaded.map_err(|fault| judge.failure(case, &fault))?;
        done.launches += 1;
        one(judge, session, (case, 0, 0), done.launches)?;
    }
    Ok(done)
}

fn one(
    judge: &Judge<'_>,
    session: &mut dyn Session,
    (case, slot, set): (usize, u32, usize),
    number: u32,
) -> Result<(), Failure> {
    let drawn = &judge.drawn(case)[set];
    let launched = launch(judge, session, (case, slot), drawn);
    let judged = launched.map_err(|fault| judge.failure(case, &fault))?.judged;
    if judged.passed() {
        return Ok(());
    }
    let message = format!(
        "{}, launch {number} in a row in one process: {}",
        judge.place(case),
        judged.reports.join("\n")
    );
    Err(Failure { class: FailureClass::Wrong, message })
}
