//! Command stages: a shell string or an argument list with declared inputs, outputs, environment
//! and perhaps a number that it prints.

mod launched;
mod request;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::outputs::SetAside;
use super::reading::{self, Printed, Reading};
use super::{Failure, FailureClass, StageOutcome, audit};
use crate::engine::account::{CommandRecord, StageRecord};
use crate::pipeline::{CommandWork, Run};
use crate::process::{self, Capture, CommandSpec, Exit, Finished};
use crate::tree;
pub(in crate::engine) use request::{CommandRequest, WorkingCopy};

/// The exit code by which a command says "not my fault, try again" (BSD's `EX_TEMPFAIL`).
const TRY_AGAIN: i32 = 75;

/// Variables that every command gets although they do not count in its key: where things are and
/// how text is written, not what comes out.
const PASSED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TERM",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
];

/// A run of the command.
#[derive(Default)]
pub(in crate::engine) struct Ran {
    pub(in crate::engine) outcome: StageOutcome,
    /// Its number, where it has one and printed it.
    pub(super) reading: Option<Reading>,
}

impl From<StageOutcome> for Ran {
    fn from(outcome: StageOutcome) -> Self {
        Self { outcome, reading: None }
    }
}

/// Runs the command once.
pub(in crate::engine) fn once(request: &CommandRequest<'_>) -> Ran {
    let places: Vec<PathBuf> =
        request.job.outputs.iter().map(|o| request.place().join(&o.name)).collect();
    let aside = match SetAside::of(&places, &request.ctx.scratch.with_extension("aside")) {
        Ok(aside) => aside,
        Err((place, e)) => {
            let what = format!("cannot make room for {}", place.display());
            return StageOutcome::from(Failure::of_io(&what, &e)).into();
        }
    };
    let ran = started(request);
    if ran.outcome.failure.is_some() {
        aside.put_back();
    }
    ran
}

fn started(request: &CommandRequest<'_>) -> Ran {
    let spec = launched::through(request, spec(request));
    if request.audit {
        let mut reading = None;
        let outcome = audit::run(&spec, request, |finished| {
            let ran = conclude(request, &finished);
            reading = ran.reading;
            ran.outcome
        });
        return Ran { outcome, reading };
    }
    match process::run(&spec, request.ctx.cancel) {
        Ok(finished) => conclude(request, &finished),
        Err(e) => StageOutcome::from(Failure::of_spawn(&e)).into(),
    }
}

fn spec(request: &CommandRequest<'_>) -> CommandSpec {
    let work = request.work;
    let (program, args): (PathBuf, Vec<OsString>) = match &work.run {
        Run::Shell(script) => {
            let script = request.moved(script).into_owned();
            ("/bin/sh".into(), vec!["-c".into(), script.into()])
        }
        Run::Argv(argv) => {
            // The plan resolved it; its place is the first declared input.
            let tool = request.job.inputs.first().map_or(argv[0].as_str(), |k| &k.name);
            let args = argv[1..].iter().map(|arg| request.moved(arg).into_owned().into());
            (request.place().join(tool), args.collect())
        }
    };
    let split = work.metric.is_some();
    CommandSpec {
        args,
        env: environment(request),
        capture: if split { Capture::Split } else { Capture::Merged },
        timeout: (work.limits.timeout_ms > 0)
            .then(|| Duration::from_millis(work.limits.timeout_ms)),
        grace: Duration::from_millis(work.limits.grace_ms),
        max_output: 16 << 20,
        ..CommandSpec::new(program, request.ctx.dir, request.ctx.marker.to_owned())
    }
}

fn environment(request: &CommandRequest<'_>) -> Vec<(OsString, OsString)> {
    let work = request.work;
    let mut env = request.ctx.inherited(&PASSED);
    // A pool that cannot be offered leaves commands without one, which they are used to.
    env.extend(request.tokens.child_env().ok().flatten());
    if let WorkingCopy::Tree { place, temporary } = request.copy {
        let above = place.parent().unwrap_or(place);
        env.push(("TMPDIR".into(), temporary.into()));
        env.push((tree::CEILING.into(), above.into()));
    }
    let moved = |value: OsString| match value.to_str() {
        Some(text) => request.moved(text).into_owned().into(),
        None => value,
    };
    let named = work
        .pass_env
        .iter()
        .filter_map(|name| Some((name.into(), moved(request.ctx.host.var(name)?))));
    env.extend(named);
    env.extend(work.env.iter().map(|(n, v)| (n.into(), moved(v.into()))));
    env
}

