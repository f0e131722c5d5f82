//! Command stages: a shell string or an argument list with declared inputs, outputs, environment
//! and perhaps a number that it prints.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::outputs::SetAside;
use super::{Failure, FailureClass, StageContext, StageOutcome, audit, compare};
use crate::engine::job::Shared;
use crate::engine::subject::Job;
use crate::pipeline::{CommandMetric, CommandWork, MetricSource, Run};
use crate::process::{self, Capture, CommandSpec, Exit, Finished};

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
pub(super) struct Setting<'a> {
    pub(super) job: &'a Job,
    pub(super) shared: &'a Shared<'a>,
    pub(super) ctx: StageContext<'a>,
}

/// Runs the command: once, or as often as it takes to compare it with the incumbent.
pub(super) fn run(work: &CommandWork, setting: &Setting<'_>) -> StageOutcome {
    match (&work.opponent, &work.metric) {
        (Some(opponent), Some(metric)) => compare::command::run(work, opponent, metric, setting),
        _ => once(work, setting),
    }
}

/// Runs the command once.
pub(super) fn once(work: &CommandWork, setting: &Setting<'_>) -> StageOutcome {
    let places: Vec<PathBuf> =
        setting.job.outputs.iter().map(|o| setting.shared.root.join(&o.name)).collect();
    let aside = match SetAside::of(&places, &setting.ctx.scratch.with_extension("aside")) {
        Ok(aside) => aside,
        Err((place, e)) => {
            let message = format!("cannot make room for {}: {e}", place.display());
            return StageOutcome::failed(FailureClass::Infrastructure, message);
        }
    };
    let outcome = started(work, setting);
    if outcome.failure.is_some() {
        aside.put_back();
    }
    outcome
}

fn started(work: &CommandWork, setting: &Setting<'_>) -> StageOutcome {
    let spec = spec(work, setting);
    if setting.shared.options.audit {
        return audit::run(&spec, setting, |finished| conclude(work, setting, &finished));
    }
    match process::run(&spec, setting.ctx.cancel) {
        Ok(finished) => conclude(work, setting, &finished),
        Err(e) => StageOutcome::failed(FailureClass::Infrastructure, e.to_string()),
    }
}

