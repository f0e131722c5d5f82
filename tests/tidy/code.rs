//! Rules about the Rust code: floors, words with a place, sizes, prose, nothing left undone.

use super::rust_text::{Body, bodies, code_only, tokens};
use super::{FLOORS, File, begins_with, enforce};

/// Words that only some places may say, and why.
const CONFINED: &[Confined] = &[
    Confined {
        words: &["petgraph"],
        allowed: &["src/plan/graph"],
        tests: Tests::Too,
    },
    Confined {
        words: &["cudarc"],
        allowed: &["src/backend/cuda"],
        tests: Tests::Too,
    },
    Confined {
        words: &["git2"],
        allowed: &["src/campaign/worktree"],
        tests: Tests::Too,
    },
    Confined {
        words: &["std :: process :: Command", "Command :: new"],
        allowed: &["src/process"],
        tests: Tests::Free,
    },
    Confined {
        words: &[
            "println !",
            "eprintln !",
            "print !",
            "eprint !",
            "dbg !",
            "io :: stdout",
            "io :: stderr",
            "stdout ( )",
            "stderr ( )",
        ],
        allowed: &["src/cli"],
        tests: Tests::Free,
    },
    Confined {
        words: &[
            "env :: var",
            "env :: var_os",
            "env :: vars",
            "env :: vars_os",
            "env :: set_var",
            "env :: remove_var",
        ],
        allowed: &["src/cli", "src/process/jobserver"],
        tests: Tests::Free,
    },
];

struct Confined {
    words: &'static [&'static str],
    /// Beginnings of paths.
    allowed: &'static [&'static str],
    tests: Tests,
}

/// Whether a rule counts inside `#[cfg(test)]` modules.
#[derive(Clone, Copy, PartialEq)]
enum Tests {
    Too,
    Free,
}

const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 90;

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn edges_go_down(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_source()) {
        let Some(room) = file.room() else { continue };
        let Some(own) = floor(room) else {
            complaints
                .push(file.complaint(1, &format!("room `{room}` has no floor in tests/tidy.rs")));
            continue;
        };
        for (line, used) in crate_paths(&file.text) {
            let allowed = used == room || floor(&used).is_some_and(|floor| floor < own);
            if !allowed {
                let what = format!("`{room}` may not use `crate::{used}`: not on a lower floor");
                complaints.push(file.complaint(line, &what));
            }
        }
        complaints.extend(supers_that_leave_the_room(file));
    }
    complaints
}

/// The first name after each `crate::`, those in groups too.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(&code_only(text));
    let word = |at: usize| tokens.get(at).map_or("", |(_, word)| word.as_str());
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if word(at) != "crate" || word(at + 1) != "::" {
            continue;
        }
        if word(at + 2) != "{" {
            found.push((tokens[at].0, word(at + 2).to_owned()));
            continue;
        }
        let mut depth = 0;
        let mut inside = at + 2;
        loop {
            match word(inside) {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            let first = depth == 1 && matches!(word(inside), "{" | ",");
            if first && !matches!(word(inside + 1), "}" | ",") {
                found.push((tokens[inside].0, word(inside + 1).to_owned()));
            }
            inside += 1;
            if depth == 0 || inside >= tokens.len() {
                break;
            }
        }
    }
    found
}

/// `super::super::…` that reaches the crate's root, from where every room is in sight.
fn supers_that_leave_the_room(file: &File) -> Vec<String> {
    let code = code_only(&file.text);
    let modules = bodies(&code, "mod");
    let tokens = tokens(&code);
    let mut complaints = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let line = tokens[at].0;
        let mut steps = 0;
        while tokens.get(at).is_some_and(|(_, word)| word == "super") {
            steps += 1;
            at += 2;
        }
        let nested = modules
            .iter()
            .filter(|body| body.first < line && line < body.last)
            .count();
        if steps > 0 && steps >= file.depth() + nested {
            complaints.push(file.complaint(line, "`super` leaves the room: write `crate::…`"));
        }
        at += usize::from(steps == 0);
    }
    complaints
}

