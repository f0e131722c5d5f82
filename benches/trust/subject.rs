//! A measurement through the library's own protocol and workers, with a clock on every part and
//! every sample at hand: a stage's artifact keeps neither.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use optloop::backend::cpu::{CpuSession, SessionOptions, last_core};
use optloop::backend::{
    Allowance, Argument, Fault, LaunchLimit, Launched, Mode, Order, Session, Shelf, Timer,
};
use optloop::measure::pairs::{
    Comparison as Paired, Contest, KernelPairs, Scoring, Side, SlotPlan, Terms, decide,
};
use optloop::measure::{self, Halt, Measurement, Protocol, SlotEnd, Statistic, Subject};
use optloop::pipeline::Guard;
use optloop::problem::{Role, Staged, StagedArg, stage};
use optloop::process::sandbox::SandboxMode;
use optloop::stats::Rule;
use optloop::verify::{self, Comparison};

use crate::world::{Kernel, World};

/// Launches per case that a process gives in a stage.
const PER_PROCESS: u32 = 4;

/// Seconds by part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) draw: f64,
    pub(crate) reference: f64,
    pub(crate) start: f64,
    pub(crate) staging: f64,
    pub(crate) launch: f64,
    pub(crate) outputs: f64,
    pub(crate) pause: f64,
    pub(crate) compare: f64,
    pub(crate) finish: f64,
    pub(crate) total: f64,
    /// How many orders to launch.
    pub(crate) orders: f64,
    /// Seconds that the kernel itself ran in those, by its own clock.
    pub(crate) running: f64,
}

/// The default protocol of a candidate stage.
pub(crate) fn protocol() -> Protocol {
    Protocol {
        looks: vec![8, 16, 32],
        per_process: PER_PROCESS,
        warmup: 3,
        early_stop_us: None,
        precision: None,
        budget: None,
        statistic: Statistic::Median,
        mode: Mode::Hot,
        seed: rand::random(),
    }
}

/// Measures a kernel.
pub(crate) fn measured(
    world: &World,
    kernel: &Kernel,
    protocol: &Protocol,
) -> (Measurement, Spent) {
    let started = Instant::now();
    let pools = kernel.problem.cases.iter().map(|_| Vec::new()).collect();
    let spent = Rc::default();
    let (seed, shelf) = (protocol.seed, Shelf::new(0));
    let mut timed =
        Timed { world, kernel, seed, pools, answering: None, shelf, outputs: Vec::new(), spent };
    let measurement = measure::measure(protocol, &mut timed, &|_, _| {});
    let measurement =
        measurement.unwrap_or_else(|halt| panic!("{}: {}", kernel.name, words(&halt)));
    let mut spent = *timed.spent.borrow();
    drop(timed);
    spent.total = started.elapsed().as_secs_f64();
    (measurement, spent)
}

/// Decides whether a kernel is faster than itself, by the published rule.
pub(crate) fn compared(world: &World, kernel: &Kernel) -> (Paired, Spent) {
    let started = Instant::now();
    let seed = rand::random();
    let pools = kernel.problem.cases.iter().map(|_| Vec::new()).collect();
    let spent = Rc::default();
    let shelf = Shelf::new(1 << 30);
    let mut timed =
        Timed { world, kernel, seed, pools, answering: None, shelf, outputs: Vec::new(), spent };
    let mut pairs = KernelPairs::new(&mut timed, SlotPlan::default());
    let rule = Rule::default().of_shapes(kernel.problem.cases.len());
    let scoring = Scoring::default();
    let terms = Terms { rule, scoring, seed, budget: None, guard: Guard::Off };
    let paired = decide(&terms, &mut pairs, &|| started.elapsed(), &|_| {});
    let paired = paired
        .unwrap_or_else(|stop| panic!("{}, {:?}: {}", kernel.name, stop.side, words(&stop.halt)));
    let mut spent = *timed.spent.borrow();
    drop(timed);
    spent.total = started.elapsed().as_secs_f64();
    (paired, spent)
}

fn words(halt: &Halt) -> String {
    match halt {
        Halt::Fault { fault, .. } => fault.to_string(),
        Halt::Wrong { report, .. } => report.clone(),
    }
}

