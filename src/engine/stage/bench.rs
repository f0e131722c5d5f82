//! Measures a kernel, comparing what it computes meanwhile.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::clocks;
use super::compare::account::Told;
use super::compare::calibrate::Calibrated;
use super::compare::identical::{Identical, nothing_gained};
use super::compare::{self, Compared};
use super::compile::CompileDef;
use super::judge::{self, Bench, Judge, Load};
use super::layouts::{self, Deck};
use super::numbers::{Account, Digests, gave_up, throttled};
use super::profile;
use super::roofline;
use super::{Failure, FailureClass, StageContext, StageOutcome};
use super::{holdout, telemetry};
use crate::backend::cpu::conditions;
use crate::backend::cuda::Journal;
use crate::backend::{Fault, Mode, Session};
use crate::digest::Digest;
use crate::engine::account::{
    BenchRecord, LayoutsRecord, NumbersOf, RooflineRecord, StageRecord, TelemetryRecord,
    UnmeasuredRecord,
};
use crate::measure::{self, CaseResult, Halt, Measurement, Protocol, SlotEnd, Statistic, Stopped};
use crate::pipeline::{BenchWork, CacheMode, Clocks, Purpose, Target};
use crate::problem::{self, Problem};
use crate::stats::roofline::Work;

/// What is to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchDef {
    /// What the kernel must compute.
    pub problem: Problem,
    /// The built kernel: an absolute path.
    pub kernel: PathBuf,
    /// The built reference: an absolute path.
    pub reference: PathBuf,
    /// The built incumbent: an absolute path.
    pub incumbent: Option<PathBuf>,
    /// How people call it.
    pub against: Option<String>,
    /// How it is measured.
    pub work: BenchWork,
    /// How the kernel is built, for stages that look into it.
    pub build: Option<CompileDef>,
    /// What inputs are drawn from; drawn itself when there is none.
    pub seed: Option<u64>,
    /// Where it runs.
    pub target: Target,
}

/// Measures, alone or beside the incumbent.
pub fn run(def: &BenchDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    let seed = judge::seed(def.seed);
    outcome.detail = Some(StageRecord::Unmeasured(UnmeasuredRecord { seed }));
    let (before, started) = (conditions::moment(), Instant::now());
    let mut notes = Notes::default();
    let found = digests(def).and_then(|digests| Ok((find(def, ctx, seed, &mut notes)?, digests)));
    outcome.log = std::mem::take(&mut notes.log);
    let (found, digests) = match found {
        Ok(found) => found,
        Err(failure) => {
            outcome.failure = Some(failure);
            return outcome;
        }
    };
    let measurement = found.measurement();
    let roofs = roofs(def, ctx, measurement);
    let account = Account {
        def,
        measurement,
        seed,
        core: judge::core(&def.target),
        sandbox: Bench::new(ctx, &def.work.limits, &def.target)
            .confined(def.work.sandbox)
            .confinement(&def.kernel),
        conditions: conditions::between(&before, &conditions::moment()),
        seconds: started.elapsed().as_secs_f64(),
        digests,
        journal: notes.journal.seen(),
        rate: notes.rate,
        roofs: &roofs,
    };
    outcome.metrics = account.metrics();
    let mut record = account.record(found.layouts().clone());
    if def.work.purpose == Purpose::Profile {
        record.profile = profile::look(def, ctx, (measurement, &roofs));
    }
    record.telemetry = def.work.telemetry.as_ref().map(|command| {
        telemetry::take(command, ctx).unwrap_or_else(|why| TelemetryRecord {
            lines: vec![format!("no telemetry: {why}")],
            ..TelemetryRecord::default()
        })
    });
    if def.work.purpose == Purpose::Leaderboard {
        record.holdout = def.problem.holdout.as_ref().map(|h| h.count);
    }
    outcome.failure = too_slow(def, measurement).or_else(|| too_fast(def, &roofs));
    found.tell(def, &mut record, &mut outcome);
    outcome.detail = Some(StageRecord::Bench(Box::new(record)));
    outcome
}

/// What was noted of kernels and their device while they were measured.
#[derive(Default)]
pub(super) struct Notes {
    /// What the kernels printed.
    pub(super) log: Vec<u8>,
    /// A CUDA device's conditions, slot by slot.
    pub(super) journal: Journal,
    /// At what its clock was held.
    rate: Option<String>,
}

/// What a measurement found.
enum Found {
    /// The kernel alone.
    Alone(Alone),
    /// Beside the incumbent.
    Compared(Box<Compared>),
    /// Beside itself.
    Calibrated(Box<Calibrated>),
    /// The kernel alone, for the incumbent is the same binary.
    Identical(Alone),
}

