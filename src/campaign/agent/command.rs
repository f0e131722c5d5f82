//! A command that proposes changes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::answer;
use super::contract::{Agent, Answer, Call, Surroundings};
use super::denied::{DENIED, Denied};
use super::lane;
use super::limits::{self, Ended, Limits, Room};
use super::output::Output;
use crate::campaign::event::AgentEnd;
use crate::campaign::file::{AgentSandbox, PromptBy};
use crate::campaign::settings::AgentSettings;
use crate::process::sandbox::agent;
use crate::process::{self, CommandSpec, Exit};

/// The file in an iteration's folder that holds what the agent printed: 4 MB at most, half of it from
/// each end; it grows while the agent runs.
pub const LOG: &str = "agent.log";

/// What stays free of the disk without a setting, bytes.
const KEEP_FREE: u64 = 1_000_000_000;

/// What is started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// The program and its arguments.
    pub(super) words: &'a [String],
    /// How it gets its prompt.
    pub(super) prompt: PromptBy,
}

/// A command, started once for each iteration.
pub(super) struct Started {
    run: Vec<OsString>,
    prompt: PromptBy,
    timeout: Duration,
    first_event: Option<Duration>,
    idle: Option<Duration>,
    keep_free: Option<u64>,
    sandbox: AgentSandbox,
    writes: Vec<PathBuf>,
    deny: Vec<String>,
    surroundings: Surroundings,
}

impl Agent for Started {
    fn propose(&mut self, call: &Call<'_>) -> Answer {
        let temporary = call.folder.join("tmp");
        let answer = match self.turn(call, &temporary) {
            Ok(answer) => answer,
            Err(why) => Answer::of(AgentEnd::NotStarted { message: why.to_string() }),
        };
        // What it left there is of no use to anybody.
        drop(fs::remove_dir_all(temporary));
        // What it changed cannot be looked at then, and that is said where it is looked at.
        drop(lane::put_right(call.lane, &call.folder.join("aside")));
        answer
    }
}

impl Started {
    /// One that runs these words.
    pub(super) fn new(run: &Run<'_>, settings: &AgentSettings, surroundings: Surroundings) -> Self {
        Self {
            run: run.words.iter().map(OsString::from).collect(),
            prompt: run.prompt,
            timeout: settings.timeout,
            first_event: settings.first_event,
            idle: settings.idle,
            keep_free: settings.keep_free,
            sandbox: settings.sandbox,
            writes: settings.writes.iter().map(|folder| surroundings.folder(folder)).collect(),
            deny: settings.deny.clone(),
            surroundings,
        }
    }

    fn turn(&self, call: &Call<'_>, temporary: &Path) -> io::Result<Answer> {
        fs::create_dir_all(temporary)?;
        let denied = Denied::make(&self.deny, call.folder, temporary)?;
        let asked = call.folder.join("prompt.md");
        let command = self.command(call, &asked);
        let mut spec = self.spec(call, &command, temporary)?;
        spec.env.retain(|(name, _)| name != "PATH");
        spec.env.push(("PATH".into(), denied.path(self.surroundings.path())));
        spec.env.push(("OPTLOOP_PROMPT".into(), asked.into()));
        spec.env.push(("TMPDIR".into(), temporary.into()));
        spec.env.push((crate::tree::CEILING.into(), parent(call.lane).into()));
        spec.env.extend(call.left.variables());
        // It is in its log.
        spec.max_output = 0;
        let output = Output::create(&call.folder.join(LOG), &self.surroundings.secrets)?;
        let limits = self.limits(call);
        let ended = limits::run(&spec, &limits, Box::new(output), call.cancel);
        let ended = ended.map_err(io::Error::other)?;
        let answer = self.answer(call, &ended);
        Ok(Answer { denied: self.denied(call, &denied), ..answer })
    }

    fn limits(&self, call: &Call<'_>) -> Limits {
        let folder = call.folder;
        let usual = || KEEP_FREE.min(Room::free(folder) / 2);
        let room = Room { folder: folder.to_owned(), least: self.keep_free.unwrap_or_else(usual) };
        let wall = call.left.within(self.timeout);
        Limits { wall, first_event: self.first_event, idle: self.idle, room }
    }

    /// What it called and must not; kept with the iteration, too.
    fn denied(&self, call: &Call<'_>, denied: &Denied) -> Vec<String> {
        let calls = denied.calls();
        let calls: Vec<String> =
            calls.iter().map(|line| self.surroundings.secrets.redact(line)).collect();
        if !calls.is_empty() {
            // The event holds them in any case.
            drop(fs::write(call.folder.join(DENIED), calls.join("\n") + "\n"));
        }
        calls
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
        let found = process::resolve(program, call.lane, surroundings.path());
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

    fn answer(&self, call: &Call<'_>, ended: &Ended) -> Answer {
        let end = match (ended.limit, ended.finished.exit) {
            (Some(limit), _) => limit.end(),
            (None, Exit::Code(0)) => AgentEnd::Fine,
            (None, Exit::Code(code)) => failed(&format!("exit code {code}")),
            (None, Exit::Signal(signal)) => failed(&format!("signal {signal}")),
            (None, Exit::Cancelled | Exit::TimedOut) => failed("it was stopped"),
        };
        let said = answer::read(call.lane, &self.surroundings.secrets);
        Answer { description: said.description, account: said.account, ..Answer::of(end) }
    }
}

fn failed(message: &str) -> AgentEnd {
    AgentEnd::Failed { message: message.to_owned() }
}

/// Runs the words behind the first with the first as standard input.
const FROM_FILE: &str = r#"exec <"$0" && exec "$@""#;

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}