/// Starts a worker as a stage does.
pub(crate) fn start(world: &World, library: &std::path::Path) -> Result<CpuSession, Fault> {
    CpuSession::start(&SessionOptions {
        program: std::path::Path::new(env!("CARGO_BIN_EXE_optloop")),
        env: Vec::new(),
        marker: "study-worker",
        library,
        cpu: last_core(),
        allowance: Allowance::new(Some(Duration::from_mins(5))),
        memory_bytes: Some(4 << 30),
        sandbox: SandboxMode::Auto,
        dir: &world.scratch(),
        cancel: &world.cancel,
    })
}

/// Inputs of a launch and what must come out.
struct Drawn {
    staged: Staged,
    want: Vec<Vec<u8>>,
}

struct Timed<'a> {
    world: &'a World,
    kernel: &'a Kernel,
    seed: u64,
    pools: Vec<Vec<Drawn>>,
    answering: Option<CpuSession>,
    shelf: Shelf,
    /// What outputs are read into.
    outputs: Vec<Vec<u8>>,
    spent: Rc<RefCell<Spent>>,
}

/// Adds the seconds that `act` takes to the part that `part` names.
fn clocked<T>(
    spent: &RefCell<Spent>,
    part: fn(&mut Spent) -> &mut f64,
    act: impl FnOnce() -> T,
) -> T {
    let started = Instant::now();
    let done = act();
    *part(&mut spent.borrow_mut()) += started.elapsed().as_secs_f64();
    done
}

impl Timed<'_> {
    fn draw(&mut self, case: usize, wanted: usize) -> Result<(), Fault> {
        let have = self.pools[case].len();
        if have >= wanted {
            return Ok(());
        }
        let spent = Rc::clone(&self.spent);
        let problem = &self.kernel.problem;
        let seed = |number: usize| {
            self.seed
                ^ ((case as u64 + 1) << 48)
                ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let staged: Vec<Staged> = clocked(
            &spent,
            |s| &mut s.draw,
            || {
                let one =
                    |n| stage(problem, &problem.cases[case], seed(n)).expect("a shipped problem");
                (have..wanted).map(one).collect()
            },
        );
        let want = clocked(&spent, |s| &mut s.reference, || self.answer(&staged))?;
        let drawn = staged.into_iter().zip(want).map(|(staged, want)| Drawn { staged, want });
        self.pools[case].extend(drawn);
        Ok(())
    }

    fn answer(&mut self, staged: &[Staged]) -> Result<Vec<Vec<Vec<u8>>>, Fault> {
        let session = match &mut self.answering {
            Some(session) => session,
            None => self.answering.insert(start(self.world, &self.kernel.reference)?),
        };
        session.load(&staged.iter().map(arguments).collect::<Vec<_>>())?;
        let count = staged.len() as u32;
        session.launch(Order { first: 0, count, mode: Mode::Hot })?;
        (0..count).map(|set| session.outputs(set)).collect()
    }
}

pub(crate) fn arguments(staged: &Staged) -> Vec<Argument<'_>> {
    let argument = |arg| match arg {
        &StagedArg::Scalar { dtype, ref bytes, .. } => {
            Argument::Scalar(&bytes[..dtype.size_bytes()])
        }
        StagedArg::Later { drawing, .. } => Argument::Drawn(drawing),
        StagedArg::Buffer { role: Role::In, data, .. } => Argument::In(data),
        StagedArg::Buffer { role: Role::Out, data, .. } => Argument::Out(data.len()),
        StagedArg::Buffer { role: Role::Inout, data, .. } => Argument::Inout(data),
    };
    staged.args.iter().map(argument).collect()
}

impl Subject for Timed<'_> {
    fn labels(&self) -> Vec<String> {
        self.kernel.problem.cases.iter().map(|case| case.label.clone()).collect()
    }

    fn start(&mut self) -> Result<Box<dyn Session>, Fault> {
        let spent = Rc::clone(&self.spent);
        let session = clocked(&spent, |s| &mut s.start, || start(self.world, &self.kernel.object))?;
        Ok(Box::new(Watched { session, spent }))
    }

    fn load(&mut self, session: &mut dyn Session, case: usize, wanted: u32) -> Result<u32, Fault> {
        self.draw(case, wanted as usize)?;
        let pool = self.pools[case].iter().take(wanted as usize);
        session.load(&pool.map(|drawn| arguments(&drawn.staged)).collect::<Vec<_>>())?;
        Ok(wanted)
    }

    fn check(&mut self, case: usize, set: u32, session: &mut dyn Session) -> Result<(), SlotEnd> {
        let mut outputs = std::mem::take(&mut self.outputs);
        session.outputs_into(set, &mut outputs)?;
        let same = self.same(case, set, &outputs);
        self.outputs = outputs;
        same.map_err(SlotEnd::Wrong)
    }

    fn finish(&mut self, mut session: Box<dyn Session>) {
        clocked(
            &self.spent,
            |s| &mut s.finish,
            || {
                session.finish();
                drop(session);
            },
        );
    }
}

