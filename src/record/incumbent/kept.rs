//! A kernel that is kept: its files, and what is known about it.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::json::read_json;
use crate::digest::Digest;
use crate::pipeline::CompileWork;
use crate::record::durable;
use crate::record::error::RecordError;
use crate::record::ledger::{Place, Source};
use crate::stats::Metrics;

/// A kernel that is or was the best of its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incumbent {
    /// [`super::INCUMBENT_VERSION`].
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
    pub(super) folder: PathBuf,
}

/// How a kernel was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Compiler, flags, definitions.
    pub compile: CompileWork,
    /// What else was read than the project's own files: the compiler, the system's headers, and what
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

    /// Where the bytes of one of its files are kept.
    pub(super) fn source(&self, path: &str) -> PathBuf {
        self.folder.join("sources").join(stored(path))
    }

    /// Proves that all that is kept of it is what it was.
    ///
    /// # Errors
    /// The first file that is missing or damaged.
    pub fn verify(&self) -> Result<(), RecordError> {
        let binary = self.binary.iter().zip(self.binary());
        for (source, path) in binary.chain(self.files()) {
            whole(&path, source.digest)?;
        }
        Ok(())
    }

    /// Reads what a folder says about itself.
    pub(super) fn read(folder: &Path) -> Result<Self, RecordError> {
        let about: Option<Self> = read_json(&folder.join("about.json"))?;
        about
            .map(|about| Self { folder: folder.to_owned(), ..about })
            .ok_or_else(|| RecordError::NoAbout(folder.to_owned()))
    }
}

/// The bytes kept in a file, proved to be those meant.
pub(super) fn whole(path: &Path, digest: Digest) -> Result<Vec<u8>, RecordError> {
    match durable::read(path)? {
        Some(bytes) if Digest::of(&bytes) == digest => Ok(bytes),
        Some(_) => Err(RecordError::Damaged(path.to_owned())),
        None => Err(RecordError::Missing(path.to_owned())),
    }
}

/// Where a source lies below a folder of kept files. One that does not lie below the root gets a
/// folder of its own, so that it can neither leave the folder nor meet another.
pub(super) fn stored(path: &str) -> PathBuf {
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
