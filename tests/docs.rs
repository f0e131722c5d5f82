//! `README.md` and `docs/*.md` do what they say: every `console` block runs in a copy of the
//! repository's kernels and pipelines, and every `toml` block is a file that loads.
//!
//! Times, ages, shares of a bound, what a compiler or counter says and names of runs in the pages are
//! from a real run; here any others will do.
//! `TRYCMD=overwrite cargo test --test docs` writes what the commands print into the pages.
#![expect(clippy::disallowed_methods, reason = "reads switches, drives make")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]
#![expect(clippy::format_push_string, reason = "speed is not the point")]
#![expect(clippy::format_collect, reason = "speed is not the point")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use optloop::diagnostic::render;
use optloop::host::Host;
use optloop::pipeline::{self, Overrides};
use optloop::problem;
use regex::Regex;

#[path = "peaks/mod.rs"]
mod peaks;

const OPTLOOP: &str = env!("CARGO_BIN_EXE_optloop");

/// Commands that pages use besides `optloop`.
const TOOLS: [&str; 6] = ["make", "just", "sed", "cp", "cat", "ls"];

/// Blocks that fetch, install or would run this very test within itself.
const NOT_RUN: [&str; 3] = ["$ git clone", "$ cargo install", "$ cargo test"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// README.md and docs/*.md.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).expect("docs");
    let mut pages: Vec<PathBuf> = docs
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// A folder that looks like a fresh checkout: kernels, pipelines, Makefile and justfile; recorded
/// pairs, and a kernel that is a number of cycles.
fn sandbox(dir: &Path) {
    for part in ["kernels", "pipelines"] {
        copy(&root().join(part), &dir.join(part));
    }
    copy(&root().join("docs/campaigns/versions"), &dir.join("versions"));
    let deciding = [
        "campaigns/campaign.toml",
        "deciding/pairs.jsonl",
        "deciding/cycles.toml",
        "deciding/cycles.txt",
    ];
    for file in ["make/Makefile", "make/justfile"].into_iter().chain(deciding) {
        let from = root().join("docs").join(file);
        fs::copy(&from, dir.join(from.file_name().expect("a name"))).expect("copied");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != ".optloop") {
                copy(&path, &to);
            }
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

/// Where a tool is; `None`, said aloud, when it is missing and nobody requires it.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A shim that stands for nothing is as good as none.
    let works = |path: &PathBuf| {
        Command::new(path).arg("--version").output().is_ok_and(|out| out.status.success())
    };
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(works);
    if found.is_none() {
        let required = std::env::var("OPTLOOP_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|r| r == name), "OPTLOOP_REQUIRE: there is no {name}");
        println!("skipped: no {name}");
    }
    found
}

/// The fences and commands of a page, which stay in their order whatever is printed between.
fn is_marker(line: &str) -> bool {
    line.starts_with("```") || line.starts_with("$ ")
}

/// The page as it can be run: `cargo run --release --` is this very binary, and blocks that
/// cannot run here are mere text.
fn runnable(page: &str, missing: &[&str]) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let inside: Vec<&str> =
            lines[at + 1..].iter().take_while(|l| !l.starts_with("```")).copied().collect();
        let excluded = |l: &&str| {
            let missing =
                missing.iter().any(|m| l.strip_prefix("$ ").is_some_and(|c| c.starts_with(m)));
            missing || NOT_RUN.iter().any(|n| l.starts_with(n))
        };
        let line = match *line {
            "```console" if inside.iter().any(excluded) => "```text".to_owned(),
            // An unmarked block would be taken for commands.
            "```" if starts_block(&lines[..at]) => "```text".to_owned(),
            line => line.replace("$ cargo run --release -- ", "$ optloop "),
        };
        if is_marker(&line) && after_output(&lines[..at]) {
            out.push(String::new());
        }
        out.push(line);
    }
    out.join("\n") + "\n"
}

