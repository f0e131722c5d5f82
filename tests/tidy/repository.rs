//! Rules about the repository around the code: dependencies, wiring, paths, pages.

use std::collections::HashSet;

use super::rust_text::is_word;
use super::{FLOORS, File, enforce};

const MAX_ARCHITECTURE_LINES: usize = 200;
/// Dependencies that one comment in `Cargo.toml` may stand for.
const MAX_GROUP: usize = 3;

fn dependencies_have_reasons(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path == "Cargo.toml") {
        let mut in_section = false;
        let mut since_comment = MAX_GROUP;
        for (number, line) in file.text.lines().enumerate() {
            if line.starts_with('[') {
                in_section = line.ends_with("dependencies]");
                since_comment = MAX_GROUP;
            } else if line.starts_with('#') {
                since_comment = 0;
            } else if line.trim().is_empty() {
                since_comment = MAX_GROUP;
            } else if in_section && line.contains('=') {
                if since_comment >= MAX_GROUP {
                    let what = format!("`{line}` needs a comment that says what it is for");
                    complaints.push(file.complaint(number + 1, &what));
                }
                since_comment += 1;
            }
        }
    }
    complaints
}

#[test]
fn every_dependency_has_its_reason() {
    enforce(
        dependencies_have_reasons,
        &[
            ("Cargo.toml", "[dependencies]\nserde = \"1\""),
            ("Cargo.toml", "[dependencies]\n# text\na = \"1\"\n\nb = \"1\""),
            (
                "Cargo.toml",
                "[dev-dependencies]\n# text\na = \"1\"\nb = \"1\"\nc = \"1\"\nd = \"1\"",
            ),
        ],
        &[("Cargo.toml", "[package]\nname = \"x\"\n[dependencies]\n# text\na = \"1\"\nb = \"1\"")],
    );
}

/// A file below `src` or in a folder of `tests` that no other file names is never compiled.
fn files_are_wired_in(files: &[File]) -> Vec<String> {
    let rust: Vec<&File> = files.iter().filter(|file| file.is_rust()).collect();
    let named: HashSet<String> = rust.iter().flat_map(|file| modules_of(file)).collect();
    let is_wired = |file: &File| {
        let path: Vec<&str> = file.path.trim_end_matches(".rs").split('/').collect();
        match path[..] {
            ["src", "main" | "lib"] | ["tests" | "benches", _] | ["tests", _, "main"] => true,
            ["src" | "tests" | "benches", .., parent, "mod"] => named.contains(parent),
            ["src" | "tests" | "benches", .., name] => named.contains(name),
            _ => true,
        }
    };
    let lost = rust.iter().filter(|file| !is_wired(file));
    lost.map(|file| file.complaint(1, "no `mod …;` names this file: it is never compiled"))
        .collect()
}

/// The modules that a file says lie in other files, and the files it names by `#[path = …]`.
fn modules_of(file: &File) -> Vec<String> {
    let mods = file.tokens().windows(3).filter(|at| at[0].1 == "mod" && at[2].1 == ";");
    let paths = file.text.lines().filter_map(|line| {
        let path = line.trim().strip_prefix("#[path = \"")?.split(".rs\"").next()?;
        path.rsplit('/').next()
    });
    mods.map(|at| at[1].1.clone()).chain(paths.map(str::to_owned)).collect()
}

#[test]
fn every_file_is_wired_in() {
    enforce(
        files_are_wired_in,
        &[("src/stats/extra.rs", ""), ("tests/it/forgotten.rs", ""), ("src/stats/mod.rs", "")],
        &[("tests/it/main.rs", ""), ("tests/it.rs", ""), ("src/main.rs", "")],
    );
}

fn no_machine_paths(files: &[File]) -> Vec<String> {
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(place) = places.iter().find(|&&place| starts_a_path(line, place)) {
                let what = format!("`{place}` is a place on somebody's machine");
                complaints.push(file.complaint(number + 1, &what));
            }
        }
    }
    complaints
}

/// `place` occurs where an absolute path could begin: not inside a longer path such as `a/home/b`.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !is_word(c) && !matches!(c, '.' | '/' | '}'))
    })
}

