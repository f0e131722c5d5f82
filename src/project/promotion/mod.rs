//! What becomes of a candidate that was measured: it becomes the baseline, is kept, or goes; and
//! how far the best has come since the baseline.
//!
//! Everything here is asked under the state's lock, with a state that has just been looked at.
//! What is on disk and how one incumbent takes the place of another is `record::incumbent`'s; this
//! decides whether it may, and ties a commit to it.

mod anchor;
mod best;
mod error;
mod former;
mod held;
mod history;
mod keep;
mod made;
mod measured;
mod message;
mod present;
mod recipe;
mod recovery;
mod revert;

use std::path::Path;

use crate::digest::Digest;
use crate::engine::State;
use crate::host::Host;
use crate::measure::pairs::Comparison;
use crate::record::Status;
use crate::record::incumbent;
use crate::record::ledger::{Line, Place, What};

pub use anchor::{Anchor, EVERY, anchor};
pub use best::{Changed, Named, Set, reset, set, undo};
pub use error::{ArtifactError, PromotionError, Stale};
pub use former::{Differs, Former, former};
pub use history::not_in_history;
pub use keep::{Kept, baseline, keep};
pub use measured::{Measured, Says, state_of};
pub use present::Candidate;
pub use recipe::Recipe;
pub use recovery::{Recovered, recover};
pub use revert::{Reverted, revert};

/// What a candidate is held against.
pub struct Ground<'a> {
    /// The state of the pipeline that measured it, looked at a moment ago.
    pub state: &'a State,
    /// The environment and the devices.
    pub host: &'a dyn Host,
    /// The stage that measured it, by its node's name: another pipeline's may have left the artifact.
    pub stage: &'a str,
    /// The pipeline's kernel files, below the root.
    pub kernel: &'a [String],
    /// What its incumbent is filed under.
    pub place: Place,
    /// The folder that stands for the root, below it, where what was measured is a copy of the
    /// project's files.
    pub copy: Option<String>,
    /// What the pipeline's files say of how its kernel is built, where that is asked.
    pub recipe: Option<Recipe>,
    /// Now, RFC 3339.
    pub at: String,
}

impl Ground<'_> {
    /// The user's path, below the root, of a file as the plan names it; none for what optloop wrote
    /// and for what lies elsewhere.
    fn own<'a>(&self, name: &'a str) -> Option<&'a str> {
        let copied =
            self.copy.as_deref().and_then(|copy| name.strip_prefix(copy)?.strip_prefix('/'));
        let plain = !name.starts_with('/') && !name.starts_with(".optloop/");
        copied.or(plain.then_some(name))
    }

    fn root(&self) -> &Path {
        &self.state.paths.root
    }

    fn folder(&self) -> &Path {
        &self.state.paths.state
    }
}

/// What people or agents say about a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rationale {
    /// Why, in a sentence or a few.
    pub summary: String,
    /// Signals and outliers, one text each.
    pub feedback: Vec<String>,
    /// What to try next.
    pub next_step: String,
}

/// Whether an artifact is about what the kernel files hold now, and about the present incumbent.
pub fn suits(ground: &Ground<'_>, measured: &Measured) -> bool {
    let current = incumbent::current(ground.folder(), &ground.place).ok().flatten();
    current.is_none_or(|current| keep::same_incumbent(measured, &current).is_ok())
        && present::candidate(ground, measured, present::Proof::Content).is_ok()
}

/// The ledger's line about a measured candidate.
fn line(event: What, ground: &Ground<'_>, measured: &Measured, candidate: Digest) -> Line {
    let artifact = &measured.artifact;
    let mut line = Line::new(event, ground.place.clone(), candidate, ground.at.clone());
    line.artifact.clone_from(&measured.name);
    line.artifact_digest = measured.digest;
    line.value = artifact.metrics.get(&ground.place.metric);
    line.seconds = Some(artifact.seconds);
    match &measured.says {
        Says::Compared { comparison, decided } => {
            put(comparison, &mut line);
            line.reason = Some(decided.reason.word().to_owned());
        }
        Says::Identical => line.reason = Some("identical".to_owned()),
        Says::Alone | Says::Failed => {}
    }
    // A failure that is no verdict says more than the verdict does.
    if artifact.decision.is_none() && artifact.status != Status::Passed {
        line.reason = Some(artifact.status.to_string());
    }
    line
}

/// Writes a comparison's numbers down.
fn put(comparison: &Comparison, line: &mut Line) {
    let reported = comparison.reported();
    line.gain = reported.map(|r| r.gain);
    line.lower = reported.map(|r| r.lower);
    line.upper = reported.map(|r| r.upper);
    line.pairs = Some(comparison.verdict.all_pairs());
    line.launches = Some(comparison.spent.launches);
    line.seconds = Some(comparison.seconds);
}

fn say(line: &mut Line, why: &Rationale) {
    line.summary.clone_from(&why.summary);
    line.feedback.clone_from(&why.feedback);
    line.next_step.clone_from(&why.next_step);
}
