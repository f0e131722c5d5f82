//! The `// optloop:` lines of a kernel: its own launch geometry, as TOML.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::backend::cuda::bundle::LaunchLines;
use crate::diagnostic::{Diagnostic, Source, Spanned, document};

/// What marks such a line, behind `//`.
const WORD: &str = "optloop:";

/// What the lines may say.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "optloop lines of a kernel")]
struct Lines {
    /// Blocks: one to three expressions over sizes and `block.x`.
    #[schemars(length(min = 1, max = 3))]
    grid: Option<Vec<Spanned<Value>>>,
    /// Threads of a block: one to three expressions over sizes.
    #[schemars(length(min = 1, max = 3))]
    block: Option<Vec<Spanned<Value>>>,
    /// Bytes of dynamic shared memory: an expression.
    shared: Option<Spanned<Value>>,
}

/// A number, or an expression.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Value {
    Number(u32),
    Expression(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Expression(text) => text.clone(),
        }
    }
}

/// Says what is wrong with an expression.
pub type CheckExpression<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// Reads the lines of a source. A source without any has no geometry of its own.
///
/// # Errors
/// Every mistake in them, at its place.
pub fn parse(
    path: &Path,
    text: &str,
    check: CheckExpression<'_>,
) -> Result<LaunchLines, Vec<Diagnostic>> {
    let source = Arc::new(Source::new(path, text));
    let document = document::read::<Lines>(&Arc::new(Source::new(path, blanked(text))));
    let mut found = document.diagnostics;
    // What was read is the source with all else blanked out: the places are the same.
    for label in found.iter_mut().flat_map(|diagnostic| &mut diagnostic.labels) {
        label.source = Arc::clone(&source);
    }
    let lines = document.value.unwrap_or_default();
    let values = lines.grid.iter().flatten().chain(lines.block.iter().flatten());
    for value in values.chain(&lines.shared) {
        if let Err(why) = check(&value.text()) {
            let message = format!("bad expression `{}`", value.text().escape_debug());
            found.push(Diagnostic::new("bad-expression", message).at(
                &source,
                value.span.clone(),
                why,
            ));
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let texts = |list: Vec<Spanned<Value>>| list.iter().map(|value| value.text()).collect();
    Ok(LaunchLines {
        grid: lines.grid.map(texts),
        block: lines.block.map(texts),
        shared: lines.shared.map(|value| value.text()),
    })
}

/// The text with everything but the words of such lines made blank, byte for byte.
fn blanked(text: &str) -> String {
    let mut plain: Vec<u8> =
        text.bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }).collect();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(words) = words(line) {
            let range = start + words.start..start + words.end;
            plain[range.clone()].copy_from_slice(&text.as_bytes()[range]);
        }
        start += line.len();
    }
    // Whole lines from behind an ASCII word to their ends were copied: characters are whole.
    String::from_utf8_lossy(&plain).into_owned()
}

/// Where the words behind `// optloop:` stand in a line.
fn words(line: &str) -> Option<Range<usize>> {
    let behind = line.trim_start().strip_prefix("//")?.trim_start().strip_prefix(WORD)?;
    Some(line.len() - behind.len()..line.trim_end().len().max(line.len() - behind.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::render;

    fn read(text: &str) -> Result<LaunchLines, String> {
        let check = |expression: &str| {
            if expression.contains('?') { Err("`?` has no meaning".to_owned()) } else { Ok(()) }
        };
        parse(Path::new("k.cu"), text, &check).map_err(|found| render(&found))
    }

    fn lines(grid: &[&str], block: &[&str], shared: Option<&str>) -> LaunchLines {
        let list = |texts: &[&str]| {
            (!texts.is_empty()).then(|| texts.iter().map(|&t| t.to_owned()).collect())
        };
        LaunchLines { grid: list(grid), block: list(block), shared: shared.map(str::to_owned) }
    }

    #[test]
    fn the_lines_are_toml_wherever_they_stand() {
        let text = "// adds\n//\n// optloop: grid = [\"ceil_div(n, 64)\", 2]\n\
                    int µ;\n  //optloop: block = [16, 16]   \r\n// optloop: shared = 48\n";
        let expected = lines(&["ceil_div(n, 64)", "2"], &["16", "16"], Some("48"));
        assert_eq!(read(text), Ok(expected));
        assert_eq!(
            read("// optloop is a tool\nint x; // optloop: grid = [0]\n"),
            Ok(lines(&[], &[], None))
        );
        assert_eq!(read(""), Ok(LaunchLines::default()));
    }

    #[test]
    fn mistakes_are_told_at_their_line_and_column() {
        for (line, place, words) in [
            ("gird = [1]", "k.cu:2:13", "did you mean `grid`"),
            ("grid = 1", "k.cu:2:", "list"),
            ("grid = []", "k.cu:2:20", "must not be empty"),
            ("block = [1, 2, 3, 4]", "k.cu:2:", "3"),
            ("block = [-1]", "k.cu:2:", ""),
            ("block = [1.5]", "k.cu:2:", ""),
            ("grid = [\"n ? 1\"]", "k.cu:2:21", "`?` has no meaning"),
            ("grid = [1", "k.cu:2:", ""),
            ("shared", "k.cu:2:", ""),
            ("shared = \"0\"\n// optloop: shared = \"1\"", "k.cu:", "shared"),
        ] {
            let told = read(&format!("// adds\n// optloop: {line}\nint x;\n")).unwrap_err();
            assert!(told.contains(place) && told.contains(words), "{line}\n{told}");
            assert!(told.contains(&format!("// optloop: {}", &line[..4])), "{line}\n{told}");
        }
    }
}
