//! How a command ended.

use std::time::Duration;

use super::tree::Leftover;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// Its time was up, and it was ended.
    TimedOut,
    /// A stop was asked for, and it was ended.
    Cancelled,
}

/// All there is to say about a command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// Its output; both streams when they were merged.
    pub stdout: Vec<u8>,
    /// Its error stream when it was captured apart.
    pub stderr: Vec<u8>,
    /// Some output was left out, for there was more than the limit.
    pub truncated: bool,
    /// From start to end.
    pub wall: Duration,
    /// What it had left running; after a timeout or a cancel only what could not be ended.
    pub leftovers: Vec<Leftover>,
}
