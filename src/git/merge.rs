//! A change of one file, made to what the file is elsewhere.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::edits::{Content, Edit};
use super::program::Program;
use crate::process::Exit;

/// Why a change does not fit.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    #[error("a link stands in its way")]
    Link,
    #[error("the same lines were changed there and by the campaign")]
    Conflict,
    #[error("it was changed there, and removed by the campaign")]
    ChangedThere,
    #[error("it is not there, and was changed by the campaign")]
    RemovedThere,
    #[error("another file of this name is there")]
    There,
    #[error("{0}")]
    Files(#[from] io::Error),
    #[error("{0}")]
    Git(String),
}

/// Which file is changed, and where there is room meanwhile.
pub(super) struct Place<'a> {
    pub(super) work: &'a Path,
    /// Below `work`.
    pub(super) path: &'a Path,
    pub(super) scratch: &'a Path,
}

/// Makes a file what it becomes by the change.
pub(super) fn apply(git: &Program, place: &Place<'_>, edit: &Edit) -> Result<(), Misfit> {
    no_links(place)?;
    let file = place.work.join(place.path);
    let now = match fs::read(&file) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let from = edit.from.as_ref().map(|content| &content.bytes);
    let is_as_before = now.as_ref() == from;
    match (&edit.to, now) {
        (Some(to), _) if is_as_before => Ok(write(&file, to)?),
        (Some(to), Some(now)) if now == to.bytes => Ok(write(&file, to)?),
        (Some(_), None) => Err(Misfit::RemovedThere),
        (Some(to), Some(now)) => {
            let from = from.ok_or(Misfit::There)?;
            let bytes = merged(git, place.scratch, [&now, from, &to.bytes])?;
            Ok(write(&file, &Content { bytes, is_executable: to.is_executable })?)
        }
        (None, None) => Ok(()),
        (None, Some(_)) if is_as_before => Ok(fs::remove_file(&file)?),
        (None, Some(_)) => Err(Misfit::ChangedThere),
    }
}

/// What is written through a link lands elsewhere.
fn no_links(place: &Place<'_>) -> Result<(), Misfit> {
    let mut file = place.work.to_owned();
    for part in place.path {
        file.push(part);
        if fs::symlink_metadata(&file).is_ok_and(|found| found.is_symlink()) {
            return Err(Misfit::Link);
        }
    }
    Ok(())
}

fn write(file: &Path, content: &Content) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, &content.bytes)?;
    let mode = if content.is_executable { 0o755 } else { 0o644 };
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}

/// What is there, with the change from the second content to the third.
fn merged(git: &Program, scratch: &Path, contents: [&Vec<u8>; 3]) -> Result<Vec<u8>, Misfit> {
    let mut paths = Vec::new();
    for (name, bytes) in ["there", "from", "to"].into_iter().zip(contents) {
        let path = scratch.join(name);
        fs::write(&path, bytes)?;
        paths.push(path);
    }
    let done = git.ask(&["merge-file", "-p", "--quiet"], &paths);
    let done = done.map_err(|error| Misfit::Git(error.to_string()))?;
    match done.exit {
        Exit::Code(0) => Ok(done.stdout),
        Exit::Code(1..128) => Err(Misfit::Conflict),
        _ => Err(Misfit::Git(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
    }
}
