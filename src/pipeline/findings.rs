//! The mistakes found so far, and the map that says which file a span is in.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, SourceMap};

#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) map: SourceMap,
    pub(super) list: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Adds a mistake at a place, and hands it back for what more there is to say.
    pub(super) fn at(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: &Range<usize>,
        text: impl Into<String>,
    ) -> Found<'_> {
        let diagnostic = Diagnostic::new(code, message).at_span(&self.map, span.clone(), text);
        self.list.push(diagnostic);
        Found(self)
    }

    /// The bytes of `part` where it stands in the file between `span`, or else all of them: a
    /// string with escapes does not stand there as it is.
    pub(super) fn within(&self, span: &Range<usize>, part: &str) -> Range<usize> {
        let (source, local) = self.map.locate(span.clone());
        let at = source.text.get(local).and_then(|written| written.find(part));
        at.map_or_else(|| span.clone(), |at| span.start + at..span.start + at + part.len())
    }

    /// The bytes of `part` of `value`, which was read from `span`.
    pub(super) fn inside(
        &self,
        span: &Range<usize>,
        value: &str,
        part: &Range<usize>,
    ) -> Range<usize> {
        let (source, local) = self.map.locate(span.clone());
        let base = span.start - local.start;
        let found = source.inside(&local, value, part);
        base + found.start..base + found.end
    }

    /// Everything found, in file order. What several variants of a stage have in common was found
    /// for each of them.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.map.sort(&mut self.list);
        let places = |found: &Diagnostic| -> Vec<Range<usize>> {
            found.labels.iter().map(|label| label.span.clone()).collect()
        };
        self.list.dedup_by(|a, b| a.message == b.message && places(a) == places(b));
        self.list
    }

    /// True when a mistake was already found between these bytes.
    pub(super) fn any_within(&self, range: &Range<usize>) -> bool {
        let (source, range) = self.map.locate(range.clone());
        self.list.iter().flat_map(|found| &found.labels).any(|label| {
            std::sync::Arc::ptr_eq(&label.source, source) && range.contains(&label.span.start)
        })
    }
}

impl Findings {
    /// True when a mistake was already found within the table whose span this is: between its
    /// braces, or between its header and the next one.
    pub(super) fn any_in_table(&self, span: &Range<usize>) -> bool {
        let (source, local) = self.map.locate(span.clone());
        let rest = source.text.get(local.start..).unwrap_or_default();
        let length = if rest.starts_with('[') {
            rest.find("\n[").unwrap_or(rest.len())
        } else {
            local.len()
        };
        self.any_within(&(span.start..span.start + length))
    }
}

/// The mistake added last.
pub(super) struct Found<'a>(&'a mut Findings);

impl Found<'_> {
    pub(super) fn help(self, text: impl Into<String>) -> Self {
        if let Some(last) = self.0.list.last_mut() {
            last.help = Some(text.into());
        }
        self
    }

    /// A further place that belongs to it.
    pub(super) fn and(self, span: &Range<usize>, text: impl Into<String>) -> Self {
        if let Some(last) = self.0.list.pop() {
            let last = last.at_span(&self.0.map, span.clone(), text);
            self.0.list.push(last);
        }
        self
    }
}

/// `did you mean …?` when a name is near, else `otherwise`.
pub(super) fn did_you_mean<'a>(
    word: &str,
    names: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    crate::diagnostic::nearest(word, names)
        .map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`?"))
}

/// `dir/path`, without a leading `./` where the folder is the current one.
pub(super) fn join(dir: &Path, path: &str) -> PathBuf {
    if dir == Path::new(".") { PathBuf::from(path) } else { dir.join(path) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::Source;

    #[test]
    fn a_mistake_is_within_the_bytes_it_points_at() {
        let mut findings = Findings::default();
        findings.map.add(&Arc::new(Source::new("a", "0123456789")));
        findings.at("x", "m", &(3..4), "").help("h").and(&(7..8), "and");
        assert!(findings.any_within(&(2..4)) && findings.any_within(&(7..8)));
        assert!(!findings.any_within(&(4..7)));
        assert_eq!(findings.list[0].help.as_deref(), Some("h"));
    }
}
