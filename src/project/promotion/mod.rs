//! What becomes of a candidate that was measured: it becomes the baseline, is kept, or goes; and
//! how far the best has come since the baseline.
//!
//! Everything here is asked under the state's lock, with a state that has just been looked at.
//! What is on disk and how one incumbent takes the place of another is `record::incumbent`'s; this
//! decides whether it may, and ties a commit to it.

mod anchor;
mod best;
mod context;
mod error;
mod former;
mod held;
mod history;
mod keep;
mod line;
mod made;
mod measured;
mod message;
mod present;
mod recipe;
mod recovery;
mod revert;

pub use anchor::{Anchor, EVERY, anchor};
pub use best::{Changed, Named, Set, reset, set, undo};
pub use context::DecisionContext;
pub use error::{ArtifactError, PromotionError, Stale};
pub use former::{Differs, Former, former};
pub use history::not_in_history;
pub use keep::{Kept, baseline, keep, suits};
pub use line::Rationale;
pub use measured::{Measured, Says, state_of};
pub use present::Candidate;
pub use recipe::Recipe;
pub use recovery::{Recovered, recover};
pub use revert::{Reverted, revert};
