//! Bounds from counts that a declared command prints: how many tasks each resource has to take.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;

use super::StageContext;
use crate::engine::account::TelemetryRecord;
use crate::pipeline::Run;
use crate::process::{self, CommandSpec, Exit, SpawnError};
use crate::stats::schedule::{Resource, ResourceBounds, resource_bounds};

/// How long the command may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why nothing follows.
#[derive(Debug, thiserror::Error)]
pub(super) enum TelemetryError {
    /// It is not installed.
    #[error("there is no command `{0}`")]
    NoCommand(String),
    /// It cannot be started.
    #[error(transparent)]
    Start(#[from] SpawnError),
    /// It did not pass.
    #[error("the command ended with {exit:?}: {said}")]
    Ended {
        exit: Exit,
        /// Its words on standard error.
        said: String,
    },
    /// It printed something else.
    #[error(
        "it must print one JSON object such as {{\"resources\": [{{\"name\": \"alu\", \"tasks\": 90, \
         \"slots\": 2}}], \"critical_path\": 30}}: {0}"
    )]
    NoCounts(#[from] serde_json::Error),
    /// These counts have no schedule.
    #[error("a resource has tasks and no slot for them")]
    NoSlot,
}

/// What the command prints, as one JSON object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    /// Tasks and slots by resource.
    resources: Vec<Counted>,
    /// The longest chain of dependent tasks.
    #[serde(default)]
    critical_path: u64,
    /// Steps of the schedule as it is.
    schedule: Option<f64>,
    /// Steps of the best that was measured.
    best: Option<f64>,
    /// Steps that are wished for.
    target: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    name: String,
    tasks: u64,
    slots: u64,
    #[serde(default)]
    on_critical_path: u64,
}

/// Runs the command and gives what follows from its counts.
///
/// # Errors
/// Why nothing does.
pub(super) fn take(
    command: &Run,
    ctx: &StageContext<'_>,
) -> Result<TelemetryRecord, TelemetryError> {
    (ctx.progress)(0.9, "telemetry");
    let argv: Vec<OsString> = match command {
        Run::Shell(line) => ["/bin/sh", "-c", line].map(OsString::from).to_vec(),
        Run::Argv(words) => words.iter().map(OsString::from).collect(),
    };
    let path = ctx.host.var("PATH").unwrap_or_default();
    let program = process::resolve(&argv[0], ctx.dir, &path)
        .ok_or_else(|| TelemetryError::NoCommand(argv[0].to_string_lossy().into_owned()))?;
    let mut spec = CommandSpec::new(&program, ctx.dir, format!("{}.telemetry", ctx.marker));
    spec.args = argv[1..].to_vec();
    spec.env = ctx.inherited(&["PATH", "HOME", "TMPDIR"]);
    spec.timeout = Some(PATIENCE);
    let finished = process::run(&spec, ctx.cancel)?;
    match finished.exit {
        Exit::Code(0) => follow(&String::from_utf8_lossy(&finished.stdout)),
        exit => {
            let said = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
            Err(TelemetryError::Ended { exit, said })
        }
    }
}

/// What follows from the counts in `text`.
fn follow(text: &str) -> Result<TelemetryRecord, TelemetryError> {
    let counts: Counts = serde_json::from_str(text.trim())?;
    let resource = |c: &Counted| Resource {
        name: c.name.clone(),
        tasks: c.tasks,
        slots: c.slots,
        on_critical_path: c.on_critical_path,
    };
    let resources: Vec<Resource> = counts.resources.iter().map(resource).collect();
    let bounds = resource_bounds(&resources, counts.critical_path).ok_or(TelemetryError::NoSlot)?;
    Ok(TelemetryRecord {
        headroom: counts.best.and_then(|best| bounds.above(best)),
        slack: counts.schedule.and_then(|steps| bounds.above(steps)),
        lines: lines(&bounds, &counts),
        bounds: Some(bounds),
    })
}

fn lines(bounds: &ResourceBounds, counts: &Counts) -> Vec<String> {
    let limiting: Vec<String> =
        bounds.limiting().iter().map(|(name, steps)| format!("{name} {steps}")).collect();
    let mut lines = vec![format!(
        "at least {} steps: {}, longest chain {}",
        bounds.tight,
        limiting.join(", "),
        bounds.critical_path
    )];
    let above = |what: &str, steps: Option<f64>| {
        let above = bounds.above(steps?)?;
        Some(format!(
            "{what} is {} steps above that ({:.0} %)",
            above.steps,
            100.0 * above.fraction
        ))
    };
    lines.extend(above("the best", counts.best));
    lines.extend(above("the schedule", counts.schedule));
    if counts.target.is_some_and(|target| bounds.rules_out(target)) {
        lines.push("the target cannot be reached with these counts: lower the bound first".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_bounds_headroom_and_slack() {
        let text = r#"{"resources": [{"name": "alu", "tasks": 91, "slots": 2},
            {"name": "load", "tasks": 30, "slots": 1, "on_critical_path": 5}],
            "critical_path": 20, "best": 69, "schedule": 92, "target": 46}"#;
        let TelemetryRecord { bounds, headroom, slack, lines } = follow(text).expect("counts");
        assert_eq!(bounds.map(|bounds| bounds.tight), Some(46));
        assert_eq!(headroom.map(|above| above.steps), Some(23.0));
        assert_eq!(slack.map(|above| above.fraction), Some(1.0));
        assert_eq!(lines[0], "at least 46 steps: alu 46, load 30, longest chain 20");
        assert!(lines[3].contains("cannot be reached"), "{lines:?}");
    }

    #[test]
    fn what_is_no_count_says_what_is_expected() {
        for text in ["", "{}", "[]", r#"{"resources": [{"name": "a", "tasks": 1, "slots": 0}]}"#] {
            assert!(follow(text).is_err(), "{text}");
        }
        let message = follow("cycles: 5").expect_err("no JSON").to_string();
        assert!(message.contains("critical_path"), "{message}");
    }
}