/// A kernel measured alone.
struct Alone {
    measurement: Measurement,
    layouts: LayoutsRecord,
}

fn find(
    def: &BenchDef,
    ctx: &StageContext<'_>,
    seed: u64,
    notes: &mut Notes,
) -> Result<Found, Failure> {
    // For the launches and no longer: what the device can do at most is kept for all stages.
    let mut lock = clocks::hold(def, ctx)?;
    notes.rate = lock.as_ref().map(|lock| lock.rate.clone());
    let found = launch(def, ctx, seed, notes)?;
    clocks::lasted(lock.as_mut())?;
    Ok(found)
}

fn launch(
    def: &BenchDef,
    ctx: &StageContext<'_>,
    seed: u64,
    notes: &mut Notes,
) -> Result<Found, Failure> {
    if def.work.purpose == Purpose::Calibrate {
        let calibrated = compare::calibrate::run(def, ctx, seed, notes)?;
        return Ok(Found::Calibrated(Box::new(calibrated)));
    }
    let Some(incumbent) = &def.incumbent else {
        return Ok(Found::Alone(try_run(def, ctx, seed, notes)?));
    };
    if layouts::are_one(incumbent, &def.kernel)? {
        return Ok(Found::Identical(try_run(def, ctx, seed, notes)?));
    }
    let compared = compare::run(def, incumbent, ctx, seed, notes)?;
    Ok(Found::Compared(Box::new(compared)))
}

impl Found {
    fn measurement(&self) -> &Measurement {
        match self {
            Self::Alone(alone) | Self::Identical(alone) => &alone.measurement,
            Self::Compared(compared) => &compared.candidate,
            Self::Calibrated(calibrated) => &calibrated.compared.candidate,
        }
    }

    /// The layouts of each side, and which process had which.
    fn layouts(&self) -> &LayoutsRecord {
        match self {
            Self::Alone(alone) | Self::Identical(alone) => &alone.layouts,
            Self::Compared(compared) => &compared.layouts,
            Self::Calibrated(calibrated) => &calibrated.compared.layouts,
        }
    }

    /// Adds what only a comparison knows.
    fn tell(&self, def: &BenchDef, record: &mut BenchRecord, outcome: &mut StageOutcome) {
        let against = def.against.as_deref().unwrap_or("the incumbent");
        match self {
            Self::Alone(alone) | Self::Identical(alone) => {
                if matches!(self, Self::Identical(_)) {
                    let same = Identical { against, numbers: NumbersOf::Measured };
                    nothing_gained(&mut outcome.metrics);
                    same.mark_bench(record);
                }
                let lost = throttled(alone.measurement.discarded_throttled, "launches");
                record.warnings.extend(lost);
            }
            Self::Compared(compared) => {
                let told = Told::of_kernels(compared, against).doubting(compared.doubts.clone());
                told.metrics(&mut outcome.metrics);
                record.comparison = Some(told.record());
                record.words = Some(told.words());
                record.warnings = told.warnings();
                // How often it was launched was the rule's choice; doubts are told as warnings.
                record.unstable = Vec::new();
                if outcome.failure.is_none() {
                    outcome.decision = Some(told.decided());
                    outcome.failure = told.failure();
                }
            }
            Self::Calibrated(calibrated) => {
                calibrated.metrics(&mut outcome.metrics);
                record.calibration = Some(calibrated.record());
                record.words = Some(calibrated.words(&def.work.repeats));
                outcome.failure = outcome.failure.take().or_else(|| calibrated.failure());
            }
        }
    }
}

/// What is measured, and by what: the harness is everything that says what is right, and how it
/// is timed.
fn digests(def: &BenchDef) -> Result<Digests, Failure> {
    let file = |path: &Path| {
        Digest::of_file(path)
            .map_err(|e| Failure::of_io(&format!("cannot read {}", path.display()), &e))
    };
    let each = samples_per_process(def);
    let way = format!("{:?}", (&def.work.mode, &def.work.metric, &def.work.repeats, each));
    let locked = if def.work.clocks == Clocks::Lock { " clocks locked" } else { "" };
    let linked = match def.work.compile.layouts {
        0 | 1 => String::new(),
        count => format!(" {count} layouts"),
    };
    let text = format!("{} {way}{locked}{linked}", file(&def.reference)?.hex());
    let harness = problem::canonical_digest(&def.problem, &text).hex();
    let incumbent = def.incumbent.as_deref().map(file).transpose()?.map(|d| d.hex());
    Ok(Digests { kernel: file(&def.kernel)?.hex(), incumbent, harness })
}

