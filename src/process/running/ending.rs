//! The end of a command: its tree is ended, its last output read, its status collected.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Running, SLICE};
use crate::process::capture::Stream;
use crate::process::finished::{Exit, Finished};
use crate::process::signals::Cancel;
use crate::process::trace;
use crate::process::tree::{Fate, Leftover};

/// How long output of a background child is still waited for after the command's own end.
const LATE_OUTPUT: Duration = Duration::from_millis(100);
/// How long leftovers of a normal end get between TERM and KILL.
const LEFTOVER_GRACE: Duration = Duration::from_millis(100);
/// How long a killed leader may take to go before it is given up as stuck in the kernel.
const REAP_LIMIT: Duration = Duration::from_secs(2);

impl Running {
    /// TERM to the tree, then its time of grace, then KILL and the sweep.
    pub(super) fn terminate(&mut self, cancel: &Cancel) {
        if !self.grace.is_zero() && !cancel.is_forced() {
            self.signal_group(Signal::TERM);
            self.tree.signal_outside_group(Signal::TERM);
            // A stopped process takes the signal only when it goes on.
            self.signal_group(Signal::CONT);
            self.pump_until(Instant::now() + self.grace, cancel);
        }
        let _survivors = self.kill_tree();
    }

    /// Drains output while a tree is dying, until it is empty or the time is up.
    fn pump_until(&mut self, until: Instant, cancel: &Cancel) {
        while Instant::now() < until && !cancel.is_forced() {
            let slice = until.min(Instant::now() + SLICE);
            if self.poll_once(None, Some(slice), None).is_err() {
                return;
            }
            if self.ended.is_some() && self.tree.living().is_empty() {
                return;
            }
        }
    }

    /// Reads what is left, ends what is left, reaps, and sums up.
    pub(super) fn conclude(mut self, forced: Option<Exit>) -> Finished {
        self.await_end();
        self.await_late_output();
        let leftovers = self.end_leftovers(forced);
        for stream in &mut self.streams {
            stream.read_available();
        }
        let wall = self.ended.unwrap_or_else(Instant::now) - self.started;
        let own = self.reap();
        let exit = forced.unwrap_or(own);
        let mut outputs = std::mem::take(&mut self.streams).into_iter().map(Stream::finish);
        let (stdout, cut) = outputs.next().unwrap_or_default();
        let (stderr, cut_too) = outputs.next().unwrap_or_default();
        Finished { exit, stdout, stderr, truncated: cut || cut_too, wall, leftovers }
    }

    /// A killed leader goes within moments unless it is stuck in the kernel.
    fn await_end(&mut self) {
        let until = Instant::now() + REAP_LIMIT;
        while self.ended.is_none() && Instant::now() < until {
            if self.poll_once(None, Some(until), None).is_err() {
                return;
            }
        }
    }

    /// A background child may still be writing its last lines.
    fn await_late_output(&mut self) {
        for stream in &mut self.streams {
            stream.read_available();
        }
        let until = Instant::now() + LATE_OUTPUT;
        while self.streams.iter().any(|stream| stream.fd().is_some()) && Instant::now() < until {
            if self.poll_once(None, Some(until), None).is_err() {
                return;
            }
        }
    }

    /// What the command left running; after an end that was forced, only what survived it.
    fn end_leftovers(&mut self, forced: Option<Exit>) -> Vec<Leftover> {
        let already_killed = forced.is_some();
        let found = self.tree.leftovers();
        if found.is_empty() {
            return Vec::new();
        }
        if !already_killed {
            self.signal_group(Signal::TERM);
            self.tree.signal_outside_group(Signal::TERM);
            self.pump_until(Instant::now() + LEFTOVER_GRACE, &Cancel::default());
        }
        let killed = self.tree.sweep();
        let survived =
            |pid: u32| killed.iter().any(|left| left.pid == pid && left.fate == Fate::Survived);
        found
            .into_iter()
            .map(|process| {
                let pid = process.pid as u32;
                let fate = if survived(pid) { Fate::Survived } else { Fate::Ended };
                Leftover { pid, name: process.name, fate }
            })
            .filter(|leftover| !already_killed || leftover.fate == Fate::Survived)
            .collect()
    }

    /// Collects the exit status; the leader's number is free from here on.
    fn reap(&mut self) -> Exit {
        if self.ended.is_some() && self.status.is_none() {
            self.status = match &self.reaper {
                Some(reaper) => reaper.recv().ok(),
                None => self.child.wait().ok(),
            };
            trace::note(|| match &self.status {
                Some(status) => format!("process {}: ended, {status}", self.child.id()),
                None => format!("process {}: ended, nobody knows how", self.child.id()),
            });
        }
        match self.status {
            Some(status) => {
                status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or(0)), Exit::Code)
            }
            None => Exit::Signal(0),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_some() {
            return;
        }
        if self.ended.is_none() || !self.tree.leftovers().is_empty() {
            let _survivors = self.kill_tree();
            self.await_end();
        }
        self.reap();
    }
}
