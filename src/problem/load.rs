//! A problem file, read and checked: every mistake at once, at its place.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::Problem;
use super::check::Checker;
use super::file::ProblemFile;
use crate::diagnostic::{Diagnostic, Source, document};
use crate::host::Host;

/// What loading found.
#[derive(Debug)]
pub struct Loaded {
    /// Present when nothing is wrong.
    pub problem: Option<Problem>,
    /// The reference's text, when it could be read.
    pub reference_text: Option<String>,
    /// All mistakes.
    pub diagnostics: Vec<Diagnostic>,
}

/// Keys that every problem has.
const NEEDED: [&str; 5] = ["name", "entry", "cases", "args", "reference"];

/// Reads and checks the problem at `path`, which diagnostics name as it is given here.
pub fn load(path: &Path, host: &dyn Host) -> Loaded {
    let text = match host.read(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read the problem file {}: {error}", path.display());
            return Loaded::refused(vec![Diagnostic::new("unreadable-file", message)]);
        }
    };
    let source = Arc::new(Source::new(path, text));
    let document = document::read::<ProblemFile>(&source);
    let mut found = document.diagnostics;
    let Some(file) = document.value else {
        return Loaded::refused(found);
    };
    let mut checker = Checker::new(&source, path, host);
    checker.take_note(&found);
    missing_keys(&mut checker, &found);
    let made = checker.problem(&file);
    let reference_text = checker.reference_text.take();
    found.append(&mut checker.found);
    crate::diagnostic::SourceMap::new(&source).sort(&mut found);
    let problem = made.filter(|_| found.is_empty());
    Loaded { problem, reference_text, diagnostics: found }
}

impl Loaded {
    fn refused(diagnostics: Vec<Diagnostic>) -> Self {
        Self { problem: None, reference_text: None, diagnostics }
    }
}

/// Keys that are absent, as against written with a mistake, which is reported already.
fn missing_keys(checker: &mut Checker<'_>, found: &[Diagnostic]) {
    let (table, _told) = toml::de::DeTable::parse_recoverable(&checker.source.text);
    let keys = || table.get_ref().keys();
    let misspelt = found.iter().filter_map(|told| {
        let start = told.labels.first()?.span.start;
        keys().find(|key| key.span().start == start)?;
        told.meant.as_deref()
    });
    let written: BTreeSet<&str> =
        keys().map(|key| key.get_ref().as_ref()).chain(misspelt).collect();
    let missing: Vec<&str> = NEEDED.into_iter().filter(|key| !written.contains(key)).collect();
    for key in missing {
        let label = format!("`{key}` is required here");
        checker.tell("missing-key", format!("missing key `{key}`"), 0..0, label);
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
