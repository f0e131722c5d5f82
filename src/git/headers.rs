//! What the kernel of a revision includes: found by reading it, for what is written out is what a
//! compiler will look for, and nothing has been compiled yet.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::tree::{Kind, Tree};

/// Files of the tree that `kernel` includes, directly or through others, looked for beside the file
/// that names them and then in `folders`. Names that macros make are not seen.
pub(super) fn included(
    tree: &dyn Tree,
    kernel: &[PathBuf],
    folders: &[PathBuf],
) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut next = kernel.to_vec();
    while let Some(path) = next.pop() {
        let Some(text) = tree.text(&path) else { continue };
        let own = path.parent().unwrap_or(Path::new(""));
        for name in names(&text) {
            let mut places = std::iter::once(own)
                .chain(folders.iter().map(PathBuf::as_path))
                .filter_map(|folder| {
                    below(&folder.join(name)).filter(|path| tree.kind(path) == Some(Kind::File))
                });
            let Some(header) = places.next() else { continue };
            if !kernel.contains(&header) && found.insert(header.clone()) {
                next.push(header);
            }
        }
    }
    found
}

/// The path without `.` and `..`; none when it leaves the repository.
fn below(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

/// The names behind `#include`, `#embed` and `.incbin`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
        let words = ["include_next", "include", "import", "embed"];
        let behind = directive.and_then(|d| words.iter().find_map(|word| d.strip_prefix(word)));
        match behind {
            Some(rest) => between(rest.trim_start()),
            // In a string of C the quotes around the name are escaped.
            None => between(line.split_once(".incbin")?.1.trim_start().trim_start_matches('\\')),
        }
    })
}

fn between(text: &str) -> Option<&str> {
    let end = match text.chars().next()? {
        '"' => ['"', '\\'],
        '<' => ['>', '>'],
        _ => return None,
    };
    let inside = &text[1..];
    inside.find(end).map(|at| &inside[..at]).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_what_is_included_are_read_as_compilers_write_them() {
        let text = "#include \"a.h\"\n  # include <b/c.h> // why\n#include NAME\n#embed \"d.bin\"\n\
                    __asm__(\".incbin \\\"e.bin\\\"\");\n.incbin \"f.bin\"\nint include;\n#define X\n";
        let found: Vec<&str> = names(text).collect();
        assert_eq!(found, ["a.h", "b/c.h", "d.bin", "e.bin", "f.bin"]);
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_none() {
        assert_eq!(below(Path::new("k/../inc/./a.h")), Some(PathBuf::from("inc/a.h")));
        assert_eq!(below(Path::new("k/../../a.h")), None);
        assert_eq!(below(Path::new("/usr/include/a.h")), None);
    }
}
