//! The text of a prompt with places for what changes, in the language of Jinja.

use std::path::PathBuf;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

use super::context::Context;
use crate::diagnostic::{Diagnostic, Source};

/// What is asked without a template of the project's.
const BUILT_IN: &str = include_str!("default.j2");
const BUILT_IN_NAME: &str = "the built-in template";

/// A template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    name: PathBuf,
    text: String,
}

impl Default for Template {
    fn default() -> Self {
        Self { name: BUILT_IN_NAME.into(), text: BUILT_IN.to_owned() }
    }
}

impl Template {
    /// One of the project's; `name` is its file, for messages.
    pub fn new(name: PathBuf, text: String) -> Self {
        Self { name, text }
    }

    /// What is wrong with it, tried out with samples of what it will be filled with.
    pub fn mistakes(&self) -> Vec<Diagnostic> {
        let samples = [Context::default(), Context::sample()];
        let error = samples.iter().find_map(|sample| self.filled(sample).err());
        error.map(|error| self.mistake(&error)).into_iter().collect()
    }

    fn mistake(&self, error: &Error) -> Diagnostic {
        let source = Arc::new(Source::new(&self.name, self.text.clone()));
        let line = error.line().unwrap_or(1).saturating_sub(1);
        let before: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let length = self.text[before..].lines().next().unwrap_or_default().len();
        let label = error.detail().unwrap_or("here").to_owned();
        let message = format!("the template cannot be filled in: {}", error.kind());
        Diagnostic::new("bad-template", message)
            .at(&source, before..before + length, label)
            .help("it is in the language of Jinja; `docs/campaigns.md` lists the variables")
    }

    fn filled(&self, context: &Context) -> Result<String, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let mut syntax = SyntaxConfig::builder();
        // Lines that hold nothing but a tag leave nothing behind.
        syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true);
        environment.set_syntax(syntax.build()?);
        environment.render_str(&self.text, Serde(context))
    }

    /// The prompt. A template that has been tried out fails only where what is tried there was not
    /// reached; then it is the built-in one's, with a sentence why.
    pub(super) fn text(&self, context: &Context) -> String {
        self.filled(context).unwrap_or_else(|error| {
            let built_in = Self::default().filled(context).unwrap_or_default();
            let why = format!("The template {} cannot be filled in: {error}", self.name.display());
            format!("{built_in}\n{why}\n")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::new("prompt.j2".into(), text.to_owned())
    }

    #[test]
    fn mistakes_are_found_at_their_lines_before_anything_runs() {
        for (text, line, what) in [
            ("one\n{{ iteration }\n", 2, "syntax error"),
            ("{{ goal }}\n\n{{ colour }}\n", 3, "undefined value"),
            ("{% if baseline is not none %}\n{{ best.worth }}\n{% endif %}", 2, "undefined value"),
            ("{% for x in tried %}\n{{ x | shout }}\n{% endfor %}", 2, "unknown filter"),
            ("{% if goal %}\n", 1, "syntax error"),
        ] {
            let told = template(text).mistakes();
            assert_eq!(told.len(), 1, "{text}");
            assert!(told[0].message.contains(what), "{text}: {}", told[0].message);
            let place = told[0].location().expect("a place");
            assert_eq!((place.path, place.line), ("prompt.j2".into(), line), "{text}");
        }
        let fine = "{{ goal }}{% for x in failures %}{{ x.text }}{% endfor %} {{ total }}";
        assert!(template(fine).mistakes().is_empty());
        assert!(Template::default().mistakes().is_empty());
    }

    #[test]
    fn nothing_is_escaped_and_tags_leave_no_lines() {
        let context = Context { goal: "a < b & \"c\"".to_owned(), ..Context::default() };
        let text = template("{{ goal }}\n{% if goal %}\nx\n{% endif %}\ny\n").text(&context);
        assert_eq!(text, "a < b & \"c\"\nx\ny\n");
    }
}
