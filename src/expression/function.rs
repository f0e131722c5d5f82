//! The functions that an expression may call.

use std::ops::RangeInclusive;

use super::{Fault, Value};

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Min,
    Max,
    Abs,
    Floor,
    Ceil,
    Round,
    Sqrt,
    Log2,
    Ln,
    Exp,
    CeilDiv,
    /// Its first argument is a comparison, and only one of the others is evaluated.
    If,
}

struct Entry {
    name: &'static str,
    function: Function,
    counts: RangeInclusive<usize>,
}

const fn entry(name: &'static str, function: Function, counts: RangeInclusive<usize>) -> Entry {
    Entry { name, function, counts }
}

const TABLE: [Entry; 12] = [
    entry("min", Function::Min, 2..=usize::MAX),
    entry("max", Function::Max, 2..=usize::MAX),
    entry("abs", Function::Abs, 1..=1),
    entry("floor", Function::Floor, 1..=1),
    entry("ceil", Function::Ceil, 1..=1),
    entry("round", Function::Round, 1..=1),
    entry("sqrt", Function::Sqrt, 1..=1),
    entry("log2", Function::Log2, 1..=1),
    entry("ln", Function::Ln, 1..=1),
    entry("exp", Function::Exp, 1..=1),
    entry("ceil_div", Function::CeilDiv, 2..=2),
    entry("if", Function::If, 3..=3),
];

/// Their names.
pub const NAMES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        names[at] = TABLE[at].name;
        at += 1;
    }
    names
};

impl Function {
    /// The function called `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.name == name).map(|entry| entry.function)
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.function == self)
    }

    pub(super) fn name(self) -> &'static str {
        self.entry().map_or("", |entry| entry.name)
    }

    /// Whether this number of arguments is right.
    pub(super) fn takes(self, count: usize) -> bool {
        self.entry().is_some_and(|entry| entry.counts.contains(&count))
    }

    /// What it takes, in words.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Min | Self::Max => "two or more numbers",
            Self::CeilDiv => "two numbers",
            Self::If => "a comparison and two numbers",
            _ => "one number",
        }
    }

    /// Its value for numbers; [`Self::If`] is not for this.
    pub(super) fn apply(self, values: &[Value]) -> Result<Value, Fault> {
        match (self, values) {
            (Self::Abs, [Value::Int(value)]) => {
                let whole = value.checked_abs().map(Value::Int);
                whole.ok_or_else(|| Fault::Overflow(format!("abs({value})")))
            }
            (Self::CeilDiv, [Value::Int(dividend), Value::Int(divisor)]) => {
                ceil_div(*dividend, *divisor)
            }
            (Self::CeilDiv, [dividend, divisor]) => {
                Ok(Value::Float((dividend.as_f64() / divisor.as_f64()).ceil()))
            }
            (Self::Min, _) => Ok(choose(values, i64::min, f64::min)),
            (Self::Max, _) => Ok(choose(values, i64::max, f64::max)),
            (_, [value]) => Ok(Value::Float(self.real(value.as_f64()))),
            _ => Err(Fault::Arguments(self.name(), self.expected())),
        }
    }

    /// The functions of one number that give one which need not be whole.
    fn real(self, value: f64) -> f64 {
        match self {
            Self::Floor => value.floor(),
            Self::Ceil => value.ceil(),
            Self::Round => value.round(),
            Self::Sqrt => value.sqrt(),
            Self::Log2 => value.log2(),
            Self::Ln => value.ln(),
            Self::Exp => value.exp(),
            _ => value.abs(),
        }
    }
}

/// The least or greatest: of integers an integer, else a float.
fn choose(values: &[Value], whole: fn(i64, i64) -> i64, real: fn(f64, f64) -> f64) -> Value {
    let integer = |value: &Value| if let Value::Int(value) = value { Some(*value) } else { None };
    let integers: Option<Vec<i64>> = values.iter().map(integer).collect();
    match integers.and_then(|all| all.into_iter().reduce(whole)) {
        Some(chosen) => Value::Int(chosen),
        None => {
            Value::Float(values.iter().map(|value| value.as_f64()).reduce(real).unwrap_or(f64::NAN))
        }
    }
}

/// Division of integers that rounds up.
fn ceil_div(dividend: i64, divisor: i64) -> Result<Value, Fault> {
    let text = || format!("{dividend} / {divisor}");
    if divisor == 0 {
        return Err(Fault::DivisionByZero(text()));
    }
    let quotient = dividend.checked_div(divisor).ok_or_else(|| Fault::Overflow(text()))?;
    let is_short = dividend % divisor != 0 && (dividend > 0) == (divisor > 0);
    Ok(Value::Int(quotient + i64::from(is_short)))
}
