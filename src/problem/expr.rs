//! Expressions over sizes: `2*m*n*k`, `ceil_div(n, block.x)`.
//!
//! Integers stay integers (`/` truncates, as in C) and overflow is an error, so that an extent is
//! never silently wrong. The evaluator's own functions, strings, assignments and comments are
//! shut out: what a problem file may say is the list in [`FUNCTIONS`].

use std::collections::BTreeMap;

use evalexpr::{Context, EvalexprError, EvalexprResult, Node, Operator, Value};

/// The longest expression: the parser recurses, and nothing sensible is longer.
const MAX_CHARS: usize = 256;
/// Integers above this are not exact in floating point.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Functions that an expression may call.
pub const FUNCTIONS: [&str; 12] =
    ["min", "max", "abs", "floor", "ceil", "round", "sqrt", "log2", "ln", "exp", "ceil_div", "if"];

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExprError {
    /// It cannot be parsed.
    #[error("{0}")]
    Malformed(String),
    /// It names a size that is not there.
    #[error("there is no size called `{0}`")]
    UnknownName(String),
    /// It calls a function that is not there.
    #[error("there is no function called `{0}`")]
    UnknownFunction(String),
    /// A step leaves the 64-bit integers.
    #[error("`{0}` overflows a 64-bit integer")]
    Overflow(String),
    /// A division or remainder by zero.
    #[error("`{0}` divides by zero")]
    DivisionByZero(String),
    /// An integer was needed.
    #[error("the result is {0}, not an integer")]
    NotInteger(f64),
    /// A step gave an infinity or no number at all.
    #[error("the result is not a finite number")]
    NotFinite,
}

/// The integer that `expr` stands for.
///
/// # Errors
/// When it cannot be parsed or evaluated, or its value is no integer.
pub fn eval_int(expr: &str, names: &BTreeMap<String, i64>) -> Result<i64, ExprError> {
    match evaluate(expr, names)? {
        Value::Int(value) => Ok(value),
        Value::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => Ok(value as i64),
        Value::Float(value) => Err(ExprError::NotInteger(value)),
        other => Err(not_a_number(&other)),
    }
}

/// The number that `expr` stands for: finite.
///
/// # Errors
/// When it cannot be parsed or evaluated.
pub fn eval_f64(expr: &str, names: &BTreeMap<String, i64>) -> Result<f64, ExprError> {
    match evaluate(expr, names)? {
        Value::Int(value) => Ok(value as f64),
        Value::Float(value) => Ok(value),
        other => Err(not_a_number(&other)),
    }
}

