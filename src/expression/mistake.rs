//! What can be wrong with an expression.

use std::ops::Range;

/// A mistake and its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct Mistake {
    /// What is wrong.
    pub fault: Fault,
    /// The bytes of the expression that it is about.
    pub span: Range<usize>,
}

/// What is wrong, in words to stand under a caret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is nothing but blanks.
    #[error("an empty expression")]
    Empty,
    /// Too many bytes.
    #[error("an expression of more than {0} bytes")]
    TooLong(usize),
    /// Brackets and signs stand too deep in each other.
    #[error("more than {0} brackets and signs within each other")]
    TooDeep(usize),
    /// A character of no operator.
    #[error("`{}` has no meaning in an expression", .0.escape_debug())]
    Stray(char),
    /// Something of other languages.
    #[error("{0}")]
    Foreign(&'static str),
    /// A `(` without its `)`.
    #[error("a `(` is not closed")]
    NotClosed,
    /// A `)` without its `(`.
    #[error("a `)` without its `(`")]
    NotOpened,
    /// The text ends, or an operand is left out.
    #[error("a value is missing after `{0}`")]
    NothingAfter(String),
    /// An operand is left out.
    #[error("a value is missing before `{0}`")]
    NothingBefore(String),
    /// Two values stand side by side.
    #[error("an operator is missing before `{0}`")]
    NoOperator(String),
    /// A comma that separates no arguments.
    #[error("`,` stands only between the arguments of a function")]
    StrayComma,
    /// `a < b < c`.
    #[error("comparisons cannot be chained: write `a < b && b < c`")]
    ChainedComparisons,
    /// `a ^ b ^ c`.
    #[error("chained `^` is ambiguous: add parentheses")]
    ChainedPowers,
    /// A call of a function that is not there.
    #[error("there is no function called `{0}`")]
    UnknownFunction(String),
    /// A call with the wrong number of arguments.
    #[error("`{0}` takes {1}")]
    Arguments(&'static str, &'static str),
    /// A number where there should be a comparison.
    #[error("a number, where `{0}` takes comparisons such as `a == 1`")]
    NotTruth(&'static str),
    /// A comparison where there should be a number.
    #[error("a comparison, where `{0}` takes numbers; `if(condition, 1, 0)` makes one of it")]
    NotNumber(&'static str),
    /// A name without a value.
    #[error("there is no value for `{0}`")]
    UnknownName(String),
    /// A step leaves the 64-bit integers.
    #[error("`{0}` overflows a 64-bit integer")]
    Overflow(String),
    /// A division or remainder of integers by zero.
    #[error("`{0}` divides by zero")]
    DivisionByZero(String),
}

impl Fault {
    /// The fault at its place.
    pub(super) fn at(self, span: Range<usize>) -> Mistake {
        Mistake { fault: self, span }
    }
}
