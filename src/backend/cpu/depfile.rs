//! The dependency files that compilers write for make.

use std::path::PathBuf;

/// The prerequisites of every rule in a make-style dependency file, in order, each once.
///
/// Understands what GCC and Clang write: continued lines, `\ ` and `\#` and doubled backslashes
/// before them, `$$`. A line without a colon is skipped.
pub fn parse_depfile(text: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for rule in logical_lines(text) {
        let words = words(&rule);
        let Some(target) = words.iter().position(|w| w.ends_target) else {
            continue;
        };
        for word in &words[target + 1..] {
            let path = PathBuf::from(&word.text);
            if !found.contains(&path) {
                found.push(path);
            }
        }
    }
    found
}

/// Lines with continuations joined.
fn logical_lines(text: &str) -> Vec<String> {
    text.replace("\r\n", "\n").replace("\\\n", " ").lines().map(str::to_owned).collect()
}

/// A word of a rule, and whether the colon that ends the targets stood behind it.
struct Word {
    text: String,
    ends_target: bool,
}

fn words(rule: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut text = String::new();
    let mut seen_target = false;
    let mut chars = rule.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut text),
            '$' if chars.peek() == Some(&'$') => {
                chars.next();
                text.push('$');
            }
            // A colon inside a path (`C:/x`, `a:b`) has something behind it.
            ':' if !seen_target && chars.peek().is_none_or(|n| n.is_whitespace()) => {
                seen_target = true;
                words.push(Word { text: std::mem::take(&mut text), ends_target: true });
            }
            c if c.is_whitespace() => push(&mut words, &mut text),
            c => text.push(c),
        }
    }
    push(&mut words, &mut text);
    words
}

fn push(words: &mut Vec<Word>, text: &mut String) {
    if !text.is_empty() {
        words.push(Word { text: std::mem::take(text), ends_target: false });
    }
}

/// After a backslash: 2n + 1 backslashes before a space are n backslashes and the space; before
/// anything else each stands for itself, except before `#`.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &mut String) {
    let mut count = 1;
    while chars.peek() == Some(&'\\') {
        chars.next();
        count += 1;
    }
    match chars.peek() {
        Some(&c @ (' ' | '\t')) if count % 2 == 1 => {
            text.extend(std::iter::repeat_n('\\', count / 2));
            text.push(c);
            chars.next();
        }
        Some(' ' | '\t') => text.extend(std::iter::repeat_n('\\', count / 2)),
        Some('#') => {
            text.extend(std::iter::repeat_n('\\', count - 1));
            text.push('#');
            chars.next();
        }
        _ => text.extend(std::iter::repeat_n('\\', count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        parse_depfile(text).into_iter().map(|p| p.display().to_string()).collect()
    }

    #[test]
    fn what_compilers_write_is_understood() {
        let cases: [(&str, &[&str]); 9] = [
            ("a.o: a.c b.h\n", &["a.c", "b.h"]),
            ("a.o: a.c \\\n b.h \\\n  c.h\n", &["a.c", "b.h", "c.h"]),
            ("a.o: a.c \\\r\n b.h\r\n", &["a.c", "b.h"]),
            ("a.o: my\\ dir/a.c x\\#1.h pri$$ce.h\n", &["my dir/a.c", "x#1.h", "pri$ce.h"]),
            ("a.o: b\\\\\\ c.h\n", &["b\\ c.h"]),
            ("a.o: back\\slash.h a:b.h\n", &["back\\slash.h", "a:b.h"]),
            ("a.o b.o: a.c\nb.h:\n", &["a.c"]),
            ("a.o: a.c a.c\n", &["a.c"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(paths(text), expected, "{text:?}");
        }
    }
}
