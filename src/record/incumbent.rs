//! Incumbents: the best kernel so far of every place (question, device, metric), with its baseline,
//! in `.optloop/best/PROBLEM-QUESTION/DEVICE/METRIC/`, and how one takes the place of another.
//!
//! ```text
//! DIGEST16/kernel.so         the built kernel
//! DIGEST16/sources/PATH      its files and the project's headers that it was built from, byte for
//!                            byte, by their paths below the root
//! DIGEST16/about.json        an `Incumbent`
//! current, baseline          one JSON line each that names such a folder
//! ```
//!
//! A folder is never written to again but for its commit, and never removed once the ledger names
//! it. A kernel that comes back after others gets a folder `DIGEST16-2`, so that the numbers of
//! its first time stay.
//!
//! Whoever writes holds the state's lock (`.optloop/lock`) and has called [`recover`] since taking
//! it. Whoever only reads may see `current` one step behind the ledger while another writes.

mod files;
mod folder;
mod names;
mod recovery;
#[cfg(test)]
mod tests;
mod transition;

use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::durable;
use super::ledger::{Place, Source};
use crate::digest::Digest;
use crate::pipeline::CompileWork;
use crate::stats::Metrics;

pub use files::Restore;
use names::{Name, Pointer};
pub use recovery::{End, Recovered, abandon, pending, recover};
pub use transition::{Change, Commit, Content, Finished, Install, Intent, begin, finish};

/// Rises when a reader of incumbents or intents would have to change.
pub const INCUMBENT_VERSION: u32 = 2;

/// A kernel that is or was the best of its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incumbent {
    /// [`INCUMBENT_VERSION`].
    pub version: u32,
    /// Digest of the built kernel.
    pub digest: Digest,
    /// When it became the incumbent, RFC 3339.
    pub at: String,
    /// What it is the incumbent of.
    #[serde(flatten)]
    pub place: Place,
    /// The transition that made it the incumbent.
    pub intent: String,
    /// The artifact that decided, below the state folder.
    pub artifact: String,
    /// BLAKE3 of that artifact's file.
    pub artifact_digest: Digest,
    /// The built kernel; none for kernels that only a command can build.
    pub binary: Option<Source>,
    /// Its files.
    pub sources: Vec<Source>,
    /// The project's other files that it was built from: headers and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Source>,
    /// How it was built; none for kernels that only a command can build.
    #[serde(default)]
    pub build: Option<Build>,
    /// As measured when it became the incumbent.
    pub metrics: Metrics,
    /// The key under which all of that measurement is kept.
    #[serde(default)]
    pub key: Digest,
    /// Over its predecessor.
    pub gain: Option<f64>,
    /// The commit that holds it, if one was made.
    pub commit: Option<String>,
    /// Where it lies.
    #[serde(skip)]
    folder: PathBuf,
}

/// How a kernel was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Compiler, flags, definitions.
    pub compile: CompileWork,
    /// What was read besides the project's own files: the compiler, the system's headers, and what
    /// stages write.
    pub others: Vec<Source>,
}

impl Incumbent {
    /// The folder with its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The built kernel, if it has one.
    pub fn binary(&self) -> Option<PathBuf> {
        self.binary.as_ref().map(|binary| self.folder.join(&binary.path))
    }

    /// Each of the kernel's files, and where its bytes are kept.
    pub fn sources(&self) -> impl Iterator<Item = (&Source, PathBuf)> {
        self.sources.iter().map(|source| (source, self.source(&source.path)))
    }

    /// As [`Incumbent::sources`], with the headers that it was built from.
    pub fn files(&self) -> impl Iterator<Item = (&Source, PathBuf)> {
        self.sources().chain(self.headers.iter().map(|h| (h, self.source(&h.path))))
    }

    fn source(&self, path: &str) -> PathBuf {
        self.folder.join("sources").join(stored(path))
    }