/// The last of these lines was printed by a command. What commands print ends with a line's end,
/// which the runner only sees when an empty line follows.
fn after_output(before: &[&str]) -> bool {
    let fence = before.iter().rposition(|l| l.starts_with("```"));
    let in_console = fence.is_some_and(|at| matches!(before[at], "```console" | "```text"));
    let last = before.last().copied().unwrap_or_default();
    in_console && !is_marker(last) && !last.starts_with("? ")
}

fn starts_block(before: &[&str]) -> bool {
    before.iter().filter(|l| l.starts_with("```")).count() % 2 == 0
}

/// What differs from run to run, replaced by what matches anything.
fn forgiving(page: &str) -> String {
    let rules = [
        (r"\b(just now|\d+ (s|min|h|days) ago)\b", "[..]"),
        (r"\b\d+(\.\d+)? (ns|us|ms|s)\b", "[..]"),
        (r"\b\d{8}T\d{6}\.\d{3}-\d+\b", "[..]"),
        (r"\b\d{8}T\d{6}Z\b", "[..]"),
        (r"\b[0-9a-f]{12} → [0-9a-f]{12}\b", "[..]"),
        (r"\bcpu-[0-9a-f]{8}\b", "[..]"),
        // What compilers make of a kernel has another digest elsewhere.
        (r"\b[0-9a-f]{12}\b", "[..]"),
        (r"\b\d+(\.\d+)? % (compute|memory \(\w+\))", "[..]"),
        (r"\b\d+\.\d\dx", "[..]"),
        // What a comparison found.
        (r"[-+]?\b\d+\.\d+ %", "[..]"),
        (r"\b\d+\.\dx (the )?time", "[..]"),
        // Which of two close variants is the faster is the machine's to say.
        (r"best: \S+", "best: [..]"),
        // Compilers at work at once: any may be first.
        (r"(?m)^ran      (compile|reference|incumbent).*$", "ran      [..]"),
        // The first line of a profile says something anywhere; what else is known is the machine's.
        (r"(?m)^profile: .* bound by .*$", "profile: [..]bound by[..]"),
        (r"(?m)^profile: ([^\[].*)$", "..."),
        // How many looks a decision takes is the machine's to say; what comes out is not.
        (r"(?m)^\w+ +\d+ pairs .*: .*$", "..."),
        (r"(?m)^(\w+: (KEEP|REVERT|UNDECIDED): [^:]+: ).*$", "$1[..]\n..."),
        (r"(?m)^\w+: warning: .*$", "..."),
        // A busy machine has more to say after a table than a quiet one.
        (r"\n\nartifacts\n", "\n...\nartifacts\n"),
        (r"(\.\.\.\n){2,}", "...\n"),
    ];
    let mut text = page.to_owned();
    for (pattern, with) in rules {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
    }
    let blanks = Regex::new(" {2,}").expect("a pattern");
    // Two of them side by side would match nothing.
    let many = Regex::new(r"(\[\.\.\]( \.\. )?){2,}").expect("a pattern");
    let mut in_table = false;
    let lines = text.lines().map(other_mismatches).map(|line| {
        let begins = ["95% interval", " rank  kernel"].iter().any(|head| line.contains(head));
        let ends = line.trim().is_empty() || line == "..." || is_marker(&line);
        in_table = begins || (in_table && !ends);
        // An interval stands in no other line, also where a page leaves out the table's head.
        let is_row = in_table || line.contains("[..] .. [..]");
        let line = if is_row { row(line.trim(), &blanks) } else { line };
        many.replace_all(&line, "[..]").into_owned()
    });
    let lines = lines.map(|line| if line.contains("[..]") { unindented(&line) } else { line });
    compiled(&lines.collect::<Vec<_>>())
}

