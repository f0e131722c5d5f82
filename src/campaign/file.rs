//! The exact image of a campaign file, with places. The doc comments become the JSON schema that
//! editors show.

mod compute;
mod hold;
mod keep;
mod publish;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spent::Reported;
use crate::diagnostic::Spanned;
pub use compute::{ComputeFile, ComputePreset};
pub use hold::{HoldFile, HoldPolicy};
pub use keep::{Failures, KeepFile, OnInfra, Preset, RetryFile};
pub use publish::{OnMoved, Publish};

/// A goal, who works towards it, what judges, and what may be spent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignFile {
    /// Its name: letters, digits, `-` and `_`.
    pub name: Option<Spanned<String>>,
    /// What is to be reached, in words: it goes into every prompt.
    pub goal: Option<Spanned<String>>,
    /// The pipeline that judges; its last stage that compares with the best decides.
    pub pipeline: Option<Spanned<String>>,
    /// The metric that is enough: reaching it, confirmed twice, ends the campaign.
    pub target: Option<Spanned<f64>>,
    /// What happens when the checkout has changes that are not committed; `fail` without it.
    pub dirty: Option<Spanned<Dirty>>,
    /// After so many kept iterations, and before the end, the best is compared with the first baseline
    /// in pairs; 10 without it, 0 for never.
    pub anchor: Option<Spanned<u32>>,
    /// True where no budget is meant to end it.
    pub unlimited: Option<Spanned<bool>>,
    /// Which files agents may change.
    #[serde(default)]
    pub scope: ScopeFile,
    /// Who proposes changes.
    pub agent: Option<Spanned<AgentFile>>,
    /// Commands that must succeed with every candidate.
    #[serde(default)]
    pub guard: Vec<Spanned<GuardFile>>,
    /// What may be spent; at least one of these, or `unlimited = true`.
    #[serde(default)]
    pub budget: BudgetFile,
    /// What else ends it.
    #[serde(default)]
    pub stop: StopFile,
    /// Which candidates stay.
    #[serde(default)]
    pub keep: KeepFile,
    /// Where command stages and guards run; here without it.
    pub compute: Option<ComputeFile>,
    /// A device that is held meanwhile.
    pub hold: Option<HoldFile>,
    /// What is tried again.
    #[serde(default)]
    pub retry: RetryFile,
    /// What becomes of a candidate that cannot be judged for reasons of the machine; `count` without
    /// it.
    pub on_infra: Option<OnInfra>,
    /// `branch`: each kept change becomes a commit on the branch `optloop/ID` of the user's
    /// repository, whose files, index and HEAD stay as they are.
    pub publish: Option<Publish>,
    /// A command that is run after each new best, in a clone of the user's repository with the
    /// campaign's branch; when it fails, that is a warning.
    #[schemars(length(min = 1))]
    pub on_best: Option<Vec<Spanned<String>>>,
    /// What happens when another commit is checked out while the campaign is interrupted; `ignore`
    /// without it.
    pub on_moved: Option<OnMoved>,
    /// Defaults for campaigns that nobody watches.
    pub preset: Option<Preset>,
}

/// What becomes of uncommitted changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dirty {
    /// The campaign does not begin.
    Fail,
    /// They are part of what it begins with.
    Include,
    /// They are not: it begins with the last commit.
    Ignore,
    /// The same as `ignore`: nothing of the checkout is moved, so there is nothing to bring back.
    Stash,
}

impl Dirty {
    /// Whether a campaign begins with the last commit, whatever was changed since.
    pub fn is_left_out(self) -> bool {
        matches!(self, Self::Ignore | Self::Stash)
    }
}

/// Which files agents may change.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeFile {
    /// Files and patterns that may be changed, and made; the pipeline's kernel files without it.
    pub edit: Option<Vec<Spanned<String>>>,
    /// Files and patterns that may not, whatever `edit` says.
    #[serde(default)]
    pub protect: Vec<Spanned<String>>,
    /// Files and patterns that may be changed where `--approve` names them.
    #[serde(default)]
    pub approve: Vec<Spanned<String>>,
    /// Files and folders that are no part of the project, such as a virtual environment or data:
    /// each copy of the project gets them, read-only.
    #[serde(default)]
    pub carry: Vec<Spanned<String>>,
}

