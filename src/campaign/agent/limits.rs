//! How long an agent's command may take, and how long it may be silent.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use crate::campaign::event::AgentEnd;
use crate::process;
use crate::process::{Cancel, CommandSpec, Exit, Finished, Running, Sink, SpawnError, Stdin, Wake};

/// How long a command that was interrupted may take to end by itself.
const INTERRUPTED: Duration = Duration::from_secs(1);

/// How often is looked at the room on the disk.
const LOOK: Duration = Duration::from_millis(200);

/// The limits of one call.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// From its start to its end.
    pub(super) wall: Duration,
    /// From its start to the first that it prints.
    pub(super) first_event: Option<Duration>,
    /// From what it prints to what it prints next.
    pub(super) idle: Option<Duration>,
    /// What stays free of the disk that a folder lies on.
    pub(super) room: Room,
}

/// What stays free of a disk.
#[derive(Debug, Clone)]
pub(super) struct Room {
    /// A folder on it.
    pub(super) folder: PathBuf,
    /// Bytes.
    pub(super) least: u64,
}

impl Room {
    /// Bytes that are free; as many as there can be where the system does not tell.
    pub(super) fn free(folder: &Path) -> u64 {
        let told = statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        told.unwrap_or(u64::MAX)
    }

    fn is_used_up(&self) -> bool {
        Self::free(&self.folder) < self.least
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The whole time.
    Wall(Duration),
    /// Nothing was printed since the start.
    FirstEvent(Duration),
    /// Nothing was printed for so long.
    Idle(Duration),
    /// No more than so many bytes are free.
    Room(u64),
}

impl Limit {
    /// How a command ended that reached it.
    pub(super) fn end(self) -> AgentEnd {
        let message = match self {
            Self::Wall(after) => format!("not back after {}", seconds(after)),
            Self::FirstEvent(after) => format!("it printed nothing within {}", seconds(after)),
            Self::Idle(after) => format!("it printed nothing more for {}", seconds(after)),
            Self::Room(least) => {
                let gb = least as f64 / 1e9;
                format!("less than {gb:.1} GB of the disk were free (agent.keep_free_gb)")
            }
        };
        match self {
            Self::Wall(_) => AgentEnd::TimedOut { message },
            Self::FirstEvent(_) => AgentEnd::Silent { message },
            Self::Idle(_) => AgentEnd::Idle { message },
            Self::Room(_) => AgentEnd::NoRoom { message },
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// A limit, and when it is reached if nothing is printed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    limit: Limit,
    at: Instant,
}

impl Limits {
    /// The limit that is reached first.
    fn next(&self, started: Instant, printed: Option<Instant>) -> Option<Due> {
        let due = |limit, from: Instant, after| Some(Due { limit, at: from.checked_add(after)? });
        let wall = due(Limit::Wall(self.wall), started, self.wall);
        let silence = match (printed, self.first_event, self.idle) {
            (None, Some(after), _) => due(Limit::FirstEvent(after), started, after),
            (None, None, Some(after)) => due(Limit::Idle(after), started, after),
            (Some(at), _, Some(after)) => due(Limit::Idle(after), at, after),
            (_, _, None) => None,
        };
        wall.into_iter().chain(silence).min_by_key(|due| due.at)
    }

    /// The limit that is reached now.
    fn reached(&self, started: Instant, printed: Option<Instant>) -> Option<Limit> {
        let due = self.next(started, printed).filter(|due| due.at <= Instant::now());
        let room = || self.room.is_used_up().then_some(Limit::Room(self.room.least));
        due.map(|due| due.limit).or_else(room)
    }
}

/// A command that has ended, and the limit that ended it.
#[derive(Debug)]
pub(super) struct Ended {
    /// How.
    pub(super) finished: Finished,
    /// The limit, where it was one.
    pub(super) limit: Option<Limit>,
}

/// Runs a command to its end, a limit or a cancel, and ends all that it started. What it prints goes
/// to the sink.
pub(super) fn run(
    spec: &CommandSpec,
    limits: &Limits,
    sink: Box<dyn Sink>,
    cancel: &Cancel,
) -> Result<Ended, SpawnError> {
    let started = Instant::now();
    let mut running = process::start(spec, Stdin::Null)?.printing_to(sink);
    loop {
        let due = limits.next(started, running.last_output()).map(|due| due.at);
        let look = Instant::now() + LOOK;
        match running.wait(None, Some(due.map_or(look, |due| due.min(look))), cancel) {
            Ok(Wake::Deadline) => {
                let limit = limits.reached(started, running.last_output());
                if limit.is_some() {
                    let finished = end(running, Exit::TimedOut, cancel);
                    return Ok(Ended { finished, limit });
                }
            }
            Ok(Wake::Cancelled) => {
                let finished = end(running, Exit::Cancelled, cancel);
                return Ok(Ended { finished, limit: None });
            }
            Ok(Wake::Exited | Wake::Ready) | Err(_) => {
                // Waits no longer, and says what it could not wait for.
                let finished = running.complete(cancel)?;
                return Ok(Ended { finished, limit: None });
            }
        }
    }
}

/// INT first: agents then put away what they would go on with. TERM and KILL come after it.
fn end(mut running: Running, exit: Exit, cancel: &Cancel) -> Finished {
    running.interrupt();
    // Whether it hears of it makes no difference.
    drop(running.wait(None, Some(Instant::now() + INTERRUPTED), &Cancel::default()));
    running.abort(exit, cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_output_ends_one_silence_and_each_further_one_begins_another() {
        let s = Duration::from_secs;
        let room = Room { folder: "/".into(), least: 0 };
        let limits = Limits { wall: s(100), first_event: Some(s(10)), idle: Some(s(30)), room };
        let start = Instant::now();
        let next = |limits: &Limits, printed: Option<u64>| {
            let due = limits.next(start, printed.map(|after| start + s(after))).expect("one");
            (due.limit, (due.at - start).as_secs())
        };
        assert_eq!(next(&limits, None), (Limit::FirstEvent(s(10)), 10));
        assert_eq!(next(&limits, Some(5)), (Limit::Idle(s(30)), 35));
        assert_eq!(next(&limits, Some(80)), (Limit::Wall(s(100)), 100));
        let late = Limits { first_event: None, ..limits.clone() };
        assert_eq!(next(&late, None), (Limit::Idle(s(30)), 30));
        let free = Limits { first_event: None, idle: None, ..limits.clone() };
        assert_eq!(next(&free, None), (Limit::Wall(s(100)), 100));
        assert_eq!(next(&free, Some(1)), (Limit::Wall(s(100)), 100));
        let early = Limits { idle: None, ..limits.clone() };
        assert_eq!(next(&early, Some(1)), (Limit::Wall(s(100)), 100));
        assert_eq!(limits.reached(start, None), None);
        let room = Room { folder: "/".into(), least: u64::MAX };
        let full = Limits { room, ..limits };
        assert_eq!(full.reached(start, None), Some(Limit::Room(u64::MAX)));
    }
}
