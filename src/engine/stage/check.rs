//! Compares a kernel's outputs with the reference's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge::{self, Bench, Judged, Subject};
use super::{Failure, FailureClass, StageContext, StageOutcome};
use crate::backend::{Fault, Session, Timing};
use crate::pipeline::Limits;
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
    /// The core to run on.
    pub cpu: Option<u32>,
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

struct Checked<'a> {
    seed: u64,
    cases: Vec<(&'a str, Judged)>,
}

impl<'a> Checked<'a> {
    fn run(
        &mut self,
        def: &'a CheckDef,
        ctx: &StageContext<'_>,
        log: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let bench = Bench::new(ctx, &def.limits, def.cpu);
        let subjects = judge::subjects(&def.problem, &def.reference, self.seed, &bench)?;
        let first = subjects.first().map_or("", |s| s.case.label.as_str());
        let mut session =
            bench.open(&def.kernel).map_err(|fault| judge::kernel_failure(first, &fault))?;
        for (index, subject) in subjects.iter().enumerate() {
            let label = subject.case.label.as_str();
            (ctx.progress)(index as f32 / subjects.len() as f32, label);
            let judged = check(def, subject, &mut session);
            match judged {
                Ok(judged) => self.cases.push((label, judged)),
                Err(fault) => {
                    log.extend(session.finish());
                    return Err(judge::kernel_failure(label, &fault));
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
        let case = |(label, judged): &(&str, Judged)| {
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
            "core": def.cpu,
            "launches": def.launches,
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
        })
    }
}

/// Launches one case as often as asked, comparing after each; stops at the first that differs.
fn check(
    def: &CheckDef,
    subject: &Subject<'_>,
    session: &mut dyn Session,
) -> Result<Judged, Fault> {
    session.load(&judge::arguments(&subject.staged))?;
    let mut all = Judged::default();
    for _ in 0..def.launches.max(1) {
        session.launch(1, Timing::Warmup)?;
        let got = session.outputs()?;
        all.merge(judge::compare(&def.problem, &subject.staged, &subject.want, &got));
        if !all.passed() {
            break;
        }
    }
    Ok(all)
}
