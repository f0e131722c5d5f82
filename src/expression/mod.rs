//! Expressions over named numbers: `2*m*n*k`, `ceil_div(n, block.x)`, `a.median_us < 900`.
//!
//! One language for shapes, work, launch geometry and `when`. Whole numbers are exact, overflow is
//! a mistake, and 1 equals 1.0. An expression that was parsed has fitting types: only a name
//! without a value, an overflow or a division by zero can still go wrong when it is evaluated.
//! Every mistake says which bytes of the text it is about.
//!
//! Not for: what names mean. The module that parses an expression knows them.

mod evaluate;
mod function;
mod mistake;
mod node;
mod parse;
mod parsed;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub use function::NAMES as FUNCTIONS;
pub use mistake::{Fault, Mistake};
pub use parsed::{Expression, Name};
pub use token::Numbers;
pub use value::Value;