/// A row of a table with columns of any width. The first cell is whole: `a` is not `a[x=1]`.
fn row(line: &str, blanks: &Regex) -> String {
    match blanks.find(line) {
        Some(gap) => {
            let rest = blanks.replace_all(&line[gap.end()..], "[..]");
            format!("{}  [..]{rest}", &line[..gap.start()])
        }
        None => line.to_owned(),
    }
}

/// The lines without what a compiler made of a kernel: below their heading, listings are its own.
fn compiled(lines: &[String]) -> String {
    let mut text = String::new();
    let (mut inspects, mut below) = (false, false);
    for line in lines {
        if is_marker(line) {
            (inspects, below) = (line.starts_with("$ optloop inspect"), false);
        } else if below {
            continue;
        }
        text += &format!("{line}\n");
        if inspects && line.contains("insns vectors") {
            below = true;
            text += "...\n";
        }
    }
    text
}

/// A mismatch report of other inputs has other numbers and places.
fn other_mismatches(line: &str) -> String {
    if !line.starts_with("  y[") && !line.starts_with("FAILED ") {
        return line.to_owned();
    }
    let numbers = Regex::new(r"(-?\d+(\.\d+)?(e[+-]?\d+)?%?)(, \d+\])?").expect("a pattern");
    numbers.replace_all(line, "[..]").into_owned()
}

/// A line that begins anywhere: how far a table is indented is not the point.
fn unindented(line: &str) -> String {
    if ["ran ", "$ ", "[..]"].iter().any(|start| line.starts_with(start)) {
        line.to_owned()
    } else {
        format!("[..]{}", line.trim_start())
    }
}

fn run_page(page: &Path) {
    let text = read(page);
    if !text.contains("```console") {
        return;
    }
    let found: Vec<_> = TOOLS.iter().map(|name| (*name, tool(name))).collect();
    let missing: Vec<&str> =
        found.iter().filter(|(_, path)| path.is_none()).map(|(name, _)| *name).collect();
    let name = page.file_stem().expect("a name").to_string_lossy();
    let exact = runnable(&text, &missing);
    let ready = forgiving(&exact);
    let printed = play(&name, &ready, &found);
    // Only when this is to overwrite can it differ; what it says there mixes both.
    if printed != ready {
        let printed = (printed, play(&name, &exact, &found));
        fs::write(page, restored(&text, &ready, &printed)).expect("written");
    }
}

/// Runs the commands of a page in a sandbox of their own.
fn play(name: &str, text: &str, tools: &[(&str, Option<PathBuf>)]) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let dir = dir.path().canonicalize().expect("a path");
    let script = dir.join(format!("{name}.md"));
    let folder = dir.join(format!("{name}.in"));
    sandbox(&folder);
    peaks::lend(&folder);
    fs::create_dir(dir.join("tmp")).expect("created");
    fs::write(&script, text).expect("written");
    let cases = trycmd::TestCases::new();
    cases.register_bin("optloop", Path::new(OPTLOOP));
    for (name, path) in tools {
        if let Some(path) = path {
            cases.register_bin(*name, path.as_path());
        }
    }
    cases
        .env("PATH", path_with_optloop())
        // Leases of its own: nothing else on this machine is waited for.
        .env("TMPDIR", dir.join("tmp").to_string_lossy())
        .env("OPTLOOP_LEASE_DIR", dir.join("tmp").to_string_lossy())
        .env("NO_COLOR", "1")
        .env("MAKEFLAGS", "")
        .env("CARGO_MAKEFLAGS", "")
        .case(&script)
        .run();
    peaks::keep(&folder);
    read(&script)
}

fn path_with_optloop() -> String {
    let here = Path::new(OPTLOOP).parent().expect("a folder").to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(here).chain(std::env::split_paths(&path));
    std::env::join_paths(all).expect("joined").to_string_lossy().into_owned()
}

