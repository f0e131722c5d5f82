//! The files that a CUDA source includes, found in its text: NVRTC does not tell.
//!
//! Every `#include` counts, in whatever branch or comment it stands: a file too many costs a
//! compile that was not needed, one too few would keep an old result.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Most files that are followed.
const MAX_FILES: usize = 20_000;
/// Largest file that is read.
const MAX_BYTES: u64 = 16 << 20;

/// Where includes are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folders<'a> {
    /// The user's, in order.
    pub own: &'a [PathBuf],
    /// The toolkit's, after them.
    pub toolkit: &'a [PathBuf],
}

/// Why the includes cannot be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum IncludeError {
    /// The name comes out of a macro.
    #[error(
        "{}:{line}: error: `#include {written}` names its file through a macro, and NVRTC does not \
         say which files it read; write the name itself, or set cc = \"nvcc\" under [compile]",
        .path.display()
    )]
    Computed {
        /// Where it stands.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What stands behind the word.
        written: String,
    },
    /// Far more than a kernel needs.
    #[error("more than {MAX_FILES} files are included, or one has more than 16 MiB")]
    TooMuch,
    /// A file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Every file that `source` may include, itself first; and the places where one that appeared
/// would be taken instead.
///
/// # Errors
/// When the files cannot be told.
pub(super) fn walk(source: &Path, folders: Folders<'_>) -> Result<Vec<PathBuf>, IncludeError> {
    let mut walk = Walk { folders, found: Vec::new(), seen: HashSet::new() };
    walk.take(source.to_owned());
    let mut next = 0;
    while next < walk.found.len() {
        let path = walk.found[next].clone();
        walk.file(&path)?;
        next += 1;
        if next > MAX_FILES {
            return Err(IncludeError::TooMuch);
        }
    }
    Ok(walk.found)
}

struct Walk<'a> {
    folders: Folders<'a>,
    found: Vec<PathBuf>,
    /// Files by what they are, so that one with two names is followed once.
    seen: HashSet<PathBuf>,
}

impl Walk<'_> {
    fn take(&mut self, path: PathBuf) {
        // One that is not there is told by its own name.
        let known = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if self.seen.insert(known) {
            self.found.push(path);
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), IncludeError> {
        let fails = |error| IncludeError::Io { path: path.to_owned(), error };
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fails(error)),
        };
        if metadata.len() > MAX_BYTES {
            return Err(IncludeError::TooMuch);
        }
        let bytes = fs::read(path).map_err(fails)?;
        let text = String::from_utf8_lossy(&bytes);
        let is_toolkit = self.folders.toolkit.iter().any(|folder| path.starts_with(folder));
        let owner = if is_toolkit { Owner::Toolkit } else { Owner::User };
        for include in includes(&text) {
            match include.name {
                Name::Quoted(name) => {
                    let here = path.parent().map(Path::to_owned);
                    self.resolve(here.into_iter(), name, owner);
                }
                Name::Angled(name) => self.resolve(std::iter::empty(), name, owner),
                // The toolkit's own choices are the toolkit's: it changes as a whole.
                Name::Computed(_) if owner == Owner::Toolkit => {}
                Name::Computed(written) => {
                    let (path, line) = (path.to_owned(), include.line);
                    return Err(IncludeError::Computed { path, line, written: written.to_owned() });
                }
            }
        }
        Ok(())
    }

    fn resolve(&mut self, here: impl Iterator<Item = PathBuf>, name: &str, by: Owner) {
        let folders = self.folders.own.iter().chain(self.folders.toolkit).cloned();
        let mut missing = Vec::new();
        for candidate in here.chain(folders).map(|folder| folder.join(name)) {
            if candidate.is_file() {
                self.take(candidate);
                break;
            }
            missing.push(candidate);
        }
        if by == Owner::User {
            let toolkit = self.folders.toolkit;
            missing.retain(|path| !toolkit.iter().any(|folder| path.starts_with(folder)));
            for path in missing {
                self.take(path);
            }
        }
    }
}

/// Whose file something is included by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    User,
    Toolkit,
}

#[derive(Debug, PartialEq, Eq)]
enum Name<'a> {
    Quoted(&'a str),
    Angled(&'a str),
    Computed(&'a str),
}

#[derive(Debug, PartialEq, Eq)]
struct Include<'a> {
    line: usize,
    name: Name<'a>,
}

/// Every `#include` of a text. Those in comments too, but for computed ones, which would be
/// refused.
fn includes(text: &str) -> Vec<Include<'_>> {
    let mut found = Vec::new();
    let mut comment = Comment::Closed;
    for (index, line) in text.lines().enumerate() {
        let inside = comment == Comment::Open;
        comment = comment.behind(line);
        let Some(written) = behind_include(line) else { continue };
        let quoted = written.strip_prefix('"').and_then(|w| w.split_once('"'));
        let angled = written.strip_prefix('<').and_then(|w| w.split_once('>'));
        let name = match (quoted, angled) {
            (Some((name, _)), _) => Name::Quoted(name),
            (_, Some((name, _))) => Name::Angled(name),
            _ if inside => continue,
            // A word of prose, or a name on the next line.
            _ => Name::Computed(written.trim_end()),
        };
        found.push(Include { line: index + 1, name });
    }
    found
}

/// What stands behind `#include`, `# include_next` or `#embed`, with comments before and between.
fn behind_include(line: &str) -> Option<&str> {
    // The rest of a comment that began on an earlier line may stand before it.
    let line = match line.split_once("*/") {
        Some((before, behind)) if !before.contains("/*") => behind,
        _ => line,
    };
    let hash = skip_comments(line);
    let word = skip_comments(hash.strip_prefix('#').or_else(|| hash.strip_prefix("%:"))?);
    let length = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
    let (word, behind) = word.split_at(length);
    matches!(word, "include" | "include_next" | "import" | "embed").then(|| skip_comments(behind))
}

