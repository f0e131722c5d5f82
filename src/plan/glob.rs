//! Input patterns: which files they match, and which folders decide that.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::path::{Path, PathBuf};

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
    /// Files and folders that would count and whose names are no text: they stand here with a
    /// replacement character for what is none.
    pub unnamed: BTreeSet<String>,
}

/// A pattern that is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.kind())]
pub struct BadPattern(#[from] globset::Error);

/// How folders are looked at.
#[derive(Clone, Copy)]
pub struct Folders<'a> {
    /// The names in a folder, folders with a trailing `/`.
    pub list: &'a dyn Fn(&str) -> Vec<String>,
    /// Where a path leads to through links.
    pub real: &'a dyn Fn(&str) -> PathBuf,
    /// Whether there is such a file or folder.
    pub exists: &'a dyn Fn(&str) -> bool,
}

/// Resolves `pattern` (a `/`-separated path, already joined to its folder); gives what it matches
/// and the matcher, for names that are not on disk yet. Folders that are there are taken as they
/// are written, whatever characters their names hold. No folder is visited twice, under whatever
/// name links may lead to it; its own name comes first.
///
/// # Errors
/// When the pattern is malformed.
pub fn resolve(pattern: &str, folders: Folders<'_>) -> Result<(Matches, GlobMatcher), BadPattern> {
    let (start, rest) = fixed(pattern, folders);
    let whole = match start {
        "" => rest.to_owned(),
        start => format!("{}/{rest}", globset::escape(start)),
    };
    let glob = matcher(&whole)?;
    let levels = if rest.contains("**") { usize::MAX } else { rest.split('/').count() };
    let mut search = Search {
        glob: &glob,
        folders,
        found: Matches::default(),
        visited: HashSet::new(),
        links: VecDeque::new(),
    };
    search.visit(start, levels);
    while let Some((folder, levels)) = search.links.pop_front() {
        search.visit(&folder, levels);
    }
    let found = search.found;
    Ok((found, glob))
}

/// The folders in front that are no pattern, and the rest.
fn fixed<'a>(pattern: &'a str, folders: Folders<'_>) -> (&'a str, &'a str) {
    let mut end = 0;
    for (at, _) in pattern.match_indices('/') {
        let part = &pattern[end..at];
        let literal =
            !is_pattern(part) || (!part.contains('*') && (folders.exists)(&pattern[..at]));
        if !literal {
            break;
        }
        end = at + 1;
    }
    (pattern[..end].trim_end_matches('/'), &pattern[end..])
}

/// A matcher in which `*` does not cross folders.
///
/// # Errors
/// When the pattern is malformed.
pub(super) fn matcher(pattern: &str) -> Result<GlobMatcher, BadPattern> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build()?;
    Ok(glob.compile_matcher())
}

struct Search<'a> {
    glob: &'a GlobMatcher,
    folders: Folders<'a>,
    found: Matches,
    /// Where the folders that were visited really are.
    visited: HashSet<PathBuf>,
    /// Links to folders, which wait until all folders have been visited under their own names.
    links: VecDeque<(String, usize)>,
}

impl Search<'_> {
    fn visit(&mut self, folder: &str, levels: usize) {
        let here = if folder.is_empty() { "." } else { folder };
        let real = (self.folders.real)(here);
        if levels == 0 || !self.visited.insert(real.clone()) {
            return;
        }
        self.found.folders.insert(here.to_owned());
        for name in (self.folders.list)(here) {
            // State folders hold what runs write; a pattern never means them.
            if name == ".optloop/" || name == ".git/" {
                continue;
            }
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            match path.strip_suffix('/') {
                Some(below) => self.enter(below, &real, levels.saturating_sub(1)),
                None if !self.glob.is_match(&path) => {}
                None if self.is_unnamed(&path) => drop(self.found.unnamed.insert(path)),
                None => drop(self.found.files.insert(path)),
            }
        }
    }

    fn enter(&mut self, folder: &str, above: &Path, levels: usize) {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        if levels > 0 && self.is_unnamed(folder) {
            self.found.unnamed.insert(folder.to_owned());
        } else if (self.folders.real)(folder) == above.join(name) {
            self.visit(folder, levels);
        } else {
            self.links.push_back((folder.to_owned(), levels));
        }
    }

    fn is_unnamed(&self, path: &str) -> bool {
        path.contains(char::REPLACEMENT_CHARACTER) && !(self.folders.exists)(path)
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

    fn found(pattern: &str) -> Matches {
        let real = |path: &str| match path {
            "." => PathBuf::from("/r"),
            path => Path::new("/r").join(path),
        };
        let exists = |path: &str| !list(path).is_empty();
        let folders = Folders { list: &list, real: &real, exists: &exists };
        resolve(pattern, folders).expect("pattern").0
    }

    fn check(pattern: &str, files: &[&str], folders: &[&str]) {
        let found = found(pattern);
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

    /// A real folder with links to itself, to what lies above it and to a folder beside it.
    #[test]
    fn links_among_folders_are_no_loops_and_no_folder_counts_twice() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path().canonicalize().expect("it exists");
        for folder in ["src/a", "src/z", "out"] {
            std::fs::create_dir_all(root.join(folder)).expect("made");
            std::fs::write(root.join(folder).join("k.c"), "").expect("written");
        }
        for (to, link) in
            [("..", "src/a/up"), (".", "src/self"), ("z", "src/b"), ("../out", "src/o")]
        {
            std::os::unix::fs::symlink(to, root.join(link)).expect("linked");
        }
        let list = |folder: &str| {
            let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
            let name = |e: std::fs::DirEntry| {
                let name = e.file_name().into_string().expect("text");
                if e.path().is_dir() { name + "/" } else { name }
            };
            entries.map(name).collect()
        };
        let real = |path: &str| root.join(path).canonicalize().expect("it exists");
        let exists = |path: &str| root.join(path).exists();
        let folders = Folders { list: &list, real: &real, exists: &exists };
        let (found, _) = resolve("src/**/*.c", folders).expect("pattern");
        let files: Vec<&str> = found.files.iter().map(String::as_str).collect();
        assert_eq!(files, ["src/a/k.c", "src/o/k.c", "src/z/k.c"]);
    }

    #[test]
    fn folders_that_are_there_are_no_patterns_whatever_they_are_called() {
        let list = |folder: &str| -> Vec<String> {
            let names: &[&str] = match folder {
                "." => &["a[1]/", "a1/"],
                "a[1]" => &["b.h"],
                "a1" => &["wrong.h"],
                _ => &[],
            };
            names.iter().map(|&n| n.to_owned()).collect()
        };
        let exists = |path: &str| !list(path).is_empty();
        let folders = Folders { list: &list, real: &|p| Path::new("/r").join(p), exists: &exists };
        let (found, glob) = resolve("a[1]/*.h", folders).expect("pattern");
        assert_eq!(found.files.iter().collect::<Vec<_>>(), ["a[1]/b.h"]);
        assert!(glob.is_match("a[1]/new.h") && !glob.is_match("a1/new.h"));
    }

    #[test]
    fn a_folder_that_is_not_there_decides_too() {
        check("none/*.h", &[], &["none"]);
    }
}
