//! Samples with something broken in them: whatever it is, loading ends and can be printed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;

use super::{Overrides, load};
use crate::diagnostic::render;
use crate::host::Host;

/// One text under every path.
struct Anywhere<'a>(&'a str);

impl Host for Anywhere<'_> {
    fn read(&self, _: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
    fn exists(&self, path: &Path) -> bool {
        !path.as_os_str().len().is_multiple_of(5)
    }
    fn list(&self, dir: &Path) -> Vec<String> {
        let is_own = dir.ends_with("stages") && self.0.len().is_multiple_of(3);
        if is_own { vec!["smoke.toml".to_owned()] } else { Vec::new() }
    }
    fn var(&self, name: &str) -> Option<OsString> {
        name.len().is_multiple_of(2).then(|| name.into())
    }
}

fn samples() -> &'static [String] {
    static SAMPLES: OnceLock<Vec<String>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        let dirs = ["valid", "invalid"].map(|dir| std::fs::read_dir(root.join(dir)));
        let entries = dirs.into_iter().flat_map(|dir| dir.expect("the samples are there"));
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        paths.iter().map(|path| std::fs::read_to_string(path).expect("a readable file")).collect()
    })
}

const PIECES: [&str; 24] = [
    "\"",
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "\r",
    "#",
    "${",
    "$$",
    "\\",
    "\0",
    "\u{e9}",
    "[stages.x]\n",
    "run = ",
    "needs = [\"a\"]\n",
    "\"\"\"",
    "1e999",
    "-",
    "matrix.define.A = [1]\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn any_broken_sample_is_loaded_or_refused(
        sample in 0..samples().len(),
        edits in prop::collection::vec((0.0..1.0f64, 0usize..8, 0..PIECES.len()), 1..6),
    ) {
        let mut text = samples()[sample].clone();
        for (place, removed, piece) in edits {
            let start = text.floor_char_boundary((place * text.len() as f64) as usize);
            let end = text.ceil_char_boundary((start + removed).min(text.len()));
            text.replace_range(start..end, PIECES[piece]);
        }
        let loaded = load(Path::new("a.toml"), &Overrides::default(), &Anywhere(&text));
        prop_assert!(loaded.pipeline.is_some() || !loaded.diagnostics.is_empty());
        let told = render(&loaded.diagnostics);
        prop_assert_eq!(told.is_empty(), loaded.diagnostics.is_empty());
    }
}

#[test]
fn deep_and_hungry_texts_end_soon() {
    let nested =
        |open: &str, close: &str, count: usize| open.repeat(count) + "1" + &close.repeat(count);
    let head = "name = 'x'\n[stages.a]\nrun = 'true'\n";
    let texts = [
        format!("a = {}", nested("[", "]", 100_000)),
        format!("a = {}", nested("{ b = ", "}", 10_000)),
        "a.".repeat(50_000) + "b = 1",
        "[".repeat(100_000),
        format!("{head}when = '{}'", nested("(", ")", 450)),
        format!("{head}when = '{}'", "!".repeat(900)),
        format!("{head}when = 'a{}'", " + a".repeat(240)),
        format!("{head}metric = {{ name = 'm', json = '$[?{}==1]' }}", nested("(", ")", 240)),
        format!("{head}metric = {{ name = 'm', json = '$[?@.a{}]' }}", nested("[?@", "]", 100)),
        format!("{head}metric = {{ name = 'm', json = '$[?{}]' }}", nested("!(", ")", 160)),
        format!("{head}metric = {{ name = 'm', json = '$[?{}==1]' }}", nested("(", ")", 7)),
        format!("{head}metric = {{ name = 'm', json = '$[?@{}]' }}", nested("[?@", "]", 6)),
        format!(
            "{head}metric = {{ name = 'm', json = '$[?{}]' }}",
            "@.a==1&&".repeat(2000) + "@.b"
        ),
        format!("{head}metric = {{ name = 'm', json = '${}' }}", "..a".repeat(5000)),
        format!("{head}metric = {{ name = 'm', regex = '{}' }}", nested("(", ")", 5000)),
        format!("{head}metric = {{ name = 'm', regex = 'a{{900}}{{900}}{{900}}' }}"),
        format!("{head}inputs = ['{}']", nested("{", "}", 5000)),
        format!("{head}inputs = ['{}']", "**/".repeat(5000)),
    ];
    for text in texts {
        let shown: String = text.chars().take(80).collect();
        let start = std::time::Instant::now();
        let loaded = load(Path::new("a.toml"), &Overrides::default(), &Anywhere(&text));
        let _drawn = render(&loaded.diagnostics);
        let took = start.elapsed();
        assert!(took.as_secs() < 2, "{took:?}: {shown}");
    }
}
