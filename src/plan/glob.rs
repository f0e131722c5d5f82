//! Input patterns: which files they match, and which folders decide that.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};

/// True when a declared input is a pattern rather than a name.
pub fn is_pattern(input: &str) -> bool {
    input.contains(['*', '?', '[', '{'])
}

/// What a pattern matched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Files, sorted.
    pub files: BTreeSet<String>,
    /// Folders whose listing decides the answer.
    pub folders: BTreeSet<String>,
}

/// Lists a folder: names, folders with a trailing `/`.
pub type List<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// Resolves `pattern` (a `/`-separated path, already joined to its folder) through `list`.
///
/// # Errors
/// When the pattern is malformed, in globset's words.
pub fn resolve(pattern: &str, list: List<'_>) -> Result<Matches, String> {
    let glob = matcher(pattern)?;
    let fixed = pattern.split('/').take_while(|part| !is_pattern(part)).collect::<Vec<_>>();
    let start = fixed.join("/");
    let depth = pattern.split('/').count() - fixed.len();
    let levels = if pattern.contains("**") { usize::MAX } else { depth };
    let mut matches = Matches::default();
    collect(&start, levels, &glob, list, &mut matches);
    Ok(matches)
}

/// A matcher in which `*` does not cross folders.
///
/// # Errors
/// When the pattern is malformed.
pub fn matcher(pattern: &str) -> Result<GlobMatcher, String> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|g| g.compile_matcher())
        .map_err(|e| e.kind().to_string())
}

fn collect(folder: &str, levels: usize, glob: &GlobMatcher, list: List<'_>, found: &mut Matches) {
    if levels == 0 {
        return;
    }
    let here = if folder.is_empty() { "." } else { folder };
    found.folders.insert(here.to_owned());
    for name in list(here) {
        // State folders hold what runs write; a pattern never means them.
        if name == ".optloop/" || name == ".git/" {
            continue;
        }
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match path.strip_suffix('/') {
            Some(below) => collect(below, levels.saturating_sub(1), glob, list, found),
            None if glob.is_match(&path) => drop(found.files.insert(path)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(folder: &str) -> Vec<String> {
        let names: &[&str] = match folder {
            "." => &["src/", "a.h", ".optloop/"],
            "src" => &["b.h", "c.c", "deep/"],
            "src/deep" => &["d.h"],
            ".optloop" => &["e.h"],
            _ => &[],
        };
        names.iter().map(|&n| n.to_owned()).collect()
    }

    fn check(pattern: &str, files: &[&str], folders: &[&str]) {
        let found = resolve(pattern, &list).expect("pattern");
        assert_eq!(found.files.iter().collect::<Vec<_>>(), files, "{pattern}");
        assert_eq!(found.folders.iter().collect::<Vec<_>>(), folders, "{pattern}");
    }

    #[test]
    fn stars_stay_in_their_folder_and_double_stars_do_not() {
        check("*.h", &["a.h"], &["."]);
        check("src/*.h", &["src/b.h"], &["src"]);
        check("src/**/*.h", &["src/b.h", "src/deep/d.h"], &["src", "src/deep"]);
        check("**/*.h", &["a.h", "src/b.h", "src/deep/d.h"], &[".", "src", "src/deep"]);
        check("*/c.c", &["src/c.c"], &[".", "src"]);
    }

    #[test]
    fn a_folder_that_is_not_there_decides_too() {
        check("none/*.h", &[], &["none"]);
    }
}
