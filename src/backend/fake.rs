//! Scripted sessions on a virtual clock: tests of everything above run without a compiler.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Argument, Fault, Launches, Session, Timing};

/// What all sessions of a test share: a clock, and what happened in which order.
#[derive(Debug, Default, Clone)]
pub struct World(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    now_ns: u64,
    events: Vec<String>,
}

impl World {
    /// Nanoseconds since the test began.
    pub fn now_ns(&self) -> u64 {
        self.0.borrow().now_ns
    }

    /// What happened so far, such as `small: 8 timed`.
    pub fn events(&self) -> Vec<String> {
        self.0.borrow().events.clone()
    }
}

/// What a scripted kernel does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// Its name in the events.
    pub name: String,
    /// Nanoseconds of each launch, warm-ups included; the list starts again at its end.
    pub durations_ns: Vec<u64>,
    /// What it leaves in its outputs.
    pub outputs: Vec<Vec<u8>>,
    /// What it leaves from the launch of that number on (counted from 0) instead.
    pub outputs_from: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Faults by the number of the launch that runs into them.
    pub faults: BTreeMap<u64, Fault>,
}

/// A session that follows a [`Script`].
#[derive(Debug)]
pub struct FakeSession {
    world: World,
    script: Script,
    launched: u64,
    loaded: bool,
}

impl FakeSession {
    /// A kernel that does what `script` says, on the clock of `world`.
    pub fn new(world: &World, script: Script) -> Self {
        Self { world: world.clone(), script, launched: 0, loaded: false }
    }

    fn launch_once(&mut self) -> Result<u64, Fault> {
        let index = self.launched;
        self.launched += 1;
        if let Some(fault) = self.script.faults.get(&index) {
            return Err(fault.clone());
        }
        let durations = &self.script.durations_ns;
        let ns = match durations.len() {
            0 => 1_000,
            n => durations[(index % n as u64) as usize],
        };
        self.world.0.borrow_mut().now_ns += ns;
        Ok(ns)
    }

    fn note(&self, event: &str) {
        self.world.0.borrow_mut().events.push(format!("{}: {event}", self.script.name));
    }
}

impl Session for FakeSession {
    fn load(&mut self, _arguments: &[Argument<'_>]) -> Result<(), Fault> {
        self.note("load");
        self.loaded = true;
        Ok(())
    }

    fn launch(&mut self, count: u32, timing: Timing) -> Result<Launches, Fault> {
        let word = if timing == Timing::Timed { "timed" } else { "warmup" };
        self.note(&format!("{count} {word}"));
        if !self.loaded {
            return Err(Fault::Infrastructure { what: "nothing is loaded".into() });
        }
        let ns = (0..count).map(|_| self.launch_once()).collect::<Result<Vec<_>, _>>()?;
        Ok(Launches { ns: if timing == Timing::Timed { ns } else { Vec::new() } })
    }

    fn outputs(&mut self) -> Result<Vec<Vec<u8>>, Fault> {
        let last = self.launched.saturating_sub(1);
        let from = self.script.outputs_from.range(..=last).next_back();
        Ok(from.map_or(&self.script.outputs, |(_, outputs)| outputs).clone())
    }

    fn finish(&mut self) -> Vec<u8> {
        self.note("finish");
        Vec::new()
    }
}
