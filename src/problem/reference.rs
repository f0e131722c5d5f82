//! What a reference computes, as far as its text says: its code, and that of the files it includes
//! by name. Comments and white space are left out, so that a remark costs no measurements.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::paths;

/// A reference's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Digest of the code of all its files, in the order in which they are met.
    pub digest: Digest,
    /// The files: the reference, then what it includes in quotes, if that lies where it says.
    pub files: Vec<PathBuf>,
}

impl Reference {
    /// The code of the reference at `path`; `read` gives the text of a file that is there.
    pub fn of(path: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut found = Found { read, seen: BTreeSet::new(), files: Vec::new(), code: Vec::new() };
        found.follow(path);
        let digest = Digest::of_parts(found.code.iter().map(String::as_bytes));
        Self { digest, files: found.files }
    }
}

struct Found<'a> {
    read: &'a dyn Fn(&Path) -> Option<String>,
    seen: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    code: Vec<String>,
}

impl Found<'_> {
    fn follow(&mut self, path: &Path) {
        // So that a circle of includes ends.
        let path = paths::plain(path);
        if !self.seen.insert(path.clone()) {
            return;
        }
        // One that lies on the include path is the compiler's, or counts by its own stage.
        let Some(text) = (self.read)(&path) else { return };
        let code = code_of(&text);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let included: Vec<PathBuf> =
            code.lines().filter_map(included).map(|name| folder.join(name)).collect();
        self.files.push(path);
        self.code.push(code);
        for file in included {
            self.follow(&file);
        }
    }
}

/// The name in `#include "NAME"`.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("include")?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

/// C without comments, and with one space or line's end where there was more.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek().copied()) {
            ('/', Some('/')) => while rest.next_if(|&c| c != '\n').is_some() {},
            ('/', Some('*')) => {
                rest.next();
                let mut before = ' ';
                for c in rest.by_ref() {
                    if (before, c) == ('*', '/') {
                        break;
                    }
                    before = c;
                }
                space(&mut code, ' ');
            }
            ('"' | '\'', _) => {
                code.push(c);
                while let Some(inner) = rest.next() {
                    code.push(inner);
                    match inner {
                        '\\' => code.extend(rest.next()),
                        end if end == c || end == '\n' => break,
                        _ => {}
                    }
                }
            }
            _ if c.is_whitespace() => space(&mut code, c),
            _ => code.push(c),
        }
    }
    code.truncate(code.trim_end().len());
    code
}

/// One space; a line's end where there was one, for directives end there.
fn space(code: &mut String, c: char) {
    let c = if c == '\n' { '\n' } else { ' ' };
    match code.chars().next_back() {
        Some(' ') if c == '\n' => {
            code.pop();
            space(code, c);
        }
        None | Some('\n' | ' ') => {}
        Some(_) => code.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference(files: &[(&str, &str)]) -> Reference {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        Reference::of(Path::new("/p/r.c"), &read)
    }

    fn digest(text: &str) -> Digest {
        reference(&[("/p/r.c", text)]).digest
    }

    #[test]
    fn comments_and_layout_do_not_count_and_code_does() {
        let base = digest("void f(int n)\n{\n  g(n / 2); // halves\n}\n");
        for same in [
            "void f(int n)\n{\n g(n / 2);\n}",
            "/* what f does */\nvoid f(int n)\n{\n\n\tg(n / 2); /* x */\n}\n",
        ] {
            assert_eq!(digest(same), base, "{same}");
        }
        for other in [
            "void f(int n)\n{\n  g(n / 3);\n}\n",
            "void f(int n)\n{\n  // g(n / 2);\n}\n",
            "void f(int n)\n{\n  g(n /*/ 2);\n}\n",
        ] {
            assert_ne!(digest(other), base, "{other}");
        }
    }

    #[test]
    fn what_looks_like_a_comment_in_a_text_is_none() {
        assert_ne!(digest("f(\"// a\");"), digest("f(\"// b\");"));
        assert_ne!(digest("f('\"', \"/* a\");"), digest("f('\"', \"/* b\");"));
        assert_ne!(digest("f(\"\\\"// a\");"), digest("f(\"\\\"// b\");"));
    }

    #[test]
    fn included_files_count_and_a_circle_ends() {
        let with = |text: &str| {
            reference(&[
                ("/p/r.c", "# include \"sub/one.h\"\n#include <math.h>\n// #include \"no.h\"\n"),
                ("/p/sub/one.h", "#include \"../two.h\"\n"),
                ("/p/two.h", text),
                ("/p/no.h", "x"),
            ])
        };
        let found = with("#include \"../p/r.c\"\nint two;");
        let names: Vec<_> = found.files.iter().map(|f| f.to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["/p/r.c", "/p/sub/one.h", "/p/two.h"]);
        assert_ne!(found.digest, with("int three;").digest);
        assert_eq!(reference(&[]).files, Vec::<PathBuf>::new());
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(text in "[a\"'/*\\\\ \n#]{0,40}") {
            let once = code_of(&text);
            prop_assert!(once.len() <= text.len() + 1, "{once:?}");
            prop_assert_eq!(code_of(&once), once);
        }
    }
}
