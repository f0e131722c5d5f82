//! Settings of a campaign from the command line and the environment.

use std::str::FromStr;

use crate::campaign::settings::given::{Given, Of, Source};
use crate::cli::args::StartArgs;
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::project::host::text_variable;

/// The command line counts more than the environment.
pub(super) fn given(args: &StartArgs) -> Result<Given, Refusal> {
    let given = Given {
        name: of(args.name.clone(), "OPTLOOP_NAME")?,
        goal: of(args.goal.clone(), "OPTLOOP_GOAL")?,
        target: of(args.target, "OPTLOOP_TARGET")?,
        iterations: of(args.iterations, "OPTLOOP_ITERATIONS")?,
        hours: of(args.hours, "OPTLOOP_HOURS")?,
    };
    match given.mistake() {
        None => Ok(given),
        Some(mistake) => Err(Refusal::Words(mistake.to_owned(), None, Exit::Usage)),
    }
}

fn of<T: FromStr>(flag: Option<T>, variable: &str) -> Result<Option<Of<T>>, Refusal> {
    if let Some(value) = flag {
        return Ok(Some(Of { value, source: Source::CommandLine }));
    }
    let Some(text) = text_variable(variable).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let value = text.parse().map_err(|_| {
        let what = format!("{variable} is `{text}`, which is no such number");
        Refusal::Words(what, Some(format!("mend it, or unset {variable}")), Exit::Usage)
    })?;
    Ok(Some(Of { value, source: Source::Environment }))
}