fn try_run(
    def: &BenchDef,
    ctx: &StageContext<'_>,
    seed: u64,
    notes: &mut Notes,
) -> Result<Alone, Failure> {
    let mut protocol = protocol(def, seed)?;
    let bench = Bench::new(ctx, &def.work.limits, &def.target).confined(def.work.sandbox);
    let bench = bench.noting(&notes.journal);
    if def.work.purpose == Purpose::Leaderboard {
        holdout::check(def, &bench, seed)?;
    }
    let judge = Judge::new(&def.problem, &def.reference, seed, &bench).of_kernel(&def.kernel)?;
    protocol.budget = judge.budget();
    let mut benched = Benched {
        bench: &bench,
        judge,
        deck: Deck::of(&def.kernel, &ctx.scratch.join("layouts"), seed)?,
        log: &mut notes.log,
        outputs: Vec::new(),
        started: Instant::now(),
        failure: None,
    };
    let result = measure::measure(&protocol, &mut benched, ctx.progress);
    let layouts = LayoutsRecord { candidate: benched.deck.record(), incumbent: None };
    if let Some(failure) = benched.failure.take() {
        return Err(failure);
    }
    let label = |case: usize| benched.judge.cases.get(case).map_or("", |c| c.label.as_str());
    result.map(|measurement| Alone { measurement, layouts }).map_err(|halt| match halt {
        Halt::Fault { case, fault } => judge::kernel_failure(label(case), &fault),
        Halt::Wrong { case, report } => Failure {
            class: FailureClass::Wrong,
            message: format!("case {}: {report}", label(case)),
        },
    })
}

/// Timed samples per case that a process gives before a fresh one takes over.
const PER_PROCESS: u32 = 4;

/// And on a CUDA device, where a fresh process begins with a context, which costs as much as many
/// launches.
const CUDA_PER_PROCESS: u32 = 8;

/// For a stage whose last look is at so many samples: one process says nothing of the next, so
/// there are two, where more than one would be needed on a processor.
fn per_process(target: &Target, last: u32) -> u32 {
    match target {
        Target::Cpu(_) => PER_PROCESS,
        Target::Cuda(_) => CUDA_PER_PROCESS.min(last / 2).max(PER_PROCESS),
    }
}

fn samples_per_process(def: &BenchDef) -> u32 {
    per_process(&def.target, def.work.repeats.last().copied().unwrap_or(0))
}

fn protocol(def: &BenchDef, seed: u64) -> Result<Protocol, Failure> {
    let work = &def.work;
    Ok(Protocol {
        looks: work.repeats.clone(),
        per_process: samples_per_process(def),
        warmup: work.warmup,
        early_stop_us: work.early_stop_us,
        precision: work.precision,
        statistic: statistic(&work.metric)?,
        budget: None,
        mode: mode(work.mode),
        seed,
    })
}

/// The statistic behind a metric's name.
pub(super) fn statistic(metric: &str) -> Result<Statistic, Failure> {
    Statistic::of_metric(metric).ok_or_else(|| {
        let known = Statistic::ALL.map(Statistic::metric).join(", ");
        let message = format!("`{metric}` is no metric of a measurement; use one of {known}");
        Failure { class: FailureClass::Failed, message }
    })
}

/// How caches are, as the backend says it.
pub(super) fn mode(mode: CacheMode) -> Mode {
    match mode {
        CacheMode::Hot => Mode::Hot,
        CacheMode::Cold => Mode::Cold,
    }
}

/// A kernel to be measured, with its judge.
struct Benched<'a> {
    bench: &'a Bench<'a>,
    judge: Judge<'a>,
    /// What each process is started with.
    deck: Deck,
    log: &'a mut Vec<u8>,
    /// What outputs are read into.
    outputs: Vec<Vec<u8>>,
    started: Instant,
    /// A failure that is not the kernel's, kept on its way through the protocol.
    failure: Option<Failure>,
}

