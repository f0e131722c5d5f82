//! Where the CUDA libraries and tools lie.
//!
//! [`Places`] is what the environment says about it. Looking opens nothing; [`Places::open`] loads a
//! library by its path, for good, so that asking the loader for its bare name gives the same one.

mod candidate;
mod folders;
mod libraries;
mod places;
mod sight;
mod tool;

pub use candidate::{Candidate, Library, Missing, Opened, Origin, Variable};
pub use libraries::NVRTC_HINT;
pub use places::{Places, VARIABLES};
pub use sight::Sight;
pub use tool::Tool;

#[cfg(test)]
mod tests;
