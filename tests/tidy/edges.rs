//! Rules about who may use what: floors, and words with a place.

use super::rust_text::{Token, bodies};
use super::{FLOORS, File, TestParts, begins_with, enforce};

use Place::{NeverIn, Only};

/// Words that only some places may say, and why.
const CONFINED: &[Confined] = &[
    Confined { words: &["petgraph"], place: Only(&["src/plan/graph"]), tests: Tests::Too },
    Confined { words: &["cudarc"], place: Only(&["src/backend/cuda"]), tests: Tests::Too },
    Confined { words: &["git2"], place: Only(&["src/git"]), tests: Tests::Too },
    Confined {
        words: &["std :: process :: Command", "Command :: new"],
        place: Only(&["src/process"]),
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
        // Children say to their judge what went wrong.
        place: Only(&["src/cli", "src/project/children"]),
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
        place: Only(&["src/project/host", "src/process/jobserver"]),
        tests: Tests::Free,
    },
    Confined {
        words: &[
            "Instant :: now",
            "SystemTime :: now",
            "Timestamp :: now",
            "thread :: sleep",
            "std :: fs",
            "crate :: process",
        ],
        place: NeverIn(&[
            "src/pipeline",
            "src/plan",
            "src/stats",
            "src/verify",
            "src/campaign/policy",
        ]),
        tests: Tests::Free,
    },
];

struct Confined {
    words: &'static [&'static str],
    place: Place,
    tests: Tests,
}

/// Files and folders, without `.rs`.
enum Place {
    Only(&'static [&'static str]),
    NeverIn(&'static [&'static str]),
}

impl Place {
    fn allows(&self, path: &str) -> bool {
        match self {
            Only(places) => places.iter().any(|&place| lies_in(path, place)),
            NeverIn(places) => !places.iter().any(|&place| lies_in(path, place)),
        }
    }

    fn rule(&self) -> String {
        match self {
            Only(places) => format!("belongs in {}", places.join(", ")),
            NeverIn(_) => "is the outside world, and this room only decides".to_owned(),
        }
    }
}

/// Whether a rule counts inside `#[cfg(test)]` modules.
#[derive(Clone, Copy, PartialEq)]
enum Tests {
    Too,
    Free,
}

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
        for (line, used) in crate_paths(file.tokens()) {
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
fn crate_paths(tokens: &[Token]) -> Vec<(usize, String)> {
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
    let tokens = file.tokens();
    let modules = bodies(tokens, "mod");
    let mut complaints = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let line = tokens[at].0;
        let mut steps = 0;
        while tokens.get(at).is_some_and(|(_, word)| word == "super") {
            steps += 1;
            at += 2;
        }
        let nested = modules.iter().filter(|body| body.first < line && line < body.last).count();
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
            ("src/stats/mod.rs", "use crate::{\n    stats::Mean,\n    verify::Dtype,\n};"),
            ("src/cache/store.rs", "fn f() -> crate::record::Id { todo() }"),
            ("src/verify.rs", "use super::engine::Run;"),
            ("src/cache/store.rs", "use super::super::record::Id;"),
            ("src/verify.rs", "mod tests {\n    use super::super::engine;\n}"),
            ("src/helpers/mod.rs", ""),
            ("src/cli/mod.rs", "use crate::*;"),
        ],
        &[
            ("src/engine/mod.rs", "use crate::{cache::{Key, Store}, plan::Plan, engine::Event};"),
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
        for at in file.tokens().windows(3).filter(|at| at[0].1 == "optloop" && at[1].1 == "::") {
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

fn words_stay_in_their_rooms(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.is_source()) {
        let tests = TestParts::of(file);
        let tokens = file.tokens();
        let first = |words: &'static str| words.split(' ').next().unwrap_or(words);
        for rule in CONFINED {
            if rule.place.allows(&file.path) {
                continue;
            }
            let firsts: Vec<&str> = rule.words.iter().map(|words| first(words)).collect();
            for (at, (line, token)) in tokens.iter().enumerate() {
                if !firsts.contains(&token.as_str()) {
                    continue;
                }
                let said = rule.words.iter().find(|words| begins_with(&tokens[at..], words));
                let Some(words) = said else { continue };
                if rule.tests == Tests::Too || !tests.contain(*line) {
                    let said = words.replace(' ', "");
                    let what = format!("`{said}` {}", rule.place.rule());
                    complaints.push(file.complaint(*line, &what));
                }
            }
        }
    }
    complaints
}

/// `src/process` holds `src/process.rs` and `src/process/spawn.rs` but not `src/processor.rs`.
fn lies_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn confined_words_stay_in_their_rooms() {
    enforce(
        words_stay_in_their_rooms,
        &[
            ("src/plan/mod.rs", "use petgraph::Graph;"),
            ("src/backend/cpu/mod.rs", "use cudarc::driver::CudaContext;"),
            ("src/campaign/mod.rs", "mod tests {\n fn f() { git2::Repository::open(\".\"); }\n}"),
            ("src/backend/cpu/mod.rs", "use std::process::Command;"),
            ("src/engine/mod.rs", "fn f() { Command::new(\"cc\"); }"),
            ("src/engine/mod.rs", "fn f() { println!(\"done\"); }"),
            ("src/record/mod.rs", "fn f() { std::io::stderr().write_all(b\"x\"); }"),
            ("src/cache/mod.rs", "fn f() { std::env::var(\"HOME\"); }"),
            ("src/process/spawn.rs", "fn f() { std::env::var_os(\"HOME\"); }"),
            ("src/plan/key.rs", "fn f() { std::fs::read(path); }"),
            ("src/stats/mod.rs", "use std::time::Instant;\nfn f() { Instant::now(); }"),
            ("src/processor.rs", "fn f() { Command::new(\"cc\"); }"),
        ],
        &[
            ("src/plan/graph.rs", "use petgraph::Graph; // petgraph"),
            ("src/plan/mod.rs", "// petgraph stays in graph\nconst A: &str = \"petgraph\";"),
            ("src/process/mod.rs", "fn f() { std::process::Command::new(\"cc\").stdout(x); }"),
            ("src/cli/ui.rs", "fn f() { println!(\"{}\", 1); }"),
            ("src/project/host.rs", "fn f() { std::env::var(\"NO_COLOR\"); }"),
            ("src/process/jobserver.rs", "fn f() { std::env::var(\"MAKEFLAGS\"); }"),
            ("src/engine/mod.rs", "#[cfg(test)]\nmod tests {\n fn f() { println!(\"x\"); }\n}"),
            ("src/engine/mod.rs", "fn f(work: Work) { if let Work::Command(c) = work {} }"),
        ],
    );
}