/// The page with what was printed exactly where it did not match; the rest stays as it is written.
/// That this machine was busy is no matter for a page.
fn restored(page: &str, ready: &str, printed: &(String, String)) -> String {
    let mut out = String::new();
    let runs = parts(&printed.0).into_iter().zip(parts(&printed.1));
    for ((part, ready), (played, exact)) in parts(page).iter().zip(parts(ready)).zip(runs) {
        let body = match exact.split_last() {
            _ if ready[1..] == played[1..] => &part[1..],
            // The empty line before the next marker is there for the runner.
            Some((&"", rest)) => &rest[1..],
            _ => &exact[1..],
        };
        let busy = |line: &&&str| line.contains(": unstable: ") || line.contains(": warning: ");
        let told = body.iter().filter(|line| !busy(line));
        for line in part[..1].iter().chain(told) {
            let double = line.is_empty() && out.ends_with("\n\n");
            out += if double { "" } else { line.trim_end() };
            out += if double { "" } else { "\n" };
        }
    }
    // What stands before the first marker has none.
    out.split_off(1)
}

/// A page cut before each fence and each command.
fn parts(page: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![vec![""]];
    for line in page.lines() {
        match parts.last_mut() {
            Some(part) if !is_marker(line) => part.push(line),
            _ => parts.push(vec![line]),
        }
    }
    parts
}

#[test]
fn every_console_block_of_readme_runs_as_it_is_written() {
    run_page(&root().join("README.md"));
}

/// The pages with commands, `docs/*.md`; each has a test of its own here, for they take their time.
const PAGES: [&str; 6] = [
    "docs/cache.md",
    "docs/deciding.md",
    "docs/make.md",
    "docs/measuring.md",
    "docs/pipeline.md",
    "docs/campaigns.md",
];