fn spec(work: &CommandWork, setting: &Setting<'_>) -> CommandSpec {
    let (program, args): (PathBuf, Vec<OsString>) = match &work.run {
        Run::Shell(script) => ("/bin/sh".into(), vec!["-c".into(), script.into()]),
        Run::Argv(argv) => {
            // The plan resolved it; its place is the first declared input.
            let tool = setting.job.inputs.first().map_or(argv[0].as_str(), |k| &k.name);
            (setting.shared.root.join(tool), argv[1..].iter().map(OsString::from).collect())
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
    use std::os::unix::ffi::OsStringExt;
    let world = setting.shared.around.world;
    let passed = PASSED.iter().copied().chain(work.pass_env.iter().map(String::as_str));
    let mut env: Vec<(OsString, OsString)> = passed
        .filter_map(|name| Some((name.into(), OsString::from_vec(world.env(name)?))))
        .collect();
    // A pool that cannot be offered leaves commands without one, which they are used to.
    env.extend(setting.shared.around.tokens.child_env().ok().flatten());
    env.extend(work.env.iter().map(|(n, v)| (n.into(), v.into())));
    env
}

fn conclude(work: &CommandWork, setting: &Setting<'_>, finished: &Finished) -> StageOutcome {
    let mut outcome = StageOutcome { log: finished.stdout.clone(), ..StageOutcome::default() };
    outcome.log.extend_from_slice(&finished.stderr);
    if !finished.leftovers.is_empty() {
        let names: Vec<String> =
            finished.leftovers.iter().map(|l| format!("{} ({})", l.name, l.pid)).collect();
        let note = format!("optloop: ended what it left running: {}\n", names.join(", "));
        outcome.log.extend_from_slice(note.as_bytes());
    }
    outcome.failure = failure(work, finished);
    outcome.exit_code = match finished.exit {
        Exit::Code(code) => Some(code),
        _ => None,
    };
    if outcome.failure.is_some() {
        return outcome;
    }
    if let Some(metric) = &work.metric {
        match number(metric, &finished.stdout) {
            Ok(value) => drop(outcome.metrics.insert(metric.name.clone(), value)),
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
    outcome
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

/// The number a command printed.
fn number(metric: &CommandMetric, stdout: &[u8]) -> Result<f64, String> {
    let text = String::from_utf8_lossy(stdout);
    let found = match &metric.from {
        MetricSource::Regex(pattern) => by_regex(pattern, &text)?,
        MetricSource::JsonPath(path) => by_json(path, &text)?,
    };
    found
        .parse::<f64>()
        .ok()
        .filter(|v| v.is_finite())
        .ok_or_else(|| format!("`{}` of its output is `{found}`, not a number", metric.name))
}

fn by_regex(pattern: &str, text: &str) -> Result<String, String> {
    // The pipeline has checked that it compiles.
    let regex = regex::Regex::new(pattern).map_err(|e| e.to_string())?;
    let last = regex.captures_iter(text).last();
    last.and_then(|c| c.get(1).or_else(|| c.get(0)).map(|m| m.as_str().to_owned()))
        .ok_or_else(|| format!("nothing in its output matches /{pattern}/"))
}

/// The last line or text from the first brace that is a JSON document.
fn by_json(path: &str, text: &str) -> Result<String, String> {
    let path = serde_json_path::JsonPath::parse(path).map_err(|e| e.to_string())?;
    let document = text
        .lines()
        .rev()
        .filter(|l| l.trim_start().starts_with(['{', '[']))
        .find_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
        .or_else(|| {
            let start = text.find(['{', '['])?;
            serde_json::from_str(&text[start..]).ok()
        })
        .ok_or("its output holds no JSON document")?;
    match path.query(&document).all().last() {
        Some(serde_json::Value::String(s)) => Ok(s.clone()),
        Some(value) => Ok(value.to_string()),
        None => Err("its JSON output has nothing at that path".to_owned()),
    }
}

fn read_depfile(name: &str, setting: &Setting<'_>) -> Result<Vec<PathBuf>, String> {
    let path = setting.ctx.dir.join(name);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("it did not write its depfile {name}: {e}"))?;
    let names = crate::backend::cpu::depfile::parse_depfile(&text);
    Ok(names.into_iter().map(|p| setting.ctx.dir.join(p)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Direction, MetricScale};

    fn check(from: MetricSource, text: &str, expected: Result<f64, &str>) {
        let (name, better, scale) = ("m".to_owned(), Direction::Lower, MetricScale::Ratio);
        let metric = CommandMetric { name, from, better, scale, deterministic: None };
        match (number(&metric, text.as_bytes()), expected) {
            (Ok(got), Ok(want)) => assert!((got - want).abs() < 1e-12, "{text}"),
            (Err(got), Err(part)) => assert!(got.contains(part), "{got}"),
            (got, want) => panic!("{text}: {got:?}, wanted {want:?}"),
        }
    }

    #[test]
    fn the_last_match_of_a_regex_counts() {
        let cycles = || MetricSource::Regex(r"CYCLES: (\d+)".to_owned());
        check(cycles(), "CYCLES: 12\nCYCLES: 34\n", Ok(34.0));
        check(cycles(), "nothing", Err("matches"));
        check(MetricSource::Regex("[a-z]+".to_owned()), "abc", Err("not a number"));
        check(MetricSource::Regex(r"\d+\.\d+".to_owned()), "t 1.5 s", Ok(1.5));
    }

    #[test]
    fn a_json_path_reads_the_last_document() {
        let mean = || MetricSource::JsonPath("$.results[0].mean".to_owned());
        check(
            mean(),
            "noise\n{\"results\":[{\"mean\":1}]}\n{\"results\":[{\"mean\":2.5}]}\n",
            Ok(2.5),
        );
        check(mean(), "log\n{\n \"results\": [{\"mean\": \"7\"}]\n}\n", Ok(7.0));
        check(mean(), "{\"results\":[]}", Err("nothing at that path"));
        check(mean(), "plain", Err("no JSON"));
    }
}
