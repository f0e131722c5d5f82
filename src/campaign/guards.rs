//! Commands that must succeed with every candidate.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::compute;
use super::settings::Guard;
use crate::host::Launcher;
use crate::process::{self, Cancel, CommandSpec, Exit};

/// Why a guard said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// The guard's command.
    pub guard: String,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is no such program.
    NotFound,
    /// It could not be started.
    NotStarted(String),
    /// A stop was asked for.
    Interrupted,
    /// It took too long.
    TimedOut,
    /// It failed; the end of what it printed.
    Failed(String),
    /// What it must print is not there.
    NothingMatches,
    /// What it must print is something else than at the beginning.
    Differs {
        /// Then.
        expected: String,
        /// Now.
        found: String,
    },
}

impl No {
    /// In a sentence.
    pub fn words(&self) -> String {
        let guard = &self.guard;
        match &self.why {
            Why::NotFound => format!("there is no such program: `{guard}`"),
            Why::NotStarted(why) => format!("`{guard}` cannot be started: {why}"),
            Why::Interrupted => format!("`{guard}` was interrupted"),
            Why::TimedOut => format!("`{guard}` was not back in time"),
            Why::Failed(output) => format!("`{guard}` failed: {output}"),
            Why::NothingMatches => format!("`{guard}` prints nothing that `expect` matches"),
            Why::Differs { expected, found } => {
                format!(
                    "`{guard}` prints `{found}`, where it printed `{expected}` at the beginning"
                )
            }
        }
    }
}

/// Where guards run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The tree.
    pub tree: &'a Path,
    /// Their environment.
    pub env: &'a [(OsString, OsString)],
    /// What they are run through.
    pub launcher: Option<&'a Launcher>,
    /// Ends them.
    pub cancel: &'a Cancel,
}

/// Runs all guards; what each `expect` found.
///
/// # Errors
/// The first that says no.
pub fn run(guards: &[Guard], place: Place<'_>) -> Result<Vec<Option<String>>, No> {
    guards.iter().map(|guard| one(guard, place)).collect()
}

/// Runs all guards, and holds what they print against what they printed at the beginning.
///
/// # Errors
/// The first that says no.
pub fn check(guards: &[Guard], then: &[Option<String>], place: Place<'_>) -> Result<(), No> {
    for (guard, then) in guards.iter().zip(then) {
        let now = one(guard, place)?;
        if let (Some(expected), Some(found)) = (then, now)
            && *expected != found
        {
            let why = Why::Differs { expected: expected.clone(), found };
            return Err(No { guard: guard.run.join(" "), why });
        }
    }
    Ok(())
}

fn one(guard: &Guard, place: Place<'_>) -> Result<Option<String>, No> {
    let no = |why| No { guard: guard.run.join(" "), why };
    let path = place.env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new("/usr/bin:/bin"), |(_, value)| value);
    let words = compute::Place::in_campaign(place.launcher, place.tree).words(&guard.run);
    let (program, args) = words.split_first().ok_or_else(|| no(Why::NotFound))?;
    let program = process::resolve(OsStr::new(program), place.tree, path);
    let program = program.ok_or_else(|| no(Why::NotFound))?;
    let marker = format!("guard.{}", std::process::id());
    let mut spec = CommandSpec::new(program, place.tree, marker);
    spec.args = args.iter().map(OsString::from).collect();
    spec.env = place.env.to_vec();
    let above = place.tree.parent().unwrap_or(place.tree);
    spec.env.push((crate::tree::CEILING.into(), above.into()));
    spec.timeout = Some(guard.timeout);
    let finished = process::run(&spec, place.cancel);
    let finished = finished.map_err(|e| no(Why::NotStarted(e.to_string())))?;
    let output = String::from_utf8_lossy(&finished.stdout);
    match finished.exit {
        Exit::Code(0) => {}
        Exit::Cancelled => return Err(no(Why::Interrupted)),
        Exit::TimedOut => return Err(no(Why::TimedOut)),
        Exit::Code(_) | Exit::Signal(_) => return Err(no(Why::Failed(tail(&output)))),
    }
    let Some(expect) = &guard.expect else { return Ok(None) };
    let last = expect.captures_iter(&output).last().ok_or_else(|| no(Why::NothingMatches))?;
    let found = last.get(1).or(last.get(0)).map(|found| found.as_str().to_owned());
    Ok(found)
}

/// The last lines of what was printed.
fn tail(output: &str) -> String {
    const LINES: usize = 20;
    let lines: Vec<&str> = output.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
