//! What follows a new best: a branch of the user's, and a command of theirs.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::event::Announced;
use super::file::Publish;
use super::history::History;
use super::publish::{self, Destination, PublishError};
use super::secrets::Secrets;
use super::trees;
use crate::git::{self, Outside};
use crate::process::{self, Cancel, CommandSpec, Exit};

/// How long the command may take.
const TIMEOUT: Duration = Duration::from_mins(10);
/// How much of what it prints stands in a warning, in lines.
const LINES: usize = 5;

type Environment = Vec<(OsString, OsString)>;

/// Follows each new best.
pub trait Announcer {
    /// Does what is to be done; what does not succeed is a warning.
    fn announce(&mut self, history: &History) -> Announced;
}

/// What real campaigns do.
pub struct Announcing<'a> {
    /// The campaign's folder.
    pub folder: &'a Path,
    /// The project's root, in the user's checkout.
    pub root: &'a Path,
    /// Whether kept changes become commits of the user's repository.
    pub publish: Publish,
    /// The command that is run; none where it is empty.
    pub on_best: &'a [String],
    /// The environment of the command.
    pub env: &'a [(OsString, OsString)],
    /// What must not be written down.
    pub secrets: &'a Secrets,
    /// What the `git` program gets.
    pub outside: Outside,
    /// Ends the command.
    pub cancel: &'a Cancel,
}

/// Why the command did not do what it is for.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("there is no program `{0}`")]
    NotFound(String),
    #[error("`{command}` ended with {how}: {output}")]
    Failed { command: String, how: String, output: String },
    #[error("making a clone for it: {0}")]
    Clone(#[from] git::Error),
    #[error("making the branch for it: {0}")]
    Branch(#[from] PublishError),
    #[error("making the patch for it: {0}")]
    Patch(#[from] trees::TreeError),
    #[error("{0}")]
    Files(#[from] io::Error),
    #[error("{0}")]
    Start(#[from] process::SpawnError),
}

impl Announcer for Announcing<'_> {
    fn announce(&mut self, history: &History) -> Announced {
        let iteration = history.best.as_ref().map_or(0, |best| best.iteration);
        let mut said = Announced { iteration, ..Announced::default() };
        if self.publish != Publish::None {
            self.publish(history, &mut said);
        }
        if !self.on_best.is_empty() {
            let ran = self.run(history);
            said.warnings.extend(ran.err().map(|why| format!("on_best: {why}")));
        }
        for warning in &mut said.warnings {
            *warning = self.secrets.redact(warning);
        }
        said
    }
}

impl Announcing<'_> {
    fn publish(&self, history: &History, said: &mut Announced) {
        let published = match publish::publish(self.to(self.root), history) {
            Ok(published) => published,
            Err(why) => return said.warnings.push(format!("nothing was published: {why}")),
        };
        let branch = publish::branch(history);
        said.commit = Some(published.commit);
        if self.publish == Publish::Merge {
            match git::fast_forward(self.root, &branch, &self.outside) {
                Ok(moved) => said.merged = Some(moved),
                Err(why) => said.warnings.push(format!(
                    "{branch} was not merged: {why}: when nothing is in the way any more, \
                     `git merge {branch}` does it"
                )),
            }
        }
        said.branch = Some(branch);
    }

    fn to<'t>(&'t self, root: &'t Path) -> Destination<'t> {
        Destination { folder: self.folder, root, outside: &self.outside }
    }

    /// Runs the command in a clone, which is removed afterwards.
    fn run(&self, history: &History) -> Result<(), HookError> {
        let clone = self.folder.join("clone");
        let ran = self.run_in(&clone, history);
        match fs::remove_dir_all(&clone) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e.into()),
            _ => ran,
        }
    }

    fn run_in(&self, clone: &Path, history: &History) -> Result<(), HookError> {
        let branch = publish::branch(history);
        let root = git::scratch_clone(self.root, clone, &branch, &self.outside)?;
        let published = publish::publish(self.to(&root), history)?;
        git::switch(&root, &branch, &self.outside)?;
        let patch = clone.join(".git/optloop.patch");
        let base = history.begun.as_ref().map(|begun| begun.base.as_str()).unwrap_or_default();
        let best = history.best.as_ref();
        let commit = best.map_or(base, |best| best.commit.as_str());
        fs::write(&patch, trees::patch(self.folder, base, commit)?)?;
        let metric = best.map(|best| best.value.to_string()).unwrap_or_default();
        let baseline = history.baseline.as_ref().map(|baseline| baseline.value.to_string());
        let mut env = self.env.to_vec();
        let variables = [
            ("OPTLOOP_BRANCH", branch.into()),
            ("OPTLOOP_COMMIT", published.commit.into()),
            ("OPTLOOP_PATCH", patch.into()),
            ("OPTLOOP_METRIC", metric.into()),
            ("OPTLOOP_BASELINE", baseline.unwrap_or_default().into()),
        ];
        env.extend(variables.map(|(name, value)| (OsString::from(name), value)));
        self.command(&root, env)
    }

    fn command(&self, dir: &Path, env: Environment) -> Result<(), HookError> {
        let command = self.on_best.join(" ");
        let missing = || HookError::NotFound(self.on_best.first().cloned().unwrap_or_default());
        let (program, args) = self.on_best.split_first().ok_or_else(missing)?;
        let path = self.env.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or(OsStr::new("/usr/bin:/bin"), |(_, value)| value);
        let program = process::resolve(OsStr::new(program), dir, path).ok_or_else(missing)?;
        let mut spec = CommandSpec::new(program, dir, format!("on_best.{}", std::process::id()));
        spec.args = args.iter().map(OsString::from).collect();
        spec.env = env;
        spec.timeout = Some(TIMEOUT);
        let finished = process::run(&spec, self.cancel)?;
        let how = match finished.exit {
            Exit::Code(0) => return Ok(()),
            Exit::Code(code) => format!("exit code {code}"),
            Exit::Signal(signal) => format!("signal {signal}"),
            Exit::Cancelled => "a request to stop".to_owned(),
            Exit::TimedOut => "no answer in ten minutes".to_owned(),
        };
        let output = String::from_utf8_lossy(&finished.stdout);
        let lines: Vec<&str> = output.trim_end().lines().collect();
        let output = lines[lines.len().saturating_sub(LINES)..].join("\n");
        Err(HookError::Failed { command, how, output })
    }
}
