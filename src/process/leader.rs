//! Ends what an earlier, killed run of optloop left behind, and lets workers end with their
//! parent.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use super::procfs::{self, Proc};
use super::tree::{MARKER, send};

const LIMIT: Duration = Duration::from_secs(2);

/// A command's first process, named so that it can be recognised after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its process id, which is its group's too.
    pub pid: u32,
    /// Clock ticks between boot and its start; a reused pid has another.
    pub start_time: u64,
    /// What its environment carries under [`MARKER`]; a pid of an earlier boot does not.
    pub marker: String,
}

/// Describes a running process for the journal; `None` when it has gone.
pub fn leader_of(pid: u32, marker: &str) -> Option<Leader> {
    let process = Proc::read(pid as i32)?;
    Some(Leader {
        pid,
        start_time: process.start,
        marker: marker.to_owned(),
    })
}

/// Ends the tree of a leader recorded by a run that was killed; returns how many processes
/// were ended. Does nothing unless pid, start time and marker all match.
pub fn end_stale(leader: &Leader) -> usize {
    let mut ended = HashSet::new();
    let started = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        let living = stale_members(leader, &ended);
        if living.is_empty() || started.elapsed() > LIMIT {
            return ended.len();
        }
        for process in &living {
            send(process, Signal::KILL);
            ended.insert((process.pid, process.start));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The leader, its group and session, and all that descends from one of those.
fn stale_members(leader: &Leader, known: &HashSet<(i32, u64)>) -> Vec<Proc> {
    let table = procfs::all();
    let pid = leader.pid as i32;
    let is_leader = |process: &Proc| process.pid == pid && process.start == leader.start_time;
    // Once the leader was recognised its number stays taken while its group lives.
    let recognised = !known.is_empty()
        || (table
            .iter()
            .any(|process| is_leader(process) && !process.is_zombie())
            && procfs::environment_value(pid, MARKER)
                .is_some_and(|found| found == leader.marker.as_bytes()));
    if !recognised {
        return Vec::new();
    }
    let mut inside: HashSet<i32> = HashSet::new();
    loop {
        let before = inside.len();
        for process in &table {
            let joins = process.group == pid
                || process.session == pid
                || known.contains(&(process.pid, process.start))
                || inside.contains(&process.parent);
            if joins {
                inside.insert(process.pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    inside.remove(&(std::process::id() as i32));
    table
        .into_iter()
        .filter(|process| inside.contains(&process.pid) && !process.is_zombie())
        .collect()
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
