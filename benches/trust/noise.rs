//! Noise to decide through: recorded pairs of identical code, and sources made up after what
//! recordings show, each by itself and in mixtures.
//!
//! A source gives the logarithm of the time of one launch after another, of identical code: first
//! launches of a process are slow, a process has a speed of its own, the machine drifts, spikes hit
//! single launches and bursts hit many. The truth is put on top by whoever asks.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use rand::{Rng, RngExt as _};
use rand_distr::{Distribution, Exp1, StandardNormal};

/// Launches in a slot: one is thrown away, the median of the others stands for it.
const SLOT: usize = 4;

/// Which of the two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The incumbent.
    A,
    /// The candidate.
    B,
}

/// Where times come from.
pub(crate) enum Source {
    /// Made up.
    Synthetic(Synthetic),
    /// Recorded.
    Recorded(Recorded),
}

impl Source {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Synthetic(source) => source.name,
            Self::Recorded(source) => &source.name,
        }
    }

    /// Whether processes differ by more than their launches do.
    pub(crate) fn has_process_effect(&self) -> bool {
        match self {
            Self::Synthetic(source) => source.process > 0.0,
            Self::Recorded(_) => true,
        }
    }
}

/// What a made-up source does. Sizes are shares of a launch's time; 0 switches a feature off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Synthetic {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// The sd of each launch by itself.
    pub(crate) jitter: f64,
    /// The share of launches that something hits.
    pub(crate) spikes: f64,
    /// The mean size of a spike, exponentially distributed: interference only adds time.
    pub(crate) spike: f64,
    /// The sd of a process's own speed.
    pub(crate) process: f64,
    /// What the first launch after the other side ran takes longer.
    pub(crate) switch: f64,
    /// What the first launch of a process takes longer; each next one half of that.
    pub(crate) first: f64,
    /// The sd of the machine's speed from one launch to the next, a random walk that is drawn back
    /// to its middle.
    pub(crate) drift: f64,
    /// The share of launches in bursts, and how long those are on average.
    pub(crate) bursts: (f64, f64),
    /// What a launch in a burst takes longer.
    pub(crate) burst: f64,
    /// The distance of two speeds, and the probability of changing between them at a launch.
    pub(crate) modes: (f64, f64),
    /// The share of processes that are slower for all their life, and by how much.
    pub(crate) unlucky: (f64, f64),
    /// The timer's step.
    pub(crate) step: f64,
    /// How much of a launch's jitter the next one inherits.
    pub(crate) memory: f64,
}

/// No noise at all.
const QUIET: Synthetic = Synthetic {
    name: "",
    jitter: 0.0,
    spikes: 0.0,
    spike: 0.0,
    process: 0.0,
    switch: 0.0,
    first: 0.0,
    drift: 0.0,
    bursts: (0.0, 1.0),
    burst: 0.0,
    modes: (0.0, 0.0),
    unlucky: (0.0, 0.0),
    step: 0.0,
    memory: 0.0,
};

/// The sources, from the quietest to the worst.
pub(crate) const SYNTHETIC: [Synthetic; 16] = [
    // A pinned core with its clock locked, on arithmetic alone.
    Synthetic { name: "quiet", jitter: 0.001, first: 0.02, switch: 0.0002, ..QUIET },
    // A clock that ticks in hundredths of a launch: most differences are exactly 0.
    Synthetic { name: "coarse timer", jitter: 0.002, step: 0.01, ..QUIET },
    // The textbook.
    Synthetic { name: "gaussian 1 %", jitter: 0.01, ..QUIET },
    Synthetic { name: "gaussian 3 %", jitter: 0.03, first: 0.05, ..QUIET },
    // A timer interrupt now and then.
    Synthetic { name: "rare spikes", jitter: 0.004, spikes: 0.01, spike: 0.2, ..QUIET },
    // A neighbour on the same core for more than every fourth launch.
    Synthetic { name: "28 % spikes", jitter: 0.005, spikes: 0.28, spike: 0.25, ..QUIET },
    // Few, but a launch may take several times as long.
    Synthetic { name: "heavy tail", jitter: 0.003, spikes: 0.05, spike: 1.5, ..QUIET },
    // Where pages and code lie differs between processes.
    Synthetic { name: "processes 0.4 %", jitter: 0.004, process: 0.004, first: 0.3, ..QUIET },
    Synthetic { name: "processes 1.1 %", jitter: 0.005, process: 0.011, first: 0.67, ..QUIET },
    // One process in five lies badly for all its life.
    Synthetic { name: "unlucky processes", jitter: 0.004, unlucky: (0.2, 0.03), ..QUIET },
    // Heat and clocks: the whole machine wanders by several per cent.
    Synthetic { name: "drift", jitter: 0.003, drift: 0.004, switch: 0.005, ..QUIET },
    // Another virtual machine at work for dozens of launches.
    Synthetic { name: "bursts", jitter: 0.005, bursts: (0.15, 40.0), burst: 0.12, ..QUIET },
    // Turbo on and off.
    Synthetic { name: "two speeds", jitter: 0.004, modes: (0.06, 0.02), ..QUIET },
    // What disturbs a launch still disturbs the next ones.
    Synthetic { name: "AR(1)", jitter: 0.008, memory: 0.9, ..QUIET },
    // Neighbours fill the memory's bandwidth: hardly a launch is alone.
    Synthetic {
        name: "memory-bound",
        jitter: 0.03,
        spikes: 0.28,
        spike: 0.1,
        process: 0.007,
        switch: 0.03,
        first: 0.2,
        drift: 0.003,
        ..QUIET
    },
    // All of it.
    Synthetic {
        name: "shared machine",
        jitter: 0.012,
        spikes: 0.1,
        spike: 0.15,
        process: 0.006,
        switch: 0.078,
        first: 0.3,
        drift: 0.002,
        bursts: (0.05, 20.0),
        burst: 0.08,
        step: 0.001,
        ..QUIET
    },
];

