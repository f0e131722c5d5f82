//! Who proposes changes: a command, or versions that are replayed.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::AgentEnd;
use super::file::{AgentSandbox, PromptBy};
use super::secrets::Secrets;
use super::settings::{AgentKind, AgentSettings};
use crate::process::sandbox::agent;
use crate::process::{self, Cancel, CommandSpec, Exit, Finished};

/// The file in which an agent describes its change.
pub const ANSWER: &str = ".optloop-answer.md";
/// How much of what an agent prints is kept, in bytes: half from each end.
const MAX_OUTPUT: usize = 4 << 20;
/// A description is one sentence.
const MAX_DESCRIPTION: usize = 400;

/// Someone who changes files in a copy of the project.
pub trait Agent {
    /// Makes one change.
    fn propose(&mut self, call: &Call<'_>) -> Answer;

    /// Whether it has anything to propose for an iteration.
    fn has_more(&self, _iteration: u32) -> bool {
        true
    }
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Which iteration it is for, from 1.
    pub iteration: u32,
    /// What is asked.
    pub prompt: &'a str,
    /// The copy.
    pub lane: &'a Path,
    /// Where what belongs to the iteration is kept.
    pub folder: &'a Path,
    /// Ends it.
    pub cancel: &'a Cancel,
}

/// What came of a call, beside the changed files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// How it ended.
    pub end: AgentEnd,
    /// What it says of its change.
    pub description: String,
}

/// What an agent's command gets from this process.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub env: Vec<(OsString, OsString)>,
    /// What must not be written down.
    pub secrets: Secrets,
    /// This program, which confines the command.
    pub program: PathBuf,
    /// The campaign file's folder: replayed versions are named from there.
    pub dir: PathBuf,
}

/// The agent that a campaign asks for.
pub fn of(settings: &AgentSettings, surroundings: Surroundings) -> Box<dyn Agent> {
    match &settings.kind {
        AgentKind::Replay(folder) => {
            Box::new(Replay { folder: surroundings.dir.join(folder), surroundings })
        }
        AgentKind::Command { run, prompt } => Box::new(Command {
            run: run.iter().map(OsString::from).collect(),
            prompt: *prompt,
            timeout: settings.timeout,
            sandbox: settings.sandbox,
            writes: settings.writes.iter().map(|folder| home(folder, &surroundings)).collect(),
            surroundings,
        }),
    }
}

/// What an agent needs and what is not there, in words; `root` is the project's, of which it gets a
/// copy.
pub fn missing(
    settings: &AgentSettings,
    surroundings: &Surroundings,
    root: &Path,
) -> Option<String> {
    match &settings.kind {
        AgentKind::Replay(folder) => {
            let folder = surroundings.dir.join(folder);
            let what = || format!("there is no folder {} to replay", folder.display());
            (!folder.is_dir()).then(what)
        }
        AgentKind::Command { run, .. } => {
            let program = OsStr::new(run.first()?);
            let found = process::resolve(program, root, path_of(surroundings));
            let what = || format!("there is no program `{}` in the PATH", program.display());
            found.is_none().then(what)
        }
    }
}

/// Where programs are looked for.
fn path_of(surroundings: &Surroundings) -> &OsStr {
    let path = surroundings.env.iter().find(|(name, _)| name == "PATH");
    path.map_or(OsStr::new("/usr/bin:/bin"), |(_, value)| value)
}

/// A folder as it is written, `~` being the home folder.
fn home(folder: &str, surroundings: &Surroundings) -> PathBuf {
    let variable = |name: &str| surroundings.env.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    match (folder.strip_prefix("~/"), variable("HOME")) {
        (Some(below), Some(home)) => Path::new(home).join(below),
        _ => surroundings.dir.join(folder),
    }
}

/// A command, started once for each iteration.
struct Command {
    run: Vec<OsString>,
    prompt: PromptBy,
    timeout: Duration,
    sandbox: AgentSandbox,
    writes: Vec<PathBuf>,
    surroundings: Surroundings,
}

impl Agent for Command {
    fn propose(&mut self, call: &Call<'_>) -> Answer {
        match self.started(call) {
            Ok(finished) => self.answer(call, &finished),
            Err(why) => {
                let end = AgentEnd::NotStarted { message: why.to_string() };
                Answer { end, description: String::new() }
            }
        }
    }
}

impl Command {
    fn started(&self, call: &Call<'_>) -> io::Result<Finished> {
        let asked = call.folder.join("prompt.md");
        let temporary = call.folder.join("tmp");
        fs::create_dir_all(&temporary)?;
        let command = self.command(call, &asked);
        let mut spec = self.spec(call, &command, &temporary)?;
        spec.env.push(("OPTLOOP_PROMPT".into(), asked.into()));
        spec.env.push(("TMPDIR".into(), temporary.clone().into()));
        spec.env.push((crate::tree::CEILING.into(), parent(call.lane).into()));
        spec.timeout = Some(self.timeout);
        spec.max_output = MAX_OUTPUT;
        let finished = process::run(&spec, call.cancel).map_err(io::Error::other);
        // What it left there is of no use to anybody.
        drop(fs::remove_dir_all(temporary));
        finished
    }

    /// The command with its prompt.
    fn command(&self, call: &Call<'_>, asked: &Path) -> Vec<OsString> {
        match self.prompt {
            PromptBy::File => self.run.clone(),
            PromptBy::Argument => {
                self.run.iter().cloned().chain([OsString::from(call.prompt)]).collect()
            }
            PromptBy::Stdin => {
                let read = [OsStr::new("/bin/sh"), OsStr::new("-c"), OsStr::new(FROM_FILE)];
                let words = read.into_iter().chain([asked.as_os_str()]).map(OsStr::to_owned);
                words.chain(self.run.iter().cloned()).collect()
            }
        }
    }

