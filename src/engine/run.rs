//! A run under way: which nodes become jobs, which end without one, and what is made known of each.

use std::collections::VecDeque;

use super::condition::ConditionError;
use super::error::EngineError;
use super::event::{Event, Outcome, RunFinished, StageFinished};
use super::job::Done;
use super::names::Names;
use super::seen::Seen;
use super::shared::Shared;
use super::stage::{Failure, FailureClass};
use super::state::State;
use super::subject::{Job, Known, Readable};
use super::threads::{self, Work};
use super::waves::{Stand, Waves};
use super::{lease, report};
use crate::cache::index::flag;
use crate::cache::{EntryId, Finish, NodeId, PerNode, Record, Status};
use crate::digest::Digest;
use crate::pipeline::Target;

/// Nodes of one run, on their way to their ends.
pub(super) struct Run<'a> {
    state: &'a mut State,
    /// Nodes asked for, with what they need: true at their positions.
    selected: &'a PerNode<bool>,
    shared: &'a Shared<'a>,
    waves: Waves,
    /// How many jobs may be at work.
    threads: usize,
    /// Handed out, and not begun.
    jobs: VecDeque<Job>,
    /// Those that are at work, and those handed out.
    running: usize,
    running_alone: bool,
    failed: bool,
    names: Option<Names>,
    finished: RunFinished,
    /// The device that is held, and which one it is.
    lease: Option<(String, lease::Lease)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        state: &'a mut State,
        selected: &'a PerNode<bool>,
        shared: &'a Shared<'a>,
        waves: Waves,
    ) -> Self {
        Self {
            waves,
            threads: shared.around.tokens.parallelism().max(1),
            jobs: VecDeque::new(),
            state,
            selected,
            shared,
            running: 0,
            running_alone: false,
            failed: false,
            names: None,
            finished: RunFinished::default(),
            lease: None,
        }
    }

    /// What nothing casts doubt on is shown too: a run answers with every result.
    fn tell_known(&self, node: NodeId) -> Result<(), EngineError> {
        let n = self.state.index.node(node);
        if n.has(flag::RESULT) || n.has(flag::LOG) {
            self.shared.tell(&Event::StageFinished(Box::new(self.state.known(node)?)));
        }
        Ok(())
    }

    fn tell_clean(&self) -> Result<(), EngineError> {
        let clean = |n: &NodeId| self.selected[*n] && self.waves.stand(*n) == Stand::Clean;
        let all = self.state.index.node_ids();
        all.filter(clean).try_for_each(|n| self.tell_known(n))
    }

    /// Runs what is doubted and what follows from it.
    ///
    /// # Errors
    /// As `Engine::run`.
    pub(super) fn complete(self) -> Result<RunFinished, EngineError> {
        self.tell_clean()?;
        let threads = self.threads;
        let shared = self.shared;
        let mut run = threads::perform_all(self, shared, threads)?;
        run.account_for_the_rest();
        Ok(run.finished)
    }

    fn stopping(&self) -> bool {
        self.shared.around.cancel.is_set() || (self.failed && !self.shared.options.keep_going)
    }

    /// The lease on the device that a node uses alone, taken before the first one and kept until
    /// another device is asked for. Never two at a time: runs that hold one each could wait for
    /// each other for ever.
    fn hold_device(&mut self, node: NodeId) -> Result<bool, EngineError> {
        let host = self.shared.around.host;
        let definition = self.state.definition(node)?.definition;
        let target = definition.target();
        let name = target.map_or_else(|| "cpu".to_owned(), Target::device);
        let device = match target.and_then(Target::cuda) {
            Some(_) => host.device(&name).lease_name().to_owned(),
            None => name.clone(),
        };
        if self.lease.as_ref().is_some_and(|(held, _)| *held == device) {
            return Ok(true);
        }
        self.lease = None;
        let sink = self.shared.around.sink;
        let waiting =
            |holder: &str| sink(&Event::Waiting { what: name.clone(), holder: holder.to_owned() });
        let folder = lease::folder(host);
        let taken = lease::take(&lease::Request {
            folder: &folder,
            device: &device,
            who: &report::who(&self.state.paths.root),
            no_wait: self.shared.options.no_wait,
            waiting: &waiting,
            cancel: self.shared.around.cancel,
        })?;
        self.lease = taken.map(|lease| (device, lease));
        Ok(self.lease.is_some())
    }

    /// Decides what becomes of a ready node: blocked, skipped, clean or a job.
    fn start(&mut self, node: NodeId) -> Result<(), EngineError> {
        if let Some(end) = self.kept_back(node) {
            return self.end_without_job(node, end);
        }
        let n = self.state.index.node(node);
        let forced = self.shared.options.rerun || self.shared.options.audit;
        let known = matches!(n.status(), Status::Passed) && !n.has(flag::ALWAYS);
        if known && !forced {
            self.tell_known(node)?;
            self.waves.settle(node, Stand::Passed);
            return Ok(());
        }
        let stored = self.state.definition(node)?;
        if let Some(condition) = &stored.when {
            match self.condition_holds(node, condition) {
                Ok(true) => {}
                Ok(false) => {
                    let because = format!("{condition} does not hold");
                    return self.end_without_job(node, Outcome::Skipped { because });
                }
                Err(why) => {
                    let message = why.to_string();
                    let failure = Failure { class: FailureClass::Setup, message };
                    return self.end_without_job(node, Outcome::Failed { failure });
                }
            }
        }
        let job = Job::of(&self.state.index, node, stored);
        self.waves.run(node);
        self.running += 1;
        self.jobs.push_back(job);
        Ok(())
    }

    /// Whether something a node needs keeps it from running. The best of a matrix only needs one.
    fn kept_back(&self, node: NodeId) -> Option<Outcome> {
        let index = &self.state.index;
        let needs = index.needs(node);
        let name = |n: NodeId| index.node_name(n).to_owned();
        let skipped = |n: &&NodeId| {
            self.waves.stand(**n) == Stand::Skipped
                || (self.waves.stand(**n) == Stand::Clean
                    && index.node(**n).status() == Status::Skipped)
        };
        let failed = |n: &&NodeId| self.waves.stand(**n) == Stand::Failed;
        if index.node(node).has(flag::FOLLOWS) {
            let none = needs.iter().all(|n| skipped(&n) || failed(&n));
            let first = needs.first().copied()?;
            return none.then(|| {
                if needs.iter().all(|n| skipped(&n)) {
                    Outcome::Skipped { because: name(first) }
                } else {
                    Outcome::Blocked { by: name(first) }
                }
            });
        }
        if let Some(&by) = needs.iter().find(failed) {
            return Some(Outcome::Blocked { by: name(by) });
        }
        needs.iter().find(skipped).map(|&n| Outcome::Skipped { because: name(n) })
    }

    fn condition_holds(&self, node: NodeId, expression: &str) -> Result<bool, ConditionError> {
        let index = &self.state.index;
        let result = |other: NodeId| {
            let n = index.node(other);
            (n.status() == Status::Passed, n.key)
        };
        Readable { index, store: self.shared.store, result: &result }.holds(node, expression)
    }

    fn enter_discoveries(&mut self, found: &[Known]) -> Vec<EntryId> {
        if found.is_empty() {
            return Vec::new();
        }
        let state = &mut *self.state;
        let names = self.names.get_or_insert_with(|| Names::of(&state.index));
        let mut ids = Vec::with_capacity(found.len());
        let Ok(mut journal) = self.shared.journal.lock() else {
            return ids;
        };
        for known in found {
            let (id, new) = names.id(&mut state.index, known.kind, &known.name);
            if new {
                journal.append(&Record::Discovered { kind: known.kind, name: known.name.clone() });
            }
            let seen = Seen {
                entry: id,
                stat: known.stat,
                digest: known.digest,
                stamp_ns: known.stamp_ns,
            };
            if state.index.see(id, seen.stat, seen.digest, seen.stamp_ns) == Some(true) {
                journal.append(&seen.record());
            }
            ids.push(id);
        }
        ids
    }

    /// Entries first, then the node's end: replaying then ends with the node known again.
    fn record(&mut self, seen: &[Seen], finish: Option<Finish>) -> Result<(), EngineError> {
        let index = &mut self.state.index;
        let Ok(mut journal) = self.shared.journal.lock() else {
            return Ok(());
        };
        for s in seen {
            if index.see(s.entry, s.stat, s.digest, s.stamp_ns) == Some(true) {
                journal.append(&s.record());
            }
        }
        if let Some(finish) = finish {
            index.end(&finish);
            journal.append(&Record::Finished(finish));
        }
        Ok(journal.flush()?)
    }

    fn end_without_job(&mut self, node: NodeId, outcome: Outcome) -> Result<(), EngineError> {
        let kind = self.state.definition(node)?.definition.kind();
        let index = &self.state.index;
        let n = index.node(node);
        let skipped = matches!(outcome, Outcome::Skipped { .. });
        let finish = Finish {
            node,
            status: if skipped { Status::Skipped } else { Status::Unknown },
            key: Digest::default(),
            duration_us: 0,
            finished_ms: 0,
            has_log: false,
            discovered: Vec::new(),
        };
        let finished = StageFinished {
            stage: index.node_name(node).to_owned(),
            implicit: n.has(flag::IMPLICIT),
            ..StageFinished::empty(kind, outcome)
        };
        // A lost record only means that the question is asked again.
        drop(self.record(&[], Some(finish)));
        self.failed |= matches!(finished.outcome, Outcome::Failed { .. });
        self.count(&finished.outcome);
        self.shared.tell(&Event::StageFinished(Box::new(finished)));
        self.waves.settle(node, if skipped { Stand::Skipped } else { Stand::Failed });
        Ok(())
    }

    fn count(&mut self, outcome: &Outcome) {
        let f = &mut self.finished;
        match outcome {
            Outcome::Ran => f.ran += 1,
            Outcome::Cached | Outcome::Restored { .. } => f.cached += 1,
            Outcome::Failed { .. } => f.failed += 1,
            Outcome::Skipped { .. } => f.skipped += 1,
            Outcome::Blocked { .. } => f.blocked += 1,
        }
    }

    /// What never started counts as blocked; what was never doubted, as cached.
    fn account_for_the_rest(&mut self) {
        self.finished.interrupted = self.shared.around.cancel.is_set();
        let counted = {
            let f = &self.finished;
            f.ran + f.cached + f.failed + f.skipped + f.blocked
        };
        let selected = self.selected.values().filter(|s| **s).count();
        let unstarted = self.waves.unstarted();
        self.finished.blocked += unstarted;
        self.finished.cached += selected.saturating_sub(counted + unstarted);
    }
}