/// The launches of both sides, in logarithms.
type Pair = [[f64; SLOT]; 2];

/// Recorded pairs of identical code on one kernel.
pub(crate) struct Recorded {
    name: String,
    /// The pairs of each pair of processes.
    processes: Vec<Vec<Pair>>,
}

/// Reads the recorded sources: one for each kernel, whose processes took turns.
pub(crate) fn recorded(path: &Path) -> io::Result<Vec<Recorded>> {
    let mut kernels: Vec<(String, BTreeMap<u32, Vec<Pair>>)> = Vec::new();
    for line in fs::read_to_string(path)?.lines().skip(1) {
        let (kernel, process, pair) =
            parsed(line).ok_or_else(|| io::Error::other(format!("not a pair: {line}")))?;
        let known = kernels.iter().position(|(name, _)| name == kernel);
        let at = known.unwrap_or_else(|| {
            kernels.push((kernel.to_owned(), BTreeMap::new()));
            kernels.len() - 1
        });
        kernels[at].1.entry(process).or_default().push(pair);
    }
    let source = |(kernel, processes): (String, BTreeMap<u32, Vec<Pair>>)| Recorded {
        name: format!("recorded {kernel}"),
        processes: processes.into_values().collect(),
    };
    Ok(kernels.into_iter().map(source).collect())
}

/// `kernel,process_pair,pair,order,A_ns,B_ns`
fn parsed(line: &str) -> Option<(&str, u32, Pair)> {
    let fields: Vec<&str> = line.split(',').collect();
    let [kernel, process, _, _, a, b] = fields[..] else { return None };
    let launches = |text: &str| -> Option<[f64; SLOT]> {
        let times: Option<Vec<f64>> =
            text.split(' ').map(|t| t.parse::<f64>().ok().map(f64::ln)).collect();
        times?.try_into().ok()
    };
    Some((kernel, process.parse().ok()?, [launches(a)?, launches(b)?]))
}

/// A machine with the noise of a source, running: each launch moves it on.
pub(crate) struct Machine<'a, R> {
    source: &'a Source,
    rng: R,
    /// Of the whole machine.
    drift: f64,
    in_burst: bool,
    slow: bool,
    inherited: f64,
    /// Of the processes of A and B: their own speed, and their launches so far.
    speeds: [f64; 2],
    launches: [usize; 2],
    last: Option<Side>,
    /// Of recorded sources: which processes these are, where in them, and which side is which.
    place: (usize, usize),
    exchanged: bool,
}

impl<'a, R: Rng> Machine<'a, R> {
    pub(crate) fn new(source: &'a Source, rng: R) -> Self {
        let mut machine = Self {
            source,
            rng,
            drift: 0.0,
            in_burst: false,
            slow: false,
            inherited: 0.0,
            speeds: [0.0; 2],
            launches: [0; 2],
            last: None,
            place: (0, 0),
            exchanged: false,
        };
        if let Source::Synthetic(noise) = source {
            machine.in_burst = machine.rng.random_bool(noise.bursts.0);
            machine.slow = machine.rng.random_bool(0.5);
            machine.drift = machine.normal(10.0 * noise.drift);
        }
        machine
    }

