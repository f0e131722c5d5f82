//! What `[agent]` means.

use std::path::PathBuf;
use std::time::Duration;

use super::{AgentKind, AgentSettings, Checker};
use crate::campaign::file::{AgentFile, PromptBy};
use crate::diagnostic::Spanned;

impl Checker<'_> {
    pub(super) fn agent(&mut self, file: &Spanned<AgentFile>) -> Option<AgentSettings> {
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
        let mut settings = AgentSettings::of(kind);
        settings.timeout = self.duration(file.timeout.as_ref(), settings.timeout);
        settings.first_event = self.some_duration(file.first_event.as_ref());
        settings.idle = self.some_duration(file.idle.as_ref());
        if let Some(sandbox) = &file.sandbox {
            settings.sandbox = sandbox.value;
        }
        settings.writes = file.writes.iter().map(|folder| folder.value.clone()).collect();
        settings.env = file.env.iter().map(|name| self.variable(name)).collect();
        settings.deny = file.deny.iter().map(|name| self.denied(name)).collect();
        settings.usage = file.usage.as_ref().map(|usage| usage.value).unwrap_or_default();
        settings.keep_free = file.keep_free_gb.as_ref().map(|gb| self.bytes(gb));
        let words = |all: &[Spanned<String>]| all.iter().map(|one| one.value.clone()).collect();
        settings.template = file.template.as_ref().map(|name| name.value.clone());
        settings.directives = words(&file.directives);
        settings.directive_files = words(&file.directive_files);
        settings.presets = file.presets.iter().map(|preset| preset.value).collect();
        Some(settings)
    }

    fn some_duration(&mut self, text: Option<&Spanned<String>>) -> Option<Duration> {
        text.map(|text| self.duration(Some(text), Duration::MAX))
    }

    fn variable(&mut self, name: &Spanned<String>) -> String {
        if name.is_empty() || name.contains(['=', '\0']) || name.contains(char::is_whitespace) {
            let label = "write its name alone, such as \"MY_TOKEN\"";
            self.tell("bad-variable", "this names no variable", &name.span, label);
        }
        name.value.clone()
    }

    fn denied(&mut self, name: &Spanned<String>) -> String {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_fit) {
            let label = "write a program's name as it is found in the PATH";
            self.tell("bad-program", "this names no program", &name.span, label);
        }
        name.value.clone()
    }

    fn bytes(&mut self, gb: &Spanned<f64>) -> u64 {
        if !gb.value.is_finite() || gb.value < 0.0 {
            self.tell("bad-size", "this is no size", &gb.span, "0 or more");
        }
        (gb.value * 1e9) as u64
    }

    /// Keys that mean something to commands alone.
    fn without_effect(&mut self, file: &AgentFile) {
        let spans = [
            file.prompt.as_ref().map(|key| key.span.clone()),
            file.timeout.as_ref().map(|key| key.span.clone()),
            file.first_event.as_ref().map(|key| key.span.clone()),
            file.idle.as_ref().map(|key| key.span.clone()),
            file.sandbox.as_ref().map(|key| key.span.clone()),
            file.writes.first().map(|key| key.span.clone()),
            file.env.first().map(|key| key.span.clone()),
            file.deny.first().map(|key| key.span.clone()),
            file.usage.as_ref().map(|key| key.span.clone()),
            file.keep_free_gb.as_ref().map(|key| key.span.clone()),
            file.template.as_ref().map(|key| key.span.clone()),
            file.directives.first().map(|key| key.span.clone()),
            file.directive_files.first().map(|key| key.span.clone()),
            file.presets.first().map(|key| key.span.clone()),
        ];
        for span in spans.into_iter().flatten() {
            let label = "a replay starts no command: leave this out";
            self.tell("no-effect", "this key has no effect here", &span, label);
        }
    }
}
