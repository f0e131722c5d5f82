//! Every file of `samples/invalid-problem` is refused with exactly the text beside it, and every
//! problem of `kernels` is loaded and staged.
//!
//! `OPTLOOP_BLESS=1 cargo test --test problem_samples` rewrites the texts.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use optloop::diagnostic::render;
use optloop::host::Host;
use optloop::problem::{draw_holdout, geometry, load, stage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const FOLDER: &str = "samples/invalid-problem";

/// The disk, and a machine of 16 GiB.
struct Disk;

impl Host for Disk {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }
    fn exists(&self, path: &Path) -> bool {
        path.is_file()
    }
    fn memory_bytes(&self) -> u64 {
        16 << 30
    }
}

fn main() -> ExitCode {
    let mut samples = toml_files();
    samples.sort();
    let mut trials: Vec<Trial> = samples
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Trial::test(name, move || check(&path))
        })
        .collect();
    trials.extend(kernel_problems().into_iter().map(|path| {
        let name = path.display().to_string();
        Trial::test(name, move || check_good(&path))
    }));
    trials.push(Trial::test("no text without its file", orphans));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn toml_files() -> Vec<PathBuf> {
    with_extension("toml")
}

fn with_extension(extension: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(FOLDER).expect("the samples are there");
    let paths = folder.map(|entry| entry.expect("a readable folder").path());
    paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
fn check(path: &Path) -> Result<(), Failed> {
    let loaded = load(path, &Disk);
    let got = render(&loaded.diagnostics);
    let golden = path.with_extension("stderr");
    if std::env::var_os("OPTLOOP_BLESS").is_some() {
        std::fs::write(&golden, &got)?;
    }
    if loaded.diagnostics.is_empty() || loaded.problem.is_some() {
        return Err(format!("{} was not refused", path.display()).into());
    }
    let want = std::fs::read_to_string(&golden)
        .map_err(|error| format!("{}: {error}; OPTLOOP_BLESS=1 writes it", golden.display()))?;
    if got == want {
        return Ok(());
    }
    Err(format!("{} says\n{got}\nbut {} has\n{want}", path.display(), golden.display()).into())
}

fn kernel_problems() -> Vec<PathBuf> {
    let kernels = std::fs::read_dir("kernels").into_iter().flatten().flatten();
    let problems = kernels.map(|kernel| kernel.path().join("problem.toml"));
    let mut problems: Vec<PathBuf> = problems.filter(|path| path.exists()).collect();
    problems.sort();
    problems
}

fn check_good(path: &Path) -> Result<(), Failed> {
    let loaded = load(path, &Disk);
    let Some(problem) = loaded.problem else {
        return Err(render(&loaded.diagnostics).into());
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let drawn = draw_holdout(&problem, &mut rng);
    let asked = problem.holdout.as_ref().map_or(0, |holdout| holdout.count as usize);
    if drawn.len() != asked {
        return Err(format!("{} of {asked} hold-out cases were drawn", drawn.len()).into());
    }
    for case in problem.cases.iter().chain(&drawn) {
        stage(&problem, case, 1)?;
        if let Some(launch) = &problem.cuda {
            geometry(launch, case, None)?;
        }
    }
    Ok(())
}

fn orphans() -> Result<(), Failed> {
    match with_extension("stderr").into_iter().find(|text| !text.with_extension("toml").exists()) {
        Some(orphan) => Err(format!("{} has no problem file", orphan.display()).into()),
        None => Ok(()),
    }
}
