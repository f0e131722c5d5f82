//! A parsed expression: its names, and its value.

use std::ops::Range;

use super::node::{Node, What};
use super::{Fault, Mistake, Numbers, Value, evaluate, parse};

/// Longer texts are refused: nothing sensible is longer, and reading recurses.
pub(super) const LONGEST: usize = 1000;

/// A name in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<'a> {
    /// The name: letters, digits, `_` and `.`.
    pub text: &'a str,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(super) root: Node,
}

impl Expression {
    /// Parses `text`.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(text: &str, numbers: Numbers) -> Result<Self, Mistake> {
        if text.trim().is_empty() {
            return Err(Fault::Empty.at(0..text.len()));
        }
        if text.len() > LONGEST {
            return Err(Fault::TooLong(LONGEST).at(0..text.len()));
        }
        Ok(Self { root: parse::parse(text, numbers)? })
    }

    /// Each use of a name, in the order of the text.
    pub fn names(&self) -> Vec<Name<'_>> {
        let mut names = Vec::new();
        self.root.visit(&mut |node| {
            if let What::Name(text) = &node.what {
                names.push(Name { text, span: node.span.clone() });
            }
        });
        names
    }

    /// True for a comparison, false for a number.
    pub fn is_truth(&self) -> bool {
        self.root.is_truth()
    }

    /// What it is worth where names have these values, which must be numbers.
    ///
    /// # Errors
    /// When a name has no value or a step none that fits 64 bits.
    pub fn evaluate(&self, look_up: &dyn Fn(&str) -> Option<Value>) -> Result<Value, Mistake> {
        evaluate::evaluate(&self.root, look_up)
    }
}
