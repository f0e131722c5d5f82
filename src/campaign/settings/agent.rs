//! What `[agent]` means.

use std::path::PathBuf;

use super::{AGENT_TIMEOUT, AgentKind, AgentSettings, Checker};
use crate::campaign::file::{AgentFile, AgentSandbox, PromptBy};
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
}
