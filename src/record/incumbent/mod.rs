//! Incumbents: the best kernel so far of every place (question, device, metric), with its baseline,
//! in `.optloop/best/PROBLEM-QUESTION/DEVICE/METRIC/`, and how one takes the place of another.
//!
//! ```text
//! DIGEST16/kernel.so         the built kernel
//! DIGEST16/sources/PATH      its files and the project's headers that it was built from, byte for
//!                            byte, by their paths below the root
//! DIGEST16/about.json        an `Incumbent`
//! current, baseline          one JSON line each that names such a folder
//! ```
//!
//! A folder is never written to again but for its commit, and never removed once the ledger names
//! it. A kernel that comes back after others gets a folder `DIGEST16-2`, so that the numbers of
//! its first time stay.
//!
//! A writer holds the state's lock (`.optloop/lock`) and has called [`recover`] since taking
//! it. A reader may see `current` one step behind the ledger while another writes.

mod files;
mod folder;
mod intent;
mod json;
mod kept;
mod names;
mod recovery;
#[cfg(test)]
mod tests;
mod transition;

pub use intent::{Change, Commit, Content, Install, Intent, Restore, pending};
pub use json::INCUMBENT_VERSION;
pub use kept::{Build, Incumbent};
pub use names::{baseline, current, of_name};
pub use recovery::{End, Recovered, abandon, recover};
pub use transition::{Finished, begin, finish};
