//! The keep/revert loop's rooms. So far: what git knows of a kernel, for artifacts.

pub mod worktree;
