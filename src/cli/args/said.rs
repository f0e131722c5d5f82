//! What is said about a decision.

use clap::Args;

/// `optloop revert`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RevertArgs {
    #[command(flatten)]
    pub(in crate::cli) decided: Decided,
}

/// What is decided, and why.
#[derive(Debug, Args)]
pub(in crate::cli) struct Decided {
    /// What it is decided on: a path, a run, RUN/STAGE; by default the last comparison or
    /// measurement of a stage that scores.
    #[arg(default_value = "last")]
    pub(in crate::cli) artifact: String,
    #[command(flatten)]
    pub(in crate::cli) said: SaidArgs,
}

/// What is said about a decision.
#[derive(Debug, Args)]
pub(in crate::cli) struct SaidArgs {
    /// Why, in a sentence or a few.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(in crate::cli) summary: String,
    /// A signal or an outlier; once each.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(in crate::cli) feedback: Vec<String>,
    /// What to try next.
    #[arg(long, value_name = "TEXT", value_parser = said, allow_hyphen_values = true)]
    pub(in crate::cli) next_step: Option<String>,
}

/// A text that says something. A forgotten one would swallow the option behind it.
pub(super) fn said(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty: say something".to_owned()),
        text if text.starts_with("--") => Err("it reads like an option: say something".to_owned()),
        text => Ok(text.to_owned()),
    }
}