impl Work for Run<'_> {
    /// Makes jobs while there are free threads and nothing forbids it; what was handed out and not
    /// begun is put back where something does.
    fn hand_out(&mut self) -> Result<(), EngineError> {
        if self.stopping() {
            for job in self.jobs.drain(..) {
                self.running -= 1;
                self.waves.put_back(job.node);
            }
        }
        while !self.stopping() && !self.running_alone && self.running < self.threads {
            if let Some(node) = self.waves.next() {
                self.start(node)?;
            } else if self.running == 0
                && let Some(node) = self.waves.next_alone()
            {
                if !self.hold_device(node)? {
                    return Ok(());
                }
                self.running_alone = true;
                self.start(node)?;
                // It may have turned out to be known, or skipped.
                self.running_alone = self.running > 0;
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    fn is_over(&self) -> bool {
        self.running == 0
    }

    /// Makes a finished job known and tells it.
    fn take(&mut self, done: Done) -> Result<(), EngineError> {
        self.running -= 1;
        self.running_alone = false;
        let node = done.node;
        let passed = done.finished.outcome.passed();
        let has_log = !done.finished.log.is_empty();
        let status = if passed && done.known { Status::Passed } else { Status::Unknown };
        let discovered = self.enter_discoveries(&done.discovered);
        let finish = Finish {
            node,
            status,
            key: done.finished.key,
            duration_us: match done.finished.outcome {
                Outcome::Ran => done.finished.duration_us.max(1),
                _ => 0,
            },
            finished_ms: done.finished.finished_ms,
            has_log,
            discovered,
        };
        self.count(&done.finished.outcome);
        self.failed |= !passed;
        // First: what observers write of it must be there when it counts as known.
        self.shared.tell(&Event::StageFinished(Box::new(done.finished)));
        self.record(&done.seen, Some(finish))?;
        self.waves.settle(node, if passed { Stand::Passed } else { Stand::Failed });
        Ok(())
    }
}
