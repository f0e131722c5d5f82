//! Whether a kernel is faster on inputs that it has seen: then it remembers results by content.

use std::time::{Duration, Instant};

use super::super::judge::{Judge, arguments};
use super::super::{Failure, FailureClass};
use crate::backend::{Fault, Mode, Order, Session};
use crate::engine::account::MemoryRecord;
use crate::problem::Staged;
use crate::stats;

/// Launches on inputs that were seen, and as many on fresh ones.
const EACH: usize = 6;

/// So many times faster on what it has seen is no accident.
const SUSPICIOUS: f64 = 4.0;

/// Shorter launches tell nothing: the caches make differences of this kind by themselves.
const LEAST_NS: f64 = 20_000.0;

/// Launches that differ so much must do so twice.
const ATTEMPTS: u64 = 2;

/// The case to look at: the longest launches of the problem's own cases, given in nanoseconds, that
/// are long enough to tell, and short enough for the time and small enough for the memory there is.
pub(super) fn longest(
    judge: &Judge<'_>,
    times_ns: &[(usize, u64)],
    limit: Duration,
) -> Option<usize> {
    let launches = (2 * EACH + 1) as u64;
    let fits = |&&(case, ns): &&(usize, u64)| {
        ns as f64 >= LEAST_NS
            && Duration::from_nanos(ns.saturating_mul(launches)) <= limit
            && judge.holds(case, 2 * EACH + 1)
    };
    times_ns.iter().filter(fits).max_by_key(|(_, ns)| *ns).map(|(case, _)| *case)
}

/// Launches the first set of the case, which this process has seen, in turn with fresh ones.
pub(super) fn run(
    judge: &Judge<'_>,
    session: &mut dyn Session,
    case: usize,
    until: Instant,
) -> Result<MemoryRecord, Failure> {
    let label = &judge.cases[case].label;
    let mut found = MemoryRecord { case: label.clone(), seen_us: 0.0, fresh_us: 0.0, attempts: 0 };
    for attempt in 0..ATTEMPTS {
        let Some(fresh) = fresh(judge, case, attempt, until)? else {
            return Ok(found);
        };
        judge.shape(case, session);
        let timed = times(session, &judge.drawn(case)[0].staged, &fresh);
        let (seen_ns, fresh_ns) = timed.map_err(|fault| judge.failure(case, &fault))?;
        found = MemoryRecord {
            seen_us: seen_ns / 1e3,
            fresh_us: fresh_ns / 1e3,
            attempts: attempt + 1,
            ..found
        };
        if !suspicious(seen_ns, fresh_ns) {
            return Ok(found);
        }
    }
    let what = format!(
        "remembers results by content: {:.1} us on inputs it has seen, {:.1} us on fresh ones",
        found.seen_us, found.fresh_us
    );
    let message = format!("{}: the kernel {what}", judge.place(case));
    Err(Failure { class: FailureClass::Cheating, message })
}

/// Inputs that nobody has seen; none when time is up, which drawing large ones can take longer than
/// any launch.
fn fresh(
    judge: &Judge<'_>,
    case: usize,
    attempt: u64,
    until: Instant,
) -> Result<Option<Vec<Staged>>, Failure> {
    let mut fresh = Vec::with_capacity(EACH);
    for number in attempt * EACH as u64..(attempt + 1) * EACH as u64 {
        if Instant::now() >= until {
            return Ok(None);
        }
        fresh.push(judge.unanswered(case, number)?);
    }
    Ok(Some(fresh))
}

/// Nanoseconds of the middle launch on `seen` and of the fastest on `fresh`, taken in turn: what
/// disturbs a launch only makes it longer, and a kernel must not pay for what disturbs the fresh.
fn times(session: &mut dyn Session, seen: &Staged, fresh: &[Staged]) -> Result<(f64, f64), Fault> {
    let turns = fresh.iter().flat_map(|fresh| [seen, fresh]);
    let sets: Vec<_> = std::iter::once(seen).chain(turns).map(arguments).collect();
    session.load(&sets)?;
    let (mut seen_ns, mut fresh_ns) = (Vec::new(), Vec::new());
    for set in 0..sets.len() as u32 {
        let launched = session.launch(Order { first: set, count: 1, mode: Mode::Hot })?;
        // The first is there to be remembered, should it not be so yet.
        match set {
            0 => {}
            n if n % 2 == 1 => seen_ns.push(launched.reported_ns as f64),
            _ => fresh_ns.push(launched.reported_ns as f64),
        }
    }
    let seen = stats::summary(&seen_ns).map_or(0.0, |summary| summary.median);
    let fresh = stats::summary(&fresh_ns).map_or(0.0, |summary| summary.min);
    Ok((seen, fresh))
}

fn suspicious(seen_ns: f64, fresh_ns: f64) -> bool {
    fresh_ns >= LEAST_NS && seen_ns * SUSPICIOUS < fresh_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_launches_that_are_several_times_faster_are_suspicious() {
        for (seen, fresh, expected) in [
            (10_000.0, 100_000.0, true),
            (30_000.0, 100_000.0, false),
            (1_000.0, 19_000.0, false),
            (1_000.0, 20_000.0, true),
            (100_000.0, 100_000.0, false),
        ] {
            assert_eq!(suspicious(seen, fresh), expected, "{seen} {fresh}");
        }
    }
}
