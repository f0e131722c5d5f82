//! The best of a matrix: its result is that of the member with the best number.

use crate::cache::Store;
use crate::digest::Digest;
use crate::engine::account::{BestRecord, MemberRecord, StageRecord};
use crate::engine::stage::{FailureClass, StageOutcome};
use crate::pipeline::Direction;
use crate::plan::Best;

/// Picks among members that passed; one without the number cannot win.
pub(in crate::engine) fn run(
    best: &Best,
    members: &[(String, Digest)],
    store: &Store,
) -> StageOutcome {
    let results = members.iter().filter_map(|(name, key)| {
        let action = store.action(key)?;
        let value = action.metrics.get(&best.by)?;
        Some((name, value, action))
    });
    let better = |a: f64, b: f64| match best.better {
        Direction::Lower => a < b,
        Direction::Higher => a > b,
    };
    let mut table = Vec::new();
    let mut winner: Option<(String, f64, crate::cache::Action)> = None;
    for (name, value, action) in results {
        table.push(MemberRecord { member: name.clone(), value });
        if winner.as_ref().is_none_or(|(_, w, _)| better(value, *w)) {
            winner = Some((name.clone(), value, action));
        }
    }
    let Some((name, value, action)) = winner else {
        let message = format!("no member of the matrix passed with a result `{}`", best.by);
        return StageOutcome::failed(FailureClass::Failed, message);
    };
    let of = StageRecord::decode(&action.detail).ok().flatten().map(Box::new);
    let record = BestRecord { best: name, by: best.by.clone(), value, members: table, of };
    StageOutcome {
        metrics: action.metrics,
        detail: Some(StageRecord::Best(record)),
        ..StageOutcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Metrics;

    fn store(dir: &std::path::Path) -> (Store, Vec<(String, Digest)>) {
        let store = Store::new(dir);
        let members = [("a", Some(3.0)), ("b", Some(2.0)), ("c", None)];
        let keys = members.map(|(name, value)| {
            let key = Digest::of(name.as_bytes());
            let metrics: Metrics = value.map(|v| (Metrics::MEDIAN_US, v)).into_iter().collect();
            let action = crate::cache::Action {
                version: crate::cache::ACTION_VERSION,
                node: name.to_owned(),
                fields: Vec::new(),
                outputs: Vec::new(),
                log: Digest::default(),
                metrics,
                detail: serde_json::Value::Null,
                discovered: Vec::new(),
                finished_ms: 0,
                duration_us: 0,
                artifact: String::new(),
            };
            store.put_action(&key, &action).expect("put");
            (name.to_owned(), key)
        });
        (store, keys.to_vec())
    }

    #[test]
    fn the_best_member_wins_in_the_metrics_direction() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, members) = store(dir.path());
        for (better, wins) in [(Direction::Lower, "b"), (Direction::Higher, "a")] {
            let best = Best { by: "median_us".to_owned(), better };
            let outcome = run(&best, &members, &store);
            let Some(StageRecord::Best(record)) = outcome.detail else { panic!("no record") };
            assert_eq!(record.best, wins);
        }
    }

    #[test]
    fn no_member_with_a_number_is_a_failure() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (store, members) = store(dir.path());
        let best = Best { by: "median_us".to_owned(), better: Direction::Lower };
        assert!(run(&best, &members[2..], &store).failure.is_some());
    }
}
