//! The keep/revert loop's rooms: what becomes of candidates, what git knows
//! and gets of a kernel, and the words for it.

pub mod standing;
pub mod words;
pub mod worktree;