/// The sizes that `expr` names, each once, in order.
///
/// # Errors
/// When it cannot be parsed or calls an unknown function.
pub fn names(expr: &str) -> Result<Vec<String>, ExprError> {
    let tree = parse(expr)?;
    let mut names: Vec<String> = Vec::new();
    for name in tree.iter_variable_identifiers() {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn evaluate(expr: &str, names: &BTreeMap<String, i64>) -> Result<Value, ExprError> {
    let values = names.iter().map(|(name, value)| (name.as_str(), Value::Int(*value))).collect();
    let value = parse(expr)?.eval_with_context(&Sizes { values }).map_err(explain)?;
    match value {
        Value::Float(value) if !value.is_finite() => Err(ExprError::NotFinite),
        value => Ok(value),
    }
}

fn parse(expr: &str) -> Result<Node, ExprError> {
    let malformed = |message: &str| Err(ExprError::Malformed(message.to_owned()));
    if expr.trim().is_empty() {
        return malformed("the expression is empty");
    }
    if expr.chars().count() > MAX_CHARS {
        return malformed("the expression is longer than 256 characters");
    }
    // The evaluator would take what follows as a comment.
    if expr.contains("//") || expr.contains("/*") {
        return malformed("`//` and `/*` have no meaning here; `/` divides integers as C does");
    }
    if expr.contains("**") {
        return malformed("`**` has no meaning here; a power is written `^`");
    }
    let known = |c: char| c.is_ascii_alphanumeric() || " _.+-*/%^(),<>=!&|".contains(c);
    if let Some(stray) = expr.chars().find(|c| !known(*c)) {
        return malformed(&format!("`{}` has no meaning in an expression", stray.escape_debug()));
    }
    let tree = evalexpr::build_operator_tree(expr).map_err(explain)?;
    check_operators(&tree)?;
    Ok(tree)
}

/// Refuses what parses but cannot be evaluated, whatever the sizes.
fn check_operators(tree: &Node) -> Result<(), ExprError> {
    let malformed = |message: &str| Err(ExprError::Malformed(message.to_owned()));
    for node in tree.iter() {
        let operands = node.children().len();
        match node.operator() {
            Operator::FunctionIdentifier { identifier }
                if !FUNCTIONS.contains(&identifier.as_str()) =>
            {
                return Err(ExprError::UnknownFunction(identifier.clone()));
            }
            Operator::VariableIdentifierWrite { .. } => {
                return malformed("`=` has no meaning here; equality is written `==`");
            }
            Operator::Not | Operator::Neg | Operator::FunctionIdentifier { .. }
                if operands != 1 =>
            {
                return malformed("an operand is missing");
            }
            Operator::Add
            | Operator::Sub
            | Operator::Mul
            | Operator::Div
            | Operator::Mod
            | Operator::Exp
                if operands != 2 =>
            {
                return malformed("an operand is missing");
            }
            Operator::RootNode if operands == 0 => return malformed("an operand is missing"),
            _ => {}
        }
    }
    Ok(())
}

fn explain(error: EvalexprError) -> ExprError {
    use EvalexprError as E;
    match error {
        E::VariableIdentifierNotFound(name) => ExprError::UnknownName(name),
        E::FunctionIdentifierNotFound(name) => ExprError::UnknownFunction(name),
        E::AdditionError { augend, addend } => overflow(&augend, '+', &addend),
        E::SubtractionError { minuend, subtrahend } => overflow(&minuend, '-', &subtrahend),
        E::MultiplicationError { multiplicand, multiplier } => {
            overflow(&multiplicand, '*', &multiplier)
        }
        E::NegationError { argument } => ExprError::Overflow(format!("-({argument})")),
        E::DivisionError { dividend, divisor } => division(&dividend, '/', &divisor),
        E::ModulationError { dividend, divisor } => division(&dividend, '%', &divisor),
        E::UnmatchedLBrace => ExprError::Malformed("a `(` is never closed".into()),
        E::UnmatchedRBrace => ExprError::Malformed("a `)` was never opened".into()),
        E::CustomMessage(message) => ExprError::Malformed(message),
        E::ContextNotMutable => {
            ExprError::Malformed("`=` has no meaning here; equality is written `==`".into())
        }
        E::ExpectedNumber { .. } | E::ExpectedNumberOrString { .. } | E::ExpectedInt { .. } => {
            ExprError::Malformed("an operand is not a number".into())
        }
        E::ExpectedBoolean { .. } => {
            ExprError::Malformed("`&&`, `||` and `!` need comparisons around them".into())
        }
        E::AppendedToLeafNode | E::MissingOperatorOutsideOfBrace | E::PrecedenceViolation => {
            ExprError::Malformed("an operator is missing between two values".into())
        }
        E::WrongOperatorArgumentAmount { .. } => {
            ExprError::Malformed("an operand is missing".into())
        }
        other => ExprError::Malformed(other.to_string().trim_end_matches('.').to_lowercase()),
    }
}

fn overflow(left: &Value, operator: char, right: &Value) -> ExprError {
    ExprError::Overflow(format!("{left} {operator} {right}"))
}

fn division(left: &Value, operator: char, right: &Value) -> ExprError {
    let text = format!("{left} {operator} {right}");
    if *right == Value::Int(0) {
        ExprError::DivisionByZero(text)
    } else {
        ExprError::Overflow(text)
    }
}

fn not_a_number(value: &Value) -> ExprError {
    let what = match value {
        Value::Boolean(_) => "a comparison; `if(condition, a, b)` makes a number of it",
        Value::Tuple(_) => "a list",
        _ => "nothing",
    };
    ExprError::Malformed(format!("the result is not a number but {what}"))
}

/// The names an expression may use, and the functions.
struct Sizes<'a> {
    values: BTreeMap<&'a str, Value>,
}

impl Context for Sizes<'_> {
    fn get_value(&self, identifier: &str) -> Option<&Value> {
        self.values.get(identifier)
    }

    fn call_function(&self, identifier: &str, argument: &Value) -> EvalexprResult<Value> {
        call(identifier, argument)
    }

    fn are_builtin_functions_disabled(&self) -> bool {
        true
    }

    fn set_builtin_functions_disabled(&mut self, _disabled: bool) -> EvalexprResult<()> {
        Err(EvalexprError::BuiltinFunctionsCannotBeEnabled)
    }
}

