//! The two names of a place, what they stand for, and what they stand for after a change.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::json::{json_line, read_json};
use super::{INCUMBENT_VERSION, Incumbent};
use crate::digest::Digest;
use crate::record::durable;
use crate::record::error::RecordError;
use crate::record::ledger::{Ledger, Line, Place, What};

/// Which of a place's two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Name {
    Current,
    Baseline,
}

impl Name {
    pub(super) fn file(self, state: &Path, place: &Place) -> PathBuf {
        place.folder(state).join(match self {
            Self::Current => "current",
            Self::Baseline => "baseline",
        })
    }
}

/// What `current` and `baseline` hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pointer {
    version: u32,
    pub(super) digest: Digest,
    /// Beside the pointer.
    pub(super) folder: String,
}

impl Pointer {
    pub(super) fn new(digest: Digest, folder: &str) -> Self {
        Self { version: INCUMBENT_VERSION, digest, folder: folder.to_owned() }
    }
}

/// What a name stands for after a change; nothing: it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Naming {
    pub(super) name: Name,
    pub(super) to: Option<Pointer>,
}

/// The incumbent of a place; none before its baseline.
///
/// # Errors
/// When what is on disk cannot be read or understood.
pub fn current(state: &Path, place: &Place) -> Result<Option<Incumbent>, RecordError> {
    pointed_at(state, place, Name::Current)
}

/// The baseline of a place; none before there is one.
///
/// # Errors
/// When what is on disk cannot be read or understood.
pub fn baseline(state: &Path, place: &Place) -> Result<Option<Incumbent>, RecordError> {
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

fn pointed_at(state: &Path, place: &Place, name: Name) -> Result<Option<Incumbent>, RecordError> {
    let file = name.file(state, place);
    let Some(pointer) = read_json::<Pointer>(&file)? else {
        return Ok(None);
    };
    let incumbent = Incumbent::read(&place.folder(state).join(&pointer.folder))?;
    if incumbent.digest != pointer.digest || incumbent.place != *place {
        return Err(RecordError::OtherKernel { name: file, folder: incumbent.folder });
    }
    Ok(Some(incumbent))
}

/// The names that a new incumbent takes: both when there is no baseline to keep.
pub(super) fn of_new(known: &Ledger, line: &Line, folder: &str) -> Vec<Naming> {
    let to = || Some(Pointer::new(line.candidate, folder));
    let stands = known.stands(&line.place);
    let first = stands.last().is_none_or(|stand| stand.baseline.is_none());
    let mut names = vec![Naming { name: Name::Current, to: to() }];
    if line.event == What::Baseline || first {
        names.insert(0, Naming { name: Name::Baseline, to: to() });
    }
    names
}

/// Both names, as two lines of the ledger made them.
///
/// # Errors
/// When an incumbent that such a line made is not there any more.
pub(super) fn of_lines(
    state: &Path,
    current: Option<&Line>,
    baseline: Option<&Line>,
) -> Result<Vec<Naming>, RecordError> {
    let one = |name, line: Option<&Line>| -> Result<Naming, RecordError> {
        let to = line.map(|line| made_by(state, line)).transpose()?;
        Ok(Naming { name, to })
    };
    Ok(vec![one(Name::Baseline, baseline)?, one(Name::Current, current)?])
}

/// The incumbent that a line of the ledger made.
fn made_by(state: &Path, line: &Line) -> Result<Pointer, RecordError> {
    let place = line.place.folder(state);
    let missing = || RecordError::NotKept { line: line.seq, folder: place.clone() };
    let entries = std::fs::read_dir(&place).map_err(|_| missing())?;
    let mut folders: Vec<_> = entries.flatten().filter(|e| e.path().is_dir()).collect();
    folders.sort_by_key(std::fs::DirEntry::file_name);
    let made = |path: &Path| {
        Incumbent::read(path).is_ok_and(|kept| Some(&kept.intent) == line.intent.as_ref())
    };
    let found = folders.iter().find(|entry| made(&entry.path())).ok_or_else(missing)?;
    Ok(Pointer::new(line.candidate, &found.file_name().to_string_lossy()))
}

/// Writes or removes a name.
pub(super) fn write(state: &Path, place: &Place, naming: &Naming) -> Result<(), RecordError> {
    let file = naming.name.file(state, place);
    match &naming.to {
        Some(pointer) => durable::replace(state, &file, &json_line(pointer)?),
        None => durable::remove(&file),
    }
}
