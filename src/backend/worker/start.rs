//! The first steps of a worker's process: tied to its judge, and with nothing open but its socket.
#![expect(unsafe_code, reason = "closes descriptors that nothing owns")]

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::process::{Limits, die_with_parent};

/// Descriptors from here on up are the worker's own.
const HIGH_FD: RawFd = 200;

/// Ties this process to its judge and takes away what it does not need.
pub(in crate::backend) fn start(limits: &Limits) -> std::io::Result<OwnedFd> {
    let judge = std::env::args().nth(2).and_then(|id| id.parse().ok());
    die_with_parent(judge.ok_or(std::io::ErrorKind::InvalidInput)?)?;
    limits.apply()?;
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), HIGH_FD)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    drop(null);
    close_others(socket.as_raw_fd());
    Ok(socket)
}

/// Closes every descriptor above 2 but `keep`: nothing of the judge's may leak into the candidate.
fn close_others(keep: RawFd) {
    let listed: Vec<RawFd> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (3..1024).collect(),
    };
    for fd in listed.into_iter().filter(|&fd| fd > 2 && fd != keep) {
        // SAFETY: nothing in this process owns a descriptor yet but `keep` and the standard ones;
        // the one that listed the folder is closed already and is skipped.
        unsafe {
            if rustix::io::fcntl_getfd(BorrowedFd::borrow_raw(fd)).is_ok() {
                rustix::io::close(fd);
            }
        }
    }
}