#[test]
fn every_page_with_commands_has_its_test() {
    let with_commands = |page: &PathBuf| read(page).contains("```console");
    let found: Vec<PathBuf> = pages().into_iter().filter(with_commands).collect();
    let mut known: Vec<PathBuf> = PAGES.iter().map(|page| root().join(page)).collect();
    known.push(root().join("README.md"));
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn every_console_block_about_the_cache_runs_as_it_is_written() {
    run_page(&root().join(PAGES[0]));
}

#[test]
fn every_console_block_about_deciding_runs_as_it_is_written() {
    run_page(&root().join(PAGES[1]));
}

#[test]
fn every_console_block_about_make_runs_as_it_is_written() {
    run_page(&root().join(PAGES[2]));
}

#[test]
fn every_console_block_about_measuring_runs_as_it_is_written() {
    run_page(&root().join(PAGES[3]));
}

#[test]
fn every_console_block_about_pipelines_runs_as_it_is_written() {
    run_page(&root().join(PAGES[4]));
}

#[test]
fn every_console_block_about_campaigns_runs_as_it_is_written() {
    run_page(&root().join(PAGES[5]));
}

#[test]
fn what_differs_from_run_to_run_matches_anything_and_the_rest_does_not() {
    let page = "ran      compile (324 ms)\n stage  95% interval\n smoke  3 cases   1 us  2 us .. 3 us  known, 5 s ago\n\n5 ran\n";
    let text = forgiving(page);
    assert_eq!(
        text,
        "ran      [..]\n[..]stage  [..]95% interval\n[..]smoke  [..]3 cases[..]known, [..]\n\n5 ran\n"
    );
    // A near bound and a far one have the same page.
    let table = |share: &str| {
        format!(
            " stage  95% interval  of bound\n a  1 us  {share}\n\nartifacts\n  a: x\n\n \
             rank  kernel  gain\n    1  a.c    7.47x\n"
        )
    };
    let quiet = forgiving(&table("0.3 % compute"));
    assert_eq!(
        quiet,
        "[..]stage  [..]95% interval[..]of bound\n[..]a  [..]\n...\nartifacts\n  a: x\n\n\
         [..]rank  [..]kernel[..]gain\n[..]1  [..]a.c[..]\n"
    );
    assert_eq!(quiet, forgiving(&table("43 % memory (L2)")));
    let compared = |looks: &str, word: &str| {
        forgiving(&format!("{looks}a: {word}: faster than b.c: gain 2.10 %, 8 + 8 pairs, 0.47 s\n"))
    };
    let looks =
        ["a    4 pairs  +1.97 % (? .. +3.20 %): go on\n", "a    8 pairs  +2.1 %: confirm\n"];
    assert_eq!(compared(looks[0], "KEEP"), compared(&looks.concat(), "KEEP"));
    assert_eq!(compared("", "KEEP"), "[..]a: KEEP: faster than b.c: [..]\n...\n");
    assert_ne!(compared("", "KEEP"), compared("", "REVERT"));
    let profile =
        "\nprofile: n=1: bound by compute, at 1 % of it\nprofile: perf is missing\n\nartifacts\n";
    assert_eq!(forgiving(profile), "\n[..]profile: [..]bound by[..]\n...\nartifacts\n");
    let listing =
        "$ optloop inspect asm a.c\na.c: cc\n   insns vectors fma\n  all 5\n\n  ret\n```\nb\n";
    assert_eq!(
        forgiving(listing),
        "$ optloop inspect asm a.c\na.c: cc\n   insns vectors fma\n...\n```\nb\n"
    );
    let page =
        "```console\n$ cargo run --release -- graph x\n? 1\n```\n```console\n$ just x\na\n```\n";
    let ready = runnable(page, &["just"]);
    assert_eq!(ready, "```console\n$ optloop graph x\n? 1\n```\n```text\n$ just x\na\n\n```\n");
    assert_eq!(restored(page, &ready, &(ready.clone(), ready.clone())), page);
    let other = ready.replace("? 1\n", "? 2\nb\n\n");
    assert_eq!(restored(page, &ready, &(other.clone(), other)), page.replace("? 1\n", "? 2\nb\n"));
    let busy = ready.replace("? 1\n", "? 1\nb\n\ns: unstable: so\n\nc\n\n");
    let quiet = page.replace("? 1\n", "? 1\nb\n\nc\n");
    assert_eq!(restored(page, &ready, &(busy.clone(), busy)), quiet);
}

struct Disk;

impl Host for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(path)
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn list(&self, dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).collect()
    }
    fn var(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
    fn memory_bytes(&self) -> u64 {
        16 << 30
    }
}

/// The `toml` blocks of a page.
fn toml_blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == "```toml" {
            blocks.push(
                lines.by_ref().take_while(|l| *l != "```").fold(String::new(), |t, l| t + l + "\n"),
            );
        } else if line.starts_with("```") {
            lines.by_ref().find(|l| l.starts_with("```"));
        }
    }
    blocks
}

/// What is wrong with a block. Its first line may say which file it is, as in
/// `# kernels/mine/problem.toml`; a block that does not is a piece of a pipeline.
fn mistakes(block: &str, dir: &Path) -> String {
    let named = block
        .lines()
        .next()
        .and_then(|l| l.strip_prefix("# "))
        .filter(|n| Path::new(n).extension().is_some_and(|e| e == "toml"));
    let (place, text) = match named {
        Some(name) => (dir.join(name), block.to_owned()),
        None => (dir.join("pipelines/piece.toml"), completed(block)),
    };
    fs::create_dir_all(place.parent().expect("a folder")).expect("created");
    fs::write(&place, text).expect("written");
    if place.ends_with("problem.toml") {
        fs::write(place.with_file_name("reference.c"), "").expect("written");
        return render(&problem::load(&place, &Disk).diagnostics);
    }
    if place.ends_with("campaign.toml") {
        let loaded = optloop::campaign::settings::load(&place, block.to_owned());
        return render(&loaded.diagnostics);
    }
    let mut pipeline = place.clone();
    if named.is_some_and(|n| n.starts_with("stages/")) {
        let name = place.file_stem().expect("a name").to_string_lossy().into_owned();
        pipeline = dir.join("pipelines/preset.toml");
        fs::write(&pipeline, completed(&format!("[stages.{name}]\n"))).expect("written");
    }
    render(&pipeline::load(&pipeline, &Overrides::default(), &Disk).diagnostics)
}

