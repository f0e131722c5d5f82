//! Everything that a command started, and how to end all of it.
//!
//! A process group is not enough: whatever called `setsid`, or was started by a child that has
//! since ended, has left it. So this process becomes the reaper of its orphans, and a tree is
//! what descends from the leader, shares its group or session, was seen in the tree before, or
//! came to us as an orphan whose environment carries the command's marker.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpgrp, kill_process_group, pidfd_open,
    pidfd_send_signal, waitpid,
};

use super::procfs::{self, Proc};

/// The variable that names a command in the environment of all it starts.
pub const MARKER: &str = "OPTLOOP_STAGE";

/// How long a sweep goes on against processes that do not die, such as one stuck in a driver.
const SWEEP_LIMIT: Duration = Duration::from_secs(2);

/// A process that was still there when its command had ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its process id.
    pub pid: u32,
    /// Its command name, as the kernel knows it.
    pub name: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a [`Leftover`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was ended.
    Ended,
    /// It did not die within the time of a sweep: stuck in the kernel, most likely in a driver.
    Survived,
}

/// A command in flight: known before it starts, so that nobody takes its processes for orphans.
#[derive(Debug)]
struct Flight {
    id: u64,
    leader: i32,
    marker: String,
}

static FLIGHTS: Mutex<Vec<Flight>> = Mutex::new(Vec::new());
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

fn flights() -> MutexGuard<'static, Vec<Flight>> {
    // The list is valid after each statement that changes it, also when its thread panicked.
    FLIGHTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process the parent of its orphaned descendants; done once, then free.
///
/// # Errors
/// When the kernel refuses, which no kernel since 3.4 does.
pub fn become_subreaper() -> std::io::Result<()> {
    static DONE: LazyLock<Result<(), rustix::io::Errno>> =
        LazyLock::new(|| rustix::process::set_child_subreaper(Some(rustix::process::getpid())));
    Ok((*DONE)?)
}

/// The processes of one command. The marker must differ from that of every other command in
/// flight.
#[derive(Debug)]
pub(super) struct Tree {
    id: u64,
    leader: i32,
    marker: String,
    /// Seen in the tree at some time: still ours when their parents have gone.
    known: HashSet<(i32, u64)>,
}

impl Tree {
    /// Announces a command that is about to start.
    pub(super) fn announce(marker: &str) -> Self {
        // Counted under the lock: who holds it sees as many as were ever in the list.
        let mut flights = flights();
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        flights.push(Flight { id, leader: 0, marker: marker.to_owned() });
        drop(flights);
        Self { id, leader: 0, marker: marker.to_owned(), known: HashSet::new() }
    }

    /// The command has started.
    pub(super) fn set_leader(&mut self, leader: Pid) {
        self.leader = leader.as_raw_pid();
        if let Some(flight) = flights().iter_mut().find(|flight| flight.id == self.id) {
            flight.leader = self.leader;
        }
    }

    /// Sends a signal to the leader's group. The leader must not have been reaped yet: until
    /// then its number cannot belong to anybody else.
    pub(super) fn signal_group(&self, signal: Signal) {
        if let Some(leader) = Pid::from_raw(self.leader) {
            // An empty group is what we want to reach, not an error.
            let _gone = kill_process_group(leader, signal);
        }
    }

    /// Sends a signal to the live members that [`Tree::signal_group`] does not reach: a second
    /// TERM means "now" to many programs.
    pub(super) fn signal_outside_group(&mut self, signal: Signal) {
        for member in self.living() {
            if member.group != self.leader {
                send(&member, signal);
            }
        }
    }

    /// Live members, from a walk over `/proc`; remembers them.
    pub(super) fn living(&mut self) -> Vec<Proc> {
        let before = self.others();
        let table = procfs::all();
        let company = self.company(before);
        let members = members(self, &company, &table, marker_of);
        self.known.extend(members.iter().map(|member| (member.pid, member.start)));
        reap_orphans(&table, &company);
        members
    }

    /// What is still there after a normal end. One small read when there is nothing.
    pub(super) fn leftovers(&mut self) -> Vec<Proc> {
        let before = self.others();
        let Some(children) = procfs::children_of_main() else {
            return self.living();
        };
        if children.iter().all(|&pid| pid == self.leader) {
            return Vec::new();
        }
        let others = self.others().and(before);
        let orphans: Vec<Proc> = children
            .into_iter()
            .filter(|pid| *pid != self.leader && !others.leaders.contains(pid))
            .filter_map(Proc::read)
            .collect();
        if orphans.is_empty() {
            return Vec::new();
        }
        let company = self.company(others);
        reap_orphans(&orphans, &company);
        let is_ours = |orphan: &Proc| self.owns_orphan(orphan, &company, marker_of);
        if orphans.iter().any(is_ours) { self.living() } else { Vec::new() }
    }

