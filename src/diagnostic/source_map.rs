//! Several texts under one numbering of bytes, so that a value keeps one span wherever it came
//! from: the file itself, a preset, or `--set`.

use std::ops::Range;
use std::sync::Arc;

use super::{Diagnostic, Source};

/// Sources laid end to end. The first one starts at 0, so its spans are its own.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    sources: Vec<(usize, Arc<Source>)>,
    end: usize,
}

impl SourceMap {
    /// Holds one source at 0.
    pub fn new(first: &Arc<Source>) -> Self {
        let mut map = Self::default();
        map.add(first);
        map
    }

    /// Adds a source and returns what is to be added to its spans.
    pub fn add(&mut self, source: &Arc<Source>) -> usize {
        let base = self.end;
        // One more than its length, so that its end is not the next one's start.
        self.end += source.text.len() + 1;
        self.sources.push((base, Arc::clone(source)));
        base
    }

    /// The source that `span` lies in, and the span within it.
    ///
    /// # Panics
    /// When the map is empty.
    pub fn locate(&self, span: Range<usize>) -> (&Arc<Source>, Range<usize>) {
        let after = self.sources.partition_point(|(base, _)| *base <= span.start);
        let (base, source) = &self.sources[after.saturating_sub(1)];
        (source, span.start - base..span.end.saturating_sub(*base))
    }

    /// True when `span` lies in the first source.
    pub fn is_first(&self, span: &Range<usize>) -> bool {
        self.sources.get(1).is_none_or(|(base, _)| span.start < *base)
    }

    /// Puts diagnostics into the order of sources, and of bytes within each; those without a place
    /// come first.
    pub fn sort(&self, diagnostics: &mut [Diagnostic]) {
        diagnostics.sort_by_key(|diagnostic| {
            let label = diagnostic.labels.first()?;
            let same = |(_, source): &(usize, Arc<Source>)| Arc::ptr_eq(source, &label.source);
            Some((self.sources.iter().position(same), label.span.start, label.span.end))
        });
    }

    /// Every source, in the order they were added.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.iter().map(|(_, source)| source)
    }
}

impl Diagnostic {
    /// Like [`Diagnostic::at`], for a span of `map`.
    #[must_use]
    pub fn at_span(self, map: &SourceMap, span: Range<usize>, text: impl Into<String>) -> Self {
        let (source, span) = map.locate(span);
        self.at(source, span, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_find_their_way_home() {
        let [a, b] = [("a", "0123"), ("b", "xy")].map(|(p, t)| Arc::new(Source::new(p, t)));
        let mut map = SourceMap::new(&a);
        let base = map.add(&b);
        assert_eq!(map.locate(4..4), (&a, 4..4), "the end of a is still a");
        assert_eq!(map.locate(base..base + 1), (&b, 0..1));
        assert!(map.is_first(&(0..1)) && !map.is_first(&(base..base)));
    }
}