#[test]
fn rooms_use_only_lower_floors() {
    enforce(
        edges_go_down,
        &[
            ("src/plan/mod.rs", "use crate::engine::Run;"),
            ("src/pipeline/mod.rs", "use crate::problem::Case;"),
            (
                "src/stats/mod.rs",
                "use crate::{\n    stats::Mean,\n    digest::Digest,\n};",
            ),
            (
                "src/cache/store.rs",
                "fn f() -> crate::record::Id { todo() }",
            ),
            ("src/verify.rs", "use super::engine::Run;"),
            ("src/cache/store.rs", "use super::super::record::Id;"),
            (
                "src/verify.rs",
                "mod tests {\n    use super::super::engine;\n}",
            ),
            ("src/helpers/mod.rs", ""),
            ("src/cli/mod.rs", "use crate::*;"),
        ],
        &[
            (
                "src/engine/mod.rs",
                "use crate::{cache::{Key, Store}, plan::Plan, engine::Event};",
            ),
            (
                "src/stats/mod.rs",
                "// crate::engine is another matter\nconst A: &str = \"crate::cli\";",
            ),
            ("src/verify.rs", "mod tests {\n    use super::*;\n}"),
            ("src/cache/store.rs", "use super::Key;"),
            ("src/lib.rs", "pub mod cli;"),
        ],
    );
}

fn main_only_calls_cli(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path == "src/main.rs") {
        let tokens = tokens(&code_only(&file.text));
        for at in tokens
            .windows(3)
            .filter(|at| at[0].1 == "optloop" && at[1].1 == "::")
        {
            if at[2].1 != "cli" {
                complaints.push(file.complaint(at[2].0, "main.rs may only use `optloop::cli`"));
            }
        }
        if file.text.lines().count() > 15 {
            complaints.push(file.complaint(16, "main.rs is longer than 15 lines"));
        }
    }
    complaints
}

#[test]
fn main_only_hands_over_to_cli() {
    enforce(
        main_only_calls_cli,
        &[
            ("src/main.rs", "fn main() { optloop::engine::run() }"),
            ("src/main.rs", &"\n".repeat(16)),
        ],
        &[("src/main.rs", "fn main() { optloop::cli::main() }")],
    );
}

// ---- words with a place ----

/// The parts of a file that are compiled for tests alone.
struct TestParts {
    whole_file: bool,
    modules: Vec<Body>,
}

impl TestParts {
    fn of(file: &File, code: &str) -> Self {
        let modules = bodies(code, "mod")
            .into_iter()
            .filter(|body| body.test_only)
            .collect();
        Self {
            whole_file: file.is_test_only(),
            modules,
        }
    }

    fn contain(&self, line: usize) -> bool {
        self.whole_file
            || self
                .modules
                .iter()
                .any(|body| (body.first..=body.last).contains(&line))
    }
}

fn words_stay_in_their_rooms(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_source()) {
        let code = code_only(&file.text);
        let tests = TestParts::of(file, &code);
        let tokens = tokens(&code);
        for rule in CONFINED {
            if rule.allowed.iter().any(|&place| lies_in(&file.path, place)) {
                continue;
            }
            for (at, (line, _)) in tokens.iter().enumerate() {
                let said = rule
                    .words
                    .iter()
                    .find(|words| begins_with(&tokens[at..], words));
                let Some(words) = said else { continue };
                if rule.tests == Tests::Too || !tests.contain(*line) {
                    let what = format!(
                        "`{}` belongs in {}",
                        words.replace(' ', ""),
                        rule.allowed[0]
                    );
                    complaints.push(file.complaint(*line, &what));
                }
            }
        }
    }
    complaints
}

