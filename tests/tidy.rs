//! The rules of the house that no compiler checks. Each rule is shown a bad sample and a good one
//! before it is let loose on the tree, so that a rule that cannot fail is itself a failure.

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

#[path = "tidy/edges.rs"]
mod edges;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/rust_text.rs"]
mod rust_text;
#[path = "tidy/structure.rs"]
mod structure;

use rust_text::{Body, Token, bodies, code_only, tokens};

/// The rooms, lowest floor first. A room may use only rooms on lower floors.
const FLOORS: &[&[&str]] = &[
    &["digest", "paths", "expression", "host"],
    &["stats", "verify", "process", "tree", "diagnostic"],
    &["pipeline", "problem", "cache", "adapter", "backend", "git"],
    &["plan", "measure"],
    &["engine"],
    &["record"],
    &["project"],
    &["campaign", "report"],
    &["cli"],
];

/// One file of the repository, or a made-up one.
struct File {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
    code: OnceLock<String>,
    tokens: OnceLock<Vec<Token>>,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        let (code, tokens) = (OnceLock::new(), OnceLock::new());
        Self { path: path.to_owned(), text: text.to_owned(), code, tokens }
    }

    /// What [`code_only`] makes of the text, worked out once for all rules.
    fn code(&self) -> &str {
        self.code.get_or_init(|| code_only(&self.text))
    }

    /// The [`tokens`] of [`Self::code`].
    fn tokens(&self) -> &[Token] {
        self.tokens.get_or_init(|| tokens(self.code()))
    }

    fn is_source(&self) -> bool {
        self.path.starts_with("src/") && self.is_rust()
    }

    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    /// Compiled for tests alone: `tests.rs`, `case_tests.rs`, `tests/case.rs`.
    fn is_test_only(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || self.path.contains("/tests/")
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The room it belongs to; none for `main.rs` and `lib.rs`.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let room = inside.split('/').next()?;
        (room != "main" && room != "lib").then_some(room)
    }

    /// How many modules it lies below the crate's root: `src/a.rs` and `src/a/mod.rs` 1.
    fn depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.trim_end_matches("/mod").split('/').count()
    }

    fn complaint(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// The parts of a file that are compiled for tests alone.
struct TestParts {
    whole_file: bool,
    modules: Vec<Body>,
}

impl TestParts {
    fn of(file: &File) -> Self {
        let modules =
            bodies(file.tokens(), "mod").into_iter().filter(|body| body.test_only).collect();
        Self { whole_file: file.is_test_only(), modules }
    }

    fn contain(&self, line: usize) -> bool {
        self.whole_file || self.modules.iter().any(|body| (body.first..=body.last).contains(&line))
    }
}

/// A rule reads all files and returns its complaints.
type Rule = fn(&[File]) -> Vec<String>;

/// Proves that `rule` refuses each bad sample and takes each good one, then holds it to the tree.
fn enforce(rule: Rule, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    for (path, text) in bad {
        let complaints = rule(&[File::new(path, text)]);
        assert!(!complaints.is_empty(), "the rule let a bad sample pass: {path}\n{text}");
    }
    for (path, text) in good {
        let complaints = rule(&[File::new(path, text)]);
        assert!(complaints.is_empty(), "the rule refused a good sample: {complaints:#?}");
    }
    let complaints = rule(&TREE);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Every text file of the repository, read once for all rules.
static TREE: LazyLock<Vec<File>> = LazyLock::new(tree);

fn tree() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, root, &mut files);
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the tree was not found");
    files
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .expect("a folder of the repository")
        .map(|e| e.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let relative = path
            .strip_prefix(root)
            .expect("it was listed there")
            .to_string_lossy()
            .replace('\\', "/");
        let generated = ["target", "fuzz/target", "fuzz/corpus", "fuzz/artifacts", ".git"];
        if generated.contains(&relative.as_str()) || relative.ends_with(".optloop") {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push(File::new(&relative, &text));
        }
    }
}

/// The tokens begin with these words, which are given with spaces between.
fn begins_with(tokens: &[Token], words: &str) -> bool {
    let mut tokens = tokens.iter();
    words.split(' ').all(|word| tokens.next().is_some_and(|(_, token)| token == word))
}
