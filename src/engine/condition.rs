//! Conditions of `when`: expressions over upstream results.

use std::collections::{BTreeMap, BTreeSet};

use crate::pipeline::when::Condition;

/// Results of upstream stages: `stage.result` to number.
pub type Results = BTreeMap<String, f64>;

/// A condition that has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`when = \"{when}\"` cannot be evaluated: {why}")]
pub struct ConditionError {
    /// The condition.
    pub when: String,
    /// What it lacks, or what is wrong with it.
    pub why: String,
}

/// Stage names in expressions have underscores for dashes.
pub fn variable(stage: &str, result: &str) -> String {
    format!("{}.{result}", stage.replace('-', "_"))
}

/// The stages (as written in the expression) whose results it reads.
pub fn stages_read(expression: &str) -> Vec<String> {
    let Ok(condition) = Condition::parse(expression) else {
        return Vec::new();
    };
    let names: BTreeSet<&str> = condition.names().into_iter().map(|name| name.text).collect();
    let stages = names.into_iter().filter_map(|name| name.split_once('.'));
    stages.map(|(stage, _)| stage.to_owned()).collect()
}

/// Whether the condition holds.
///
/// # Errors
/// When a result is missing or the expression does not give yes or no.
pub fn holds(expression: &str, results: &Results) -> Result<bool, ConditionError> {
    Condition::parse(expression)
        .and_then(|condition| condition.holds(|name| results.get(name).copied()))
        .map_err(|why| ConditionError { when: expression.to_owned(), why: why.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expression: &str, expected: Result<bool, &str>) {
        let results = Results::from([
            ("candidate.median_us".to_owned(), 12.5),
            ("candidate.passed".to_owned(), 1.0),
            (variable("my-lint", "warnings"), 3.0),
        ]);
        let got = holds(expression, &results);
        match expected {
            Ok(answer) => assert_eq!(got, Ok(answer), "{expression}"),
            Err(part) => {
                assert!(got.clone().is_err_and(|e| e.to_string().contains(part)), "{got:?}");
            }
        }
    }

    #[test]
    fn conditions_compare_results_with_whole_and_broken_numbers() {
        check("candidate.median_us < 900", Ok(true));
        check("candidate.median_us < 12", Ok(false));
        check("candidate.passed == 1.0 && my_lint.warnings >= 3", Ok(true));
        check("candidate.passed", Ok(true));
        check("candidate.passed == 1 && 12.5 == candidate.median_us && 2 < 1e3", Ok(true));
        check("candidate.nothing > 1", Err("candidate.nothing"));
    }

    #[test]
    fn the_stages_a_condition_reads_are_listed() {
        assert_eq!(stages_read("a.x > 1 && b_c.y < 2"), ["a", "b_c"]);
    }
}
