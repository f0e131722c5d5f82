//! Texts of other languages in a pipeline: regular expressions, JSON paths, patterns of names.

use std::collections::HashMap;

/// JSON paths with brackets deeper than this take the parser twice as long for each level.
const DEEPEST_PATH: usize = 8;

/// Texts that were already compiled once, so that a thousand stages with one regex cost one.
#[derive(Default)]
pub(super) struct Checked {
    texts: HashMap<(Form, String), Result<(), String>>,
}

/// What a checked text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Regex,
    JsonPath,
    Glob,
}

impl Checked {
    /// Compiles `text` as `form`.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn check(&mut self, form: Form, text: &str) -> Result<(), String> {
        let key = (form, text.to_owned());
        self.texts.entry(key).or_insert_with(|| compile(form, text)).clone()
    }
}

fn compile(form: Form, text: &str) -> Result<(), String> {
    match form {
        Form::Regex => regex::Regex::new(text).map(|_| ()).map_err(|error| {
            // The last line says what; those above draw the pattern again.
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        }),
        Form::JsonPath if depth(text) > DEEPEST_PATH => {
            Err(format!("brackets more than {DEEPEST_PATH} deep"))
        }
        Form::JsonPath => serde_json_path::JsonPath::parse(text)
            .map(|_| ())
            .map_err(|error| format!("at character {}: {}", error.position() + 1, error.message())),
        Form::Glob => globset::GlobBuilder::new(text)
            .literal_separator(true)
            .build()
            .map(|_| ())
            .map_err(|error| error.kind().to_string()),
    }
}

/// How deep brackets of all kinds stand in each other.
fn depth(text: &str) -> usize {
    let mut depth: usize = 0;
    let mut deepest = 0;
    for c in text.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
