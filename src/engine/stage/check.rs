//! Compares a kernel's outputs with the reference's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{self, Bench, Judge, Judged};
use super::{Failure, FailureClass, StageContext, StageOutcome};
use crate::backend::cpu::CpuSession;
use crate::backend::{Fault, Mode, Order, Session};
use crate::pipeline::{Cores, Limits};
use crate::problem::Problem;

/// What is to be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckDef {
    /// What the kernel must compute.
    pub problem: Problem,
    /// The built kernel: an absolute path.
    pub kernel: PathBuf,
    /// The built reference: an absolute path.
    pub reference: PathBuf,
    /// Launches whose outputs are compared, per case.
    pub launches: u32,
    /// Limits.
    pub limits: Limits,
    /// What inputs are drawn from; drawn itself when there is none.
    pub seed: Option<u64>,
    /// Where it runs.
    pub cores: Cores,
}

/// Checks.
pub fn run(def: &CheckDef, ctx: &StageContext<'_>) -> StageOutcome {
    let mut outcome = StageOutcome::default();
    let mut checked = Checked { seed: judge::seed(def.seed), cases: Vec::new() };
    let failure = checked.run(def, ctx, &mut outcome.log).err().or_else(|| checked.verdict());
    outcome.metrics = checked.metrics();
    outcome.detail = checked.detail(def);
    outcome.failure = failure;
    outcome
}

struct Checked {
    seed: u64,
    cases: Vec<(String, Judged)>,
}

impl Checked {
    fn run(
        &mut self,
        def: &CheckDef,
        ctx: &StageContext<'_>,
        log: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let bench = Bench::new(ctx, &def.limits, def.cores);
        let mut judge = Judge::new(&def.problem, &def.reference, self.seed, &bench);
        let first = judge.cases.first().map_or(String::new(), |c| c.label.clone());
        let mut session =
            bench.open(&def.kernel).map_err(|fault| judge::kernel_failure(&first, &fault))?;
        for case in 0..judge.cases.len() {
            let label = judge.cases[case].label.clone();
            (ctx.progress)(case as f32 / judge.cases.len() as f32, &label);
            let sets = judge.draw(case, def.launches.max(1))?;
            let judged = check(&judge, (case, sets), &mut session);
            match judged {
                Ok(judged) => self.cases.push((label, judged)),
                Err(fault) => {
                    log.extend(session.finish());
                    return Err(judge::kernel_failure(&label, &fault));
                }
            }
        }
        log.extend(session.finish());
        Ok(())
    }

    /// Wrong outputs as a failure that shows every case's.
    fn verdict(&self) -> Option<Failure> {
        let wrong = self.cases.iter().filter(|(_, judged)| !judged.passed());
        let reports: Vec<String> = wrong
            .map(|(label, judged)| format!("case {label}: {}", judged.reports.join("\n")))
            .collect();
        if reports.is_empty() {
            return None;
        }
        Some(Failure { class: FailureClass::Wrong, message: reports.join("\n") })
    }

    fn metrics(&self) -> std::collections::BTreeMap<String, f64> {
        let all =
            |value: fn(&Judged) -> f64| self.cases.iter().map(move |(_, judged)| value(judged));
        [
            ("cases", self.cases.len() as f64),
            ("mismatches", all(|j| j.mismatches as f64).sum()),
            ("max_error", all(|j| j.max_abs).fold(0.0, f64::max)),
            ("max_relative_error", all(|j| j.max_rel).fold(0.0, f64::max)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn detail(&self, def: &CheckDef) -> Value {
        let case = |(label, judged): &(String, Judged)| {
            json!({
                "label": label,
                "elements": judged.elements,
                "mismatches": judged.mismatches,
                "max_abs": judged.max_abs,
                "max_rel": judged.max_rel,
                "reports": judged.reports,
            })
        };
        json!({
            "seed": self.seed,
            "core": judge::core(def.cores),
            "launches": def.launches,
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        })
    }
}

/// Launches one case once on each set, comparing after each; stops at the first that differs.
fn check(
    judge: &Judge<'_>,
    (case, sets): (usize, u32),
    session: &mut CpuSession,
) -> Result<Judged, Fault> {
    session.load(&judge.arguments(case, sets))?;
    let mut all = Judged::default();
    for set in 0..sets {
        session.launch(Order { first: set, count: 1, mode: Mode::Hot })?;
        let got = session.outputs(set)?;
        all.merge(judge.compare(case, set, &got));
        if !all.passed() {
            break;
        }
    }
    Ok(all)
}
