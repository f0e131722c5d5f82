//! Command stages: a shell string or an argument list with declared inputs, outputs, environment
//! and perhaps a number that it prints.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outputs::SetAside;
use super::reading::{self, Printed, Reading};
use super::{Failure, FailureClass, StageContext, StageOutcome, audit, compare};
use crate::engine::account::{CommandRecord, StageRecord};
use crate::engine::job::Shared;
use crate::engine::subject::Job;
use crate::pipeline::{CommandWork, Run};
use crate::process::{self, Capture, CommandSpec, Exit, Finished};
use crate::tree;

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

/// What a command runs in.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) job: &'a Job,
    pub(super) shared: &'a Shared<'a>,
    pub(super) ctx: StageContext<'a>,
    pub(super) ground: Ground<'a>,
}

/// The copy of the project that a command runs in.
#[derive(Clone, Copy)]
pub(super) enum Ground<'a> {
    /// The user's own files.
    Project,
    /// A tree, with a folder for temporary files.
    Tree { place: &'a Path, temporary: &'a Path },
}

impl<'a> Setting<'a> {
    /// What stands for the project's root.
    pub(super) fn root(&self) -> &'a Path {
        match self.ground {
            Ground::Project => self.shared.root,
            Ground::Tree { place, .. } => place,
        }
    }

    /// The folder for temporary files that belongs to a tree.
    pub(super) fn temporary(&self) -> Option<&'a Path> {
        match self.ground {
            Ground::Project => None,
            Ground::Tree { temporary, .. } => Some(temporary),
        }
    }

    /// A file of the project that the command names by where it finds it.
    fn of_project(&self, path: PathBuf) -> PathBuf {
        match path.strip_prefix(self.root()) {
            Ok(below) => self.shared.root.join(below),
            Err(_) => path,
        }
    }

    /// Text of the pipeline in which the project's root stands for that of the command.
    fn moved<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match (self.ground, self.shared.root.to_str()) {
            (Ground::Tree { place, .. }, Some(root)) => moved(text, root, &place.to_string_lossy()),
            _ => Cow::Borrowed(text),
        }
    }
}

/// Puts `place` for `root` where that is named as a path or as the beginning of one.
fn moved<'t>(text: &'t str, root: &str, place: &str) -> Cow<'t, str> {
    let is_path = |c: char| c.is_alphanumeric() || "_-./@".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(root) {
        let (before, from) = rest.split_at(at);
        let after = &from[root.len()..];
        out.push_str(before);
        // `-I/root` names the root, `/a/root` does not.
        let word = out.rsplit(|c: char| !is_path(c)).next().unwrap_or_default();
        let begins = word.is_empty() || word.starts_with(['-', '@']) && !word.contains('/');
        let ends = after.starts_with('/') || !after.starts_with(is_path);
        out.push_str(if begins && ends { place } else { root });
        rest = after;
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Runs the command: once, or as often as it takes to compare it with the incumbent.
pub(super) fn run(work: &CommandWork, setting: &Setting<'_>) -> StageOutcome {
    match &work.metric {
        Some(metric) if work.compares() => compare::command::run(work, metric, setting),
        _ => once(work, setting).outcome,
    }
}

/// A run of the command.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) outcome: StageOutcome,
    /// Its number, where it has one and printed it.
    pub(super) reading: Option<Reading>,
}

impl From<StageOutcome> for Ran {
    fn from(outcome: StageOutcome) -> Self {
        Self { outcome, reading: None }
    }
}

/// Runs the command once.
pub(super) fn once(work: &CommandWork, setting: &Setting<'_>) -> Ran {
    let places: Vec<PathBuf> =
        setting.job.outputs.iter().map(|o| setting.root().join(&o.name)).collect();
    let aside = match SetAside::of(&places, &setting.ctx.scratch.with_extension("aside")) {
        Ok(aside) => aside,
        Err((place, e)) => {
            let what = format!("cannot make room for {}", place.display());
            return StageOutcome::from(Failure::of_io(&what, &e)).into();
        }
    };
    let ran = started(work, setting);
    if ran.outcome.failure.is_some() {
        aside.put_back();
    }
    ran
}

fn started(work: &CommandWork, setting: &Setting<'_>) -> Ran {
    let spec = spec(work, setting);
    if setting.shared.options.audit {
        let mut reading = None;
        let outcome = audit::run(&spec, setting, |finished| {
            let ran = conclude(work, setting, &finished);
            reading = ran.reading;
            ran.outcome
        });
        return Ran { outcome, reading };
    }
    match process::run(&spec, setting.ctx.cancel) {
        Ok(finished) => conclude(work, setting, &finished),
        Err(e) => StageOutcome::from(Failure::of_spawn(&e)).into(),
    }
}

