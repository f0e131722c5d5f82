//! Append-only files of JSON lines that survive any kill: only the last line may be torn, and is
//! then left out with a warning; nothing else is ever dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::durable;
use super::error::{LineError, RecordError};

/// What one line holds. On disk it has a field `version`.
pub trait Record: Serialize + DeserializeOwned {
    /// The newest version that is understood.
    const VERSION: u32;
    /// What it is called in messages, with its article: `an analysis`.
    const KIND: &'static str;

    /// Whether this line may stand behind `before` (`None`: at the file's beginning).
    ///
    /// # Errors
    /// Why it may not.
    fn follows(&self, before: Option<&Self>) -> Result<(), LineError> {
        let _ = before;
        Ok(())
    }
}

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines<T> {
    /// Oldest first.
    pub entries: Vec<T>,
    /// What people should know about the file: its last line was torn.
    pub warning: Option<String>,
}

/// What [`append`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended<T> {
    /// The line that was written.
    pub entry: T,
    /// What people should know about the file: its last line was torn, and is cut off now.
    pub warning: Option<String>,
}

/// Reads a file; one that is not there has no lines.
///
/// # Errors
/// When the file cannot be read, or a line other than the last is damaged, or a whole line is of
/// a later version or stands where it cannot: with the file's path and the line's number.
pub fn read<T: Record>(path: &Path) -> Result<Lines<T>, RecordError> {
    let bytes = durable::read(path)?.unwrap_or_default();
    Ok(parse(&bytes, path)?.lines)
}

/// Appends the line that `make` makes of those before it, and syncs it. A torn last line is cut
/// off first, and that is the warning. Writers at the same time wait for each other.
///
/// # Errors
/// When the file cannot be written (it is then as it was), or is one that [`read`] refuses.
pub fn append<T: Record>(
    path: &Path,
    make: impl FnOnce(&[T]) -> T,
) -> Result<Appended<T>, RecordError> {
    let cannot = |source| RecordError::Unwritable { path: path.to_owned(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(cannot)?;
    // Two writers must not both find the same torn line, or write into each other's.
    flock(&file, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(cannot)?;
    let Parsed { lines, whole } = parse(&bytes, path)?;
    let entry = make(&lines.entries);
    entry
        .follows(lines.entries.last())
        .map_err(|source| RecordError::Unsuitable { path: path.to_owned(), source })?;
    write_line(&mut file, &bytes[..whole], &entry).map_err(cannot)?;
    if bytes.is_empty() {
        durable::sync_name(path).map_err(cannot)?;
    }
    Ok(Appended { entry, warning: lines.warning })
}

fn write_line(file: &mut File, before: &[u8], entry: &impl Serialize) -> io::Result<()> {
    // The last line may be whole but for its end.
    let mut line = if before.last().is_some_and(|b| *b != b'\n') { vec![b'\n'] } else { vec![] };
    serde_json::to_writer(&mut line, entry)?;
    line.push(b'\n');
    file.set_len(before.len() as u64)?;
    file.seek(SeekFrom::End(0))?;
    let written = file.write_all(&line).and_then(|()| file.sync_data());
    if written.is_err() {
        // A full disk takes half a line; should this fail too, that half is a torn line.
        drop(file.set_len(before.len() as u64));
    }
    written
}

struct Parsed<T> {
    lines: Lines<T>,
    /// Bytes up to the torn line, or all.
    whole: usize,
}

fn parse<T: Record>(bytes: &[u8], path: &Path) -> Result<Parsed<T>, RecordError> {
    let mut lines: Lines<T> = Lines { entries: Vec::new(), warning: None };
    let mut start = 0;
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        let last = start + line.len() == bytes.len();
        match serde_json::from_slice::<Value>(line) {
            Ok(value) => {
                let entry = understood(value, lines.entries.last()).map_err(|source| {
                    let path = path.to_owned();
                    RecordError::WrongLine { path, line: number, kind: T::KIND, source }
                })?;
                lines.entries.push(entry);
            }
            // A write that was cut off, or whose blocks never reached the disk.
            Err(_) if last => {
                let path = path.display();
                lines.warning =
                    Some(format!("line {number} of {path}, its last, is torn and left out"));
                return Ok(Parsed { lines, whole: start });
            }
            Err(source) => {
                let path = path.to_owned();
                return Err(RecordError::DamagedLine { path, line: number, source });
            }
        }
        start += line.len();
    }
    Ok(Parsed { lines, whole: bytes.len() })
}

/// A whole line that is nothing of this version is somebody's record all the same: it is never
/// dropped.
fn understood<T: Record>(value: Value, before: Option<&T>) -> Result<T, LineError> {
    if let Some(version) = value.get("version").and_then(Value::as_u64)
        && version > u64::from(T::VERSION)
    {
        return Err(LineError::Newer { version, known: T::VERSION });
    }
    let entry: T = serde_json::from_value(value).map_err(LineError::Form)?;
    entry.follows(before)?;
    Ok(entry)
}
