//! Versions that are replayed, as if an agent had made them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::contract::{Agent, Answer, Call, Surroundings};
use crate::campaign::event::AgentEnd;
use crate::process::{self, CommandSpec, Exit};

/// Versions from a folder, in the order of their names, one an iteration.
pub(super) struct Replay {
    /// Where they lie.
    pub(super) folder: PathBuf,
    /// Where `git` is looked for.
    pub(super) surroundings: Surroundings,
}

impl Agent for Replay {
    fn propose(&mut self, call: &Call<'_>) -> Answer {
        let not_started = |why: io::Error| {
            let message = format!("{}: {why}", self.folder.display());
            Answer::of(AgentEnd::NotStarted { message })
        };
        let versions = match versions(&self.folder) {
            Ok(versions) => versions,
            Err(why) => return not_started(why),
        };
        let Some(version) = versions.get(call.iteration as usize - 1) else {
            let message = "there is no further version".to_owned();
            return Answer::of(AgentEnd::Failed { message });
        };
        let applied = match &mending(version, call.rework) {
            None => Ok(AgentEnd::Fine),
            Some(version) if version.extension().is_some_and(|e| e == "patch") => {
                self.apply(version, call)
            }
            Some(version) => copy_over(version, call.lane).map(|()| AgentEnd::Fine),
        };
        let name = version.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match applied {
            Ok(end) => Answer { description: name, ..Answer::of(end) },
            Err(why) => not_started(why),
        }
    }

    fn has_more(&self, iteration: u32) -> bool {
        // The call itself reports a folder that cannot be read.
        versions(&self.folder).map_or(true, |versions| versions.len() >= iteration as usize)
    }
}

impl Replay {
    fn apply(&self, patch: &Path, call: &Call<'_>) -> io::Result<AgentEnd> {
        let path = self.surroundings.path();
        let git = process::resolve(OsStr::new("git"), call.lane, path);
        let git = git.ok_or_else(|| io::Error::other("patches need the `git` program"))?;
        let marker = format!("replay.{}.{}", std::process::id(), call.iteration);
        let mut spec = CommandSpec::new(git, call.lane, marker);
        spec.args = ["apply", "--whitespace=nowarn"].map(OsString::from).to_vec();
        spec.args.push(std::path::absolute(patch)?.into());
        spec.env = vec![("PATH".into(), path.to_owned())];
        let finished = process::run(&spec, call.cancel).map_err(io::Error::other)?;
        Ok(match finished.exit {
            Exit::Code(0) => AgentEnd::Fine,
            _ => AgentEnd::Failed {
                message: String::from_utf8_lossy(&finished.stdout).trim().to_owned(),
            },
        })
    }
}

/// What stands between the name of a version and the number of what mends it.
const REWORK: &str = ".rework";

/// What mends a version for the so-manieth time, where there is such a thing; the version itself for
/// 0.
fn mending(version: &Path, rework: u32) -> Option<PathBuf> {
    if rework == 0 {
        return Some(version.to_owned());
    }
    let name = version.file_stem()?.to_string_lossy();
    let named = |end: &str| version.with_file_name(format!("{name}{REWORK}{rework}{end}"));
    [named(""), named(".patch")].into_iter().find(|path| path.exists())
}

/// Folders and patches, sorted by their names.
fn versions(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(REWORK)) {
            continue;
        }
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "patch") {
            versions.push(path);
        }
    }
    versions.sort();
    Ok(versions)
}

/// Copies everything in a folder over another.
fn copy_over(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry?;
        let place = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(place)?;
        } else {
            fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}