    /// Proves that all that is kept of it is what it was.
    ///
    /// # Errors
    /// The first file that is missing or damaged.
    pub fn verify(&self) -> Result<(), String> {
        let binary = self.binary.iter().zip(self.binary());
        for (source, path) in binary.chain(self.files()) {
            whole(&path, source.digest)?;
        }
        Ok(())
    }

    fn read(folder: &Path) -> Result<Self, String> {
        let about: Option<Self> = read_json(&folder.join("about.json"))?;
        about.map(|about| Self { folder: folder.to_owned(), ..about }).ok_or_else(|| {
            format!("{} has no about.json: put it back from a copy", folder.display())
        })
    }
}

/// The bytes kept in a file, proved to be those meant.
fn whole(path: &Path, digest: Digest) -> Result<Vec<u8>, String> {
    match durable::read(path)? {
        Some(bytes) if Digest::of(&bytes) == digest => Ok(bytes),
        Some(_) => Err(format!("{} is damaged: put it back from a copy", path.display())),
        None => Err(format!("{} is missing: put it back from a copy", path.display())),
    }
}

/// Where a source lies below a folder of kept files. One that does not lie below the root gets a
/// folder of its own, so that it can neither leave the folder nor meet another.
fn stored(path: &str) -> PathBuf {
    const ELSEWHERE: &str = "@elsewhere";
    let plain = Path::new(path);
    let inside = plain.components().all(|part| matches!(part, Component::Normal(_)))
        && !path.is_empty()
        && !plain.starts_with(ELSEWHERE);
    if inside {
        return plain.components().collect();
    }
    let name = plain.file_name().unwrap_or_default();
    Path::new(ELSEWHERE).join(&Digest::of(path.as_bytes()).hex()[..16]).join(name)
}

/// The incumbent of a place; none before its baseline.
///
/// # Errors
/// When what is on disk cannot be read or understood.
pub fn current(state: &Path, place: &Place) -> Result<Option<Incumbent>, String> {
    pointed_at(state, place, Name::Current)
}

/// The baseline of a place; none before there is one.
///
/// # Errors
/// When what is on disk cannot be read or understood.
pub fn baseline(state: &Path, place: &Place) -> Result<Option<Incumbent>, String> {
    pointed_at(state, place, Name::Baseline)
}

/// The present incumbents of a name, whatever they answer. What cannot be read is left out: this is
/// for telling people, and nothing is decided by it.
pub fn of_name(state: &Path, problem: &str) -> Vec<Incumbent> {
    let inside = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let problems = inside(state.join("best")).into_iter();
    let places = problems.flat_map(inside).flat_map(inside);
    let all = places.filter_map(|place| {
        let pointer = read_json::<Pointer>(&place.join("current")).ok()??;
        Incumbent::read(&place.join(pointer.folder)).ok()
    });
    all.filter(|incumbent| incumbent.place.problem == problem).collect()
}

fn pointed_at(state: &Path, place: &Place, name: Name) -> Result<Option<Incumbent>, String> {
    let file = name.file(state, place);
    let Some(pointer) = read_json::<Pointer>(&file)? else {
        return Ok(None);
    };
    let incumbent = Incumbent::read(&place.folder(state).join(&pointer.folder))?;
    if incumbent.digest != pointer.digest || incumbent.place != *place {
        return Err(format!(
            "{} names {}, which is about another kernel: put both back from a copy",
            file.display(),
            incumbent.folder.display()
        ));
    }
    Ok(Some(incumbent))
}

/// A file that holds one JSON value with a version; `None` when there is none.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let Some(bytes) = durable::read(path)? else {
        return Ok(None);
    };
    let refuse = |e: serde_json::Error| {
        format!("{} cannot be understood: {e}; put it back from a copy", path.display())
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(refuse)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(INCUMBENT_VERSION) => Err(format!(
            "{} has version {version}, and this optloop reads {INCUMBENT_VERSION}",
            path.display()
        )),
        _ => serde_json::from_value(value).map(Some).map_err(refuse),
    }
}

/// One JSON line.
fn json_line(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json::to_vec(value).map_err(|e| format!("cannot encode: {e}"))?;
    bytes.push(b'\n');
    Ok(bytes)
}
