//! What a campaign asks of an agent, and what it gets.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// Which mending of the candidate it is for, from 1; 0 for a change of its own.
    pub rework: u32,
    /// What is asked.
    pub prompt: &'a str,
    /// The copy.
    pub lane: &'a Path,
    /// Where what belongs to the iteration is kept.
    pub folder: &'a Path,
    /// What may be spent from now on.
    pub left: Left,
    /// Ends it.
    pub cancel: &'a Cancel,
}

/// What a campaign may spend from now on; none where nothing limits it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Left {
    /// Time, s.
    pub seconds: Option<f64>,
    /// Iterations after the present one.
    pub iterations: Option<u32>,
    /// Money, US dollars.
    pub dollars: Option<f64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl Left {
    /// A limit for one call that keeps within it.
    pub fn within(self, limit: Duration) -> Duration {
        let left = self.seconds.and_then(|left| Duration::try_from_secs_f64(left.max(0.0)).ok());
        left.map_or(limit, |left| limit.min(left))
    }

    /// Variables that say so to a command.
    pub fn variables(self) -> Vec<(OsString, OsString)> {
        let seconds = self.seconds.map(|left| left.max(0.0).floor().to_string());
        let iterations = self.iterations.map(|left| left.to_string());
        let dollars = self.dollars.map(|left| format!("{left:.4}"));
        let tokens = self.tokens.map(|left| left.to_string());
        let named = [
            ("OPTLOOP_BUDGET_SECONDS", seconds),
            ("OPTLOOP_ITERATIONS_LEFT", iterations),
            ("OPTLOOP_BUDGET_DOLLARS", dollars),
            ("OPTLOOP_BUDGET_TOKENS", tokens),
        ];
        named.into_iter().filter_map(|(name, left)| Some((name.into(), left?.into()))).collect()
    }
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
