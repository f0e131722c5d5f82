//! Ctrl-C, TERM and HUP as a value that can be asked for and waited on.
#![expect(unsafe_code, reason = "a signal handler is registered")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Two signals nearer than this count once: `timeout` and some terminals send the same one to
/// the process and to its group.
const SAME_REQUEST: Duration = Duration::from_millis(100);

/// Ctrl-C as a value: shared by everything that waits.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// How often a stop was asked for; stays at 2.
    level: AtomicU8,
    /// The first signal that asked, 0 for none.
    signal: AtomicI32,
    /// Milliseconds between `epoch` and the first request.
    first_ms: AtomicU64,
    epoch: OnceLock<Instant>,
    wake: OnceLock<Option<OwnedFd>>,
}

impl Cancel {
    /// True once a stop was asked for.
    pub fn is_set(&self) -> bool {
        self.0.level.load(Ordering::Relaxed) > 0
    }

    /// True once a stop was asked for twice: nothing may be waited for any more.
    pub fn is_forced(&self) -> bool {
        self.0.level.load(Ordering::Relaxed) > 1
    }

    /// The signal that asked first, for the exit code (128 + signal).
    pub fn signal(&self) -> Option<i32> {
        match self.0.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// Asks for a stop, as Ctrl-C does; a second call asks for an immediate end.
    pub fn request(&self) {
        self.0.raise_level();
    }

    /// A descriptor that stays readable once a stop was asked for, to wait on beside others.
    ///
    /// `None` when the process has no descriptor left: callers then wait in slices.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        let wake = self
            .0
            .wake
            .get_or_init(|| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok());
        // Pairs with the fence in `raise_level`: either it sees the descriptor, or we see the level.
        fence(Ordering::SeqCst);
        if self.is_set() {
            self.0.signal_waiters();
        }
        wake.as_ref().map(AsFd::as_fd)
    }
}

impl Shared {
    /// Runs inside the signal handler too: atomics and one `write`, nothing that locks.
    fn raise_level(&self) {
        let _level = self.level.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |level| {
            (level < 2).then_some(level + 1)
        });
        fence(Ordering::SeqCst);
        self.signal_waiters();
    }

    fn signal_waiters(&self) {
        if let Some(Some(wake)) = self.wake.get() {
            // The only failure is a full counter, which is as readable as can be.
            let _written = rustix::io::write(wake, &1_u64.to_ne_bytes());
        }
    }

    /// One signal: the first one asks, one that comes clearly later forces.
    fn on_signal(&self, signal: i32) {
        let Some(epoch) = self.epoch.get() else {
            return;
        };
        let now = epoch.elapsed().as_millis() as u64;
        if self.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.first_ms.store(now, Ordering::SeqCst);
            self.raise_level();
        } else if now >= self.first_ms.load(Ordering::SeqCst) + SAME_REQUEST.as_millis() as u64 {
            self.raise_level();
        }
    }
}

/// Turns INT, TERM and HUP into a [`Cancel`]. Signals that the caller told us to ignore
/// (`nohup`, a shell's background job) stay ignored.
///
/// # Errors
/// When the handler or the descriptor that wakes waiters cannot be made.
pub fn install() -> io::Result<Cancel> {
    let cancel = Cancel::default();
    if cancel.fd().is_none() {
        return Err(io::Error::other("no file descriptor left for the signal handler"));
    }
    let _epoch = cancel.0.epoch.set(Instant::now());
    let ignored = ignored_signals();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored & (1 << (signal - 1)) != 0 {
            continue;
        }
        let shared = Arc::clone(&cancel.0);
        // SAFETY: the action is async-signal-safe: it uses atomics, reads the clock through
        // clock_gettime and writes eight bytes to an eventfd; it neither locks nor allocates,
        // since `epoch` and `wake` are set before and only read here.
        let _id =
            unsafe { signal_hook::low_level::register(signal, move || shared.on_signal(signal)) }?;
    }
    Ok(cancel)
}

/// The mask of ignored signals, bit 0 for signal 1.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn readable(cancel: &Cancel) -> bool {
        let fd = cancel.fd().expect("a descriptor");
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("poll") == 1
    }

    #[test]
    fn one_request_asks_and_the_second_forces() {
        let cancel = Cancel::default();
        let copy = cancel.clone();
        assert!(!copy.is_set() && !readable(&copy));
        cancel.request();
        assert!(copy.is_set() && !copy.is_forced() && readable(&copy));
        cancel.request();
        cancel.request();
        assert!(copy.is_forced());
    }

    #[test]
    fn a_descriptor_made_after_the_request_is_readable_at_once() {
        let cancel = Cancel::default();
        cancel.request();
        assert!(readable(&cancel));
    }

    #[test]
    fn a_request_wakes_a_waiter_in_another_thread() {
        let cancel = Cancel::default();
        let waiter = cancel.clone();
        let thread = std::thread::spawn(move || {
            let fd = waiter.fd().expect("a descriptor");
            let mut fds = [PollFd::new(&fd, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec { tv_sec: 5, tv_nsec: 0 })).expect("poll")
        });
        cancel.request();
        assert_eq!(thread.join().expect("no panic"), 1);
    }

    #[test]
    fn signals_close_together_count_once_and_a_later_one_forces() {
        let cancel = Cancel::default();
        let epoch =
            Instant::now().checked_sub(Duration::from_secs(10)).expect("a clock past ten seconds");
        cancel.0.epoch.set(epoch).expect("set once");
        cancel.0.on_signal(SIGTERM);
        cancel.0.on_signal(SIGTERM);
        cancel.0.on_signal(SIGINT);
        assert!(cancel.is_set() && !cancel.is_forced());
        assert_eq!(cancel.signal(), Some(SIGTERM));
        cancel.0.first_ms.store(0, Ordering::SeqCst);
        cancel.0.on_signal(SIGINT);
        assert!(cancel.is_forced());
    }
}
