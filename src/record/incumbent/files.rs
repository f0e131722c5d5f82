//! The user's files in a revert: the candidate's bytes kept, the incumbent's put back, and
//! whatever the user wrote meanwhile left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{self, free_name};
use super::intent::{Intent, Restore};
use super::kept::{stored, whole};
use super::names::current;
use crate::digest::Digest;
use crate::record::durable;
use crate::record::error::RecordError;
use crate::record::ledger::Source;

/// Says what a revert to the present incumbent writes over, and with what.
pub(super) fn plan_revert(state: &Path, intent: &mut Intent) -> Result<(), RecordError> {
    let place = &intent.line.place;
    let incumbent =
        current(state, place)?.ok_or_else(|| RecordError::NoIncumbent(Box::new(place.clone())))?;
    let name = incumbent.folder().file_name().unwrap_or_default();
    intent.folder = name.to_string_lossy().into_owned();
    for (source, kept) in incumbent.files() {
        whole(&kept, source.digest)?;
        let before = digest_of(&target(state, &source.path)?)?;
        let path = source.path.clone();
        intent.files.push(Restore { path, before, after: source.digest });
    }
    if intent.line.sources.is_empty() {
        let there =
            |file: &Restore| file.before.map(|digest| Source { path: file.path.clone(), digest });
        intent.line.sources = intent.files.iter().filter_map(there).collect();
    }
    let reverted = state.join("reverted");
    // The same binary may come from other sources, and every one of them is kept.
    let fits = |name: &str| {
        intent.files.iter().all(|file| {
            match digest_of(&reverted.join(name).join(stored(&file.path))) {
                Ok(kept) => kept.is_none() || kept == file.before,
                Err(_) => false,
            }
        })
    };
    intent.kept = format!("reverted/{}", free_name(&intent.line.candidate, fits));
    Ok(())
}

/// Keeps the candidate's bytes. The intent was made of the same bytes, or this refuses.
pub(super) fn preserve(state: &Path, intent: &Intent) -> Result<(), RecordError> {
    for file in &intent.files {
        let Some(before) = file.before else { continue };
        let from = target(state, &file.path)?;
        let bytes = durable::read(&from)?.filter(|bytes| Digest::of(bytes) == before);
        let bytes = bytes.ok_or(RecordError::Changing(from))?;
        durable::replace(state, &state.join(&intent.kept).join(stored(&file.path)), &bytes)?;
    }
    Ok(())
}

/// Writes all files to put back before the first of them is: a full disk then changes none.
pub(super) fn stage_all(state: &Path, intent: &Intent) -> Result<(), RecordError> {
    clear_stage(state)?;
    for at in 0..intent.files.len() {
        stage(state, intent, at)?;
    }
    Ok(())
}

fn stage_folder(state: &Path) -> PathBuf {
    state.join("tmp").join("restore")
}

/// A file ready to be put back. It may have been swept since it was written: then once more.
fn stage(state: &Path, intent: &Intent, at: usize) -> Result<PathBuf, RecordError> {
    let file = &intent.files[at];
    let staged = stage_folder(state).join(at.to_string());
    if digest_of(&staged)? == Some(file.after) {
        return Ok(staged);
    }
    let kept = folder::of(state, intent).join("sources").join(stored(&file.path));
    let bytes = whole(&kept, file.after)?;
    durable::replace(state, &staged, &bytes)?;
    Ok(staged)
}

/// Removes what was staged.
pub(super) fn clear_stage(state: &Path) -> Result<(), RecordError> {
    let folder = stage_folder(state);
    match fs::remove_dir_all(&folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RecordError::NotRemoved { path: folder, source })
        }
        _ => Ok(()),
    }
}

/// Puts one file back in one step; what is neither the candidate's nor the incumbent's is the
/// user's newer work and stays, which is the warning.
pub(super) fn restore(
    state: &Path,
    intent: &Intent,
    at: usize,
) -> Result<Option<String>, RecordError> {
    let file = &intent.files[at];
    let to = target(state, &file.path)?;
    let now = digest_of(&to)?;
    if now == Some(file.after) {
        return Ok(None);
    }
    if now != file.before {
        return Ok(Some(format!(
            "{} has changed since the revert began and is left as it is; the incumbent's lies in {}",
            to.display(),
            folder::of(state, intent).join("sources").join(stored(&file.path)).display()
        )));
    }
    let staged = stage(state, intent, at)?;
    put(&staged, &to).map_err(|source| RecordError::Unwritable { path: to, source })?;
    Ok(None)
}

fn put(staged: &Path, to: &Path) -> io::Result<()> {
    durable::make_folder(to.parent().unwrap_or(Path::new("/")))?;
    let permissions = match fs::metadata(to) {
        Ok(metadata) => Some(metadata.permissions()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let dress = |path: &Path| match &permissions {
        Some(permissions) => fs::set_permissions(path, permissions.clone()),
        None => Ok(()),
    };
    dress(staged)?;
    match fs::rename(staged, to) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            let beside = beside(to);
            let bytes = fs::read(staged)?;
            let put = durable::write(&beside, &bytes)
                .and_then(|()| dress(&beside))
                .and_then(|()| fs::rename(&beside, to));
            if put.is_err() {
                drop(fs::remove_file(&beside));
            }
            put?;
        }
        renamed => renamed?,
    }
    durable::sync_name(to)
}

/// For files on another file system than the state's. The name is fixed, so that a killed try is
/// written over by the next.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.optloop-new"))
}

/// The user's file; of a link, what it leads to.
fn target(state: &Path, path: &str) -> Result<PathBuf, RecordError> {
    let named = state.parent().unwrap_or(Path::new("")).join(path);
    match fs::canonicalize(&named) {
        Ok(found) => Ok(found),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(named),
        Err(source) => Err(RecordError::NotFound { path: named, source }),
    }
}

fn digest_of(path: &Path) -> Result<Option<Digest>, RecordError> {
    Ok(durable::read(path)?.map(|bytes| Digest::of(&bytes)))
}
