//! An incumbent's folder: its name, and writing it whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::intent::{Content, Install, Intent};
use super::json::json_line;
use super::kept::stored;
use super::{INCUMBENT_VERSION, Incumbent};
use crate::digest::Digest;
use crate::record::durable;
use crate::record::error::RecordError;
use crate::record::ledger::Source;

/// Where the incumbent of a transition lies: the one that comes, or whose files are put back.
pub(super) fn of(state: &Path, intent: &Intent) -> PathBuf {
    intent.line.place.folder(state).join(&intent.folder)
}

/// Says which folder a new incumbent gets, and what its files are.
pub(super) fn plan(state: &Path, intent: &mut Intent, install: &Install) {
    intent.line.sources = install.sources.iter().map(Content::source).collect();
    intent.line.headers = install.headers.iter().map(Content::source).collect();
    let place = intent.line.place.folder(state);
    intent.folder = free_name(&intent.line.candidate, |name| !place.join(name).exists());
}

/// Writes the folder, under a temporary name first: a folder of its own name is a whole one.
pub(super) fn write(state: &Path, intent: &Intent, install: &Install) -> Result<(), RecordError> {
    let folder = of(state, intent);
    let about = json_line(&about(intent, install))?;
    let write = || -> io::Result<()> {
        let new = durable::temporary(state, "incumbent.new")?;
        let written = fill(&new, install, &about).and_then(|()| {
            durable::make_folder(folder.parent().unwrap_or(Path::new("/")))?;
            fs::rename(&new, &folder)
        });
        if written.is_err() {
            // It may be what fills the disk.
            drop(fs::remove_dir_all(&new));
        }
        written?;
        durable::sync_name(&folder)
    };
    write().map_err(|source| RecordError::Unwritable { path: folder.clone(), source })
}

/// `DIGEST16`, or the first of `DIGEST16-2`, `DIGEST16-3` … that `fits`.
pub(super) fn free_name(digest: &Digest, fits: impl Fn(&str) -> bool) -> String {
    let first = digest.hex()[..16].to_owned();
    let mut name = first.clone();
    let mut number = 1;
    while !fits(&name) {
        number += 1;
        name = format!("{first}-{number}");
    }
    name
}

fn about(intent: &Intent, install: &Install) -> Incumbent {
    let line = &intent.line;
    Incumbent {
        version: INCUMBENT_VERSION,
        digest: line.candidate,
        at: line.at.clone(),
        place: line.place.clone(),
        intent: intent.id.clone(),
        artifact: line.artifact.clone(),
        artifact_digest: line.artifact_digest,
        binary: install
            .binary
            .as_ref()
            .map(|binary| Source { path: binary_name(binary), digest: Digest::of(&binary.bytes) }),
        sources: line.sources.clone(),
        headers: line.headers.clone(),
        build: install.build.clone(),
        metrics: install.metrics.clone(),
        key: install.key,
        gain: line.gain,
        commit: line.commit.clone(),
        folder: PathBuf::new(),
    }
}

/// A plain name beside `about.json`.
fn binary_name(binary: &Content) -> String {
    let extension = Path::new(&binary.path).extension().unwrap_or("so".as_ref());
    format!("kernel.{}", extension.to_string_lossy())
}

fn fill(folder: &Path, install: &Install, about: &[u8]) -> io::Result<()> {
    fs::create_dir(folder)?;
    if let Some(binary) = &install.binary {
        durable::write(&folder.join(binary_name(binary)), &binary.bytes)?;
    }
    for source in install.sources.iter().chain(&install.headers) {
        let path = folder.join("sources").join(stored(&source.path));
        durable::make_folder(path.parent().unwrap_or(folder))?;
        durable::write(&path, &source.bytes)?;
        durable::sync_name(&path)?;
    }
    durable::write(&folder.join("about.json"), about)?;
    durable::sync_folder(folder)
}
