//! The numbers of a kernel that is the incumbent's very code: those of the incumbent's own
//! measurement, where that answered the very same question.

use std::collections::BTreeMap;

use super::account::{NumbersOf, StageRecord};
use super::stage::compare::identical::{Identical, nothing_gained};
use super::subject::{Eyes, Hit, Job, with_discovered};
use crate::cache::{Action, Store};
use crate::plan::key::Walk;
use crate::plan::{Definition, InputRole};

/// Fields of keys that say how often and how closely is measured, and beside what; not what.
const HOW: [&str; 10] = [
    "definition.work.purpose",
    "definition.work.repeats",
    "definition.work.rule",
    "definition.work.precision",
    "definition.work.early_stop_us",
    "definition.work.telemetry",
    "definition.build",
    "definition.repeats",
    "definition.rule",
    "definition.opponent",
];

/// A result that is known: one kept under the current key, or the incumbent's own.
pub(super) fn known(job: &Job, declared: &Walk, store: &Store, eyes: &Eyes<'_>) -> Option<Hit> {
    job.kept(declared, store, eyes).or_else(|| of_incumbent(job, declared, store, eyes))
}

/// The incumbent's own result, as this job's.
fn of_incumbent(job: &Job, declared: &Walk, store: &Store, eyes: &Eyes<'_>) -> Option<Hit> {
    job.itself()?;
    let (measured, against) = match &job.stored.definition {
        Definition::Bench(bench) => (bench.measured, bench.against.as_deref()?),
        Definition::Command(work) => {
            let opponent = work.opponent.as_ref()?;
            (opponent.measured, opponent.called.as_str())
        }
        _ => return None,
    };
    let action = store.action(&measured?)?;
    let discovered = job.know_names(&action.discovered, eyes).ok()?;
    let (key, fields) = with_discovered(declared.clone(), &discovered).finish();
    if question(&fields) != question(&action.fields) {
        return None;
    }
    let same = Identical { against, numbers: NumbersOf::Incumbents };
    let mut record = StageRecord::decode(&action.detail).ok()?;
    if !record.as_mut().is_some_and(|record| same.mark(record)) {
        return None;
    }
    let mut metrics = action.metrics.clone();
    nothing_gained(&mut metrics);
    let detail = StageRecord::encode(record.as_ref());
    let action = Action { node: job.name.clone(), fields, metrics, detail, ..action };
    Some(Hit { key, action, record, discovered, is_kept: false })
}

/// What of a key says what was asked.
fn question(fields: &[(String, String)]) -> BTreeMap<&str, &str> {
    let opponent = fields.iter().find(|(name, _)| name == "definition.opponent.kernel");
    // Keys hold lists of text as JSON.
    let opponents: Vec<String> =
        opponent.and_then(|(_, files)| serde_json::from_str(files).ok()).unwrap_or_default();
    let is_opponent = |name: &str| {
        name.split_once(':').is_some_and(|(_, file)| opponents.iter().any(|o| o == file))
    };
    let counts = |name: &str| {
        let part = |how: &str| {
            name.strip_prefix(how)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        name.split_once(':').is_none_or(|(_, input)| input != InputRole::Incumbent.word())
            && !is_opponent(name)
            && !HOW.iter().any(|how| part(how))
    };
    let all = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, _)| counts(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(given: &[(&str, &str)]) -> Vec<(String, String)> {
        let bench = [
            ("kind", "bench"),
            ("definition.work.mode", "hot"),
            ("definition.work.repeats", "[4,8]"),
            ("definition.problem.cases[0].sizes.n", "1000"),
            ("definition.cores", "Picked"),
            ("input:kernel binary", "aa"),
            ("env:OMP_NUM_THREADS", "absent"),
        ];
        let changed = |(name, value): (&str, &str)| {
            let given = given.iter().find(|(other, _)| *other == name);
            (name.to_owned(), given.map_or(value, |(_, value)| value).to_owned())
        };
        let more = given.iter().filter(|(name, _)| !bench.iter().any(|(n, _)| n == name));
        bench.into_iter().chain(more.copied()).map(changed).collect()
    }

    #[test]
    fn only_how_closely_is_measured_and_beside_what_is_no_part_of_the_question() {
        let base = fields(&[]);
        for same in [
            ("definition.work.repeats", "[128]"),
            ("definition.work.rule.guard", "revert"),
            ("input:incumbent binary", "bb"),
            ("loads:incumbent binary", "bb"),
        ] {
            assert_eq!(question(&fields(&[same])), question(&base), "{same:?}");
        }
        for other in [
            ("definition.work.mode", "cold"),
            ("definition.work.metric", "min_us"),
            ("definition.problem.cases[0].sizes.n", "2000"),
            ("definition.problem.tolerance.rtol", "0.5"),
            ("definition.cores", "All"),
            ("env:OMP_NUM_THREADS", "cc"),
            ("input:kernel binary", "bb"),
        ] {
            assert_ne!(question(&fields(&[other])), question(&base), "{other:?}");
        }
    }

    #[test]
    fn the_incumbents_file_of_a_command_is_no_part_of_the_question() {
        let with = |path: &str| {
            let input = format!("input:{path}");
            let list = format!("[\"{path}\"]");
            let given = [("definition.opponent.kernel", list.as_str()), (input.as_str(), "dd")];
            fields(&given)
        };
        assert_eq!(question(&with(".optloop/best/one/k.c")), question(&fields(&[])));
        assert_ne!(question(&fields(&[("input:k.c", "dd")])), question(&fields(&[])));
    }
}
