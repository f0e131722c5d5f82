//! The run: nodes become ready as what they need ends, job threads take them, what they find out
//! is made known.
//!
//! Only nodes that are doubted, and what lies downstream of them, are touched at all; a node
//! whose inputs turn out as they were is clean without a key being made.

use std::sync::Mutex;

use super::error::EngineError;
use super::event::{EVENT_VERSION, Event, RunFinished, RunStarted};
use super::options::{Options, Surroundings};
use super::report;
use super::run::Run;
use super::shared::Shared;
use super::state::State;
use super::waves::Waves;
use crate::cache::entry::Clock;
use crate::cache::{Journal, NodeId, PerNode};

/// Runs plans.
pub struct Engine<'a> {
    state: &'a mut State,
    options: &'a Options,
    around: &'a Surroundings<'a>,
    /// Nodes asked for, with what they need.
    selected: PerNode<bool>,
}

impl<'a> Engine<'a> {
    /// An engine for the nodes at `selected` (all when empty).
    pub fn new(
        state: &'a mut State,
        options: &'a Options,
        around: &'a Surroundings<'a>,
        selected: &[NodeId],
    ) -> Self {
        let count = state.index.nodes.len();
        let mut flags = PerNode::new(selected.is_empty(), count);
        for &node in selected {
            flags[node] = true;
        }
        Self { state, options, around, selected: flags }
    }

    /// Selected nodes that have to be looked at; none means that everything is known.
    pub fn doubted(&self) -> Vec<NodeId> {
        let all = self.state.index.node_ids();
        if self.options.rerun || self.options.audit {
            return all.filter(|&n| self.selected[n]).collect();
        }
        self.state.restless().filter(|&n| self.selected[n]).collect()
    }

    /// Runs what is doubted and what follows from it.
    ///
    /// # Errors
    /// When the state cannot be kept or a device cannot be had. Stages that fail are results.
    pub fn run(&mut self) -> Result<RunFinished, EngineError> {
        let started = std::time::Instant::now();
        let doubted = self.doubted();
        (self.around.sink)(&Event::RunStarted(RunStarted {
            version: EVENT_VERSION,
            run: self.options.run.clone(),
            pipeline: self.state.index.text_of(self.state.index.title).to_owned(),
            at: report::rfc3339(self.around.host.now_ms()),
            stages: self.selected.values().filter(|s| **s).count(),
            doubted: doubted.len(),
        }));
        let mut finished = self.run_nodes(&doubted)?;
        finished.wall_ms = started.elapsed().as_millis() as u64;
        (self.around.sink)(&Event::RunFinished(finished.clone()));
        Ok(finished)
    }

    fn run_nodes(&mut self, doubted: &[NodeId]) -> Result<RunFinished, EngineError> {
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
        let marker = paths.marker();
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
        let waves = Waves::new(&self.state.index, &self.selected, doubted);
        let result = Run::new(self.state, &self.selected, &shared, waves).complete();
        self.state.journal =
            journal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = result?;
        self.state.store.settle()?;
        self.state.save()?;
        Ok(result)
    }
}