fn conclude(request: &CommandRequest<'_>, finished: &Finished) -> Ran {
    let work = request.work;
    let mut outcome = StageOutcome { log: finished.stdout.clone(), ..StageOutcome::default() };
    outcome.log.extend_from_slice(&finished.stderr);
    if !finished.leftovers.is_empty() {
        let names: Vec<String> =
            finished.leftovers.iter().map(|l| format!("{} ({})", l.name, l.pid)).collect();
        let note = format!("optloop: ended what it left running: {}\n", names.join(", "));
        outcome.log.extend_from_slice(note.as_bytes());
    }
    outcome.failure =
        failure(work, finished).map(|failure| on_disk(failure, request, &outcome.log));
    outcome.exit_code = match finished.exit {
        Exit::Code(code) => Some(code),
        _ => None,
    };
    if outcome.failure.is_some() {
        return outcome.into();
    }
    let mut reading = None;
    if let Some(metric) = &work.metric {
        let printed = Printed { stdout: &finished.stdout, stderr: &finished.stderr };
        match reading::read(metric, &printed) {
            Ok(read) => {
                outcome.metrics.set(&metric.name, read.value);
                let record = CommandRecord::of_number(&metric.name, metric.unit, read.matches);
                outcome.detail = Some(StageRecord::Command(Box::new(record)));
                reading = Some(read);
            }
            Err(why) => {
                let message = why.to_string();
                outcome.failure = Some(Failure { class: FailureClass::Failed, message });
            }
        }
    }
    if let Some(depfile) = &work.depfile {
        match read_depfile(depfile, request) {
            Ok(found) => outcome.discovered = found,
            Err(e) => {
                let message = format!("it did not write its depfile {depfile}: {e}");
                outcome.failure = Some(Failure { class: FailureClass::Failed, message });
            }
        }
    }
    Ran { outcome, reading }
}

fn failure(work: &CommandWork, finished: &Finished) -> Option<Failure> {
    let (class, message) = match finished.exit {
        Exit::Code(0) => return None,
        Exit::Code(TRY_AGAIN) => {
            (FailureClass::Infrastructure, "it exited with 75 (temporary failure)".to_owned())
        }
        Exit::Code(code) => (FailureClass::Failed, format!("it exited with {code}")),
        Exit::Signal(signal) => (FailureClass::Crashed, format!("it was ended by signal {signal}")),
        Exit::TimedOut => {
            let limit = Duration::from_millis(work.limits.timeout_ms);
            (FailureClass::TimedOut, format!("it took longer than {limit:?} and was ended"))
        }
        Exit::Cancelled => (FailureClass::Interrupted, "interrupted".to_owned()),
    };
    Some(Failure { class, message })
}

/// A command that fails while the disk is full, where it works or writes, failed for that.
fn on_disk(failure: Failure, request: &CommandRequest<'_>, log: &[u8]) -> Failure {
    if failure.class != FailureClass::Failed {
        return failure;
    }
    let root = request.place();
    let written =
        request.job.outputs.iter().filter_map(|o| Some(root.join(&o.name).parent()?.into()));
    let folders: Vec<PathBuf> = written.chain([request.ctx.dir.to_owned()]).collect();
    failure.unless_full(&String::from_utf8_lossy(log), &folders)
}

fn read_depfile(name: &str, request: &CommandRequest<'_>) -> io::Result<Vec<PathBuf>> {
    let dir = request.ctx.dir;
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path)?;
    let names = crate::backend::cpu::depfile::parse_depfile(&text);
    Ok(names.into_iter().map(|p| request.of_project(dir.join(p))).collect())
}
