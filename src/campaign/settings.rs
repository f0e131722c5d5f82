//! What a campaign file means, with every default in its place.

mod agent;
mod asked;
mod carry;
mod compute;
pub mod given;
mod guard;
mod hold;
mod keep;
mod limits;
mod scope;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

pub use asked::{AgentKind, AgentSettings};

use super::file::{CampaignFile, Dirty, HoldPolicy, Publish};
use super::prompt::Asking;
use super::scope::Patterns;
use super::step::Rules;
use crate::diagnostic::{Diagnostic, Source, SourceMap, Spanned, document};
use crate::pipeline::duration;
use given::Given;

/// A campaign as it is asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// What is to be reached, in words.
    pub goal: String,
    /// The pipeline that judges, as the file names it, from its own folder.
    pub pipeline: String,
    /// What becomes of uncommitted changes.
    pub dirty: Dirty,
    /// Which files may be changed; `edit` is empty where the pipeline's kernel files are meant.
    pub patterns: Patterns,
    /// Paths that each copy of the project gets beside it.
    pub carry: Vec<String>,
    /// Who proposes.
    pub agent: AgentSettings,
    /// What must succeed with every candidate.
    pub guards: Vec<Guard>,
    /// When it ends.
    pub rules: Rules,
    /// How prompts are made; the files that the campaign file names are read apart from it.
    pub asking: Asking,
    /// What is tried again.
    pub retry: Retry,
    /// Where commands run.
    pub compute: Compute,
    /// What is held meanwhile.
    pub hold: Option<Hold>,
    /// Where kept changes go.
    pub publish: Publish,
    /// What is run after each new best; empty for nothing.
    pub on_best: Vec<String>,
}

/// Where commands of stages and guards run.
#[derive(Debug, Clone, Default)]
pub struct Compute {
    /// The words that stand before theirs; empty where they run here.
    pub launcher: Vec<String>,
    /// A command that must succeed first; empty for none.
    pub check: Vec<String>,
    /// The device that must be there.
    pub device: Option<DeviceCheck>,
}

/// A device that must be there.
#[derive(Debug, Clone)]
pub struct DeviceCheck {
    /// What its name matches.
    pub wanted: Regex,
    /// The command that prints its name.
    pub command: Vec<String>,
}

/// A device that is held meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Commands of which one takes it.
    pub pools: Vec<Vec<String>>,
    /// The command that gives it back.
    pub release: Vec<String>,
    /// How often all are tried.
    pub attempts: u32,
    /// Before they are tried again.
    pub pause: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether it goes on without.
    pub policy: HoldPolicy,
}

/// What is tried again, how often, and after which pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retry {
    /// Calls of the agent that failed and changed nothing.
    pub agent: u32,
    /// Before such a call.
    pub agent_pause: Duration,
    /// Judgements that failed for reasons of the machine.
    pub judge: u32,
    /// Before such a judgement.
    pub judge_pause: Duration,
}

/// A command that must succeed.
#[derive(Debug, Clone)]
pub struct Guard {
    /// With its arguments.
    pub run: Vec<String>,
    /// What must be found in its output, each time the same.
    pub expect: Option<Regex>,
    /// How long it may take.
    pub timeout: Duration,
}

/// A file as it was read.
pub struct Loaded {
    /// What it means; none when something is wrong with it.
    pub settings: Option<Settings>,
    /// All that is wrong, in file order.
    pub diagnostics: Vec<Diagnostic>,
}

const GUARD_TIMEOUT: Duration = Duration::from_mins(2);

/// Understands a campaign file; `path` is for messages.
pub fn load(path: &Path, text: String) -> Loaded {
    load_with(path, text, &Given::default())
}

/// The same, with settings that count more than the file.
pub fn load_with(path: &Path, text: String, given: &Given) -> Loaded {
    let source = Arc::new(Source::new(path, text));
    let mut read = document::read::<CampaignFile>(&source);
    if let Some(file) = &mut read.value {
        given.over(file);
    }
    let mut checker = Checker { source: &source, found: read.diagnostics };
    let settings = read.value.and_then(|file| checker.settings(&file));
    let mut diagnostics = checker.found;
    SourceMap::new(&source).sort(&mut diagnostics);
    Loaded { settings: settings.filter(|_| diagnostics.is_empty()), diagnostics }
}

struct Checker<'a> {
    source: &'a Arc<Source>,
    found: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn tell(&mut self, code: &'static str, message: &str, span: &Range<usize>, label: &str) {
        let told = Diagnostic::new(code, message).at(self.source, span.clone(), label);
        self.found.push(told);
    }

    fn settings(&mut self, file: &CampaignFile) -> Option<Settings> {
        let name = self.name(file.name.as_ref());
        let goal = self.needed("goal", file.goal.as_ref());
        let pipeline = self.needed("pipeline", file.pipeline.as_ref());
        if file.agent.is_none() {
            self.missing("agent");
        }
        let agent = file.agent.as_ref().and_then(|agent| self.agent(agent));
        let guards: Vec<Option<Guard>> = file.guard.iter().map(|guard| self.guard(guard)).collect();
        let patterns = self.patterns(file);
        let carry = self.carry(&file.scope);
        let retry = self.retry(file, agent.as_ref());
        let rules = Rules { agent_retries: retry.agent, ..self.rules(file) };
        Some(Settings {
            name: name?,
            goal: goal?,
            pipeline: pipeline?,
            dirty: file.dirty.as_ref().map_or(Dirty::Fail, |dirty| dirty.value),
            patterns,
            carry,
            agent: agent?,
            guards: guards.into_iter().collect::<Option<Vec<Guard>>>()?,
            rules,
            asking: Asking::default(),
            retry,
            compute: self.compute(file),
            hold: self.hold(file),
            publish: file.publish.unwrap_or_default(),
            on_best: file.on_best.iter().flatten().map(|word| word.value.clone()).collect(),
        })
    }

    fn missing(&mut self, key: &str) {
        let label = format!("`{key}` is required here");
        self.tell("missing-key", &format!("missing key `{key}`"), &(0..0), &label);
    }

    fn needed(&mut self, key: &str, value: Option<&Spanned<String>>) -> Option<String> {
        let Some(value) = value else {
            self.missing(key);
            return None;
        };
        if value.trim().is_empty() {
            self.tell("empty", &format!("`{key}` is empty"), &value.span, "write something here");
        }
        Some(value.value.clone())
    }

    fn name(&mut self, name: Option<&Spanned<String>>) -> Option<String> {
        let text = self.needed("name", name)?;
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if let Some(name) = name.filter(|name| !name.value.chars().all(is_fit)) {
            let label = "letters, digits, `-` and `_` only: it names a folder";
            self.tell("bad-name", "this cannot be a campaign's name", &name.span, label);
        }
        Some(text)
    }

    fn duration(&mut self, text: Option<&Spanned<String>>, usual: Duration) -> Duration {
        let Some(text) = text else { return usual };
        match duration::parse(text) {
            Ok(ms) if ms > 0 => Duration::from_millis(ms),
            Ok(_) => {
                self.tell("bad-duration", "no time is left", &text.span, "more than 0");
                usual
            }
            Err(why) => {
                let why = why.to_string();
                self.tell("bad-duration", "this is no duration", &text.span, &why);
                usual
            }
        }
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
