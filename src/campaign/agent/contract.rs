//! What a campaign asks of an agent, and what it gets.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::campaign::proposal::{Account, AgentEnd};
use crate::campaign::secrets::Secrets;
use crate::process::Cancel;

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// How it ended.
    pub end: AgentEnd,
    /// What it says of its change, in a sentence.
    pub description: String,
    /// What else it says of it.
    pub account: Account,
    /// Commands that it called and must not.
    pub denied: Vec<String>,
}

impl Answer {
    /// One that says nothing but how it ended.
    pub fn of(end: AgentEnd) -> Self {
        Self { end, ..Self::default() }
    }
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

impl Surroundings {
    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.env.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_os_str())
    }

    /// Where programs are looked for.
    pub fn path(&self) -> &OsStr {
        self.variable("PATH").unwrap_or(OsStr::new("/usr/bin:/bin"))
    }

    /// A folder as the campaign file writes it, `~` being the home folder.
    pub fn folder(&self, written: &str) -> PathBuf {
        match (written.strip_prefix("~/"), self.variable("HOME")) {
            (Some(below), Some(home)) => Path::new(home).join(below),
            _ => self.dir.join(written),
        }
    }
}