    fn spec(
        &self,
        call: &Call<'_>,
        command: &[OsString],
        temporary: &Path,
    ) -> io::Result<CommandSpec> {
        let surroundings = &self.surroundings;
        let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let found = process::resolve(program, call.lane, path_of(surroundings));
        let program = found.ok_or_else(|| {
            let what = format!("there is no program `{}` in the PATH", program.display());
            io::Error::new(io::ErrorKind::NotFound, what)
        })?;
        let marker = format!("agent.{}.{}", std::process::id(), call.iteration);
        let mut spec = match self.sandbox {
            AgentSandbox::None => {
                let mut spec = CommandSpec::new(program, call.lane, marker);
                spec.args = args.to_vec();
                spec
            }
            AgentSandbox::Auto => {
                let mut writes = vec![call.lane.to_owned(), temporary.to_owned()];
                writes.extend(self.writes.iter().cloned());
                let command: Vec<OsString> =
                    std::iter::once(program.into_os_string()).chain(args.iter().cloned()).collect();
                let mut spec = CommandSpec::new(&surroundings.program, call.lane, marker);
                spec.args = agent::arguments(&writes, &command);
                spec
            }
        };
        spec.env.clone_from(&surroundings.env);
        Ok(spec)
    }

    fn answer(&self, call: &Call<'_>, finished: &Finished) -> Answer {
        let output = String::from_utf8_lossy(&finished.stdout);
        let output = self.surroundings.secrets.redact(&output);
        // It is for people; the answer counts without it.
        drop(fs::write(call.folder.join("agent.log"), &output));
        let end = match finished.exit {
            Exit::Code(0) => AgentEnd::Fine,
            Exit::Code(code) => AgentEnd::Failed { message: format!("exit code {code}") },
            Exit::Signal(signal) => AgentEnd::Failed { message: format!("signal {signal}") },
            Exit::Cancelled => AgentEnd::Failed { message: "it was stopped".to_owned() },
            Exit::TimedOut => AgentEnd::TimedOut {
                message: format!("not back after {} s", self.timeout.as_secs_f64()),
            },
        };
        let description = described(call.lane).unwrap_or_default();
        let description = self.surroundings.secrets.redact(&description);
        Answer { end, description }
    }
}

/// Runs the words behind the first with the first as standard input.
const FROM_FILE: &str = r#"exec <"$0" && exec "$@""#;

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// What the agent wrote of its change; the file is not part of that.
fn described(lane: &Path) -> Option<String> {
    let place = lane.join(ANSWER);
    let metadata = fs::symlink_metadata(&place).ok()?;
    let text = metadata.is_file().then(|| fs::read(&place).ok()).flatten();
    // What stays is a stray, and as such does no harm.
    drop(fs::remove_file(&place));
    let text = String::from_utf8_lossy(&text?).into_owned();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(MAX_DESCRIPTION).collect())
}

/// Versions from a folder, in the order of their names, one an iteration.
struct Replay {
    folder: PathBuf,
    surroundings: Surroundings,
}

impl Agent for Replay {
    fn propose(&mut self, call: &Call<'_>) -> Answer {
        let not_started = |why: io::Error| Answer {
            end: AgentEnd::NotStarted { message: format!("{}: {why}", self.folder.display()) },
            description: String::new(),
        };
        let versions = match versions(&self.folder) {
            Ok(versions) => versions,
            Err(why) => return not_started(why),
        };
        let Some(version) = versions.get(call.iteration as usize - 1) else {
            let message = "there is no further version".to_owned();
            return Answer { end: AgentEnd::Failed { message }, description: String::new() };
        };
        let applied = match version.extension() {
            Some(extension) if extension == "patch" => self.apply(version, call),
            _ => copy_over(version, call.lane).map(|()| AgentEnd::Fine),
        };
        let name = version.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match applied {
            Ok(end) => Answer { end, description: name },
            Err(why) => not_started(why),
        }
    }

    fn has_more(&self, iteration: u32) -> bool {
        // The call itself reports a folder that cannot be read.
        versions(&self.folder).map_or(true, |versions| versions.len() >= iteration as usize)
    }
}

impl Replay {
    fn apply(&self, patch: &Path, call: &Call<'_>) -> io::Result<AgentEnd> {
        let path = path_of(&self.surroundings);
        let git = process::resolve(OsStr::new("git"), call.lane, path);
        let git = git.ok_or_else(|| io::Error::other("patches need the `git` program"))?;
        let marker = format!("replay.{}.{}", std::process::id(), call.iteration);
        let mut spec = CommandSpec::new(git, call.lane, marker);
        spec.args = ["apply", "--whitespace=nowarn"].map(OsString::from).to_vec();
        spec.args.push(std::path::absolute(patch)?.into());
        spec.env = vec![("PATH".into(), path.to_owned())];
        let finished = process::run(&spec, call.cancel).map_err(io::Error::other)?;
        Ok(match finished.exit {
            Exit::Code(0) => AgentEnd::Fine,
            _ => AgentEnd::Failed {
                message: String::from_utf8_lossy(&finished.stdout).trim().to_owned(),
            },
        })
    }
}

/// Folders and patches, sorted by their names.
fn versions(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "patch") {
            versions.push(path);
        }
    }
    versions.sort();
    Ok(versions)
}

/// Copies everything in a folder over another.
fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
