//! TOML text to a table, going on after a syntax error.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::duplicate::duplicate_keys;
use super::{Diagnostic, Source};

/// `None` when what the parser made of the text is not to be trusted. After a duplicate key it is.
pub(super) fn parse<'a>(
    source: &'a Arc<Source>,
    found: &mut Vec<Diagnostic>,
) -> Option<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    let mut mistaken_lines = Vec::new();
    let mut duplicates = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        if error.message() == "duplicate key" {
            duplicates.push(span);
            continue;
        }
        let span = visible(source, span);
        let line = source.line_column(span.start).0;
        // What follows a syntax error on its line is mostly the same mistake again.
        if !mistaken_lines.contains(&line) {
            mistaken_lines.push(line);
            let message = in_words(error.message(), &source.text[span.clone()]);
            found.push(Diagnostic::new("syntax", message).at(source, span, ""));
        }
    }
    found.extend(duplicate_keys(source, table.get_ref(), &duplicates));
    mistaken_lines.is_empty().then(|| table.into_inner())
}

/// The parser's words, but for the mistakes that it takes for a string without quotes.
fn in_words<'a>(message: &'a str, at: &str) -> &'a str {
    match at.trim() {
        _ if !message.starts_with("string values must be quoted") => message,
        "" => "a value is missing",
        words if words.contains(' ') => "quotes or a comma are missing",
        _ => "strings must be quoted",
    }
}

/// The parser may point at the line break after the mistake: the caret belongs before it.
fn visible(source: &Source, span: Range<usize>) -> Range<usize> {
    let Range { start, end } = source.clamp(span);
    let at_break = source.text[start..].starts_with(['\n', '\r']);
    if at_break { start..start } else { start..end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> (Vec<String>, bool) {
        let source = Arc::new(Source::new("a.toml", text));
        let mut found = Vec::new();
        let is_usable = parse(&source, &mut found).is_some();
        (found.into_iter().map(|found| found.message).collect(), is_usable)
    }

    #[test]
    fn one_mistake_a_line_is_told_and_nothing_is_made_of_the_rest() {
        let (mut found, is_usable) = messages("name = \nneeds = [1 2]\n[stages.x\nfoo = 3\n");
        found.sort();
        let table = "unclosed table, expected `]`";
        assert_eq!(found, ["a value is missing", "quotes or a comma are missing", table]);
        assert!(!is_usable);
    }

    #[test]
    fn after_a_duplicate_the_table_is_still_good() {
        assert_eq!(messages("a = 1\na = 2\n"), (vec!["duplicate key `a`".to_owned()], true));
        assert_eq!(messages("a = 1\n"), (vec![], true));
    }
}