    fn normal(&mut self, sd: f64) -> f64 {
        let z: f64 = StandardNormal.sample(&mut self.rng);
        sd * z
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.rng.random_bool(0.5)
    }

    fn drawn_order(&mut self) -> [Side; 2] {
        if self.coin() { [Side::A, Side::B] } else { [Side::B, Side::A] }
    }

    /// Starts new processes of both sides, each warmed up by two launches.
    pub(crate) fn fresh(&mut self, pairs: usize) {
        match self.source {
            Source::Synthetic(noise) => {
                for side in self.drawn_order() {
                    self.speeds[side as usize] = self.speed(noise);
                    self.launches[side as usize] = 0;
                    self.launch(noise, side);
                    self.launch(noise, side);
                }
            }
            Source::Recorded(recorded) => {
                let process = self.rng.random_range(0..recorded.processes.len());
                let first = recorded.processes[process].len() - pairs;
                self.place = (process, self.rng.random_range(0..=first));
                // Both sides ran the same code, so either may be the candidate.
                self.exchanged = self.coin();
            }
        }
    }

    fn speed(&mut self, noise: &Synthetic) -> f64 {
        let unlucky = self.rng.random_bool(noise.unlucky.0);
        self.normal(noise.process) + if unlucky { noise.unlucky.1 } else { 0.0 }
    }

    /// The `d` of the next pair, B having the same code as A.
    pub(crate) fn pair(&mut self) -> f64 {
        match self.source {
            Source::Synthetic(noise) => {
                let mut slots = [0.0; 2];
                for side in self.drawn_order() {
                    let launches: [f64; SLOT] = std::array::from_fn(|_| self.launch(noise, side));
                    slots[side as usize] = slot(&launches);
                }
                slots[0] - slots[1]
            }
            Source::Recorded(recorded) => {
                let (process, at) = self.place;
                self.place.1 += 1;
                let [a, b] = &recorded.processes[process][at];
                let d = slot(a) - slot(b);
                if self.exchanged { -d } else { d }
            }
        }
    }

    /// The launches of one process by itself, in logarithms, as loops without pairs take them.
    pub(crate) fn alone(&mut self, launches: usize) -> Vec<f64> {
        match self.source {
            Source::Synthetic(noise) => {
                let side = Side::A;
                self.speeds[side as usize] = self.speed(noise);
                self.launches[side as usize] = 0;
                self.last = None;
                for _ in 0..3 {
                    self.launch(noise, side);
                }
                (0..launches).map(|_| self.launch(noise, side)).collect()
            }
            Source::Recorded(recorded) => {
                let process = self.rng.random_range(0..recorded.processes.len());
                let side = usize::from(self.coin());
                let all =
                    recorded.processes[process].iter().flat_map(|pair| pair[side][1..].to_vec());
                all.take(launches).collect()
            }
        }
    }

    /// The next launch of a side.
    fn launch(&mut self, noise: &Synthetic, side: Side) -> f64 {
        self.move_on(noise);
        let at = self.launches[side as usize];
        self.launches[side as usize] += 1;
        let switched = self.last.replace(side) != Some(side);
        let fresh = noise.jitter * (1.0 - noise.memory * noise.memory).sqrt();
        self.inherited = noise.memory * self.inherited + self.normal(fresh);
        let mut time = self.drift + self.speeds[side as usize] + self.inherited;
        time += noise.first * 0.5_f64.powi(at.min(60) as i32);
        let mut added = 0.0;
        if switched {
            added += noise.switch;
        }
        if self.rng.random_bool(noise.spikes) {
            let size: f64 = Exp1.sample(&mut self.rng);
            added += noise.spike * size;
        }
        if self.in_burst {
            let size: f64 = Exp1.sample(&mut self.rng);
            added += noise.burst * size;
        }
        if self.slow {
            added += noise.modes.0;
        }
        time += added.ln_1p();
        if noise.step > 0.0 {
            time = ((time.exp() / noise.step).round().max(1.0) * noise.step).ln();
        }
        time
    }

    /// What the machine does between two launches.
    fn move_on(&mut self, noise: &Synthetic) {
        self.drift = 0.995 * self.drift + self.normal(noise.drift);
        let (share, length) = noise.bursts;
        let change = if self.in_burst { 1.0 / length } else { share / ((1.0 - share) * length) };
        self.in_burst ^= self.rng.random_bool(change);
        self.slow ^= self.rng.random_bool(noise.modes.1);
    }
}

/// The median of all but the first.
fn slot(launches: &[f64; SLOT]) -> f64 {
    let [_, a, b, c] = *launches;
    a.max(b).min(a.min(b).max(c))
}
