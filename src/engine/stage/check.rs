//! Holds a kernel's outputs against the reference's, in every way that a kernel which only seems
//! right is known to differ in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::compile::CompileDef;
use super::judge::{self, Bench, Judge, Judged};
use super::{Failure, FailureClass, StageContext, StageOutcome};
use crate::backend::Session;
use crate::engine::account::{
    CheckRecord, CheckedCase, ControlRecord, EnduranceRecord, HoldoutRecord, MemoryRecord,
    StageRecord, UnsteadyRecord, finite,
};
use crate::pipeline::{Limits, SandboxMode, Target};
use crate::problem::{Problem, size};
use crate::stats::Metrics;

mod controls;
mod endurance;
mod growth;
mod memory;
mod rounds;
pub mod sanitize;
mod values;

use rounds::{Round, Table};
use sanitize::DeviceKernel;

/// What is to be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckDef {
    /// What the kernel must compute.
    pub problem: Problem,
    /// The built kernel: an absolute path.
    pub kernel: PathBuf,
    /// The built reference: an absolute path.
    pub reference: PathBuf,
    /// Sets of fresh inputs per case, and as many again in the same buffers.
    pub launches: u32,
    /// Launches of one process in a row, at the cheapest case.
    pub endurance: u32,
    /// How the kernel is built once more with sanitizers; without it, it is not.
    pub sanitize: Option<CompileDef>,
    /// On a CUDA device: whether the kernel, as it is built, is launched once more under the
    /// device's own sanitizer, where there is one.
    pub watch: bool,
    /// How far workers are confined.
    pub sandbox: SandboxMode,
    /// Limits.
    pub limits: Limits,
    /// What inputs are drawn from; drawn itself when there is none.
    pub seed: Option<u64>,
    /// Where it runs.
    pub target: Target,
}

/// Checks.
pub fn run(def: &CheckDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    let mut checked = Checked { seed: judge::seed(def.seed), ..Checked::default() };
    let failure = checked.run(def, ctx, &mut outcome.log).err().or_else(|| checked.verdict());
    outcome.metrics = checked.metrics();
    let bench = Bench::new(ctx, &def.limits, &def.target).confined(def.sandbox);
    let record = checked.record(def, bench.confinement(&def.kernel));
    outcome.detail = Some(StageRecord::Check(Box::new(record)));
    outcome.failure = failure;
    outcome
}

/// What was found so far.
#[derive(Default)]
struct Checked {
    seed: u64,
    /// The problem's own cases, by position.
    cases: BTreeMap<usize, (String, Round)>,
    controls: Vec<ControlRecord>,
    unsteady: Vec<UnsteadyRecord>,
    growth: Vec<growth::Growth>,
    endurance: Option<EnduranceRecord>,
    memory: Option<MemoryRecord>,
    sanitized: Option<sanitize::Told>,
    /// Hold-out cases drawn, and how many of them passed.
    holdout: HoldoutRecord,
    /// Whether all launches that show determinism took place.
    repeated: bool,
}

/// The stage, the judge and where the kernel's words go.
struct Around<'a, 'b> {
    def: &'a CheckDef,
    bench: &'a Bench<'b>,
    judge: Judge<'a>,
    log: &'a mut Vec<u8>,
}

impl Around<'_, '_> {
    /// Bounds what grows with the number of launches: a tenth of the stage's time.
    fn tenth(&self) -> Duration {
        match self.def.limits.timeout_ms {
            0 => Duration::from_secs(10),
            ms => Duration::from_millis(ms / 10),
        }
    }

    fn own_cases(&self) -> Vec<usize> {
        (0..self.judge.cases.len()).filter(|&case| !self.judge.is_secret(case)).collect()
    }

    /// A process with the kernel in it, for `go`; what it printed is kept.
    fn in_process<T>(
        &mut self,
        first: usize,
        go: impl FnOnce(&mut Judge<'_>, &mut dyn Session) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let opened = self.bench.open_kernel(&self.def.kernel);
        let mut session = opened.map_err(|fault| self.judge.failure(first, &fault))?;
        let result = go(&mut self.judge, &mut *session);
        let printed = session.finish();
        // A kernel at secret sizes could print them.
        if !self.judge.is_secret(first) {
            self.log.extend(printed);
        }
        result
    }
}

impl Checked {
    fn run(
        &mut self,
        def: &CheckDef,
        ctx: &StageContext<'_>,
        log: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let bench = Bench::new(ctx, &def.limits, &def.target).confined(def.sandbox);
        let judge = Judge::with_holdout(&def.problem, &def.reference, self.seed, &bench);
        let judge = judge.of_kernel(&def.kernel)?;
        let mut around = Around { def, bench: &bench, judge, log };
        self.prepare(&mut around)?;
        if let Err(failure) = self.rounds(&mut around) {
            return Err(self.explained(failure, &mut around));
        }
        if self.is_wrong() {
            return Ok(());
        }
        self.held_out(&mut around)?;
        self.second_process(&mut around)?;
        if self.is_wrong() {
            return Ok(());
        }
        self.steadiness(def)?;
        self.rounding(&around)?;
        self.sanitizers(&mut around).map_or(Ok(()), Err)
    }