impl Timed<'_> {
    fn same(&self, case: usize, set: u32, outputs: &[Vec<u8>]) -> Result<(), String> {
        let drawn = &self.pools[case][set as usize];
        let tolerance = &self.kernel.problem.tolerance;
        clocked(
            &self.spent,
            |s| &mut s.compare,
            || {
                let buffers = drawn.staged.args.iter().filter_map(|arg| match arg {
                    StagedArg::Buffer { dtype, role: Role::Out | Role::Inout, .. } => Some(*dtype),
                    _ => None,
                });
                let mut pairs = buffers.zip(outputs.iter().zip(&drawn.want));
                let same = pairs.all(|(dtype, (got, want))| {
                    Comparison::passed(&verify::compare(got, want, dtype, tolerance))
                });
                if same { Ok(()) } else { Err("an output differs".to_owned()) }
            },
        )
    }
}

impl Contest for Timed<'_> {
    fn labels(&self) -> Vec<String> {
        Subject::labels(self)
    }

    fn renew(&mut self) {}

    fn start(&mut self, _: Side) -> Result<Box<dyn Session>, Fault> {
        Subject::start(self)
    }

    fn load(
        &mut self,
        _side: Side,
        session: &mut dyn Session,
        case: usize,
        wanted: u32,
    ) -> Result<u32, Fault> {
        self.draw(case, wanted as usize)?;
        let pool = self.pools[case].iter().take(wanted as usize);
        let sets: Vec<_> = pool.map(|drawn| arguments(&drawn.staged)).collect();
        session.load_shared(&sets, case as u64, &mut self.shelf)?;
        Ok(wanted)
    }

    fn check(
        &mut self,
        _: Side,
        case: usize,
        set: u32,
        session: &mut dyn Session,
    ) -> Result<(), SlotEnd> {
        Subject::check(self, case, set, session)
    }

    fn compare(
        &mut self,
        _: Side,
        case: usize,
        set: u32,
        outputs: &[Vec<u8>],
    ) -> Result<(), String> {
        self.same(case, set, outputs)
    }

    fn finish(&mut self, _: Side, session: Box<dyn Session>) {
        Subject::finish(self, session);
    }
}

/// A session with a clock on what it does.
struct Watched {
    session: CpuSession,
    spent: Rc<RefCell<Spent>>,
}

impl Session for Watched {
    fn load(&mut self, sets: &[Vec<Argument<'_>>]) -> Result<(), Fault> {
        clocked(&self.spent, |s| &mut s.staging, || self.session.load(sets))
    }

    fn load_shared(
        &mut self,
        sets: &[Vec<Argument<'_>>],
        number: u64,
        shelf: &mut Shelf,
    ) -> Result<(), Fault> {
        clocked(&self.spent, |s| &mut s.staging, || self.session.load_shared(sets, number, shelf))
    }

    fn launch(&mut self, order: Order) -> Result<Launched, Fault> {
        let launched = clocked(&self.spent, |s| &mut s.launch, || self.session.launch(order))?;
        let mut spent = self.spent.borrow_mut();
        spent.orders += 1.0;
        spent.running += launched.reported_ns as f64 / 1e9;
        Ok(launched)
    }

    fn outputs(&mut self, set: u32) -> Result<Vec<Vec<u8>>, Fault> {
        clocked(&self.spent, |s| &mut s.outputs, || self.session.outputs(set))
    }

    fn outputs_into(&mut self, set: u32, into: &mut Vec<Vec<u8>>) -> Result<(), Fault> {
        clocked(&self.spent, |s| &mut s.outputs, || self.session.outputs_into(set, into))
    }

    fn pause(&mut self) -> Result<(), Fault> {
        clocked(&self.spent, |s| &mut s.pause, || self.session.pause())
    }

    fn limit(&mut self, launch: Option<LaunchLimit>) {
        self.session.limit(launch);
    }

    fn timer(&self) -> Timer {
        self.session.timer()
    }

    fn finish(&mut self) -> Vec<u8> {
        self.session.finish()
    }
}
