//! Keeps a core busy while no worker runs on it.
//!
//! A core that was left to itself for a few milliseconds is slow for the first hundred microseconds
//! of what comes next: its clock has gone down, and a virtual core was given to somebody else. Where
//! two workers take turns, that falls to whoever comes first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

/// How long a core is busy at least before it is given back: long enough for it to be at speed.
const LEAST: Duration = Duration::from_micros(500);

/// A thread that spins on a core until it is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    started: Instant,
}

impl Keeper {
    /// Starts to spin on `core`.
    pub(super) fn start(core: u32) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let thread = std::thread::Builder::new().name("keeper".into()).spawn(move || {
            let mut set = CpuSet::new();
            set.set(core as usize);
            // On another core it would be in the judge's way.
            if sched_setaffinity(None, &set).is_ok() {
                while !told.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        // Without a thread the core is as warm as it happens to be.
        Self { enough, thread: thread.ok(), started: Instant::now() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        while self.thread.is_some() && self.started.elapsed() < LEAST {
            std::hint::spin_loop();
        }
        self.enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_kept_for_a_while_and_then_given_back() {
        let started = Instant::now();
        let keeper = Keeper::start(crate::backend::cpu::last_core().unwrap_or(0));
        assert!(keeper.thread.is_some());
        drop(keeper);
        assert!(started.elapsed() >= LEAST);
    }
}
