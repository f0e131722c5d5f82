//! What is wrong, where, and what to do next: one type for every error that points into a file.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

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
}
