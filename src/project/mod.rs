//! A project as a library: what a pipeline's files, its state and its incumbents are, and what
//! becomes of a candidate.
//!
//! Not for: printing, or parsing a command line.

pub mod children;
pub mod copies;
pub mod host;
pub mod promotion;
pub mod recipe;
