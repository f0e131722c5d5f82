//! Ends what an earlier, killed run of optloop left behind, and lets workers end with their
//! parent.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::procfs::{self, Proc};
use super::tree::{MARKER, send};

const LIMIT: Duration = Duration::from_secs(2);

/// Ends every process whose marker begins with `prefix`, and what descends from such; returns how
/// many were ended.
///
/// For what a killed run left behind: whoever calls this holds the lock of the state that the
/// prefix names, so no living run of optloop has commands with it.
pub fn end_stale(prefix: &str) -> usize {
    end_after(prefix, Duration::ZERO)
}

/// As [`end_stale`], for what may still come to its own end: it is waited for so long first. Returns
/// how many had to be ended.
pub fn await_stale(prefix: &str, patience: Duration) -> usize {
    end_after(prefix, patience)
}

fn end_after(prefix: &str, patience: Duration) -> usize {
    let mut ended = HashSet::new();
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        let living = stale(prefix, &ended);
        if living.is_empty() || started.elapsed() > patience + LIMIT {
            return ended.len();
        }
        for process in living.iter().filter(|_| started.elapsed() >= patience) {
            send(process, Signal::KILL);
            ended.insert((process.pid, process.start));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Marked processes and all that descends from them or from one ended before.
fn stale(prefix: &str, known: &HashSet<(i32, u64)>) -> Vec<Proc> {
    let table = procfs::all();
    let marked = |pid: i32| {
        procfs::environment_value(pid, MARKER).is_some_and(|m| m.starts_with(prefix.as_bytes()))
    };
    let mut inside: HashSet<i32> = table
        .iter()
        .filter(|p| known.contains(&(p.pid, p.start)) || marked(p.pid))
        .map(|p| p.pid)
        .collect();
    loop {
        let before = inside.len();
        inside.extend(
            table.iter().filter(|p| inside.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if inside.len() == before {
            break;
        }
    }
    inside.remove(&(std::process::id() as i32));
    table.into_iter().filter(|p| inside.contains(&p.pid) && !p.is_zombie()).collect()
}

/// For a worker: be killed when the thread that started it ends, and end at once when that
/// has happened already.
///
/// The kernel watches the *thread* that forked, so workers must be started from one that lives
/// as long as they do.
///
/// # Errors
/// When the parent is not the expected one any more, or the kernel refuses.
pub fn die_with_parent(expected_parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map_or(0, Pid::as_raw_pid);
    if parent as u32 == expected_parent {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the process that started this worker ({expected_parent}) has ended; its parent is now {parent}"
    )))
}
