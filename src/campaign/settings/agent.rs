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
        Some(settings)
    }

    fn some_duration(&mut self, text: Option<&Spanned<String>>) -> Option<Duration> {
        text.map(|text| self.duration(Some(text), Duration::MAX))
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
        ];
        for span in spans.into_iter().flatten() {
            let label = "a replay starts no command: leave this out";
            self.tell("no-effect", "this key has no effect here", &span, label);
        }
    }
}