    /// Kills until nothing of the tree is left, or until [`SWEEP_LIMIT`]; returns what it found.
    pub(super) fn sweep(&mut self) -> Vec<Leftover> {
        let started = Instant::now();
        let mut found: Vec<Proc> = Vec::new();
        let mut pause = Duration::from_micros(200);
        let mut living = self.living();
        while !living.is_empty() && started.elapsed() < SWEEP_LIMIT {
            for member in &living {
                send(member, Signal::KILL);
            }
            found.append(&mut living);
            // A kill takes effect when the process is next scheduled.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
            living = self.living();
        }
        report(found, &living)
    }

    fn owns_orphan(&self, orphan: &Proc, company: &Company, marker: MarkerOf) -> bool {
        if orphan.is_zombie() || company.others.leaders.contains(&orphan.pid) {
            return false;
        }
        match marker(orphan.pid) {
            Some(found) if found == self.marker.as_bytes() => true,
            Some(found) if company.others.markers.iter().any(|m| found == m.as_bytes()) => false,
            // Its environment was cleared. What came to us after this command had started can
            // only be of this command when no other one is in flight, unless it is a helper of
            // our own, or we are a container's init, to whom every orphan comes.
            _ => {
                company.others.are_none
                    && orphan.start >= company.born
                    && orphan.group != company.own_group
                    && company.own_pid != 1
            }
        }
    }

    fn others(&self) -> Others {
        let flights = flights();
        let others = flights.iter().filter(|flight| flight.id != self.id);
        let (leaders, markers): (Vec<_>, Vec<_>) =
            others.map(|flight| (flight.leader, flight.marker.clone())).unzip();
        let announced = NEXT_ID.load(Ordering::Relaxed);
        Others { are_none: leaders.is_empty(), leaders, markers, announced }
    }

