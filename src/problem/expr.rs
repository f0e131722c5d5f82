//! Expressions of a problem: numbers over its sizes.

use std::collections::BTreeMap;
use std::ops::Range;

pub use crate::expression::FUNCTIONS;
use crate::expression::{Expression, Mistake, Numbers, Value};

/// Integers above this are not exact in floating point.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExprError {
    /// It cannot be parsed, or a step of it has no value.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// A number was needed.
    #[error("the result is a comparison, not a number; `if(condition, 1, 0)` makes one of it")]
    NotNumber,
    /// An integer was needed.
    #[error("the result is {0}, not an integer")]
    NotInteger(f64),
    /// An integer was needed, and floating point has gaps where this one is.
    #[error(
        "the result is {0}, which is above 2^53 and not exact; work it out from integers alone"
    )]
    Inexact(f64),
    /// A step gave an infinity or no number at all.
    #[error("the result is not a finite number")]
    NotFinite,
}

impl ExprError {
    /// The bytes of the expression that are wrong, when it is not all of them.
    pub fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Mistake(mistake) => Some(mistake.span.clone()),
            Self::NotNumber | Self::NotInteger(_) | Self::Inexact(_) | Self::NotFinite => None,
        }
    }
}

/// Parses an expression whose value is a number.
///
/// # Errors
/// When it cannot be parsed or is a comparison.
pub fn parse(expr: &str) -> Result<Expression, ExprError> {
    let expression = Expression::parse(expr, Numbers::Exact)?;
    if expression.is_truth() { Err(ExprError::NotNumber) } else { Ok(expression) }
}

/// The integer that `expr` stands for.
///
/// # Errors
/// When it cannot be parsed or evaluated, or its value is no integer.
pub fn eval_int(expr: &str, names: &BTreeMap<String, i64>) -> Result<i64, ExprError> {
    match evaluate(expr, names)? {
        Value::Int(value) => Ok(value),
        Value::Float(value) if value.fract() != 0.0 => Err(ExprError::NotInteger(value)),
        Value::Float(value) if value.abs() > EXACT => Err(ExprError::Inexact(value)),
        Value::Float(value) => Ok(value as i64),
        Value::Truth(_) => Err(ExprError::NotNumber),
    }
}

/// The number that `expr` stands for: finite.
///
/// # Errors
/// When it cannot be parsed or evaluated.
pub fn eval_f64(expr: &str, names: &BTreeMap<String, i64>) -> Result<f64, ExprError> {
    evaluate(expr, names).map(Value::as_f64)
}

fn evaluate(expr: &str, names: &BTreeMap<String, i64>) -> Result<Value, ExprError> {
    let value = parse(expr)?.evaluate(&|name| names.get(name).copied().map(Value::Int))?;
    match value {
        Value::Float(value) if !value.is_finite() => Err(ExprError::NotFinite),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> BTreeMap<String, i64> {
        [("rows", 64), ("cols", 1024), ("zero", 0), ("huge", i64::MAX), ("block.x", 256)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    #[test]
    fn extents_are_integers() {
        for (expr, expected) in [
            ("256", 256),
            ("5*rows*cols + 1", 327_681),
            ("ceil_div(1025, block.x)", 5),
            ("ceil(rows / 10.0)", 7),
            ("2^53", 1 << 53),
            ("2^60", 1 << 60),
            ("huge", i64::MAX),
        ] {
            assert_eq!(eval_int(expr, &sizes()), Ok(expected), "{expr}");
        }
    }

    #[test]
    fn numbers_may_be_fractions() {
        for (expr, expected) in [("1.5", 1.5), ("rows / 128.0", 0.5), ("sqrt(rows)", 8.0)] {
            assert_eq!(eval_f64(expr, &sizes()), Ok(expected), "{expr}");
        }
    }

    #[test]
    fn every_refusal_says_why_and_where() {
        for (expr, expected, span) in [
            ("rows + row", "there is no value for `row`", Some(7..10)),
            ("2 * (huge + 1)", "`9223372036854775807 + 1` overflows a 64-bit integer", Some(4..14)),
            ("1 + rows / zero", "`64 / 0` divides by zero", Some(4..15)),
            ("rows / 3.0", "the result is 21.333333333333332, not an integer", None),
            (
                "2.0^60",
                "the result is 1152921504606847000, which is above 2^53 and not exact; work it out \
                 from integers alone",
                None,
            ),
            ("rows / 0.0", "the result is not a finite number", None),
            (
                "rows < cols",
                "the result is a comparison, not a number; `if(condition, 1, 0)` makes one of it",
                None,
            ),
        ] {
            let error = eval_int(expr, &sizes()).expect_err(expr);
            assert_eq!((error.to_string().as_str(), error.span()), (expected, span), "{expr}");
        }
    }
}
