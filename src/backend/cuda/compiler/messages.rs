//! The words of NVIDIA's compilers as a user is to read them: about the user's files alone.

use std::fmt::Write as _;

use super::prototype::OURS;
use crate::backend::cpu::source::definition_line;

/// Whose words they are.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The kernel's path as people know it.
    pub path: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The function that the problem asks for.
    pub name: &'a str,
    /// The file's name that the generated source was compiled under.
    pub generated: &'a str,
}

/// Which line a message is about, and what it says.
struct Head<'a> {
    path: &'a str,
    line: &'a str,
    says: &'a str,
}

/// The compiler's words without what is ours: places read `path:line:`, and what was found in the
/// generated lines is said of the kernel's definition.
pub fn for_users(words: &str, about: &About<'_>) -> String {
    let mut text = String::new();
    let mut ours: Vec<&str> = Vec::new();
    let (mut skips, mut has_error) = (false, false);
    for line in words.lines() {
        if let Some(head) = head(line) {
            skips = head.path.ends_with(OURS);
            let is_error = !head.says.starts_with(['w', 'n', 'r']);
            if skips {
                ours.extend(is_error.then_some(head.says));
            } else {
                has_error |= is_error;
                let _infallible = writeln!(text, "{}:{}: {}", head.path, head.line, head.says);
            }
            continue;
        }
        skips = skips && !line.is_empty();
        let doubled = line.is_empty() && (text.is_empty() || text.ends_with("\n\n"));
        if !skips && !doubled && !is_noise(line, about) {
            has_error |= line.contains("error:");
            text.push_str(line);
            text.push('\n');
        }
    }
    if let (Some(first), false) = (ours.first(), has_error) {
        text.insert_str(0, &at_definition(first, about));
    }
    text
}

/// `path(12): error: …`, as the front end of NVIDIA's compilers writes it.
fn head(line: &str) -> Option<Head<'_>> {
    const KINDS: [&str; 6] = ["error", "warning", "note", "remark", "catastrophic", "internal"];
    let (place, says) = line.split_once("): ")?;
    let (path, number) = place.rsplit_once('(')?;
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let is_kind = KINDS.iter().any(|kind| says.starts_with(kind));
    (is_number && is_kind && !path.is_empty()).then_some(Head { path, line: number, says })
}

/// What says nothing about the user's files.
fn is_noise(line: &str, about: &About<'_>) -> bool {
    let counts = line.contains(" detected in the compilation of ");
    let generated = about.generated;
    let includes = line.trim_start().trim_start_matches("In file included ").starts_with("from ")
        && (line.contains(&format!("from {generated}:"))
            || line.contains(&format!("from {OURS}:")));
    counts
        || includes
        || line.starts_with(&format!("{OURS}:"))
        || line.starts_with(&format!("{generated}:"))
}

/// What our lines found, as if it had been found at the definition.
fn at_definition(says: &str, about: &About<'_>) -> String {
    let About { path, name, .. } = about;
    let assertion = says.split_once("static assertion failed with \"");
    let what = match assertion.and_then(|(_, rest)| rest.rsplit_once('"')) {
        // See `prototype::checks` for the quotes.
        Some((said, _)) => said.replace('\'', "`"),
        None if says.contains("is undefined") => format!("{path} does not define `{name}`"),
        None if says.contains("cannot determine which instance") => {
            format!("there are several functions called `{name}`, or it is a template")
        }
        None => format!("`{name}` is not what the problem asks for: {says}"),
    };
    let line = definition_line(about.text, name);
    let shown = about.text.lines().nth(line - 1).unwrap_or_default().trim();
    format!("{path}:{line}: error: {what}\n  {shown}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "// one\n#include \"gain.h\"\nextern \"C\" __global__ void scale(float *x)\n{\n  x[0] = 1\n}\n";

    fn told(words: &str) -> String {
        let about = About { path: "/k/k.cu", text: KERNEL, name: "scale", generated: "kernel.cu" };
        for_users(words, &about)
    }

    #[test]
    fn mistakes_in_the_users_files_keep_their_lines() {
        let words = "/k/k.cu(6): error: expected a \";\"\n  }\n  ^\n\n/k/gain.h(1): warning #177-D: variable \"a\" was declared\n  int a;\n      ^\n\n1 error detected in the compilation of \"kernel.cu\".\n";
        assert_eq!(
            told(words),
            "/k/k.cu:6: error: expected a \";\"\n  }\n  ^\n\n/k/gain.h:1: warning #177-D: variable \"a\" was declared\n  int a;\n      ^\n\n"
        );
    }

    #[test]
    fn a_failed_check_is_told_at_the_definition_without_our_lines() {
        let words = "the signature in the problem(2): error: static assertion failed with \"'scale' must take 3 arguments\"\n  static_assert(optloop_entry::optloop_count == 3, \"'scale' must take 3 arguments\");\n  ^\nthe signature in the problem(2): note #3453-D: the final comparison was 1 == 3\n  static_assert(\n  ^\n\n2 errors detected in the compilation of \"kernel.cu\".\n";
        assert_eq!(
            told(words),
            "/k/k.cu:3: error: `scale` must take 3 arguments\n  extern \"C\" __global__ void scale(float *x)\n\n"
        );
        let missing = "the signature in the problem(1): error: identifier \"scale\" is undefined\n  typedef\n";
        assert!(told(missing).contains("/k/k.cu does not define `scale`"), "{}", told(missing));
        let odd =
            told("the signature in the problem(1): error: something else\n  typedef optloop\n");
        assert!(odd.contains("`scale` is not what the problem asks for: error: something else"));
        assert!(!odd.contains("optloop"), "{odd}");
    }

    #[test]
    fn what_our_lines_make_of_a_users_mistake_is_left_out() {
        let words = "the signature in the problem(1): error: a template declaration is not allowed here\n  template <class A>\n  ^\n\nAt end of source: error: expected a \"}\"\n/k/k.cu(4): note #3196-D: to match this \"{\"\n  {\n  ^\n\n9 errors detected in the compilation of \"kernel.cu\".\n";
        assert_eq!(
            told(words),
            "At end of source: error: expected a \"}\"\n/k/k.cu:4: note #3196-D: to match this \"{\"\n  {\n  ^\n\n"
        );
    }

    #[test]
    fn the_host_compilers_words_lose_only_the_generated_file() {
        let words = "In file included from /k/k.cu:2,\n                 from kernel.cu:26:\n/k/gain.h:1:10: fatal error: none.h: No such file or directory\n";
        let expected = "In file included from /k/k.cu:2,\n/k/gain.h:1:10: fatal error: none.h: No such file or directory\n";
        assert_eq!(told(words), expected);
        assert_eq!(
            told("ptxas fatal : (C7907) Internal (12): x\n"),
            "ptxas fatal : (C7907) Internal (12): x\n"
        );
    }
}
