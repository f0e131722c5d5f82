//! Starting, watching and ending child processes; the only room that spawns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Ctrl-C as a value: shared by everything that waits.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// True once a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}