/// Who proposes changes: `run` or `replay`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// A command: it is started once an iteration, in a copy of the project, and changes files there.
    #[schemars(length(min = 1))]
    pub run: Option<Vec<Spanned<String>>>,
    /// A folder whose patches and folders are applied in the order of their names, one an iteration.
    pub replay: Option<Spanned<String>>,
    /// How the command gets its prompt; `stdin` without it. `OPTLOOP_PROMPT` always names a file
    /// that holds it.
    pub prompt: Option<Spanned<PromptBy>>,
    /// How long one call may take, such as `"30m"`; two hours without it.
    pub timeout: Option<Spanned<String>>,
    /// How long it may print nothing after its start, such as `"2m"`; no limit without it.
    pub first_event: Option<Spanned<String>>,
    /// How long it may print nothing at any time, such as `"15m"`; no limit without it.
    pub idle: Option<Spanned<String>>,
    /// `auto`: writes are confined to the copy, a temporary folder and `writes`; `none`: they are
    /// not.
    pub sandbox: Option<Spanned<AgentSandbox>>,
    /// Folders outside the copy that the agent needs to write to, such as its own settings; a
    /// leading `~/` is the home folder.
    #[serde(default)]
    pub writes: Vec<Spanned<String>>,
    /// Variables that must be set, such as `"MY_TOKEN"`: looked at before the campaign begins, and
    /// their values are never shown.
    #[serde(default)]
    pub env: Vec<Spanned<String>>,
    /// How much the agent reports of what it costs, as `usage` in its answer: `exact`, `partial` or
    /// `unavailable`, which it is without this.
    pub usage: Option<Spanned<Reported>>,
    /// Programs that the agent must not call: their names lead to ones that refuse, and each call is
    /// written down.
    #[serde(default)]
    pub deny: Vec<Spanned<String>>,
    /// The agent is ended when less of the disk is free, GB; 1, or half of what was free when it
    /// began if that is less, without it.
    pub keep_free_gb: Option<Spanned<f64>>,
    /// A file that prompts are made from, in the language of Jinja, in place of the built-in one.
    pub template: Option<Spanned<String>>,
    /// Texts that each prompt ends its rules with, as mandatory.
    #[serde(default)]
    pub directives: Vec<Spanned<String>>,
    /// Files with such texts.
    #[serde(default)]
    pub directive_files: Vec<Spanned<String>>,
    /// Built-in texts of that kind.
    #[serde(default)]
    pub presets: Vec<Spanned<DirectivePreset>>,
}

/// Built-in directives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectivePreset {
    /// Three candidates with what they may gain and risk; one structural change; no mere tuning.
    Structural,
}

/// How a command gets its prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptBy {
    /// On its standard input.
    #[default]
    Stdin,
    /// As its last argument.
    Argument,
    /// In the file that `OPTLOOP_PROMPT` names.
    File,
}

/// What confines an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentSandbox {
    /// Landlock.
    #[default]
    Auto,
    /// Nothing.
    None,
}

/// A command that must succeed with every candidate, run where the candidate is judged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardFile {
    /// The command: a list is run as it is.
    #[schemars(length(min = 1))]
    pub run: Vec<Spanned<String>>,
    /// A regular expression whose last match in the output must be what it is at the beginning.
    pub expect: Option<Spanned<String>>,
    /// How long it may take; two minutes without it.
    pub timeout: Option<Spanned<String>>,
}

/// What may be spent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetFile {
    /// Iterations.
    #[schemars(range(min = 1))]
    pub iterations: Option<u32>,
    /// Hours of iterations, measuring included.
    pub hours: Option<Spanned<f64>>,
    /// Minutes of judging: the baseline, candidates with their guards, and confirmations.
    pub device_minutes: Option<Spanned<f64>>,
    /// US dollars of the agent's calls, as far as it reports them: see `agent.usage`.
    pub dollars: Option<Spanned<f64>>,
    /// Tokens of the agent's calls, as far as it reports them.
    pub tokens: Option<Spanned<u64>>,
    /// Failures of the agent or the machine; 0 ends it at the first, -1 or `"unlimited"` never.
    pub failures: Option<Spanned<Failures>>,
}

/// What else ends a campaign.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopFile {
    /// So many iterations in a row without a gain.
    #[schemars(range(min = 1))]
    pub no_gain: Option<u32>,
}
