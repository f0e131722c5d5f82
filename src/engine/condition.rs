//! Conditions of `when`: expressions over upstream results.

use std::collections::BTreeMap;

use evalexpr::{ContextWithMutableVariables, HashMapContext, Value};

/// Results of upstream stages: `stage.result` to number.
pub type Results = BTreeMap<String, f64>;

/// Stage names in expressions have underscores for dashes.
pub fn variable(stage: &str, result: &str) -> String {
    format!("{}.{result}", stage.replace('-', "_"))
}

/// The stages (as written in the expression) whose results it reads.
pub fn stages_read(expression: &str) -> Vec<String> {
    let Ok(tree) = evalexpr::build_operator_tree(expression) else {
        return Vec::new();
    };
    tree.iter_variable_identifiers()
        .filter_map(|name| name.split_once('.').map(|(stage, _)| stage.to_owned()))
        .collect()
}

/// Whether the condition holds.
///
/// # Errors
/// When a result is missing or the expression does not give yes or no, in words.
pub fn holds(expression: &str, results: &Results) -> Result<bool, String> {
    let mut context = HashMapContext::new();
    for (name, value) in results {
        // Names come from stages and metrics, which the pipeline has checked to be identifiers.
        context
            .set_value(name.clone(), Value::Float(*value))
            .map_err(|e| format!("`{name}` cannot be used in `when`: {e}"))?;
    }
    match evalexpr::eval_with_context(&with_float_literals(expression), &context) {
        Ok(Value::Boolean(answer)) => Ok(answer),
        Ok(Value::Float(number)) => Ok(number != 0.0),
        Ok(Value::Int(number)) => Ok(number != 0),
        Ok(other) => Err(format!("`when = \"{expression}\"` gives {other}, not yes or no")),
        Err(e) => Err(format!("`when = \"{expression}\"` cannot be evaluated: {e}")),
    }
}

/// Results are floats, and evalexpr holds 0 and 0.0 for different: whole literals become floats.
fn with_float_literals(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 8);
    let mut rest = expression;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let word = before.is_alphanumeric() || before == '_' || before == '.';
        if c.is_ascii_digit() && !word {
            let end = rest.find(|d: char| !d.is_ascii_digit()).unwrap_or(rest.len());
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            if !rest.starts_with(|d: char| d == '.' || d == '_' || d.is_alphanumeric()) {
                out.push_str(".0");
            }
            before = '0';
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            before = c;
        }
    }
    out
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
            Err(part) => assert!(got.clone().is_err_and(|e| e.contains(part)), "{got:?}"),
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