fn spec(work: &CommandWork, setting: &Setting<'_>) -> CommandSpec {
    let (program, args): (PathBuf, Vec<OsString>) = match &work.run {
        Run::Shell(script) => {
            let script = setting.moved(script).into_owned();
            ("/bin/sh".into(), vec!["-c".into(), script.into()])
        }
        Run::Argv(argv) => {
            // The plan resolved it; its place is the first declared input.
            let tool = setting.job.inputs.first().map_or(argv[0].as_str(), |k| &k.name);
            let args = argv[1..].iter().map(|arg| setting.moved(arg).into_owned().into());
            (setting.root().join(tool), args.collect())
        }
    };
    let split = work.metric.is_some();
    CommandSpec {
        args,
        env: environment(work, setting),
        capture: if split { Capture::Split } else { Capture::Merged },
        timeout: (work.limits.timeout_ms > 0)
            .then(|| Duration::from_millis(work.limits.timeout_ms)),
        grace: Duration::from_millis(work.limits.grace_ms),
        max_output: 16 << 20,
        ..CommandSpec::new(
            program,
            setting.ctx.dir,
            format!("{}:{}", setting.shared.marker, setting.job.node),
        )
    }
}

fn environment(work: &CommandWork, setting: &Setting<'_>) -> Vec<(OsString, OsString)> {
    let world = setting.shared.around.world;
    let given = |name: &str| Some(OsString::from_vec(world.env(name)?));
    let passed = PASSED.iter().filter_map(|name| Some((name.into(), given(name)?)));
    let mut env: Vec<(OsString, OsString)> = passed.collect();
    // A pool that cannot be offered leaves commands without one, which they are used to.
    env.extend(setting.shared.around.tokens.child_env().ok().flatten());
    if let Ground::Tree { place, temporary } = setting.ground {
        let above = place.parent().unwrap_or(place);
        env.push(("TMPDIR".into(), temporary.into()));
        env.push((tree::CEILING.into(), above.into()));
    }
    let moved = |value: OsString| match value.to_str() {
        Some(text) => setting.moved(text).into_owned().into(),
        None => value,
    };
    let named = work.pass_env.iter().filter_map(|name| Some((name.into(), moved(given(name)?))));
    env.extend(named);
    env.extend(work.env.iter().map(|(n, v)| (n.into(), moved(v.into()))));
    env
}

fn conclude(work: &CommandWork, setting: &Setting<'_>, finished: &Finished) -> Ran {
    let mut outcome = StageOutcome { log: finished.stdout.clone(), ..StageOutcome::default() };
    outcome.log.extend_from_slice(&finished.stderr);
    if !finished.leftovers.is_empty() {
        let names: Vec<String> =
            finished.leftovers.iter().map(|l| format!("{} ({})", l.name, l.pid)).collect();
        let note = format!("optloop: ended what it left running: {}\n", names.join(", "));
        outcome.log.extend_from_slice(note.as_bytes());
    }
    outcome.failure =
        failure(work, finished).map(|failure| on_disk(failure, setting, &outcome.log));
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
            Err(message) => {
                outcome.failure = Some(Failure { class: FailureClass::Failed, message });
            }
        }
    }
    if let Some(depfile) = &work.depfile {
        match read_depfile(depfile, setting) {
            Ok(found) => outcome.discovered = found,
            Err(message) => {
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
fn on_disk(failure: Failure, setting: &Setting<'_>, log: &[u8]) -> Failure {
    if failure.class != FailureClass::Failed {
        return failure;
    }
    let root = setting.root();
    let written =
        setting.job.outputs.iter().filter_map(|o| Some(root.join(&o.name).parent()?.into()));
    let folders: Vec<PathBuf> = written.chain([setting.ctx.dir.to_owned()]).collect();
    failure.unless_full(&String::from_utf8_lossy(log), &folders)
}

fn read_depfile(name: &str, setting: &Setting<'_>) -> Result<Vec<PathBuf>, String> {
    let dir = setting.ctx.dir;
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("it did not write its depfile {name}: {e}"))?;
    let names = crate::backend::cpu::depfile::parse_depfile(&text);
    Ok(names.into_iter().map(|p| setting.of_project(dir.join(p))).collect())
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn the_projects_own_folder_is_that_of_the_tree_wherever_it_is_named() {
        for (text, wanted) in [
            ("cd /p/x && make", "cd /t && make"),
            ("/p/x/bench.py", "/t/bench.py"),
            ("A=/p/x:/p/x/lib", "A=/t:/t/lib"),
            ("-I/p/x/include @/p/x/rsp", "-I/t/include @/t/rsp"),
            ("'/p/x'", "'/t'"),
            ("/p/xy /p/x-old /p/x.d", "/p/xy /p/x-old /p/x.d"),
            ("/a/p/x/b /p/x/p/x", "/a/p/x/b /t/p/x"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(moved(text, "/p/x", "/t"), wanted, "{text}");
        }
    }
}
