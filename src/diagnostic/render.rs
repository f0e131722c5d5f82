//! Diagnostics as people read them.

use std::borrow::Cow;
use std::fmt::Write as _;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Label};

/// Every diagnostic with its place, source lines and help; a count follows when there are several.
pub fn render(diagnostics: &[Diagnostic]) -> String {
    draw(diagnostics, &Renderer::plain())
}

/// Like [`render`], with the escape sequences of a terminal's colours.
pub fn render_in_color(diagnostics: &[Diagnostic]) -> String {
    draw(diagnostics, &Renderer::styled())
}

fn draw(diagnostics: &[Diagnostic], renderer: &Renderer) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(diagnostic)]));
        text.push_str("\n\n");
    }
    if diagnostics.len() > 1 {
        let _infallible = writeln!(text, "{} errors", diagnostics.len());
    } else if text.ends_with("\n\n") {
        text.pop();
    }
    text
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let title = Level::ERROR.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = Group::with_title(title);
    for labels in by_source(&diagnostic.labels) {
        let is_primary = std::ptr::eq(labels[0], &raw const diagnostic.labels[0]);
        let first = if is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        group = group.element(snippet(&labels, first));
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// Labels gathered by file, in order of first appearance.
fn by_source(labels: &[Label]) -> Vec<Vec<&Label>> {
    let mut files: Vec<Vec<&Label>> = Vec::new();
    for label in labels {
        let known = files.iter_mut().find(|file| {
            std::sync::Arc::ptr_eq(&file[0].source, &label.source) || file[0].source == label.source
        });
        match known {
            Some(file) => file.push(label),
            None => files.push(vec![label]),
        }
    }
    files
}

/// The labels of one file, the first of them of the kind `first`.
///
/// Only the lines from the first to the last label are handed over: laying out a megabyte for
/// each of thousands of diagnostics would take minutes.
fn snippet<'a>(labels: &[&'a Label], first_kind: AnnotationKind) -> Snippet<'a, Annotation<'a>> {
    let source = &labels[0].source;
    let text = source.text.as_str();
    let first = labels.iter().map(|label| label.span.start).min().unwrap_or(0);
    let last = labels.iter().map(|label| label.span.end).max().unwrap_or(0);
    let from = text[..first].rfind('\n').map_or(0, |newline| newline + 1);
    let to = text[last..].find('\n').map_or(text.len(), |newline| last + newline);
    let annotations = labels.iter().enumerate().map(|(index, label)| {
        let kind = if index == 0 { first_kind } else { AnnotationKind::Context };
        let annotation = kind.span(label.span.start - from..label.span.end - from);
        if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
    });
    let path: Cow<'a, str> = source.path.to_string_lossy();
    Snippet::source(&text[from..to])
        .line_start(source.line_column(from).0)
        .path(path)
        .annotations(annotations)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::{Diagnostic, Source};
    use super::{render, render_in_color};

    fn source(path: &str, text: &str) -> Arc<Source> {
        Arc::new(Source::new(path, text))
    }

    #[test]
    fn one_error_shows_place_line_caret_and_help() {
        let source = source("a.toml", "x = 1\nretires = 2\n");
        let found = Diagnostic::new("unknown-key", "unknown key `retires`")
            .at(&source, 6..13, "did you mean `retries`?")
            .help("valid keys: retries");
        let text = render(&[found]);
        assert_eq!(
            text,
            "error[unknown-key]: unknown key `retires`\n --> a.toml:2:1\n  |\n2 | retires = 2\n  | ^^^^^^^ did you mean `retries`?\n  |\n  = help: valid keys: retries\n"
        );
    }

    #[test]
    fn several_labels_several_files_and_a_count() {
        let a = source("a.toml", "one = 1\n\n\n\n\n\ntwo = 2\n");
        let b = source("b.toml", "three = 3\n");
        let found = Diagnostic::new("x", "clash")
            .at(&a, 13..16, "second")
            .at(&a, 0..3, "first")
            .at(&b, 0..5, "third");
        let text = render(&[found.clone(), found]);
        for part in ["a.toml:7:1", "first", "second", "b.toml:1:1", "third", "2 errors\n"] {
            assert!(text.contains(part), "{part} is missing from\n{text}");
        }
    }

    #[test]
    fn no_place_is_just_the_title() {
        assert_eq!(render(&[Diagnostic::new("x", "m").help("h")]), "error[x]: m\n |\n = help: h\n");
        assert_eq!(render(&[]), "");
    }

    #[test]
    fn colour_is_only_there_when_asked_for() {
        let found = [Diagnostic::new("x", "m").at(&source("a", "b = 1"), 0..1, "")];
        assert!(render_in_color(&found).contains('\u{1b}'));
        assert!(!render(&found).contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_can_be_drawn(text in "[ab\u{e9}\u{1F600}\t\r\n]{0,30}", spans in prop::collection::vec((0usize..40, 0usize..40), 1..4)) {
            let source = source("a.toml", &text);
            let mut found = Diagnostic::new("x", "m");
            for (from, to) in spans {
                found = found.at(&source, from..to, "here");
            }
            prop_assert!(render(&[found]).contains("a.toml:"));
        }
    }
}
