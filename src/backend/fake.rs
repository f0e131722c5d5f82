//! Scripted sessions on a virtual clock: tests of everything above run without a compiler.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Argument, Fault, LaunchLimit, Launched, Order, Session, Timer};

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

    /// What happened so far, such as `small: 3..4`.
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
    /// Its clock.
    pub timer: Timer,
    /// Which of the askings whether it was disturbed hear that it was, counted from 0.
    pub disturbed: std::ops::Range<u64>,
    /// It reports times divided by this; 0 and 1 are honest.
    pub forged_by: u64,
}

/// A session that follows a [`Script`].
#[derive(Debug)]
pub struct FakeSession {
    world: World,
    script: Script,
    launched: u64,
    asked: u64,
    limit: Option<LaunchLimit>,
    /// Per loaded set, the number of the launch that it was in.
    left: Vec<Option<u64>>,
}

impl FakeSession {
    /// A kernel that does what `script` says, on the clock of `world`.
    pub fn new(world: &World, script: Script) -> Self {
        Self { world: world.clone(), script, launched: 0, asked: 0, limit: None, left: Vec::new() }
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
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        self.note(&format!("load {}", sets.len()));
        self.left = vec![None; sets.len()];
        Ok(())
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        let (first, end) = (order.first as usize, (order.first + order.count) as usize);
        if end > self.left.len() {
            return Err(Fault::Infrastructure { what: "such a set is not loaded".into() });
        }
        self.note(&format!("{first}..{end}"));
        let mut ns = 0;
        for set in first..end {
            ns += self.launch_once()?;
            self.left[set] = Some(self.launched - 1);
        }
        if let Some(limit) = self.limit
            && Duration::from_nanos(ns) > limit.of(order.count)
        {
            let LaunchLimit { model, takes, .. } = limit;
            return Err(Fault::Overlong { limit: limit.of(order.count), model, takes });
        }
        let reported = ns / self.script.forged_by.max(1);
        let judged_ns = ns + self.script.timer.handover_ns as u64;
        Ok(Launched { reported_ns: reported, judged_ns, at_least_ns: ns })
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        let launch = self.left.get(set as usize).copied().flatten();
        let Some(launch) = launch else {
            return Err(Fault::Infrastructure { what: "that set was not launched".into() });
        };
        let from = self.script.outputs_from.range(..=launch).next_back();
        Ok(from.map_or(&self.script.outputs, |(_, outputs)| outputs).clone())
    }

    fn pause(&mut self) -> Result<(), Fault> {
        self.note("pause");
        Ok(())
    }

    fn disturbed(&mut self) -> Option<String> {
        self.asked += 1;
        let disturbed = self.script.disturbed.contains(&(self.asked - 1));
        disturbed.then(|| "hot and slow".to_owned())
    }

    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.limit = launch;
    }

    fn timer(&self) -> Timer {
        self.script.timer
    }

    fn finish(&mut self) -> Vec<u8> {
        self.note("finish");
        Vec::new()
    }
}
