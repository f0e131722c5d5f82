//! Rules about the text of the code: sizes, module docs, nothing left undone.

use super::rust_text::{bodies, code_only, is_word};
use super::{File, TestParts, begins_with, enforce};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 90;

/// Tests do not count: a table of samples is easier to read in one piece.
fn sizes_are_small(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_source()) {
        let tests = TestParts::of(file);
        let lines = (1..=file.text.lines().count()).filter(|&line| !tests.contain(line)).count();
        if lines > MAX_FILE_LINES {
            let what = format!("{lines} lines without its tests; at most {MAX_FILE_LINES}");
            complaints.push(file.complaint(1, &what));
        }
        for body in bodies(file.tokens(), "fn") {
            let lines = body.last - body.first + 1;
            if lines > MAX_FUNCTION_LINES && !tests.contain(body.first) {
                let name = body.name;
                let what = format!("`{name}` has {lines} lines; at most {MAX_FUNCTION_LINES}");
                complaints.push(file.complaint(body.first, &what));
            }
        }
    }
    complaints
}

#[test]
fn files_and_functions_are_small() {
    let body = |lines| format!("fn f() {{\n{}}}\n", "    g(\"}\");\n".repeat(lines));
    enforce(
        sizes_are_small,
        &[
            ("src/digest.rs", &"\n".repeat(MAX_FILE_LINES + 1)),
            ("src/stats/mod.rs", &body(MAX_FUNCTION_LINES - 1)),
        ],
        &[("src/stats/mod.rs", &body(MAX_FUNCTION_LINES - 2))],
    );
}

fn files_say_what_they_are(files: &[File]) -> Vec<String> {
    let documented = |file: &&File| {
        let doc = file.text.lines().position(|line| line.trim_start_matches("//! ") != line);
        doc.is_some_and(|line| {
            let above: Vec<&str> = file.text.lines().take(line).collect();
            let above = code_only(&above.join("\n"));
            above.trim().is_empty() || (above.starts_with("#![") && above.trim().ends_with(']'))
        })
    };
    let rust = files.iter().filter(|file| file.is_rust() && !file.is_test_only());
    rust.filter(|file| !documented(file))
        .map(|file| file.complaint(1, "begins without a sentence of module doc (`//! …`)"))
        .collect()
}

#[test]
fn every_file_says_what_it_is() {
    enforce(
        files_say_what_they_are,
        &[
            ("src/stats/mod.rs", "use std::fmt;\n//! Too late for a doc."),
            ("src/stats/mod.rs", "//!\nuse std::fmt;"),
            ("src/stats/mod.rs", ""),
        ],
        &[
            ("src/stats/mod.rs", "//! Means and medians."),
            (
                "src/backend/cpu/mod.rs",
                "#![expect(\n    unsafe_code,\n    reason = \"…\"\n)]\n//! Runs a kernel.",
            ),
        ],
    );
}

fn nothing_is_left_undone(files: &[File]) -> Vec<String> {
    let notes = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(word) = notes.iter().find(|note| is_a_word_of(line, note)) {
                complaints.push(file.complaint(number + 1, &format!("`{word}` left in the text")));
            }
        }
        let tokens = file.tokens();
        for at in 0..tokens.len() {
            let after = &tokens[at..];
            // What all of these begin with.
            if !matches!(after[0].1.as_str(), "#" | "todo" | "unimplemented") {
                continue;
            }
            let unfinished = begins_with(after, "todo !") || begins_with(after, "unimplemented !");
            let ignored = begins_with(after, "# [ ignore");
            let allow = begins_with(after, "# [ allow (") || begins_with(after, "# ! [ allow (");
            let reason = after.iter().take_while(|(_, t)| t != "]").any(|(_, t)| t == "reason");
            if unfinished || ignored || (allow && !reason) {
                let what = "unfinished code, an ignored test or an `allow` without a reason";
                complaints.push(file.complaint(tokens[at].0, what));
            }
        }
    }
    complaints
}

/// `word` stands in `line` as a word of its own.
fn is_a_word_of(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) =
            (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[test]
fn nothing_unfinished_ignored_or_silently_allowed() {
    enforce(
        nothing_is_left_undone,
        &[
            ("src/stats/mod.rs", "fn f() { todo!() }"),
            ("src/stats/mod.rs", "fn f() { unimplemented!(\"later\") }"),
            ("src/stats/mod.rs", concat!("// FIX", "ME: wrong for n = 1")),
            ("tests/it/main.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"),
            ("src/stats/mod.rs", "#[allow(dead_code)]\nfn f() {}"),
            ("src/stats/mod.rs", "#![allow(clippy::all)]"),
        ],
        &[
            ("src/stats/mod.rs", "#[expect(dead_code, reason = \"read by tests\")]\nfn f() {}"),
            ("src/stats/mod.rs", "const A: &str = \"todo!() #[ignore] XXXXXX\";"),
        ],
    );
}
