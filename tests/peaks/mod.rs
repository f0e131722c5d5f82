//! What this machine can do at most, measured once for all projects of a run of the tests: each
//! would measure it by itself, for seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a busy moment made of it must not be held against kernels of a later run.
const FRESH: Duration = Duration::from_mins(5);

fn shared() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("devices")
}

fn of(project: &Path) -> PathBuf {
    project.join(".optloop/devices")
}

fn is_fresh(file: &Path) -> bool {
    let modified = fs::metadata(file).and_then(|file| file.modified()).ok();
    modified.and_then(|time| time.elapsed().ok()).is_some_and(|age| age < FRESH)
}

/// Puts into a project what another has measured.
pub(crate) fn lend(project: &Path) {
    copy(&shared(), &of(project), |file| is_fresh(file));
}

/// Keeps for others what a project has measured, in the place of what an earlier run of the tests
/// left.
pub(crate) fn keep(project: &Path) {
    let there = shared();
    let is_new = |file: &PathBuf| !is_fresh(&there.join(file.file_name().unwrap_or_default()));
    copy(&of(project), &there, is_new);
}

/// Copies the peaks; each file is whole or not there.
fn copy(from: &Path, to: &Path, wanted: impl Fn(&PathBuf) -> bool) {
    let files = fs::read_dir(from).into_iter().flatten().flatten().map(|entry| entry.path());
    let name = |file: &Path| file.file_name().map(|name| name.to_string_lossy().into_owned());
    for file in files.filter(wanted) {
        let Some(name) = name(&file).filter(|name| name.starts_with("peaks-")) else { continue };
        let Ok(text) = fs::read(&file) else { continue };
        let written = fs::create_dir_all(to)
            .and_then(|()| tempfile::NamedTempFile::new_in(to))
            .and_then(|whole| fs::write(&whole, text).map(|()| whole))
            .and_then(|whole| whole.persist(to.join(name)).map_err(Into::into));
        drop(written.expect("a folder for tests"));
    }
}