    /// Draws what everything starts from, and holds the controls against it.
    fn prepare(&mut self, around: &mut Around<'_, '_>) -> Result<(), Failure> {
        for case in 0..around.judge.cases.len() {
            around.judge.draw(case, 2 * around.def.launches.max(1))?;
        }
        let (notes, refusal) = controls::run(&mut around.judge)?;
        self.controls = notes;
        refusal.map_or(Ok(()), Err)
    }

    /// The problem's own cases in one process, in an order that nobody can foresee.
    fn rounds(&mut self, around: &mut Around<'_, '_>) -> Result<(), Failure> {
        let mut order = around.own_cases();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        let Some(&first) = order.first() else {
            return Ok(());
        };
        let (launches, progress) = (around.def.launches, around.bench.ctx.progress);
        around.in_process(first, |judge, session| {
            for (done, &case) in order.iter().enumerate() {
                let label = judge.cases[case].label.clone();
                progress(done as f32 / order.len() as f32, &label);
                let round = Table { judge, session, case }.rounds(launches)?;
                let outputs = round.unsteady.clone();
                if !outputs.is_empty() {
                    let (case, process) = (label.clone(), "same".to_owned());
                    self.unsteady.push(UnsteadyRecord { case, process, outputs });
                }
                self.cases.insert(case, (label, round));
            }
            Ok(())
        })
    }

    /// The hold-out, in a process of its own, whose words nobody hears.
    fn held_out(&mut self, around: &mut Around<'_, '_>) -> Result<(), Failure> {
        let first = around.own_cases().len();
        let secret = first..around.judge.cases.len();
        self.holdout.cases = secret.len();
        if secret.is_empty() {
            return Ok(());
        }
        let (launches, progress) = (around.def.launches, around.bench.ctx.progress);
        around.in_process(first, |judge, session| {
            for case in secret {
                progress(0.7, &judge.cases[case].label);
                let round = Table { judge, session, case }.rounds(launches)?;
                if !round.judged.passed() {
                    let reports = round.judged.reports.join("; ");
                    let message = format!("{}: {reports}", judge.place(case));
                    return Err(Failure { class: FailureClass::Wrong, message });
                }
                self.holdout.passed += 1;
            }
            Ok(())
        })
    }

    /// A fresh process: the first inputs of each case once more, many launches in a row, and
    /// whether what was seen is faster.
    fn second_process(&mut self, around: &mut Around<'_, '_>) -> Result<(), Failure> {
        let (own, tenth, wanted) = (around.own_cases(), around.tenth(), around.def.endurance);
        let Some(cheapest) = endurance::cheapest(&around.judge) else {
            return Ok(());
        };
        let progress = around.bench.ctx.progress;
        around.in_process(cheapest, |judge, session| {
            let mut times = Vec::new();
            for case in own {
                let Some((label, round)) = self.cases.get_mut(&case) else { continue };
                let mut table = Table { judge: &mut *judge, session: &mut *session, case };
                let (outputs, ns) = table.elsewhere(round)?;
                times.push((case, ns));
                if !outputs.is_empty() {
                    let (case, process) = (label.clone(), "fresh".to_owned());
                    self.unsteady.push(UnsteadyRecord { case, process, outputs });
                }
            }
            self.repeated = true;
            if self.is_wrong() {
                return Ok(());
            }
            progress(0.8, "endurance");
            let row = endurance::Row { case: cheapest, wanted, until: Instant::now() + tenth };
            self.endurance = Some(endurance::run(judge, session, row)?);
            if let Some(case) = memory::longest(judge, &times, tenth) {
                let until = Instant::now() + tenth;
                self.memory = Some(memory::run(judge, session, case, until)?);
            }
            Ok(())
        })
    }

