//! Where commands run, and whether that is there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::anchored::Anchored;
use super::event::{Baseline, Judgement};
use super::judge::{Blocked, Judge};
use super::settings::{Compute, DeviceCheck};
use crate::host::{Launched, Launcher};
use crate::process::{self, Cancel, CommandSpec, Exit};

/// How long a look may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// The folder beside a tree that launched commands may write to.
const SCRATCH: &str = "scratch";

/// What looks need.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The environment, without secrets.
    pub env: &'a [(OsString, OsString)],
    /// Ends it.
    pub cancel: &'a Cancel,
}

/// Why nothing can be measured there.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// A stop was asked for.
    #[error("interrupted")]
    Interrupted,
    /// There is no such program.
    #[error("there is no program `{0}` in the PATH")]
    NotFound(String),
    /// A command failed.
    #[error("`{command}` {how}: {output}")]
    Failed {
        /// Which.
        command: String,
        /// How it ended.
        how: String,
        /// The last line that it printed.
        output: String,
    },
    /// Another device is there than the one that is wanted.
    #[error("the device is `{found}`, and [compute] device = \"{wanted}\" wants another one")]
    OtherDevice {
        /// What is there.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// It cannot be started.
    #[error("{0}")]
    Start(String),
}

/// Where a command is run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What it is run through.
    pub launcher: Option<&'a Launcher>,
    /// The folder that it runs in.
    pub tree: &'a Path,
    /// The campaign's folder: a launched command may write to one below it.
    pub campaign: &'a Path,
}

impl<'a> Place<'a> {
    /// A tree of a campaign.
    pub fn in_campaign(launcher: Option<&'a Launcher>, tree: &'a Path) -> Self {
        Self { launcher, tree, campaign: tree.parent().unwrap_or(tree) }
    }

    /// The words of a command as it is run there.
    pub fn words(&self, command: &[String]) -> Vec<String> {
        let Some(launcher) = self.launcher else { return command.to_vec() };
        let (tree, scratch) = (self.tree, self.campaign.join(SCRATCH));
        // Where it cannot be made, the command says so.
        drop(fs::create_dir_all(&scratch));
        let words = launcher.words(Launched { tree, cwd: tree, scratch: &scratch, env: &[] });
        words.into_iter().chain(command.iter().cloned()).collect()
    }
}

/// Whether commands can be run there at all.
///
/// # Errors
/// What the check says.
pub fn check(compute: &Compute, root: &Path, with: Surroundings<'_>) -> Result<(), ComputeError> {
    if compute.check.is_empty() {
        return Ok(());
    }
    output(&compute.check, root, with).map(drop)
}

/// Whether the device there is the one that is wanted.
///
/// # Errors
/// Which one it is, or why that cannot be told.
pub fn device(
    wanted: &DeviceCheck,
    place: Place<'_>,
    with: Surroundings<'_>,
) -> Result<(), ComputeError> {
    let found = output(&place.words(&wanted.command), place.tree, with)?;
    if wanted.wanted.is_match(&found) {
        return Ok(());
    }
    let found = found.trim().lines().next().unwrap_or_default().to_owned();
    Err(ComputeError::OtherDevice { found, wanted: wanted.wanted.to_string() })
}

fn output(words: &[String], dir: &Path, with: Surroundings<'_>) -> Result<String, ComputeError> {
    let missing = || ComputeError::NotFound(words.first().cloned().unwrap_or_default());
    let (program, args) = words.split_first().ok_or_else(missing)?;
    let path = with.env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new("/usr/bin:/bin"), |(_, value)| value);
    let program = process::resolve(OsStr::new(program), dir, path).ok_or_else(missing)?;
    let mut spec = CommandSpec::new(program, dir, format!("compute.{}", std::process::id()));
    spec.args = args.iter().map(OsString::from).collect();
    spec.env = with.env.to_vec();
    spec.timeout = Some(PATIENCE);
    let finished = process::run(&spec, with.cancel);
    let finished = finished.map_err(|error| ComputeError::Start(error.to_string()))?;
    let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    let how = match finished.exit {
        Exit::Code(0) => return Ok(printed),
        Exit::Cancelled => return Err(ComputeError::Interrupted),
        Exit::TimedOut => "was not back in two minutes".to_owned(),
        Exit::Code(code) => format!("ended with {code}"),
        Exit::Signal(signal) => format!("was ended by signal {signal}"),
    };
    let output = printed.trim_end().lines().last().unwrap_or_default().to_owned();
    Err(ComputeError::Failed { command: words.join(" "), how, output })
}

/// A judge that looks for the wanted device before each measurement.
pub struct OnDevice<'a> {
    /// Who judges.
    pub judge: &'a mut dyn Judge,
    /// What is wanted; nothing is looked at without it.
    pub wanted: Option<&'a DeviceCheck>,
    /// What commands are run through.
    pub launcher: Option<&'a Launcher>,
    /// What looks need.
    pub with: Surroundings<'a>,
}

impl OnDevice<'_> {
    fn look(&self, tree: &Path) -> Result<(), Blocked> {
        let Some(wanted) = self.wanted else { return Ok(()) };
        device(wanted, Place::in_campaign(self.launcher, tree), self.with).map_err(|error| {
            match error {
                ComputeError::Interrupted => Blocked::Interrupted,
                other => Blocked::Refused { message: other.to_string() },
            }
        })
    }
}

impl Judge for OnDevice<'_> {
    fn baseline(&mut self, tree: &Path) -> Result<Baseline, Blocked> {
        self.look(tree)?;
        self.judge.baseline(tree)
    }

    fn judge(&mut self, tree: &Path, baseline: &Baseline) -> Result<Judgement, Blocked> {
        self.look(tree)?;
        self.judge.judge(tree, baseline)
    }

    fn promote(&mut self, tree: &Path, judgement: &Judgement) -> Result<(), Blocked> {
        self.judge.promote(tree, judgement)
    }

    fn confirm(&mut self, tree: &Path, baseline: &Baseline) -> Result<f64, Blocked> {
        self.look(tree)?;
        self.judge.confirm(tree, baseline)
    }

    fn anchor(&mut self, tree: &Path, baseline: &Baseline) -> Result<Anchored, Blocked> {
        self.look(tree)?;
        self.judge.anchor(tree, baseline)
    }
}
