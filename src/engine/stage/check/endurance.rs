//! Many launches in one process, every one compared: finds kernels that are right at first only, or
//! every second time.

use std::time::{Duration, Instant};

use super::super::judge::{Judge, Load, Loaded, arguments};
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

/// Launches of one case in a row.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) case: usize,
    pub(super) wanted: u32,
    /// When they end, however many there were.
    pub(super) until: Instant,
}

/// Launches so often, or until it is time; outputs are poisoned anew before each set's turn.
pub(super) fn run(
    judge: &mut Judge<'_>,
    session: &mut dyn Session,
    row: Row,
) -> Result<EnduranceRecord, Failure> {
    let Row { case, wanted, until } = row;
    let mut done = EnduranceRecord { case: judge.cases[case].label.clone(), launches: 0, wanted };
    if wanted == 0 {
        return Ok(done);
    }
    let pool = judge.draw(case, POOL.min(wanted).max(2))? as usize;
    if judge.is_large(case) {
        let until = until.min(Instant::now() + LARGE_PATIENCE);
        return large(judge, session, Row { until, ..row });
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
            let drawn = &judge.drawn(case)[set];
            one(judge, session, Loaded { case, drawn, slot: slot as u32 }, done.launches)?;
        }
    }
    Ok(done)
}

/// The same for a large case: the first set again and again, in outputs poisoned anew, for a shorter
/// time.
fn large(
    judge: &mut Judge<'_>,
    session: &mut dyn Session,
    row: Row,
) -> Result<EnduranceRecord, Failure> {
    let Row { case, wanted, until } = row;
    let mut done = EnduranceRecord { case: judge.cases[case].label.clone(), launches: 0, wanted };
    while done.launches < wanted && Instant::now() < until {
        judge.shape(case, session);
        let loaded = judge.load_large(case, Load::One(0), session)?;
        loaded.map_err(|fault| judge.failure(case, &fault))?;
        done.launches += 1;
        let drawn = &judge.drawn(case)[0];
        one(judge, session, Loaded { case, drawn, slot: 0 }, done.launches)?;
    }
    Ok(done)
}

fn one(
    judge: &Judge<'_>,
    session: &mut dyn Session,
    loaded: Loaded<'_>,
    number: u32,
) -> Result<(), Failure> {
    let case = loaded.case;
    let launched = launch(judge, session, loaded);
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
