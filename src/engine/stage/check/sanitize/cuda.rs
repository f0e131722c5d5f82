//! A CUDA kernel under NVIDIA's Compute Sanitizer: accesses beside its own memory and races in shared
//! memory that happen to give the right answer.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::super::judge::kernel_failure;
use super::super::super::replayed::{DeviceCase, ToolCall, ended, printed, run_tool};
use super::super::super::{Failure, StageContext};
use crate::backend::Fault;
use crate::backend::cuda::inspect::sanitizer::{self, Check};
use crate::process::Exit;

/// One run at most: instrumented code is tens of times slower.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is to be looked at.
#[derive(Clone, Copy)]
pub struct DeviceSanitize<'a> {
    /// The stage.
    pub ctx: &'a StageContext<'a>,
    /// Where `compute-sanitizer` is; or that there is none, with what to do.
    pub tool: Result<&'a Path, &'a str>,
    /// The cases, the cheapest first. None that is held out: findings are told.
    pub cases: &'a [DeviceCase<'a>],
    /// When this must be over.
    pub end: Instant,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceSanitized {
    /// Whether any case went through both checks.
    pub ran: bool,
    /// Why not, or not at every case.
    pub why: Option<String>,
    /// Whether accesses to memory were looked at.
    pub memcheck: bool,
    /// Whether races in shared memory were.
    pub racecheck: bool,
    /// Cases that went through both.
    pub cases: u32,
    /// Hazards that may be meant so.
    pub warnings: u32,
    /// What was found.
    pub found: Option<String>,
}

impl DeviceSanitized {
    /// The account for people, in lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.ran {
            let cases = if self.cases == 1 { "case" } else { "cases" };
            lines
                .push(format!("compute-sanitizer: {} {cases}, memcheck and racecheck", self.cases));
        }
        if self.warnings > 0 {
            lines.push(format!("racecheck warns of {} hazards", self.warnings));
        }
        lines.extend(self.found.clone());
        lines.extend(self.why.clone());
        lines
    }
}

/// How one run under the tool came out.
enum Outcome {
    Clean {
        warnings: u32,
    },
    Found(String),
    /// Nothing was learnt, and why.
    Unable(String),
    Interrupted,
}

/// Launches each case under each check; a failure only for what the kernel does, never for what this
/// machine lacks.
pub fn run(asked: &DeviceSanitize<'_>, log: &mut Vec<u8>) -> (DeviceSanitized, Option<Failure>) {
    let mut done = DeviceSanitized::default();
    let tool = match asked.tool {
        Ok(tool) => tool,
        Err(why) => {
            done.why = Some(format!("no compute-sanitizer: {why}"));
            return (done, None);
        }
    };
    (asked.ctx.progress)(0.9, "compute-sanitizer");
    for case in asked.cases {
        for check in Check::ALL {
            let left = asked.end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let count = asked.cases.len() as u32 - done.cases;
                done.why = Some(format!("no time was left for {count} cases"));
                return (done, None);
            }
            let watch = Watch { ctx: asked.ctx, tool, check, left };
            match watch.run(case, log) {
                Outcome::Clean { warnings } => done.looked(check, warnings),
                Outcome::Found(what) => {
                    done.looked(check, 0);
                    let what = format!("{}: {what}", check.name());
                    done.found = Some(what.clone());
                    let failure = kernel_failure(case.label, &Fault::Sanitizer { what });
                    return (done, Some(failure));
                }
                Outcome::Unable(why) => {
                    done.why = Some(format!("{} at {}: {why}", check.name(), case.label));
                    return (done, None);
                }
                Outcome::Interrupted => {
                    done.why = Some("interrupted".to_owned());
                    return (done, Some(kernel_failure(case.label, &Fault::Interrupted)));
                }
            }
        }
        done.cases += 1;
        done.ran = true;
    }
    (done, None)
}

impl DeviceSanitized {
    fn looked(&mut self, check: Check, warnings: u32) {
        match check {
            Check::Memcheck => self.memcheck = true,
            Check::Racecheck => self.racecheck = true,
        }
        self.warnings += warnings;
    }
}

/// One run of a case under one check.
struct Watch<'a> {
    ctx: &'a StageContext<'a>,
    tool: &'a Path,
    check: Check,
    /// How long it may take.
    left: Duration,
}

impl Watch<'_> {
    fn run(&self, case: &DeviceCase<'_>, log: &mut Vec<u8>) -> Outcome {
        let Self { ctx, tool, check, left } = *self;
        let folder = ctx.scratch.join("compute-sanitizer");
        let command = match case.command(ctx, &folder, 1) {
            Ok(command) => command,
            Err(why) => return Outcome::Unable(why.to_string()),
        };
        let args = sanitizer::watch(check, &command);
        let timeout = left.min(PATIENCE);
        let call = ToolCall { tool, args, folder: &folder, part: check.name(), timeout };
        let ran = run_tool(call, ctx);
        let finished = match ran {
            Ok(finished) => finished,
            Err(why) => return Outcome::Unable(why.to_string()),
        };
        if finished.exit == Exit::Cancelled {
            return Outcome::Interrupted;
        }
        let said = printed(&finished);
        let report = sanitizer::parse(&said);
        let ended = ended(&finished, &said);
        if let (true, None, Some(0)) = (report.findings.is_empty(), &ended, report.errors) {
            // Its banners say no more than the record does.
            return Outcome::Clean { warnings: report.warnings };
        }
        log.extend(said.as_bytes());
        if let Some(finding) = report.findings.first() {
            let more = report.findings.len() - 1;
            let others = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Outcome::Found(finding.line() + &others);
        }
        Outcome::Unable(unable(&report.notes, ended, report.errors))
    }
}

/// Why a run without a finding proves nothing.
fn unable(notes: &[String], ended: Option<String>, errors: Option<u32>) -> String {
    let without = match errors {
        Some(count) => format!("{count} errors that name no kernel"),
        None => "it did not come to its end".to_owned(),
    };
    let mut words: Vec<String> = notes.iter().take(2).cloned().collect();
    words.extend(ended);
    if words.is_empty() { without } else { words.join("; ") }
}