#[test]
fn no_file_names_a_place_on_a_machine() {
    enforce(
        no_machine_paths,
        &[
            ("README.md", concat!("cd /wo", "rk/main")),
            ("src/stats/mod.rs", concat!("// see \"/ho", "me/me/notes\"")),
            (".ci/run", concat!("export X=/ro", "ot/.cargo")),
        ],
        &[("README.md", "src/work/mod.rs ./home/x https://example.org/home/x")],
    );
}

fn changelog_is_open(files: &[File]) -> Vec<String> {
    let changelog = files.iter().find(|file| file.path == "CHANGELOG.md");
    let open = |file: &File| {
        file.text.lines().find(|line| line.starts_with("## ")) == Some("## [Unreleased]")
    };
    match changelog {
        Some(file) if open(file) => Vec::new(),
        _ => vec!["CHANGELOG.md: its first section must be `## [Unreleased]`".to_owned()],
    }
}

#[test]
fn the_changelog_has_an_unreleased_section_on_top() {
    enforce(
        changelog_is_open,
        &[("CHANGELOG.md", "# Changelog\n\n## [0.1.0]\n\n## [Unreleased]\n"), ("README.md", "")],
        &[("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n")],
    );
}

fn architecture_is_short_and_whole(files: &[File]) -> Vec<String> {
    let Some(file) = files.iter().find(|file| file.path == "ARCHITECTURE.md") else {
        return vec!["ARCHITECTURE.md is missing".to_owned()];
    };
    let mut complaints = Vec::new();
    let lines = file.text.lines().count();
    if lines > MAX_ARCHITECTURE_LINES {
        let what = format!("{lines} lines; at most {MAX_ARCHITECTURE_LINES}");
        complaints.push(file.complaint(lines, &what));
    }
    for room in FLOORS.iter().copied().flatten() {
        if !file.text.contains(&format!("`{room}`")) {
            complaints.push(file.complaint(1, &format!("does not name the room `{room}`")));
        }
    }
    complaints
}

#[test]
fn the_architecture_page_is_short_and_names_every_room() {
    let rooms: Vec<&str> = FLOORS.iter().copied().flatten().copied().collect();
    let rooms = format!("`{}`", rooms.join("`\n`"));
    enforce(
        architecture_is_short_and_whole,
        &[
            ("ARCHITECTURE.md", &rooms.replace("`plan`", "plan")),
            ("ARCHITECTURE.md", &(rooms.clone() + &"\n".repeat(MAX_ARCHITECTURE_LINES))),
            ("README.md", ""),
        ],
        &[("ARCHITECTURE.md", &rooms)],
    );
}

/// Commands in README and docs stand in `console` blocks, and a test in `tests/` that runs such
/// blocks names the file (`README.md`, `docs/make.md` or `docs/*.md`).
fn documented_commands_are_run(files: &[File]) -> Vec<String> {
    let tests = |file: &&File| file.path.starts_with("tests/") && file.path != "tests/tidy.rs";
    let runs = |name: &str| files.iter().filter(tests).any(|test| test.text.contains(name));
    let mut complaints = Vec::new();
    for file in files {
        let is_page = file.path.starts_with("docs/") && file.has_extension("md");
        if !is_page && file.path != "README.md" {
            continue;
        }
        let run = runs(&file.path) || (is_page && runs("docs/*.md"));
        for (number, line) in file.text.lines().enumerate() {
            let fence = line.trim().strip_prefix("```").unwrap_or("");
            let what = match fence.split([' ', ',']).next().unwrap_or("") {
                "sh" | "bash" | "shell" => "write a `console` block, which a test can run",
                "console" if !run => "no file in tests/ that runs this page's `console` blocks",
                _ => continue,
            };
            complaints.push(file.complaint(number + 1, what));
        }
    }
    complaints
}

#[test]
fn every_documented_command_is_run_by_a_test() {
    enforce(
        documented_commands_are_run,
        &[("README.md", "```console\n$ optloop --help\n```"), ("docs/make.md", "```sh\nmake\n```")],
        &[("README.md", "```toml\nname = 1\n```"), ("CONTRIBUTING.md", "```sh\nmake\n```")],
    );
    let page = File::new("docs/make.md", "```console\n$ make\n```");
    let test = File::new("tests/docs.rs", "cases.case(\"docs/*.md\");");
    assert!(documented_commands_are_run(&[page, test]).is_empty());
}