fn call(name: &str, argument: &Value) -> EvalexprResult<Value> {
    let single = || argument.as_number().map_err(|_| arguments(name, "one number"));
    let real = |function: fn(f64) -> f64| Ok(Value::Float(function(single()?)));
    match name {
        "floor" => real(f64::floor),
        "ceil" => real(f64::ceil),
        "round" => real(f64::round),
        "sqrt" => real(f64::sqrt),
        "log2" => real(f64::log2),
        "ln" => real(f64::ln),
        "exp" => real(f64::exp),
        "abs" => match argument {
            Value::Int(value) => value
                .checked_abs()
                .map(Value::Int)
                .ok_or_else(|| EvalexprError::NegationError { argument: argument.clone() }),
            _ => real(f64::abs),
        },
        "min" => choose(name, argument, i64::min, f64::min),
        "max" => choose(name, argument, i64::max, f64::max),
        "ceil_div" => ceil_div(argument),
        "if" => match argument {
            Value::Tuple(parts) => match parts.as_slice() {
                [Value::Boolean(condition), yes, no] => {
                    Ok(if *condition { yes.clone() } else { no.clone() })
                }
                _ => Err(arguments(name, "a comparison and two numbers")),
            },
            _ => Err(arguments(name, "a comparison and two numbers")),
        },
        _ => Err(EvalexprError::FunctionIdentifierNotFound(name.to_owned())),
    }
}

/// `min` or `max`: of integers an integer, else a float.
fn choose(
    name: &str,
    argument: &Value,
    of_integers: fn(i64, i64) -> i64,
    of_floats: fn(f64, f64) -> f64,
) -> EvalexprResult<Value> {
    let Value::Tuple(parts) = argument else {
        return Err(arguments(name, "two or more numbers"));
    };
    let integers: Option<Vec<i64>> = parts.iter().map(|part| part.as_int().ok()).collect();
    if let Some(least) = integers.and_then(|all| all.into_iter().reduce(of_integers)) {
        return Ok(Value::Int(least));
    }
    let floats: EvalexprResult<Vec<f64>> = parts.iter().map(Value::as_number).collect();
    let chosen = floats?.into_iter().reduce(of_floats);
    chosen.map(Value::Float).ok_or_else(|| arguments(name, "two or more numbers"))
}

/// Integer division that rounds up.
fn ceil_div(argument: &Value) -> EvalexprResult<Value> {
    let wrong = || arguments("ceil_div", "two integers");
    let Value::Tuple(parts) = argument else {
        return Err(wrong());
    };
    let [Value::Int(dividend), Value::Int(divisor)] = parts.as_slice() else {
        return Err(wrong());
    };
    let failed = || EvalexprError::DivisionError {
        dividend: Value::Int(*dividend),
        divisor: Value::Int(*divisor),
    };
    let quotient = dividend.checked_div(*divisor).ok_or_else(failed)?;
    let inexact = dividend % divisor != 0;
    let up = inexact && (*dividend > 0) == (*divisor > 0);
    Ok(Value::Int(quotient + i64::from(up)))
}

fn arguments(name: &str, expected: &str) -> EvalexprError {
    EvalexprError::CustomMessage(format!("`{name}` takes {expected}"))
}

#[cfg(test)]
#[path = "expr_tests.rs"]
mod tests;
