//! Who proposes changes: a command, or versions that are replayed.

mod answer;
mod command;
mod contract;
mod denied;
mod lane;
mod limits;
mod output;
mod replay;

use std::ffi::OsStr;
use std::path::Path;

pub use answer::{ANSWER, ANSWER_JSON};
pub use command::LOG;
pub use contract::{Agent, Answer, Call, Left, Surroundings};
pub use denied::DENIED;

use super::settings::{AgentKind, AgentSettings};
use crate::process;
use command::{Run, Started};
use replay::Replay;

/// The agent that a campaign asks for.
pub fn of(settings: &AgentSettings, surroundings: Surroundings) -> Box<dyn Agent> {
    match &settings.kind {
        AgentKind::Replay(folder) => {
            Box::new(Replay { folder: surroundings.dir.join(folder), surroundings })
        }
        AgentKind::Command { run, prompt } => {
            let run = Run { words: run, prompt: *prompt };
            Box::new(Started::new(&run, settings, surroundings))
        }
    }
}

/// What an agent needs and what is not there, in words; `root` is the project's, of which it gets a
/// copy.
pub fn missing(
    settings: &AgentSettings,
    surroundings: &Surroundings,
    root: &Path,
) -> Option<String> {
    let is_unset = |name: &&String| surroundings.variable(name).is_none_or(OsStr::is_empty);
    let unset: Vec<&str> = settings.env.iter().filter(is_unset).map(String::as_str).collect();
    if !unset.is_empty() {
        return Some(format!("the agent needs variables that are not set: {}", unset.join(", ")));
    }
    match &settings.kind {
        AgentKind::Replay(folder) => {
            let folder = surroundings.dir.join(folder);
            let what = || format!("there is no folder {} to replay", folder.display());
            (!folder.is_dir()).then(what)
        }
        AgentKind::Command { run, .. } => {
            let program = OsStr::new(run.first()?);
            let found = process::resolve(program, root, surroundings.path());
            let what = || format!("there is no program `{}` in the PATH", program.display());
            found.is_none().then(what)
        }
    }
}
