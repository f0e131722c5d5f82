//! Both sides of a key that is given twice: the parser tells only the second.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{Diagnostic, Source};

/// The diagnostic for the key at `span`, whose first use is looked up in `table`.
pub(super) fn duplicate(
    source: &Arc<Source>,
    table: &DeTable<'_>,
    span: Range<usize>,
) -> Diagnostic {
    let key = source.text.get(span.clone()).unwrap_or_default();
    let name = key.trim_matches(['"', '\'']);
    let found = Diagnostic::new("duplicate-key", format!("duplicate key `{name}`"))
        .at(source, span.clone(), "given again here")
        .help("keep one of the two, or rename one");
    match first_use(source, table, name, &span) {
        Some(first) => found.at(source, first, "first given here"),
        None => found,
    }
}

/// Where the other side of a duplicate is: the same header line, or the last such key before it.
fn first_use(
    source: &Source,
    table: &DeTable<'_>,
    name: &str,
    again: &Range<usize>,
) -> Option<Range<usize>> {
    let line_start = source.text[..again.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let header = &source.text[line_start..again.end];
    if header.trim_start().starts_with('[') {
        let mut start = 0;
        for line in source.text[..line_start].split_inclusive('\n') {
            if line.starts_with(header) && line[header.len()..].trim_start().starts_with(']') {
                return Some(start + (again.start - line_start)..start + header.len());
            }
            start += line.len();
        }
        return None;
    }
    let mut best = None;
    last_key_before(table, name, again.start, &mut best);
    best
}

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
