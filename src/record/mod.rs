//! What is on disk about runs: `runs/ID/events.jsonl` and one artifact per stage that yields
//! numbers or verdicts, with its analyses beside it; and what was decided: `ledger.jsonl` and the
//! incumbents below `best/`.
//!
//! A recorder is just another reader of events. Not for: deciding anything, or caching.

pub mod analysis;
pub mod artifact;
pub mod board;
mod durable;
mod error;
pub mod incumbent;
pub mod ledger;
pub mod lines;
pub mod recorder;
mod schema;
mod status;

pub use crate::measure::pairs::Decision;
pub use analysis::{Analyses, Analysis};
pub use artifact::{Artifact, Provenance};
pub use board::Board;
pub use error::{LineError, RecordError};
pub use incumbent::{Incumbent, Intent};
pub use ledger::{Ledger, Place};
pub use recorder::Recorder;
pub use schema::{schemas, written};
pub use status::Status;
