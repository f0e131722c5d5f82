//! The run: nodes become ready as what they need ends, job threads take them, what they find out
//! is made known.
//!
//! Only nodes that are doubted, and what lies downstream of them, are touched at all; a node
//! whose inputs turn out as they were is clean without a key being made.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Mutex;

use super::event::{Event, Outcome, RunFinished, RunStarted, StageFinished};
use super::job::{Done, Shared};
use super::stage::{Failure, FailureClass};
use super::state::{Names, State};
use super::subject::{Job, Known, Readable};
use super::threads::{self, Work};
use super::waves::{Stand, Waves};
use super::{EngineError, Options, Surroundings, lease, report};
use crate::cache::entry::Clock;
use crate::cache::index::flag;
use crate::cache::{Finish, Journal, Record, Status};
use crate::digest::Digest;
use crate::pipeline::Target;

/// Runs plans.
pub struct Engine<'a> {
    state: &'a mut State,
    options: &'a Options,
    around: &'a Surroundings<'a>,
    /// Nodes asked for, with what they need: true at their positions.
    selected: Vec<bool>,
}

impl<'a> Engine<'a> {
    /// An engine for the nodes at `selected` (all when empty).
    pub fn new(
        state: &'a mut State,
        options: &'a Options,
        around: &'a Surroundings<'a>,
        selected: &[usize],
    ) -> Self {
        let count = state.index.nodes.len();
        let mut flags = vec![selected.is_empty(); count];
        for &node in selected {
            flags[node] = true;
        }
        Self { state, options, around, selected: flags }
    }

    /// Selected nodes that have to be looked at; none means that everything is known.
    pub fn doubted(&self) -> Vec<u32> {
        let all = 0..self.state.index.nodes.len() as u32;
        if self.options.rerun || self.options.audit {
            return all.filter(|&n| self.selected[n as usize]).collect();
        }
        self.state.restless().filter(|&n| self.selected[n as usize]).collect()
    }

    /// Runs what is doubted and what follows from it.
    ///
    /// # Errors
    /// When the state cannot be kept or a device cannot be had. Stages that fail are results.
    pub fn run(&mut self) -> Result<RunFinished, EngineError> {
        let started = std::time::Instant::now();
        let doubted = self.doubted();
        (self.around.sink)(&Event::RunStarted(RunStarted {
            version: super::event::EVENT_VERSION,
            run: self.options.run.clone(),
            pipeline: self
                .state
                .index
                .name(self.state.index.title.start, self.state.index.title.len)
                .to_owned(),
            at: report::rfc3339((self.around.now_ms)()),
            stages: self.selected.iter().filter(|s| **s).count(),
            doubted: doubted.len(),
        }));
        let mut finished = self.go(&doubted)?;
        finished.wall_ms = started.elapsed().as_millis() as u64;
        (self.around.sink)(&Event::RunFinished(finished.clone()));
        Ok(finished)
    }

    fn go(&mut self, doubted: &[u32]) -> Result<RunFinished, EngineError> {
        // Job threads write *started* records while this thread owns the rest of the state.
        let placeholder = Journal::nowhere();
        let journal = Mutex::new(std::mem::replace(&mut self.state.journal, placeholder));
        let root_fd = self.state.root_fd().try_clone_to_owned().map_err(|source| {
            EngineError::State { what: "cannot keep the root folder open".to_owned(), source }
        })?;
        let paths = self.state.paths.clone();
        let store = self.state.store.clone();
        // Without a clock every digest is made anew each time, which is slow and right.
        let clock = Clock::open(&paths.own.join("clock")).ok();
        let marker = marker(&paths.own);
        let trees = Mutex::new(());
        let shared = Shared {
            root: &paths.root,
            root_fd: std::os::fd::AsFd::as_fd(&root_fd),
            state_dir: &paths.state,
            clock: clock.as_ref(),
            store: &store,
            journal: &journal,
            options: self.options,
            around: self.around,
            marker: &marker,
            trees: &trees,
        };
        let result = Run::new(self, &shared, doubted).complete();
        self.state.journal =
            journal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = result?;
        self.state.store.settle()?;
        self.state.save()?;
        Ok(result)
    }
}

/// Marks this state's commands in their environment.
pub(crate) fn marker(own: &std::path::Path) -> String {
    Digest::of(own.to_string_lossy().as_bytes()).short()
}

struct Run<'e, 'a, 's> {
    engine: &'e mut Engine<'a>,
    shared: &'s Shared<'s>,
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

