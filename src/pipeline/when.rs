//! `when = …`: a condition over the results of earlier stages.
//!
//! Every result is a number; `passed` and `stopped_early` are 0 or 1. A condition is true when it
//! comes out as `true` or as a number other than 0.

use crate::expression::{Expression, Fault, Mistake, Name, Numbers, Value};

/// A parsed condition.
#[derive(Debug, Clone)]
pub struct Condition {
    expression: Expression,
}

impl Condition {
    /// Parses a condition.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        Ok(Self { expression: Expression::parse(text, Numbers::Real)? })
    }

    /// The results it names, such as `candidate.median_us`, each where it stands first.
    pub fn names(&self) -> Vec<Name<'_>> {
        let mut names: Vec<Name<'_>> = Vec::new();
        for name in self.expression.names() {
            if !names.iter().any(|known| known.text == name.text) {
                names.push(name);
            }
        }
        names
    }

    /// Whether it holds, with the results that `value` knows. All that are named must be known,
    /// those too that make no difference this time.
    ///
    /// # Errors
    /// When a result is not known.
    pub fn holds(&self, value: impl Fn(&str) -> Option<f64>) -> Result<bool, Mistake> {
        let is_missing = |name: &Name<'_>| value(name.text).is_none();
        if let Some(missing) = self.names().into_iter().find(is_missing) {
            let fault = Fault::UnknownName(missing.text.to_owned());
            return Err(Mistake { fault, span: missing.span });
        }
        let result = self.expression.evaluate(&|name| value(name).map(Value::Float))?;
        Ok(result.is_true())
    }
}

#[cfg(test)]
mod tests {
    use super::Condition;

    fn holds(text: &str) -> Result<bool, String> {
        let condition = Condition::parse(text).map_err(|mistake| mistake.to_string())?;
        let value = |name: &str| match name {
            "a.median_us" => Some(12.0),
            "a.stopped_early" => Some(0.0),
            _ => None,
        };
        condition.holds(value).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn conditions_compare_numbers() {
        for (text, want) in [
            ("a.median_us < 20", true),
            ("a.median_us == 12", true),
            ("a.median_us == 12.0 && a.stopped_early == 0", true),
            ("a.stopped_early", false),
            ("a.median_us / 5 > 2.3", true),
            ("a.median_us * (1 / 2) == 6", true),
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
            ("", "an empty expression"),
            ("a.x <", "a value is missing after `<`"),
            ("!a.x", "a number, where `!` takes comparisons such as `a == 1`"),
            ("foo(a.x) > 1", "there is no function called `foo`"),
            ("a.x b.y", "an operator is missing before `b.y`"),
            ("b.y > 1", "there is no value for `b.y`"),
            ("true || b.y > 1", "there is no value for `b.y`"),
        ] {
            assert_eq!(holds(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_name_is_listed_where_it_stands_first() {
        let condition = Condition::parse("b.y > 1 && a.x < b.y").expect("a condition");
        let names: Vec<_> =
            condition.names().into_iter().map(|name| (name.text, name.span.start)).collect();
        assert_eq!(names, [("b.y", 0), ("a.x", 11)]);
    }
}
