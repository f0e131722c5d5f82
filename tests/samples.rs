//! One test for each pipeline of `samples/`: a valid one loads without a word, an invalid one says
//! exactly what stands beside it in a `.stderr` file. `OPTLOOP_BLESS=1` writes those files anew.
//!
//! A sample's first lines may change its loading: `# set: key=value` is `--set key=value`.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use optloop::diagnostic::render;
use optloop::host::Host;
use optloop::pipeline::{Loaded, Overrides, load};

/// Sees the folder of the sample as the current one.
struct Rooted(PathBuf);

impl Host for Rooted {
    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(self.0.join(path))
    }
    fn exists(&self, path: &Path) -> bool {
        self.0.join(path).exists()
    }
    fn list(&self, dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(dir)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
    fn var(&self, name: &str) -> Option<OsString> {
        (name == "HOME").then(|| "/users/user".into())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut trials = Vec::new();
    for path in files(&samples.join("valid")) {
        trials.push(trial("valid", path, is_silent));
    }
    for path in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines")) {
        trials.push(trial("pipelines", path, is_silent));
    }
    for path in files(&samples.join("invalid")) {
        trials.push(trial("invalid", path, says_what_is_expected));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Everything in a folder; a golden file is checked with its sample, or fails alone.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the samples are in the repository");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.is_file())
        .filter(|path| !(is_golden(path) && path.with_extension("toml").exists()))
        .collect();
    paths.sort();
    paths
}

fn is_golden(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("stderr"))
}

fn trial(group: &str, path: PathBuf, test: fn(&Path) -> Result<(), Failed>) -> Trial {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Trial::test(format!("{group}/{}", name.unwrap_or_default()), move || test(&path))
}

fn load_sample(path: &Path) -> Result<(Loaded, String), Failed> {
    if path.extension() != Some(OsStr::new("toml")) {
        return Err("neither a sample nor the message of one".into());
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err("not a file".into());
    };
    let mut overrides = Overrides::default();
    let text = fs::read_to_string(path)?;
    for line in text.lines().map_while(|line| line.strip_prefix("# set: ")) {
        let (key, value) = line.split_once('=').ok_or("`# set:` without `=`")?;
        overrides.set.insert(key.to_owned(), value.to_owned());
    }
    let loaded = load(Path::new(name), &overrides, &Rooted(dir.to_owned()));
    let told = render(&loaded.diagnostics);
    Ok((loaded, told))
}

fn is_silent(path: &Path) -> Result<(), Failed> {
    let (loaded, told) = load_sample(path)?;
    match loaded.pipeline {
        Some(_) if told.is_empty() => Ok(()),
        _ => Err(format!("expected no diagnostics, got\n{told}").into()),
    }
}

fn says_what_is_expected(path: &Path) -> Result<(), Failed> {
    let (_, told) = load_sample(path)?;
    let golden = path.with_extension("stderr");
    if told.is_empty() {
        return Err("this invalid sample loads".into());
    }
    if is_blessing() {
        return Ok(fs::write(&golden, told)?);
    }
    let Ok(expected) = fs::read_to_string(&golden) else {
        let advice = "write it with OPTLOOP_BLESS=1 cargo test --test samples, and read it";
        return Err(format!("no {}: {advice}", golden.display()).into());
    };
    if told == expected {
        return Ok(());
    }
    Err(format!("--- expected\n{expected}\n--- got\n{told}").into())
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test alone")]
fn is_blessing() -> bool {
    std::env::var_os("OPTLOOP_BLESS").is_some()
}
