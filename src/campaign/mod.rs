//! The keep/revert loop's rooms: what git knows and gets of a kernel, and the words for it.

pub mod words;
pub mod worktree;