impl measure::Subject for Benched<'_> {
    fn labels(&self) -> Vec<String> {
        self.judge.cases.iter().map(|c| c.label.clone()).collect()
    }

    fn start(&mut self) -> Result<Box<dyn Session>, Fault> {
        let (session, sealed) = self.bench.open_sealed(self.deck.draw())?;
        if !sealed {
            // A file, a socket: something could carry word to this process from the one before.
            self.judge.forget();
        }
        Ok(session)
    }

    fn load(&mut self, session: &mut dyn Session, case: usize, wanted: u32) -> Result<u32, Fault> {
        let drawn = self.judge.draw(case, wanted);
        let sets = drawn.map_err(|failure| judge::kept(&mut self.failure, failure))?;
        self.judge.shape(case, session);
        if self.judge.is_large(case) {
            let loaded = self.judge.load_large(case, Load::Ring(sets), session);
            // How long a launch may take is known from the reference's answer.
            self.judge.shape(case, session);
            return loaded
                .map_err(|failure| judge::kept(&mut self.failure, failure))?
                .map(|()| sets);
        }
        judge::load_what_fits(sets, &mut |sets| session.load(&self.judge.arguments(case, sets)))
    }

    fn check(&mut self, case: usize, set: u32, session: &mut dyn Session) -> Result<(), SlotEnd> {
        self.judge.check((case, set), session, &mut self.outputs)
    }

    fn renew(&mut self) {
        self.judge.forget();
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn finish(&mut self, mut session: Box<dyn Session>) {
        self.log.extend(session.finish());
    }
}

fn too_slow(def: &BenchDef, measurement: &Measurement) -> Option<Failure> {
    let limit = def.work.early_stop_us.filter(|_| gave_up(measurement))?;
    let metric = &measurement.metric.interval;
    let (name, value) = (&def.work.metric, metric.value);
    let message = match measurement.stopped {
        Some(Stopped::GrosslySlow) => format!(
            "far slower than early_stop_us = {limit}: {name} is {value:.3} and even the fastest \
             launches are above {:.3}, after {} of {} launches",
            1.25 * limit,
            measurement.launches,
            measurement.launches + measurement.saved_launches,
        ),
        _ => format!(
            "surely slower than early_stop_us = {limit}: {name} is {value:.3}, at least {:.3}, \
             after look {} of {} ({} launches)",
            metric.lower,
            measurement.looks_used,
            def.work.repeats.len(),
            measurement.launches,
        ),
    };
    Some(Failure { class: FailureClass::TooSlow, message })
}

/// Where each case stands, for problems that say what a launch has to do; `Err` says why nowhere.
pub(super) type Roofs = Result<Vec<Option<RooflineRecord>>, String>;

fn roofs(def: &BenchDef, ctx: &StageContext<'_>, measurement: &Measurement) -> Roofs {
    let works: Vec<Option<Work>> = def
        .problem
        .cases
        .iter()
        .map(|case| roofline::work(&def.problem, case, def.work.mode))
        .collect();
    if works.iter().all(Option::is_none) {
        return Err("the problem does not say what a launch has to do (`[work]`)".to_owned());
    }
    let bench = Bench::new(ctx, &def.work.limits, &def.target).confined(def.work.sandbox);
    let peaks = roofline::peaks(&bench)?;
    let stand_there = match def.target {
        Target::Cpu(_) => roofline::stand,
        Target::Cuda(_) => roofline::stand_on_cuda,
    };
    let stand = |(work, case): (&Option<Work>, &CaseResult)| {
        let median = case.estimate(Statistic::Median)?;
        stand_there(&peaks, work.as_ref()?, &median.interval)
    };
    Ok(works.iter().zip(&measurement.cases).map(stand).collect())
}

fn too_fast(def: &BenchDef, roofs: &Roofs) -> Option<Failure> {
    let roofs = roofs.as_ref().ok()?.iter().zip(&def.problem.cases);
    let told: Vec<String> = roofs
        .filter_map(|(roof, case)| {
            let floor = roof.as_ref()?.implausible_under_us?;
            Some(format!("case {} under {floor:.3} µs", case.label))
        })
        .collect();
    let best = match def.target {
        Target::Cpu(_) => "the nearest cache and every arithmetic unit of this machine",
        Target::Cuda(_) => "all the bandwidth of this device's memory",
    };
    let message = format!(
        "not even {best}, and a quarter more, allow {}; either `[work]` of the problem says too much, \
         or the kernel does not do its work",
        told.join(", ")
    );
    (!told.is_empty()).then_some(Failure { class: FailureClass::Implausible, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Cores;

    #[test]
    fn a_process_gives_more_samples_on_a_cuda_device_but_never_all_of_a_stage() {
        let (cpu, cuda) = (Target::Cpu(Cores::Picked), Target::Cuda("0".into()));
        for (last, on_cpu, on_cuda) in [(2, 4, 4), (8, 4, 4), (12, 4, 6), (16, 4, 8), (64, 4, 8)] {
            assert_eq!(per_process(&cpu, last), on_cpu, "{last}");
            assert_eq!(per_process(&cuda, last), on_cuda, "{last}");
        }
    }
}
