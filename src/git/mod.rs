//! The only place that knows git: the commit and diff of a kernel, commits of kept kernels, kernels
//! of older commits.
//!
//! Reading is the library's, and the `git` program's where the library refuses a repository. Writing
//! into a repository of the user's is the program's alone: its hooks, signatures and filters hold.

mod attempt;
mod by_program;
mod checkout;
mod clone;
mod commit;
mod content;
mod edits;
mod error;
mod export;
mod fast_forward;
mod files;
mod forgiving;
mod headers;
mod history;
mod leftovers;
mod library;
mod library_tree;
mod merge;
mod name;
mod origin;
mod outside;
mod own;
mod private;
mod program;
mod program_tree;
mod publish;
mod reader;
mod repository;
mod staged;
mod state;
mod taken;
mod three_way;
mod tree;
mod undo;
mod watch;

#[cfg(test)]
mod commit_tests;
#[cfg(test)]
mod export_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod world_tests;

pub use clone::{scratch_clone, switch};
pub use commit::{Committed, Message, commit_only};
pub use edits::{Content, Edit, edits};
pub use error::{Error, Operation, Purpose, Unfit};
pub use export::{Export, Exported, Wanted};
pub use fast_forward::{fast_forward, is_ancestor};
pub use files::{Fit, Revision, at_head, at_revision, below_checkout, changed_in, fits, revision};
pub use history::{Held, History, find_commit_with_trailer, history};
pub use leftovers::recover;
pub use origin::{Origin, Reference, Unusual};
pub use outside::Outside;
pub use own::Wanted as OwnWanted;
pub use private::{Differing, FileChange, Private};
pub use publish::{Published, Step, Target, publish};
pub use state::State;
pub use taken::{Found, Uncommitted};
pub use three_way::{Merging, ThreeWay};
pub use undo::revert_commit;
