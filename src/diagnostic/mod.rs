//! What is wrong, where, and what to do next: one type for every error that points into a file,
//! its rendering, and the reading of TOML files with all their mistakes found at once.
//!
//! Not for: what a file means. A module reads its file with [`document::read`] and adds its own
//! diagnostics to those it got.

pub mod document;
mod duplicate;
mod nearest;
mod overlay;
mod render;
mod shape;
mod source_map;
mod spanned;
mod syntax;
mod walk;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub use nearest::nearest;
pub use render::{render, render_in_color};
pub use source_map::SourceMap;
pub use spanned::{Entries, Spanned};

/// A text that diagnostics point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would write it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A byte range of a source, with what is to be said there (empty: just the caret).
#[derive(Debug, Clone)]
pub struct Label {
    /// The file.
    pub source: Arc<Source>,
    /// Bytes of its text.
    pub span: Range<usize>,
    /// Words under the caret.
    pub text: String,
}

/// One problem. Rendered by [`render`].
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable kebab-case code, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// Where: the first label is the primary one.
    pub labels: Vec<Label>,
    /// What to do next.
    pub help: Option<String>,
    /// The key that it is about, or that a misspelt one was probably meant to be: that this one is
    /// missing then is the same mistake, and not told again.
    pub meant: Option<String>,
}

/// Where a diagnostic's first label stands, counted as editors count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Diagnostic {
    /// A problem without a place yet.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), labels: Vec::new(), help: None, meant: None }
    }

    /// Points at `span` of `source`; the first such call gives the primary place.
    #[must_use]
    pub fn at(mut self, source: &Arc<Source>, span: Range<usize>, text: impl Into<String>) -> Self {
        let span = source.clamp(span);
        self.labels.push(Label { source: Arc::clone(source), span, text: text.into() });
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Where the first label stands.
    pub fn location(&self) -> Option<Location> {
        let label = self.labels.first()?;
        let (line, column) = label.source.line_column(label.span.start);
        Some(Location { path: label.source.path.clone(), line, column })
    }

    /// For `--format json` and for editors.
    pub fn record(&self) -> DiagnosticRecord {
        let place = self.location();
        let label = self.labels.first();
        DiagnosticRecord {
            code: self.code.to_owned(),
            message: self.message.clone(),
            file: place.as_ref().map(|place| place.path.display().to_string()),
            line: place.as_ref().map(|place| place.line),
            column: place.as_ref().map(|place| place.column),
            span: label.map(|label| [label.span.start, label.span.end]),
            label: label.map(|label| label.text.clone()),
            help: self.help.clone(),
        }
    }
}

/// A mistake in a file, as programs read it. What has no value is null.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct DiagnosticRecord {
    /// The mistake's short name.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1.
    pub column: Option<usize>,
    /// Bytes: first and end.
    pub span: Option<[usize; 2]>,
    /// What stands under the caret.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Source {
    /// A text under the path that users know it by.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Line and column (in characters) of a byte, both from 1.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.clamp(offset..offset).start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The bytes of `part` of a value that was read from `span`, or all of `span` where the value
    /// does not stand there as it is: in a text with escapes, or put together from variables.
    pub fn inside(&self, span: &Range<usize>, value: &str, part: &Range<usize>) -> Range<usize> {
        let written = self.text.get(span.clone()).unwrap_or_default();
        match written.find(value) {
            Some(at) if !value.is_empty() => {
                let start = span.start + at;
                start + part.start..start + part.end
            }
            _ => span.clone(),
        }
    }

    /// The same range, within the text and on character boundaries.
    fn clamp(&self, span: Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start)).min(self.text.len());
        start..end.max(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source::new("a.toml", text))
    }

    #[test]
    fn columns_count_characters_from_one() {
        let source = source("a = 1\nµµ = 2\n");
        let place = |at: usize| {
            Diagnostic::new("x", "y").at(&source, at..at, "").location().map(|l| (l.line, l.column))
        };
        assert_eq!(place(0), Some((1, 1)));
        assert_eq!(place(4), Some((1, 5)));
        assert_eq!(place(6), Some((2, 1)));
        assert_eq!(place(10), Some((2, 3)));
        assert_eq!(place(9), Some((2, 2)), "inside a character counts as its start");
        assert_eq!(place(99), Some((3, 1)), "past the end is the end");
    }

    #[test]
    fn a_part_of_a_text_is_found_where_it_is_written_as_it_reads() {
        let source = Source::new("a.toml", "a = \"1 + x\" # 1 + x\nb = 'x'\nc = \"\\u0078\"");
        assert_eq!(source.inside(&(4..11), "1 + x", &(4..5)), 9..10);
        assert_eq!(source.inside(&(24..27), "x", &(0..1)), 25..26);
        assert_eq!(source.inside(&(32..40), "x", &(0..1)), 32..40, "an escape");
        assert_eq!(source.inside(&(4..11), "", &(0..0)), 4..11);
    }

    #[test]
    fn json_holds_the_first_place_and_nulls_elsewhere() {
        let found =
            Diagnostic::new("unknown-key", "m").at(&source("ab = 1"), 0..2, "here").help("h");
        assert_eq!(
            serde_json::to_value(found.record()).expect("encodes"),
            serde_json::json!({"code": "unknown-key", "message": "m", "file": "a.toml", "line": 1,
                "column": 1, "span": [0, 2], "label": "here", "help": "h"})
        );
        assert_eq!(Diagnostic::new("x", "y").record().file, None);
    }
}
