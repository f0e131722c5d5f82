//! One version of a kernel as it is compiled, and what is said where there is none.

use std::path::{Path, PathBuf};

use crate::backend::cpu::assembly::{Assembly, Function};
use crate::cli::exit::Exit;
use crate::cli::refusal::Refusal;
use crate::diagnostic::nearest;

/// One version of a kernel, compiled.
pub(super) struct Listing {
    /// As the user names it.
    pub(super) title: String,
    /// The file that was compiled.
    pub(super) source: PathBuf,
    pub(super) assembly: Assembly,
    /// Positions of the functions that are shown, the entry first.
    pub(super) shown: Vec<usize>,
    /// Compiler and flags, for people.
    pub(super) command: String,
}

impl Listing {
    pub(super) fn functions(&self) -> impl Iterator<Item = &Function> {
        self.shown.iter().filter_map(|&at| self.assembly.functions.get(at))
    }
}

pub(super) fn names(assembly: &Assembly) -> impl Iterator<Item = &str> {
    assembly.functions.iter().map(|f| f.name.as_str())
}

/// The function with the longest name that the file's begins with: `sgemm` of `sgemm_fast.c`.
pub(super) fn like_the_file<'a>(
    names: impl Iterator<Item = &'a str>,
    source: &Path,
) -> Option<&'a str> {
    let stem = source.file_stem()?.to_str()?;
    names.filter(|name| stem.starts_with(name)).max_by_key(|name| name.len())
}

pub(super) fn no_entry<'a>(
    name: &str,
    title: &str,
    names: impl Iterator<Item = &'a str>,
) -> Refusal {
    let names: Vec<&str> = names.collect();
    let help = match (nearest(name, names.iter().copied()), names.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, true) => "the file has no code of its own; is everything in it `static`?".to_owned(),
        (None, false) => format!("there is code of {}", names.join(", ")),
    };
    Refusal::Words(format!("{title} has no code for `{name}`"), Some(help), Exit::User)
}

pub(super) fn cannot(what: &str, why: &dyn std::fmt::Display) -> Refusal {
    Refusal::Words(format!("cannot {what}: {why}"), None, Exit::Infrastructure)
}