impl<'e, 'a, 's> Run<'e, 'a, 's> {
    fn new(engine: &'e mut Engine<'a>, shared: &'s Shared<'s>, doubted: &[u32]) -> Self {
        Self {
            waves: Waves::new(&engine.state.index, &engine.selected, doubted),
            threads: engine.around.tokens.parallelism().max(1),
            jobs: VecDeque::new(),
            engine,
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
    fn tell_known(&self, node: u32) -> Result<(), EngineError> {
        let n = &self.engine.state.index.nodes[node as usize];
        if n.has(flag::RESULT) || n.has(flag::LOG) {
            self.shared.tell(&Event::StageFinished(Box::new(self.engine.state.known(node)?)));
        }
        Ok(())
    }

    fn tell_clean(&self) -> Result<(), EngineError> {
        let clean =
            |n: &u32| self.engine.selected[*n as usize] && self.waves.stand(*n) == Stand::Clean;
        let all = 0..self.engine.state.index.nodes.len() as u32;
        all.filter(clean).try_for_each(|n| self.tell_known(n))
    }

    fn complete(self) -> Result<RunFinished, EngineError> {
        self.tell_clean()?;
        let threads = self.threads;
        let shared = self.shared;
        let mut run = threads::perform_all(self, shared, threads)?;
        run.account_for_the_rest();
        Ok(run.finished)
    }

    fn stopping(&self) -> bool {
        self.engine.around.cancel.is_set() || (self.failed && !self.engine.options.keep_going)
    }

    /// The lease on the device that a node uses alone, taken before the first one and kept until
    /// another device is asked for. Never two at a time: runs that hold one each could wait for
    /// each other for ever.
    fn hold_device(&mut self, node: u32) -> Result<bool, EngineError> {
        let definition = self.engine.state.definition(node)?.definition;
        let target = definition.target();
        let name = target.map_or_else(|| "cpu".to_owned(), Target::device);
        let device = match target.and_then(Target::cuda) {
            Some(_) => lease::device_of(&name, &self.engine.around.world.device(&name)),
            None => name.clone(),
        };
        if self.lease.as_ref().is_some_and(|(held, _)| *held == device) {
            return Ok(true);
        }
        self.lease = None;
        let sink = self.engine.around.sink;
        let waiting =
            |holder: &str| sink(&Event::Waiting { what: name.clone(), holder: holder.to_owned() });
        let world = self.engine.around.world;
        let folder = lease::folder(&|name| world.env(name).map(OsString::from_vec));
        let taken = lease::take(&lease::Request {
            folder: &folder,
            device: &device,
            who: &report::who(&self.engine.state.paths.root),
            no_wait: self.engine.options.no_wait,
            waiting: &waiting,
            cancel: self.engine.around.cancel,
        })?;
        self.lease = taken.map(|lease| (device, lease));
        Ok(self.lease.is_some())
    }

    /// Decides what becomes of a ready node: blocked, skipped, clean or a job.
    fn start(&mut self, node: u32) -> Result<(), EngineError> {
        if let Some(end) = self.kept_back(node) {
            return self.end_without_job(node, end);
        }
        let n = &self.engine.state.index.nodes[node as usize];
        let forced = self.engine.options.rerun || self.engine.options.audit;
        let known = matches!(n.status(), Status::Passed) && !n.has(flag::ALWAYS);
        if known && !forced {
            self.tell_known(node)?;
            self.waves.settle(node, Stand::Passed);
            return Ok(());
        }
        let stored = self.engine.state.definition(node)?;
        if let Some(condition) = &stored.when {
            match self.condition_holds(node, condition) {
                Ok(true) => {}
                Ok(false) => {
                    let because = format!("{condition} does not hold");
                    return self.end_without_job(node, Outcome::Skipped { because });
                }
                Err(message) => {
                    let failure = Failure { class: FailureClass::Setup, message };
                    return self.end_without_job(node, Outcome::Failed { failure });
                }
            }
        }
        let job = Job::of(&self.engine.state.index, node, stored);
        self.waves.run(node);
        self.running += 1;
        self.jobs.push_back(job);
        Ok(())
    }

    /// Whether something a node needs keeps it from running. The best of a matrix only needs one.
    fn kept_back(&self, node: u32) -> Option<Outcome> {
        let index = &self.engine.state.index;
        let needs = index.ids(index.nodes[node as usize].needs);
        let name = |n: u32| index.node_name(n).to_owned();
        let skipped = |n: &&u32| {
            self.waves.stand(**n) == Stand::Skipped
                || (self.waves.stand(**n) == Stand::Clean
                    && index.nodes[**n as usize].status() == Status::Skipped)
        };
        let failed = |n: &&u32| self.waves.stand(**n) == Stand::Failed;
        if index.nodes[node as usize].has(flag::FOLLOWS) {
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

    fn condition_holds(&self, node: u32, expression: &str) -> Result<bool, String> {
        let index = &self.engine.state.index;
        let result = |other: u32| {
            let n = &index.nodes[other as usize];
            (n.status() == Status::Passed, n.key)
        };
        Readable { index, store: self.shared.store, result: &result }.holds(node, expression)
    }

    fn enter_discoveries(&mut self, found: &[Known]) -> Vec<u32> {
        if found.is_empty() {
            return Vec::new();
        }
        let state = &mut *self.engine.state;
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
            let seen = super::state::Seen {
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
    fn record(
        &mut self,
        seen: &[super::state::Seen],
        finish: Option<Finish>,
    ) -> Result<(), EngineError> {
        let index = &mut self.engine.state.index;
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

    fn end_without_job(&mut self, node: u32, outcome: Outcome) -> Result<(), EngineError> {
        let kind = self.engine.state.definition(node)?.definition.kind();
        let index = &self.engine.state.index;
        let n = &index.nodes[node as usize];
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
        (self.engine.around.sink)(&Event::StageFinished(Box::new(finished)));
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
        self.finished.interrupted = self.engine.around.cancel.is_set();
        let counted = {
            let f = &self.finished;
            f.ran + f.cached + f.failed + f.skipped + f.blocked
        };
        let selected = self.engine.selected.iter().filter(|s| **s).count();
        let unstarted = self.waves.unstarted();
        self.finished.blocked += unstarted;
        self.finished.cached += selected.saturating_sub(counted + unstarted);
    }
}

impl Work for Run<'_, '_, '_> {
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
        self.record(&done.seen, Some(finish))?;
        self.count(&done.finished.outcome);
        self.failed |= !passed;
        (self.engine.around.sink)(&Event::StageFinished(Box::new(done.finished)));
        self.waves.settle(node, if passed { Stand::Passed } else { Stand::Failed });
        Ok(())
    }
}