    /// The same inputs must give the same bits, where the problem asks for it.
    fn steadiness(&self, def: &CheckDef) -> Result<(), Failure> {
        let Some(first) = self.unsteady.first().filter(|_| def.problem.deterministic) else {
            return Ok(());
        };
        let message = format!(
            "case {}: the same inputs gave other bits in `{}` (second launch in {} process), and \
             the problem asks for `deterministic = true`",
            first.case,
            first.outputs.join("`, `"),
            if first.process == "same" { "the same" } else { "a fresh" },
        );
        Err(Failure { class: FailureClass::Wrong, message })
    }

    /// How rounding errors grow, where the problem bounds it.
    fn rounding(&mut self, around: &Around<'_, '_>) -> Result<(), Failure> {
        let Some(allowed) = around.def.problem.growth else {
            return Ok(());
        };
        let cases: Vec<(u64, &[growth::Error])> = self
            .cases
            .iter()
            .map(|(&case, (_, round))| {
                let elements = size(&around.def.problem, &around.judge.cases[case]);
                (elements, round.errors.as_slice())
            })
            .collect();
        self.growth = growth::fit(&cases);
        growth::verdict(&self.growth, allowed).map_or(Ok(()), Err)
    }

    fn sanitizers(&mut self, around: &mut Around<'_, '_>) -> Option<Failure> {
        let (def, bench, log) = (around.def, around.bench, &mut *around.log);
        let (told, failure) = match (&def.target, &def.sanitize) {
            (Target::Cuda(device), _) if def.watch => {
                let kernel = DeviceKernel { device, bundle: &def.kernel };
                sanitize::watch(&kernel, bench, &around.judge, log)
            }
            (Target::Cpu(_), Some(build)) => sanitize::run(build, bench, &mut around.judge, log),
            _ => return None,
        };
        self.sanitized = Some(told);
        failure
    }

    /// A crash with the place that the sanitizers give it, when they find one.
    fn explained(&mut self, mut failure: Failure, around: &mut Around<'_, '_>) -> Failure {
        if failure.class == FailureClass::Crashed {
            let _told_below = self.sanitizers(around);
            if let Some(found) = self.sanitized.as_ref().and_then(|told| told.found()) {
                failure.message += &format!("\n  a sanitizer says: {found}");
            }
        }
        failure
    }

    fn is_wrong(&self) -> bool {
        self.cases.values().any(|(_, round)| !round.judged.passed())
    }

    /// Wrong outputs as a failure that shows every case's.
    fn verdict(&self) -> Option<Failure> {
        let wrong = self.cases.values().filter(|(_, round)| !round.judged.passed());
        let reports: Vec<String> = wrong
            .map(|(label, round)| format!("case {label}: {}", round.judged.reports.join("\n")))
            .collect();
        if reports.is_empty() {
            return None;
        }
        Some(Failure { class: FailureClass::Wrong, message: reports.join("\n") })
    }

    fn metrics(&self) -> Metrics {
        let all = |value: fn(&Judged) -> f64| {
            self.cases.values().map(move |(_, round)| value(&round.judged))
        };
        Metrics::from([
            (Metrics::CASES, self.cases.len() as f64),
            (Metrics::MISMATCHES, all(|j| j.mismatches as f64).fold(0.0, |sum, n| sum + n)),
            (Metrics::MAX_ERROR, all(|j| j.max_abs).fold(0.0, f64::max)),
            (Metrics::MAX_RELATIVE_ERROR, all(|j| j.max_rel).fold(0.0, f64::max)),
        ])
    }

    fn record(self, def: &CheckDef, sandbox: String) -> CheckRecord {
        let case = |(label, round): &(String, Round)| {
            let judged = &round.judged;
            CheckedCase {
                label: label.clone(),
                elements: judged.elements,
                mismatches: judged.mismatches,
                max_abs: finite(judged.max_abs),
                max_rel: finite(judged.max_rel),
                reports: judged.reports.clone(),
            }
        };
        CheckRecord {
            seed: self.seed,
            core: judge::core(&def.target),
            device: def.target.to_string(),
            launches: def.launches,
            cases: self.cases.values().map(case).collect(),
            controls: self.controls,
            deterministic: self.repeated.then_some(self.unsteady.is_empty()),
            unsteady: self.unsteady,
            growth: self.growth.iter().map(growth::Growth::record).collect(),
            holdout: self.holdout,
            endurance: self.endurance,
            memory: self.memory,
            sanitizers: self.sanitized.as_ref().map(sanitize::Told::record),
            sandbox,
        }
    }
}
