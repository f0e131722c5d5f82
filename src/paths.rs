//! Paths as text: nothing here asks the file system.

use std::path::{Component, Path, PathBuf};

/// The path without `.` and `..`, by its text: `a/b/../c` is `a/c`, which is another file where `b`
/// is a link. A `..` that leads above the beginning is left out.
pub fn plain(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_by_the_text_alone() {
        for (path, want) in [
            ("a/b/../c", "a/c"),
            ("./a/./b/", "a/b"),
            ("/a/../../b", "/b"),
            ("../a", "a"),
            ("a/..", ""),
            ("a//b", "a/b"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(want), "{path}");
        }
    }
}
