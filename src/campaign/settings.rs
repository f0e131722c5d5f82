//! What a campaign file means, with every default in its place.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::file::{AgentFile, AgentSandbox, CampaignFile, Dirty, GuardFile, PromptBy};
use super::scope::{Patterns, Scope};
use super::step::Rules;
use crate::diagnostic::{Diagnostic, Source, SourceMap, Spanned, document};
use crate::pipeline::duration;

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
    /// Who proposes.
    pub agent: AgentSettings,
    /// What must succeed with every candidate.
    pub guards: Vec<Guard>,
    /// When it ends.
    pub rules: Rules,
}

/// Who proposes changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// What is started, or replayed.
    pub kind: AgentKind,
    /// How long one call may take.
    pub timeout: Duration,
    /// What confines it.
    pub sandbox: AgentSandbox,
    /// Folders outside its copy that it may write to.
    pub writes: Vec<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentKind {
    /// A command.
    Command {
        /// With its arguments.
        run: Vec<String>,
        /// How it gets its prompt.
        prompt: PromptBy,
    },
    /// Versions from a folder, as the file names it.
    Replay(PathBuf),
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

const AGENT_TIMEOUT: Duration = Duration::from_hours(2);
const GUARD_TIMEOUT: Duration = Duration::from_mins(2);

/// Understands a campaign file; `path` is for messages.
pub fn load(path: &Path, text: String) -> Loaded {
    let source = Arc::new(Source::new(path, text));
    let read = document::read::<CampaignFile>(&source);
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
        let rules = self.rules(file);
        Some(Settings {
            name: name?,
            goal: goal?,
            pipeline: pipeline?,
            dirty: file.dirty.as_ref().map_or(Dirty::Fail, |dirty| dirty.value),
            patterns,
            agent: agent?,
            guards: guards.into_iter().collect::<Option<Vec<Guard>>>()?,
            rules,
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

    fn agent(&mut self, file: &Spanned<AgentFile>) -> Option<AgentSettings> {
        let kind = match (&file.run, &file.replay) {
            (Some(run), None) => AgentKind::Command {
                run: run.iter().map(|word| word.value.clone()).collect(),
                prompt: file.prompt.as_ref().map_or(PromptBy::Stdin, |prompt| prompt.value),
            },
            (None, Some(folder)) => {
                self.without_effect(file);
                AgentKind::Replay(PathBuf::from(&folder.value))
            }
            (None, None) => {
                let label = "`run = [\"command\"]` or `replay = \"folder\"` is required here";
                self.tell("missing-key", "nothing says who proposes changes", &file.span, label);
                return None;
            }
            (Some(_), Some(folder)) => {
                let label = "leave out `run` or `replay`";
                self.tell("conflict", "an agent runs or is replayed", &folder.span, label);
                return None;
            }
        };
        Some(AgentSettings {
            kind,
            timeout: self.duration(file.timeout.as_ref(), AGENT_TIMEOUT),
            sandbox: file.sandbox.as_ref().map_or(AgentSandbox::Auto, |sandbox| sandbox.value),
            writes: file.writes.iter().map(|folder| folder.value.clone()).collect(),
        })
    }

    /// Keys that mean something to commands alone.
    fn without_effect(&mut self, file: &AgentFile) {
        let spans = [
            file.prompt.as_ref().map(|key| key.span.clone()),
            file.timeout.as_ref().map(|key| key.span.clone()),
            file.sandbox.as_ref().map(|key| key.span.clone()),
            file.writes.first().map(|key| key.span.clone()),
        ];
        for span in spans.into_iter().flatten() {
            let label = "a replay starts no command: leave this out";
            self.tell("no-effect", "this key has no effect here", &span, label);
        }
    }

    fn guard(&mut self, file: &Spanned<GuardFile>) -> Option<Guard> {
        let expect = match file.expect.as_ref().map(|text| (Regex::new(text), text)) {
            None => None,
            Some((Ok(expect), _)) => Some(expect),
            Some((Err(error), text)) => {
                let message = "this is no regular expression";
                self.tell("bad-regex", message, &text.span, &error.to_string());
                return None;
            }
        };
        Some(Guard {
            run: file.run.iter().map(|word| word.value.clone()).collect(),
            expect,
            timeout: self.duration(file.timeout.as_ref(), GUARD_TIMEOUT),
        })
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

    fn patterns(&mut self, file: &CampaignFile) -> Patterns {
        let scope = &file.scope;
        let edit = scope.edit.as_deref().unwrap_or_default();
        for pattern in edit.iter().chain(&scope.protect).chain(&scope.approve) {
            let one = Patterns { edit: vec![pattern.value.clone()], ..Patterns::default() };
            if let Err(error) = Scope::new(&one) {
                let message = "this is no pattern";
                self.tell("bad-pattern", message, &pattern.span, &error.kind().to_string());
            }
            if Path::new(&pattern.value).is_absolute() || pattern.split('/').any(|p| p == "..") {
                let label = "write it as it lies below the project's folder";
                self.tell("bad-pattern", "this lies outside the project", &pattern.span, label);
            }
        }
        let words = |all: &[Spanned<String>]| all.iter().map(|one| one.value.clone()).collect();
        Patterns {
            edit: words(edit),
            protect: words(&scope.protect),
            approve: words(&scope.approve),
            approved: Vec::new(),
        }
    }

    fn rules(&mut self, file: &CampaignFile) -> Rules {
        let budget = &file.budget;
        let is_unlimited = file.unlimited.as_ref().is_some_and(|unlimited| unlimited.value);
        let has_budget = budget.iterations.is_some() || budget.hours.is_some();
        match (&file.unlimited, has_budget) {
            (Some(unlimited), true) if is_unlimited => {
                let label = "there is a budget, too: leave out one of them";
                self.tell("conflict", "unlimited, with a budget", &unlimited.span, label);
            }
            (_, false) if !is_unlimited => {
                let label = "`[budget]` needs `iterations` or `hours`; or write `unlimited = true`";
                self.tell("missing-key", "nothing limits this campaign", &(0..0), label);
            }
            _ => {}
        }
        if let Some(hours) =
            budget.hours.as_ref().filter(|hours| hours.value.is_nan() || hours.value <= 0.0)
        {
            self.tell("bad-budget", "no time is left", &hours.span, "more than 0");
        }
        Rules {
            iterations: budget.iterations,
            seconds: budget.hours.as_ref().map(|hours| hours.value * 3600.0),
            failures: budget.failures,
            no_gain: file.stop.no_gain,
            target: file.target.as_ref().map(|target| target.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
name = "softmax"
goal = "faster"
pipeline = "candidate.toml"
target = 5.0
[scope]
edit = ["k.c"]
protect = ["tests/**"]
[agent]
run = ["my-agent", "--headless"]
timeout = "30m"
[[guard]]
run = ["make", "test"]
expect = 'Ran (\d+) tests'
[budget]
iterations = 20
hours = 1.5
failures = 3
[stop]
no_gain = 8
"#;

    fn loaded(text: &str) -> Loaded {
        load(Path::new("campaign.toml"), text.to_owned())
    }

    fn mistakes(text: &str) -> Vec<(&'static str, String)> {
        let told = loaded(text).diagnostics;
        told.into_iter().map(|told| (told.code, told.message)).collect()
    }

    #[test]
    fn every_key_reaches_its_setting() {
        let settings = loaded(WHOLE).settings.expect("it is whole");
        assert_eq!((&settings.name[..], &settings.goal[..]), ("softmax", "faster"));
        assert_eq!(settings.patterns.protect, ["tests/**"]);
        let run = vec!["my-agent".to_owned(), "--headless".to_owned()];
        assert_eq!(settings.agent.kind, AgentKind::Command { run, prompt: PromptBy::Stdin });
        assert_eq!(settings.agent.timeout, Duration::from_mins(30));
        assert_eq!(settings.guards.len(), 1);
        let rules = Rules {
            iterations: Some(20),
            seconds: Some(5400.0),
            failures: Some(3),
            no_gain: Some(8),
            target: Some(5.0),
        };
        assert_eq!(settings.rules, rules);
    }

    #[test]
    fn all_mistakes_are_reported_at_once_at_their_places() {
        let text = WHOLE
            .replace("\"softmax\"", "\"soft max\"")
            .replace("\"k.c\"", "\"../k.c\", \"a[\"")
            .replace("\"30m\"", "\"soon\"")
            .replace(r"(\d+)", r"(\d+");
        let told = loaded(&text).diagnostics;
        let lines: Vec<usize> = told.iter().filter_map(|t| Some(t.location()?.line)).collect();
        assert_eq!(lines, [2, 7, 7, 11, 14], "{told:?}");
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_refused() {
        let without = |key: &str| {
            let kept: Vec<&str> = WHOLE.lines().filter(|line| !line.starts_with(key)).collect();
            kept.join("\n")
        };
        for key in ["name", "goal", "pipeline", "run = [\"my"] {
            assert_eq!(mistakes(&without(key)).len(), 1, "{key}");
        }
        let endless = without("iterations").replace("hours = 1.5\n", "");
        assert_eq!(mistakes(&endless)[0].0, "missing-key");
        let unlimited = format!("unlimited = true\n{endless}");
        assert!(mistakes(&unlimited).is_empty());
        assert_eq!(mistakes(&format!("unlimited = true\n{WHOLE}"))[0].0, "conflict");
        let replayed = WHOLE.replace("[agent]\n", "[agent]\nreplay = \"versions\"\n");
        assert_eq!(mistakes(&replayed)[0].0, "conflict");
        let replayed = without("run = [\"my").replace("[agent]\n", "[agent]\nreplay = \"v\"\n");
        assert_eq!(mistakes(&replayed), [("no-effect", "this key has no effect here".to_owned())]);
        assert_eq!(mistakes(&format!("colour = 1\n{WHOLE}"))[0].0, "unknown-key");
    }
}
