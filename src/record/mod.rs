//! What is on disk about runs: `runs/ID/events.jsonl` and one artifact per stage that yields
//! numbers or verdicts, with its analyses beside it.
//!
//! A recorder is just another reader of events. Not for: deciding anything, or caching.

pub mod analysis;
pub mod artifact;
pub mod board;
pub mod recorder;
pub mod verdict;

pub use analysis::{Analyses, Analysis, Decision};
pub use artifact::{Artifact, Provenance};
pub use board::Board;
pub use recorder::Recorder;
