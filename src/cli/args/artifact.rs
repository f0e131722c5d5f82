//! The command line of `optloop artifact`.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::said::{SaidArgs, said};
use crate::diagnostic::nearest;
use crate::record::Decision;

/// `optloop artifact …`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ArtifactCommand {
    /// List artifacts, newest last.
    Ls {
        /// Only of this stage.
        #[arg(long)]
        stage: Option<String>,
    },
    /// Show one: a path, a run, RUN/STAGE, or `last`.
    Show {
        /// Which.
        #[arg(default_value = "last")]
        artifact: String,
        /// Pictures in ASCII, whatever the locale.
        #[arg(long)]
        ascii: bool,
    },
    /// Write down what was decided about one; what was measured is not touched.
    Analyze(AnalyzeArgs),
    /// Print the path of one.
    Path {
        /// Which.
        #[arg(default_value = "last")]
        artifact: String,
    },
}

/// `optloop artifact analyze`.
#[derive(Debug, Args)]
pub(in crate::cli) struct AnalyzeArgs {
    /// Which: a path, a run, RUN/STAGE, or `last`.
    pub(in crate::cli) artifact: String,
    /// KEEP, REVERT or UNDECIDED.
    #[arg(long, value_parser = DecisionParser)]
    pub(in crate::cli) decision: Decision,
    #[command(flatten)]
    pub(in crate::cli) said: SaidArgs,
    /// Who decided.
    #[arg(long, value_name = "NAME", value_parser = said)]
    pub(in crate::cli) by: Option<String>,
}

/// Words of decisions, told to completion scripts too.
#[derive(Clone)]
struct DecisionParser;

impl TypedValueParser for DecisionParser {
    type Value = Decision;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Decision, clap::Error> {
        StringValueParser::new().try_map(|word| decision(&word)).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Decision::ALL.into_iter().map(|d| PossibleValue::new(d.word()))))
    }
}

fn decision(word: &str) -> Result<Decision, String> {
    Decision::of_word(word).ok_or_else(|| {
        let words = Decision::ALL.map(Decision::word);
        match nearest(word, words) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", words.join(", ")),
        }
    })
}