fn skip_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some((_, behind)) = rest.strip_prefix("/*").and_then(|r| r.split_once("*/")) {
        rest = behind.trim_start();
    }
    rest
}

/// Whether a `/*` is open between two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comment {
    Open,
    Closed,
}

impl Comment {
    /// At the end of the line. Literals are looked over; a literal over several lines may deceive
    /// it, and then a computed include may be refused or missed inside of it.
    fn behind(self, line: &str) -> Self {
        let bytes = line.as_bytes();
        let (mut comment, mut at, mut quote) = (self, 0, None);
        while at < bytes.len() {
            let two = bytes.get(at..at + 2);
            match (comment, quote, bytes[at]) {
                (Self::Open, _, _) if two == Some(b"*/") => (comment, at) = (Self::Closed, at + 1),
                (Self::Open, ..) => {}
                (_, Some(_), b'\\') => at += 1,
                (_, Some(end), byte) if byte == end => quote = None,
                (_, None, _) if two == Some(b"/*") => (comment, at) = (Self::Open, at + 1),
                (_, None, _) if two == Some(b"//") => return Self::Closed,
                (_, None, b'"') => quote = Some(b'"'),
                // Not the separator in 1'000.
                (_, None, b'\'') if at == 0 || !bytes[at - 1].is_ascii_alphanumeric() => {
                    quote = Some(b'\'');
                }
                _ => {}
            }
            at += 1;
        }
        comment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_are_found_in_every_branch_and_spelling() {
        for (text, expected) in [
            ("#include \"a.h\"", Some(Name::Quoted("a.h"))),
            ("  #\tinclude <a/b.h> // why", Some(Name::Angled("a/b.h"))),
            ("#/**/include/* */\"a.h\"", Some(Name::Quoted("a.h"))),
            ("%:include <a>", Some(Name::Angled("a"))),
            ("#include_next <a>", Some(Name::Angled("a"))),
            ("// x\n/* y */ #include \"a.h\"", Some(Name::Quoted("a.h"))),
            ("/* y\n z */ #include \"a.h\"", Some(Name::Quoted("a.h"))),
            ("#if 0\n#include \"a.h\"\n#endif", Some(Name::Quoted("a.h"))),
            ("/*\n#include \"a.h\"\n*/", Some(Name::Quoted("a.h"))),
            ("#include GAIN", Some(Name::Computed("GAIN"))),
            ("char *s = \"/*\";\n#include GAIN", Some(Name::Computed("GAIN"))),
            ("int n = 1'000; /* */\n#include GAIN", Some(Name::Computed("GAIN"))),
            ("char c = '\"'; // /*\n#include GAIN", Some(Name::Computed("GAIN"))),
            ("/*\n#include GAIN\n*/", None),
            ("// #include \"a.h\"", None),
            ("int include; #define A", None),
            ("#included \"a.h\"", None),
        ] {
            let found: Vec<Name<'_>> = includes(text).into_iter().map(|i| i.name).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{text}");
        }
        assert_eq!(includes("\n\n#include X\n")[0].line, 3);
    }

    fn world(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn walked(dir: &Path) -> Result<Vec<String>, IncludeError> {
        let (own, toolkit) = ([dir.join("one"), dir.join("two")], [dir.join("cuda")]);
        let found = walk(&dir.join("k/k.cu"), Folders { own: &own, toolkit: &toolkit })?;
        let name = |path: &PathBuf| path.strip_prefix(dir).unwrap().display().to_string();
        Ok(found.iter().map(name).collect())
    }

    #[test]
    fn files_are_followed_as_the_compiler_would_and_gaps_before_them_count() {
        let dir = world(&[
            ("k/k.cu", "#include \"a.h\"\n#include <b.h>\n#include <cuda_fp16.h>\n"),
            ("k/a.h", "#include \"../k/a.h\"\n#include \"sub/c.h\"\n"),
            ("k/sub/c.h", "#include \"d.h\"\n"),
            ("k/sub/d.h", ""),
            ("two/b.h", ""),
            ("cuda/cuda_fp16.h", "#include \"more.h\"\n#include __TOOLKITS_CHOICE\n"),
            ("cuda/more.h", ""),
        ]);
        assert_eq!(
            walked(dir.path()).unwrap(),
            [
                "k/k.cu",
                "k/a.h",
                "two/b.h",
                "one/b.h",
                "cuda/cuda_fp16.h",
                "one/cuda_fp16.h",
                "two/cuda_fp16.h",
                "k/sub/c.h",
                "cuda/more.h",
                "k/sub/d.h"
            ]
        );
    }

    #[test]
    fn a_computed_include_is_refused_with_its_place() {
        let dir = world(&[("k/k.cu", "#include \"a.h\"\n"), ("k/a.h", "\n#include GAIN // x\n")]);
        let told = walked(dir.path()).unwrap_err().to_string();
        assert!(told.contains("k/a.h:2: error: `#include GAIN // x`"), "{told}");
        assert!(told.contains("cc = \"nvcc\""), "{told}");
    }

    #[test]
    fn an_include_that_is_nowhere_is_watched_for() {
        let dir = world(&[("k/k.cu", "#if 0\n#include \"none.h\"\n#endif\n")]);
        let expected = ["k/k.cu", "k/none.h", "one/none.h", "two/none.h"];
        assert_eq!(walked(dir.path()).unwrap(), expected);
    }
}
