//! The command line of the one command that is to be over in a millisecond.

use std::ffi::OsString;

use clap::{Args as _, Command as Grammar, FromArgMatches as _};

use super::{Cli, Command, Global, PipelineArgs};

/// The command line of `optloop pipeline`, without making ready for any other command. Whatever is
/// not a plain success is left to the whole parser, which has the words for it.
pub(in crate::cli) fn pipeline_alone(args: impl IntoIterator<Item = OsString>) -> Option<Cli> {
    let args: Vec<OsString> = args.into_iter().collect();
    args.get(1).filter(|name| *name == "pipeline" || *name == "p")?;
    let own = PipelineArgs::augment_args(Grammar::new("pipeline").alias("p"));
    let program = Global::augment_args(Grammar::new("optloop")).subcommand(own);
    let mut matches = program.try_get_matches_from(args).ok()?;
    let global = Global::from_arg_matches_mut(&mut matches).ok()?;
    let (_, mut own) = matches.remove_subcommand()?;
    let pipeline = PipelineArgs::from_arg_matches_mut(&mut own).ok()?;
    Some(Cli { global, command: Command::Pipeline(pipeline) })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_it_understands_is_what_the_whole_parser_understands() {
        for line in [
            "optloop pipeline p.toml",
            "optloop p p.toml smoke candidate --quiet",
            "optloop pipeline p.toml --format json --jobs 3 --rerun --keep-going",
            "optloop pipeline --color never -q p.toml --set a=1 --set b=2 --kernel k.c",
            "optloop pipeline p.toml --explain --logs new --repeats 3 -- smoke",
        ] {
            let whole = Cli::try_parse_from(words(line)).unwrap();
            let alone = pipeline_alone(words(line)).unwrap();
            assert_eq!(format!("{alone:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn what_is_no_plain_success_is_left_to_the_whole_parser() {
        for line in [
            "optloop",
            "optloop graph p.toml",
            "optloop --quiet pipeline p.toml",
            "optloop pipeline",
            "optloop pipeline --help",
            "optloop pipeline p.toml --nonsense",
            "optloop pipeline p.toml --dry-run --rerun",
            "optloop pipeline p.toml --format yaml",
        ] {
            assert!(pipeline_alone(words(line)).is_none(), "{line}");
        }
    }
}