    /// What stands around this tree now; the other commands are those of any time since `before`.
    fn company(&self, before: Others) -> Company {
        Company {
            others: self.others().and(before),
            own_pid: std::process::id() as i32,
            own_group: getpgrp().as_raw_pid(),
            born: Proc::read(self.leader).map_or(u64::MAX, |leader| leader.start),
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        flights().retain(|flight| flight.id != self.id);
    }
}

/// The other commands in flight.
struct Others {
    leaders: Vec<i32>,
    markers: Vec<String>,
    are_none: bool,
    /// How many commands were ever announced.
    announced: u64,
}

/// What stands around a tree that is looked for.
struct Company {
    others: Others,
    own_pid: i32,
    own_group: i32,
    /// When the leader of the tree was started; never, when that is not known.
    born: u64,
}

impl Others {
    /// The commands that were in flight at any time since `before`. One that began and ended in
    /// between shows in the count alone: a process of it can still stand in a table that was read
    /// meanwhile.
    fn and(mut self, before: Self) -> Self {
        self.are_none &= before.are_none && self.announced == before.announced;
        self.leaders.extend(before.leaders);
        self.markers.extend(before.markers);
        self
    }
}

type MarkerOf = fn(i32) -> Option<Vec<u8>>;

fn marker_of(pid: i32) -> Option<Vec<u8>> {
    procfs::environment_value(pid, MARKER)
}

/// The live members of a tree in a process table.
fn members(tree: &Tree, company: &Company, table: &[Proc], marker: MarkerOf) -> Vec<Proc> {
    let is_root = |process: &Proc| {
        process.pid == tree.leader
            || process.group == tree.leader
            || process.session == tree.leader
            || tree.known.contains(&(process.pid, process.start))
            || (process.parent == company.own_pid && tree.owns_orphan(process, company, marker))
    };
    let mut inside: HashSet<i32> =
        table.iter().filter(|process| is_root(process)).map(|process| process.pid).collect();
    loop {
        let before = inside.len();
        for process in table {
            if inside.contains(&process.parent) {
                inside.insert(process.pid);
            }
        }
        if inside.len() == before {
            break;
        }
    }
    inside.remove(&company.own_pid);
    table
        .iter()
        .filter(|process| inside.contains(&process.pid) && !process.is_zombie())
        .cloned()
        .collect()
}

/// Reaps ended orphans. Ended children of our own group belong to whoever spawned them here,
/// and leaders to whoever waits for them; a leader whose number is not known yet looks like an
/// orphan, so nothing is reaped while a command is just being started.
fn reap_orphans(table: &[Proc], company: &Company) {
    let is_orphan = |process: &&Proc| {
        process.is_zombie()
            && process.parent == company.own_pid
            && process.group != company.own_group
    };
    let mut orphans = table.iter().filter(is_orphan).peekable();
    if orphans.peek().is_none() {
        return;
    }
    // Held to the end: nobody can announce a command meanwhile.
    let flights = flights();
    if flights.iter().any(|flight| flight.leader == 0) {
        return;
    }
    for orphan in orphans {
        let is_leader = flights.iter().any(|flight| flight.leader == orphan.pid);
        if !is_leader && let Some(pid) = Pid::from_raw(orphan.pid) {
            // Somebody else may have reaped it meanwhile, which is as good.
            let _reaped = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// Signals a process through a descriptor, so that a number in reuse is never hit.
pub(super) fn send(process: &Proc, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    if Proc::read(process.pid).is_some_and(|now| now.start == process.start) {
        // It may have ended by itself.
        let _gone = pidfd_send_signal(&handle, signal);
    }
}

fn report(found: Vec<Proc>, living: &[Proc]) -> Vec<Leftover> {
    let mut seen = HashSet::new();
    found
        .into_iter()
        .filter(|process| seen.insert((process.pid, process.start)))
        .map(|process| Leftover {
            fate: if living.iter().any(|other| other.pid == process.pid) {
                Fate::Survived
            } else {
                Fate::Ended
            },
            pid: process.pid as u32,
            name: process.name,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leader of the tree under test is 100, this process is 10 in group 9.
    fn check(table: &[(i32, i32, i32, u8)], in_flight: &[(i32, &str)], expected: &[i32]) {
        let mut tree = Tree::announce("stage a");
        tree.leader = 100;
        tree.known.insert((300, 60));
        let company = Company {
            others: Others {
                leaders: in_flight.iter().map(|(pid, _)| *pid).collect(),
                markers: in_flight.iter().map(|(_, marker)| (*marker).to_owned()).collect(),
                are_none: in_flight.is_empty(),
                announced: 0,
            },
            own_pid: 10,
            own_group: 9,
            born: 50,
        };
        let table: Vec<Proc> = table
            .iter()
            .map(|&(pid, parent, group, state)| Proc {
                pid,
                name: String::new(),
                state,
                parent,
                group,
                session: group,
                // Made-up pids that end in 99 were there before the leader.
                start: u64::from(pid % 100 != 99) * 60,
            })
            .collect();
        // The hundreds of a made-up pid say what its environment holds.
        let marker = |pid: i32| match pid / 100 {
            5 => Some(b"stage a".to_vec()),
            6 => Some(b"stage b".to_vec()),
            _ => None,
        };
        let found = members(&tree, &company, &table, marker);
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn descendants_count_however_deep_and_in_whatever_order_they_are_listed() {
        check(
            &[
                (103, 102, 103, b'S'),
                (102, 101, 102, b'S'),
                (101, 100, 100, b'S'),
                (100, 10, 100, b'S'),
            ],
            &[],
            &[103, 102, 101, 100],
        );
    }

    #[test]
    fn this_process_its_helpers_and_strangers_are_never_members() {
        check(&[(10, 1, 9, b'S'), (11, 10, 9, b'S'), (1, 0, 1, b'S'), (77, 1, 77, b'S')], &[], &[]);
    }

    #[test]
    fn the_ended_do_not_count_but_their_children_do() {
        check(&[(100, 10, 100, b'Z'), (101, 100, 101, b'T')], &[], &[101]);
    }

    #[test]
    fn an_orphan_with_our_marker_is_ours_also_beside_other_commands() {
        check(&[(501, 10, 501, b'S'), (601, 10, 601, b'S')], &[(200, "stage b")], &[501]);
    }

    #[test]
    fn an_orphan_without_marker_is_ours_only_when_nobody_else_is_in_flight() {
        check(&[(701, 10, 701, b'S')], &[], &[701]);
        check(&[(701, 10, 701, b'S')], &[(200, "stage b")], &[]);
        // A child that we had before this command started is nobody's orphan.
        check(&[(799, 10, 799, b'S')], &[], &[]);
    }

    #[test]
    fn a_command_that_began_and_ended_during_a_look_was_in_flight() {
        let tree = Tree::announce("stage a");
        let before = tree.others();
        let since = before.announced;
        drop(Tree::announce("stage b"));
        let others = tree.company(before).others;
        assert!(others.announced > since);
        assert!(!others.are_none);
    }

    #[test]
    fn a_command_that_ended_during_a_look_was_in_flight() {
        let tree = Tree::announce("stage a");
        let other = Tree::announce("stage b");
        let before = tree.others();
        drop(other);
        let others = tree.company(before).others;
        assert!(others.markers.iter().any(|marker| marker == "stage b"));
        assert!(!others.are_none);
    }

    #[test]
    fn another_command_just_started_is_not_an_orphan() {
        check(&[(200, 10, 200, b'S'), (201, 200, 200, b'S')], &[(200, "stage b")], &[]);
    }

    #[test]
    fn what_was_seen_before_stays_ours_when_its_parent_has_gone() {
        check(&[(300, 10, 300, b'S'), (301, 300, 301, b'S')], &[(200, "stage b")], &[300, 301]);
    }

    #[test]
    fn a_member_of_the_leaders_group_is_ours_without_its_parent() {
        check(&[(101, 10, 100, b'S')], &[(200, "stage b")], &[101]);
    }

    #[test]
    fn a_process_that_outlives_the_sweep_is_reported_as_such() {
        let process = |pid| Proc::read(pid).expect("a live process");
        let me = process(std::process::id() as i32);
        let stuck = report(vec![me.clone(), me.clone()], std::slice::from_ref(&me));
        assert_eq!(stuck.len(), 1);
        assert_eq!(stuck[0].fate, Fate::Survived);
        assert_eq!(report(vec![me], &[])[0].fate, Fate::Ended);
    }
}
