//! Comparing outputs with the reference: what counts as equal, and what a mismatch report says.
//!
//! Not for: making inputs (that is `problem`) or deciding what a mismatch means (that is
//! `engine`). Nothing here touches a file, a clock or a process.

mod compare;
mod dtype;
mod report;
mod tolerance;

pub use compare::{Comparison, Element, Mismatch, Part, compare, compare_part};
pub use dtype::Dtype;
pub use report::report;
pub use tolerance::Tolerance;
