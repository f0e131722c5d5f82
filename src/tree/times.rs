//! The times of files, and the clocks that give them.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Gives a file another modification time.
pub(super) fn touch(path: &Path, mtime_ns: i64) -> io::Result<()> {
    let second = 1_000_000_000;
    let time = rustix::fs::Timespec {
        tv_sec: mtime_ns.div_euclid(second),
        tv_nsec: mtime_ns.rem_euclid(second),
    };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags)?)
}

/// A modification time as the standard library has it.
pub(super) fn time(ns: i64) -> SystemTime {
    let since = Duration::from_nanos(ns.unsigned_abs());
    let time = match ns {
        0.. => SystemTime::UNIX_EPOCH.checked_add(since),
        _ => SystemTime::UNIX_EPOCH.checked_sub(since),
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Now, ns since the epoch.
pub(super) fn now_ns() -> i64 {
    ns(ClockId::Realtime)
}

/// Now, as files get their times: not later than any file that is written from here on.
pub(super) fn clock_ns() -> i64 {
    ns(ClockId::RealtimeCoarse)
}

/// Waits until files get a later time than those that were written before.
pub fn tick() {
    // The clock of files can move on by less than a file's time is ahead of it: times of files that
    // were looked at before are exact.
    let before_ns = now_ns();
    while (0..1_000_000_000).contains(&before_ns.saturating_sub(clock_ns())) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ns(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}
