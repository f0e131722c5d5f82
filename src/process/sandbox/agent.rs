//! A command that may read and connect as its user may, and write only where it is meant to.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use landlock::{
    Access as _, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope,
};
use rustix::thread::set_no_new_privs;

use super::SandboxLevel;
use super::files::KNOWN;

/// The first argument with which optloop starts itself to be this.
pub const AGENT_COMMAND: &str = "__agent";

/// What parts the folders from the command.
const END: &str = "--";
/// Terminals, sinks and shared memory.
const DEVICES: &str = "/dev";
/// What shells say of a command that cannot be run.
pub const CANNOT_RUN: u8 = 126;

/// Whether this machine can confine writes.
pub fn confines_writes() -> bool {
    SandboxLevel::available().landlock_abi > 0
}

/// The arguments with which optloop starts itself to run `command`, whose writes reach only these
/// folders.
pub fn arguments(writes: &[PathBuf], command: &[OsString]) -> Vec<OsString> {
    let folders = writes.iter().map(|folder| folder.clone().into_os_string());
    let mut all = vec![OsString::from(AGENT_COMMAND)];
    all.extend(folders);
    all.push(END.into());
    all.extend(command.iter().cloned());
    all
}

/// Why this process did not become the command.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// The arguments are not as [`arguments`] makes them.
    #[error("no command is named")]
    NoCommand,
    /// Writes could not be confined.
    #[error("cannot confine writes: {0}")]
    Unconfined(#[from] Unconfined),
    /// The system does not run the command.
    #[error("cannot run {}: {source}", program.display())]
    Exec {
        /// The command's program.
        program: OsString,
        /// Why.
        source: std::io::Error,
    },
}

/// Confines this process and becomes the command, so that it returns only where it cannot; `args` as
/// [`arguments`] makes them, without the first.
pub fn main(args: &[OsString]) -> NotRun {
    let Some(end) = args.iter().position(|arg| arg == END) else { return NotRun::NoCommand };
    let (writes, command) = (&args[..end], &args[end + 1..]);
    let Some((program, words)) = command.split_first() else { return NotRun::NoCommand };
    if let Err(why) = confine(writes) {
        return why.into();
    }
    NotRun::Exec { program: program.clone(), source: become_command(program, words) }
}

#[expect(clippy::disallowed_methods, reason = "this process becomes the command")]
fn become_command(program: &OsStr, words: &[OsString]) -> std::io::Error {
    std::process::Command::new(program).args(words).exec()
}

/// What the system refused.
#[derive(Debug, thiserror::Error)]
pub enum Unconfined {
    /// New privileges could not be renounced.
    #[error("{0}")]
    Privileges(#[from] std::io::Error),
    /// The rules could not be set.
    #[error("{0}")]
    Rules(#[from] RulesetError),
}

/// Writes, of whatever kind, reach only what lies below these folders, for good; signals reach only
/// what this process starts, and so do abstract sockets, where the system knows how (Linux 6.12).
fn confine(writes: &[OsString]) -> Result<(), Unconfined> {
    set_no_new_privs(true).map_err(std::io::Error::from)?;
    let rights = AccessFs::from_write(KNOWN);
    let rules = Ruleset::default().handle_access(rights)?.scope(Scope::from_all(KNOWN))?;
    let mut rules = rules.create()?;
    let folders = writes.iter().map(Path::new).chain([Path::new(DEVICES)]);
    for folder in folders {
        // One that is not there cannot be written to.
        if let Ok(opened) = PathFd::new(folder) {
            rules = rules.add_rule(PathBeneath::new(opened, rights))?;
        }
    }
    rules.restrict_self()?;
    Ok(())
}
