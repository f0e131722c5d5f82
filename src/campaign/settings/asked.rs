//! What a campaign asks of its agent.

use std::path::PathBuf;
use std::time::Duration;

use crate::campaign::file::{AgentSandbox, DirectivePreset, PromptBy};
use crate::campaign::spent::Reported;

/// How long one call may take, without a setting.
const TIMEOUT: Duration = Duration::from_hours(2);

/// Who proposes changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// What is started, or replayed.
    pub kind: AgentKind,
    /// How long one call may take.
    pub timeout: Duration,
    /// How long it may print nothing after its start.
    pub first_event: Option<Duration>,
    /// How long it may print nothing.
    pub idle: Option<Duration>,
    /// What confines it.
    pub sandbox: AgentSandbox,
    /// Folders outside its copy that it may write to.
    pub writes: Vec<String>,
    /// Variables that it needs.
    pub env: Vec<String>,
    /// Programs that it must not call.
    pub deny: Vec<String>,
    /// What stays free of the disk, bytes; a part of what there is without it.
    pub keep_free: Option<u64>,
    /// How much it reports of what it costs.
    pub usage: Reported,
    /// The file that prompts are made from, as the campaign file names it.
    pub template: Option<String>,
    /// Texts that it must heed.
    pub directives: Vec<String>,
    /// Files that hold such texts.
    pub directive_files: Vec<String>,
    /// Such texts that are built in.
    pub presets: Vec<DirectivePreset>,
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

impl AgentSettings {
    /// An agent of which nothing else is said.
    pub fn of(kind: AgentKind) -> Self {
        Self {
            kind,
            timeout: TIMEOUT,
            first_event: None,
            idle: None,
            sandbox: AgentSandbox::Auto,
            writes: Vec::new(),
            env: Vec::new(),
            deny: Vec::new(),
            keep_free: None,
            usage: Reported::Unavailable,
            template: None,
            directives: Vec::new(),
            directive_files: Vec::new(),
            presets: Vec::new(),
        }
    }
}
