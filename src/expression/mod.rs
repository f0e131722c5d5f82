//! Expressions over named numbers: `2*m*n*k`, `ceil_div(n, block.x)`, `a.median_us < 900`.
//!
//! One language for shapes, work, launch geometry and `when`. Whole numbers are exact, overflow is
//! a mistake, and 1 equals 1.0. An expression that was parsed has fitting types: only a name
//! without a value, an overflow or a division by zero can still go wrong when it is evaluated.
//! Every mistake says which bytes of the text it is about.
//!
//! Not for: what names mean. The room that parses an expression knows them.

mod evaluate;
mod function;
mod mistake;
mod node;
mod parse;
#[cfg(test)]
mod tests;
mod token;

use std::ops::Range;

pub use function::NAMES as FUNCTIONS;
pub use mistake::{Fault, Mistake};
use node::{Node, What};

/// Longer texts are refused: nothing sensible is longer, and reading recurses.
const LONGEST: usize = 1000;

/// How whole numbers in the text are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// As integers of 64 bits: `7 / 2` is 3, as in C.
    Exact,
    /// As any other number: `7 / 2` is 3.5.
    Real,
}

/// What an expression can be worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A number that need not be whole.
    Float(f64),
    /// The answer of a comparison.
    Truth(bool),
}

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
    root: Node,
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