/// `src/process` holds `src/process.rs` and `src/process/spawn.rs` but not `src/processor.rs`.
fn lies_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn confined_words_stay_in_their_rooms() {
    enforce(
        words_stay_in_their_rooms,
        &[
            ("src/plan/mod.rs", "use petgraph::Graph;"),
            ("src/backend/cpu/mod.rs", "use cudarc::driver::CudaContext;"),
            (
                "src/campaign/mod.rs",
                "mod tests {\n fn f() { git2::Repository::open(\".\"); }\n}",
            ),
            ("src/backend/cpu/mod.rs", "use std::process::Command;"),
            ("src/engine/mod.rs", "fn f() { Command::new(\"cc\"); }"),
            ("src/engine/mod.rs", "fn f() { println!(\"done\"); }"),
            (
                "src/record/mod.rs",
                "fn f() { std::io::stderr().write_all(b\"x\"); }",
            ),
            ("src/cache/mod.rs", "fn f() { std::env::var(\"HOME\"); }"),
            (
                "src/process/spawn.rs",
                "fn f() { std::env::var_os(\"HOME\"); }",
            ),
            ("src/processor.rs", "fn f() { Command::new(\"cc\"); }"),
        ],
        &[
            ("src/plan/graph.rs", "use petgraph::Graph; // petgraph"),
            (
                "src/plan/mod.rs",
                "// petgraph stays in graph\nconst A: &str = \"petgraph\";",
            ),
            (
                "src/process/mod.rs",
                "fn f() { std::process::Command::new(\"cc\").stdout(x); }",
            ),
            (
                "src/cli/ui.rs",
                "fn f() { println!(\"{}\", std::env::var(\"NO_COLOR\")); }",
            ),
            (
                "src/process/jobserver.rs",
                "fn f() { std::env::var(\"MAKEFLAGS\"); }",
            ),
            (
                "src/engine/mod.rs",
                "#[cfg(test)]\nmod tests {\n fn f() { println!(\"x\"); }\n}",
            ),
            (
                "src/engine/mod.rs",
                "fn f(work: Work) { if let Work::Command(c) = work {} }",
            ),
        ],
    );
}

// ---- size and prose ----

/// Tests may be long: a table of samples is easier to read in one piece.
fn sizes_are_small(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_source()) {
        let lines = file.text.lines().count();
        if lines > MAX_FILE_LINES {
            let what = format!("{lines} lines; at most {MAX_FILE_LINES}");
            complaints.push(file.complaint(lines, &what));
        }
        let code = code_only(&file.text);
        let tests = TestParts::of(file, &code);
        for body in bodies(&code, "fn") {
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
            ("src/stats/mod.rs", &"\n".repeat(MAX_FILE_LINES + 1)),
            ("src/stats/mod.rs", &body(MAX_FUNCTION_LINES - 1)),
        ],
        &[("src/stats/mod.rs", &body(MAX_FUNCTION_LINES - 2))],
    );
}

fn files_say_what_they_are(files: &[File]) -> Vec<String> {
    let documented = |file: &&File| {
        let doc = file
            .text
            .lines()
            .position(|line| line.trim_start_matches("//! ") != line);
        doc.is_some_and(|line| {
            let above: Vec<&str> = file.text.lines().take(line).collect();
            let above = code_only(&above.join("\n"));
            above.trim().is_empty() || (above.starts_with("#![") && above.trim().ends_with(']'))
        })
    };
    let rust = files.iter().filter(|file| file.is_rust());
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
    let notes = [
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("TO", "DO"),
    ];
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (line, word) in tokens(&file.text) {
            if notes.contains(&word.as_str()) {
                complaints.push(file.complaint(line, &format!("`{word}` left in the text")));
            }
        }
        let tokens = tokens(&code_only(&file.text));
        for at in 0..tokens.len() {
            let after = &tokens[at..];
            let unfinished = begins_with(after, "todo !") || begins_with(after, "unimplemented !");
            let ignored = begins_with(after, "# [ ignore");
            let allow = begins_with(after, "# [ allow (") || begins_with(after, "# ! [ allow (");
            let reason = after
                .iter()
                .take_while(|(_, t)| t != "]")
                .any(|(_, t)| t == "reason");
            if unfinished || ignored || (allow && !reason) {
                let what = "unfinished code, an ignored test or an `allow` without a reason";
                complaints.push(file.complaint(tokens[at].0, what));
            }
        }
    }
    complaints
}

#[test]
fn nothing_unfinished_ignored_or_silently_allowed() {
    enforce(
        nothing_is_left_undone,
        &[
            ("src/stats/mod.rs", "fn f() { todo!() }"),
            ("src/stats/mod.rs", "fn f() { unimplemented!(\"later\") }"),
            ("src/stats/mod.rs", concat!("// FIX", "ME: wrong for n = 1")),
            (
                "tests/it/main.rs",
                "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
            ),
            ("src/stats/mod.rs", "#[allow(dead_code)]\nfn f() {}"),
            ("src/stats/mod.rs", "#![allow(clippy::all)]"),
        ],
        &[
            (
                "src/stats/mod.rs",
                "#[expect(dead_code, reason = \"read by tests\")]\nfn f() {}",
            ),
            (
                "src/stats/mod.rs",
                "const A: &str = \"todo!() #[ignore] XXXXXX\";",
            ),
        ],
    );
}