/// A piece of a pipeline with the keys that every pipeline has.
fn completed(piece: &str) -> String {
    let keys = [
        ("name", "piece"),
        ("kernel", "../kernels/softmax/softmax.c"),
        ("problem", "../kernels/softmax/problem.toml"),
    ];
    let top: Vec<&str> = piece.lines().take_while(|l| !l.starts_with('[')).collect();
    let has = |key: &str| top.iter().any(|l| l.split('=').next().is_some_and(|k| k.trim() == key));
    let missing = keys.iter().filter(|(key, _)| !has(key));
    let mut text: String = missing.map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    text += piece;
    if !piece.contains("[stages.") {
        text += "[stages.smoke]\n";
    }
    text
}

#[test]
fn every_toml_block_is_a_file_that_loads() {
    let mut seen = 0;
    for page in pages() {
        for block in toml_blocks(&read(&page)) {
            let dir = tempfile::tempdir().expect("a temporary folder");
            sandbox(dir.path());
            let wrong = mistakes(&block, dir.path());
            assert!(wrong.is_empty(), "{}:\n{block}\n{wrong}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} blocks were found");
    let dir = tempfile::tempdir().expect("a temporary folder");
    sandbox(dir.path());
    for bad in [
        "colour = 1\n",
        "# kernels/x/problem.toml\nname = 1\n",
        "# stages/x.toml\nkind = 1\n",
        "# campaign.toml\nname = 1\n",
    ] {
        assert!(!mistakes(bad, dir.path()).is_empty(), "{bad}");
    }
}

/// What ran at the same time, from a log of `+` and `-`.
fn most_at_once(log: &str) -> i32 {
    let (mut now, mut most) = (0, 0);
    for line in log.lines() {
        now += if line == "+" { 1 } else { -1 };
        most = most.max(now);
    }
    most
}

#[test]
fn two_runs_below_one_make_share_its_job_slots() {
    let Some(make) = tool("make") else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let log = dir.path().join("log");
    let mut makefile = "all: a b\n".to_owned();
    for name in ["a", "b"] {
        fs::create_dir_all(dir.path().join(name).join("pipelines")).expect("created");
        let mut pipeline = format!("name = \"{name}\"\n");
        for stage in 0..4 {
            let run = format!("echo + >> {log}; sleep 0.1; echo - >> {log}", log = log.display());
            pipeline += &format!("[stages.s{stage}]\nrun = \"{run}\"\nsalt = \"{stage}\"\n");
        }
        fs::write(dir.path().join(name).join("pipelines/all.toml"), pipeline).expect("written");
        // Four slots each, if they were not shared.
        makefile += &format!(".PHONY: {name}\n{name}:\n\t+cd {name} && {OPTLOOP} pipeline all\n");
    }
    fs::write(dir.path().join("Makefile"), makefile).expect("written");
    let run = |slots: &str| {
        drop(fs::remove_file(&log));
        for name in ["a", "b"] {
            drop(fs::remove_dir_all(dir.path().join(name).join(".optloop")));
        }
        let out = Command::new(&make)
            .arg(slots)
            .current_dir(dir.path())
            .env_remove("MAKEFLAGS")
            .env_remove("CARGO_MAKEFLAGS")
            .output()
            .expect("make runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let log = read(&log);
        assert_eq!(log.lines().count(), 16, "{log}");
        most_at_once(&log)
    };
    assert!(run("-j2") <= 2);
    assert!(run("-j4") > 2, "four slots are used when there are four");
}
