//! The value of an expression.

use std::cmp::Ordering;

use super::function::Function;
use super::node::{Node, What};
use super::token::Operator;
use super::{Fault, Mistake, Value};

/// What names are worth.
type LookUp<'a> = &'a dyn Fn(&str) -> Option<Value>;

/// The value of `node`. Both sides of `&&` and `||`, and both values of `if`, are evaluated only
/// where they matter: `if(n > 0, m / n, 0)` divides by nothing.
pub(super) fn evaluate(node: &Node, names: LookUp<'_>) -> Result<Value, Mistake> {
    let span = || node.span.clone();
    match &node.what {
        What::Int(value) => Ok(Value::Int(*value)),
        What::Float(value) => Ok(Value::Float(*value)),
        What::Truth(value) => Ok(Value::Truth(*value)),
        What::Name(name) => names(name).ok_or_else(|| Fault::UnknownName(name.clone()).at(span())),
        What::Negative(inner) => {
            negative(evaluate(inner, names)?).map_err(|fault| fault.at(span()))
        }
        What::Not(inner) => Ok(Value::Truth(!evaluate(inner, names)?.is_true())),
        What::Pair(operator, sides) => {
            let [left, right] = &**sides;
            let left = evaluate(left, names)?;
            match (operator, left.is_true()) {
                (Operator::And, false) | (Operator::Or, true) => return Ok(left),
                _ => {}
            }
            let right = evaluate(right, names)?;
            pair(*operator, left, right).map_err(|fault| fault.at(span()))
        }
        What::Call(Function::If, arguments) => choice(arguments, names),
        What::Call(function, arguments) => {
            let values: Result<Vec<Value>, _> =
                arguments.iter().map(|argument| evaluate(argument, names)).collect();
            function.apply(&values?).map_err(|fault| fault.at(span()))
        }
    }
}

fn choice(arguments: &[Node], names: LookUp<'_>) -> Result<Value, Mistake> {
    let [condition, yes, no] = arguments else {
        return Err(Fault::Arguments("if", Function::If.expected()).at(0..0));
    };
    evaluate(if evaluate(condition, names)?.is_true() { yes } else { no }, names)
}

fn negative(value: Value) -> Result<Value, Fault> {
    match value {
        Value::Int(value) => {
            let negative = value.checked_neg().map(Value::Int);
            negative.ok_or_else(|| Fault::Overflow(format!("-({value})")))
        }
        other => Ok(Value::Float(-other.as_f64())),
    }
}

fn pair(operator: Operator, left: Value, right: Value) -> Result<Value, Fault> {
    let is =
        |wanted: fn(Ordering) -> bool| Ok(Value::Truth(compare(left, right).is_some_and(wanted)));
    match operator {
        // Evaluated this far, the right side decides.
        Operator::And | Operator::Or => Ok(right),
        Operator::Equal => is(Ordering::is_eq),
        // NaN is unequal to everything.
        Operator::Unequal => Ok(Value::Truth(compare(left, right) != Some(Ordering::Equal))),
        Operator::Less => is(Ordering::is_lt),
        Operator::AtMost => is(Ordering::is_le),
        Operator::Greater => is(Ordering::is_gt),
        Operator::AtLeast => is(Ordering::is_ge),
        _ => match (left, right) {
            (Value::Int(left), Value::Int(right)) => integers(operator, left, right),
            _ => Ok(Value::Float(floats(operator, left.as_f64(), right.as_f64()))),
        },
    }
}

fn integers(operator: Operator, left: i64, right: i64) -> Result<Value, Fault> {
    let text = || format!("{left} {} {right}", operator.symbol());
    let value = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide | Operator::Remainder if right == 0 => {
            return Err(Fault::DivisionByZero(text()));
        }
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
        _ if right < 0 => return Ok(Value::Float((left as f64).powf(right as f64))),
        _ => power(left, right),
    };
    value.map(Value::Int).ok_or_else(|| Fault::Overflow(text()))
}

/// `base^exponent`, where the exponent is not negative.
fn power(base: i64, exponent: i64) -> Option<i64> {
    // The powers of these repeat, however large the exponent.
    let exponent = if (-1..=1).contains(&base) { exponent.min(2 + exponent % 2) } else { exponent };
    base.checked_pow(u32::try_from(exponent).ok()?)
}

fn floats(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
        _ => left.powf(right),
    }
}

/// By value and exactly: 1 equals 1.0, and 2^53 + 1 is more than 2^53 as a float.
fn compare(left: Value, right: Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(&right)),
        (Value::Int(left), Value::Float(right)) => whole_with_real(left, right),
        (Value::Float(left), Value::Int(right)) => {
            whole_with_real(right, left).map(Ordering::reverse)
        }
        _ => left.as_f64().partial_cmp(&right.as_f64()),
    }
}

fn whole_with_real(whole: i64, real: f64) -> Option<Ordering> {
    /// The first float above all 64-bit integers, and minus the first of them.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if real.is_nan() {
        None
    } else if real >= END {
        Some(Ordering::Less)
    } else if real < -END {
        Some(Ordering::Greater)
    } else {
        // In this range the whole part of a float is an integer, exactly.
        let parts = whole.cmp(&(real.trunc() as i64));
        Some(parts.then(0.0_f64.total_cmp(&(real.fract() + 0.0))))
    }
}
