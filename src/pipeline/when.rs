//! `when = …`: a condition over the results of earlier stages.
//!
//! Every result is a number; `passed` and `stopped_early` are 0 or 1. A condition is true when it
//! comes out as `true` or as a number other than 0.

use std::collections::BTreeSet;

use evalexpr::{
    ContextWithMutableVariables, EvalexprError, HashMapContext, Node, Operator, Value,
    build_operator_tree,
};

/// Longer conditions are a mistake, and deep ones would exhaust the stack.
const LONGEST: usize = 1000;

/// A parsed condition.
#[derive(Debug, Clone)]
pub struct Condition {
    tree: Node,
}

impl Condition {
    /// Parses a condition and tries it with every result being 1, which finds all wrong types.
    ///
    /// # Errors
    /// What is wrong with it, as words to stand under the caret.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("an empty condition".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} characters"));
        }
        let mut tree = build_operator_tree(text).map_err(|error| explain(&error))?;
        if tree.iter_write_variable_identifiers().next().is_some() {
            return Err("`=` assigns: compare with `==`".to_owned());
        }
        // All numbers as floats: to the evaluator 1 and 1.0 are not equal.
        for operator in tree.iter_operators_mut() {
            if let Operator::Const { value: Value::Int(number) } = operator {
                *operator = Operator::Const { value: Value::Float(*number as f64) };
            }
        }
        let condition = Self { tree };
        condition.holds(|_| Some(1.0))?;
        Ok(condition)
    }

    /// The results it names, such as `candidate.median_us`, without repetitions.
    pub fn names(&self) -> BTreeSet<&str> {
        self.tree.iter_variable_identifiers().collect()
    }

    /// Whether it holds, with the results that `value` knows.
    ///
    /// # Errors
    /// When a result is not known, or types do not fit.
    pub fn holds(&self, value: impl Fn(&str) -> Option<f64>) -> Result<bool, String> {
        let mut context = HashMapContext::new();
        for name in self.names() {
            let value = value(name).ok_or_else(|| format!("there is no result `{name}`"))?;
            context
                .set_value(name.to_owned(), Value::Float(value))
                .map_err(|error| explain(&error))?;
        }
        match self.tree.eval_with_context(&context).map_err(|error| explain(&error))? {
            Value::Boolean(holds) => Ok(holds),
            Value::Float(number) => Ok(number != 0.0),
            _ => Err("neither true nor false".to_owned()),
        }
    }
}

fn explain(error: &EvalexprError) -> String {
    match error {
        EvalexprError::UnmatchedLBrace => "a `(` is not closed".to_owned(),
        EvalexprError::UnmatchedRBrace => "a `)` without its `(`".to_owned(),
        EvalexprError::UnmatchedDoubleQuote => "a `\"` is not closed".to_owned(),
        EvalexprError::WrongOperatorArgumentAmount { .. } => {
            "an operator lacks a value beside it".to_owned()
        }
        EvalexprError::FunctionIdentifierNotFound(name) if name.contains('.') => {
            format!("an operator is missing after `{name}`")
        }
        EvalexprError::FunctionIdentifierNotFound(name) => format!("no function `{name}`"),
        EvalexprError::ExpectedBoolean { .. } => {
            "`&&`, `||` and `!` take comparisons, such as `a.passed == 1`".to_owned()
        }
        EvalexprError::UnmatchedPartialToken { first, .. } => {
            format!("a single `{first}`: double it")
        }
        EvalexprError::AppendedToLeafNode | EvalexprError::MissingOperatorOutsideOfBrace => {
            "an operator is missing between two values".to_owned()
        }
        other => other.to_string().trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Condition;

    fn holds(text: &str) -> Result<bool, String> {
        Condition::parse(text)?.holds(|name| match name {
            "a.median_us" => Some(12.0),
            "a.stopped_early" => Some(0.0),
            _ => None,
        })
    }

    #[test]
    fn conditions_compare_numbers() {
        for (text, want) in [
            ("a.median_us < 20", true),
            ("a.median_us == 12", true),
            ("a.median_us == 12.0 && a.stopped_early == 0", true),
            ("a.stopped_early", false),
            ("a.median_us / 5 > 2.3", true),
            ("a.median_us > 1e1 || false", true),
            ("min(a.median_us, 3) == 3", true),
            ("true", true),
        ] {
            assert_eq!(holds(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_condition_says_why() {
        for (text, why) in [
            ("", "an empty condition"),
            ("a.x <", "an operator lacks a value beside it"),
            ("(a.x < 1", "a `(` is not closed"),
            ("a.x < 1)", "a `)` without its `(`"),
            ("a.x = 1", "`=` assigns: compare with `==`"),
            ("a.x & 1", "a single `&`: double it"),
            ("!a.x", "`&&`, `||` and `!` take comparisons, such as `a.passed == 1`"),
            ("foo(a.x) > 1", "no function `foo`"),
            ("a.x b.y", "an operator is missing after `a.x`"),
            ("\"yes\"", "neither true nor false"),
        ] {
            assert_eq!(Condition::parse(text).map(|_| ()), Err(why.to_owned()), "{text}");
        }
        assert_eq!(holds("b.y > 1"), Err("there is no result `b.y`".to_owned()));
        assert!(Condition::parse(&"(".repeat(2000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a.1()<>=&|!+*/%^\" -]{0,20}") {
            let _any = Condition::parse(&text).map(|condition| condition.holds(|_| Some(2.0)));
        }
    }
}
