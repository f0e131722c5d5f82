//! Both sides of a key that is given twice: the parser tells only the second.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{Diagnostic, Source};

/// The diagnostics for keys given again at `spans`, their first uses looked up in `table`. What a
/// table has twice because it is there twice itself goes without saying.
pub(super) fn duplicate_keys(
    source: &Arc<Source>,
    table: &DeTable<'_>,
    spans: &[Range<usize>],
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut table_again: Option<usize> = None;
    for span in spans {
        let is_within = table_again.is_some_and(|start| {
            start <= span.start && !source.text[start..span.start].contains("\n[")
        });
        if is_within {
            continue;
        }
        table_again = header(source, span).map(|_| span.end);
        found.push(duplicate(source, table, span));
    }
    found
}

/// The line up to the end of `span`, when it is a table's header.
fn header<'a>(source: &'a Source, span: &Range<usize>) -> Option<(usize, &'a str)> {
    let start = source.text[..span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = &source.text[start..span.end];
    line.trim_start().starts_with('[').then_some((start, line))
}

fn duplicate(source: &Arc<Source>, table: &DeTable<'_>, span: &Range<usize>) -> Diagnostic {
    let key = source.text.get(span.clone()).unwrap_or_default();
    let name = key.trim_matches(['"', '\'']);
    let found = Diagnostic::new("duplicate-key", format!("duplicate key `{name}`"))
        .at(source, span.clone(), "given again here")
        .help("keep one of the two, or rename one");
    let first = if let Some((start, header)) = header(source, span) {
        first_header(source, start, header, span)
    } else {
        let mut last = None;
        last_key_before(table, name, span.start, &mut last);
        last
    };
    match first {
        Some(first) => found.at(source, first, "first given here"),
        None => found,
    }
}

/// The key in an earlier line with the same header.
fn first_header(
    source: &Source,
    line_start: usize,
    header: &str,
    again: &Range<usize>,
) -> Option<Range<usize>> {
    let mut start = 0;
    for line in source.text[..line_start].split_inclusive('\n') {
        if line.starts_with(header) && line[header.len()..].trim_start().starts_with(']') {
            return Some(start + (again.start - line_start)..start + header.len());
        }
        start += line.len();
    }
    None
}

/// The last use of a key before `end`: in a well-kept file, the one in the same table.
fn last_key_before(table: &DeTable<'_>, name: &str, end: usize, best: &mut Option<Range<usize>>) {
    for (key, value) in table {
        let span = key.span();
        let later = best.as_ref().is_none_or(|best| span.start > best.start);
        if key.get_ref() == name && span.start < end && later {
            *best = Some(span);
        }
        match value.get_ref() {
            DeValue::Table(table) => last_key_before(table, name, end, best),
            DeValue::Array(list) => list
                .iter()
                .filter_map(|item| item.get_ref().as_table())
                .for_each(|table| last_key_before(table, name, end, best)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Entries, document};
    use super::*;

    #[test]
    fn both_sides_are_named() {
        for (text, sides) in [
            ("[s.a]\nx = 1\n[s.b]\nx = 1\n[s.a]\ny = 1\n", [(27, "a"), (3, "a")]),
            ("[s.a]\nx = 1\n[s.b]\nx = 1\nx = 1\n", [(24, "x"), (18, "x")]),
            ("[a]\nx = 1\n[a]\nx = 1\n", [(11, "a"), (1, "a")]),
            ("a = { x = 1, x = 2 }\n", [(13, "x"), (6, "x")]),
        ] {
            let source = Arc::new(Source::new("a.toml", text));
            let read = document::read::<Entries<serde_json::Value>>(&source);
            let [found] = read.diagnostics.as_slice() else { panic!("{:?}", read.diagnostics) };
            assert_eq!(found.code, "duplicate-key");
            let labels =
                found.labels.iter().map(|label| (label.span.start, &text[label.span.clone()]));
            assert_eq!(labels.collect::<Vec<_>>(), sides, "{text}");
        }
    }
}
