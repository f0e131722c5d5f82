//! A project as something begins with it, as a commit of a repository of optloop's own.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::Error;
use super::content::content;
use super::private::{FileChange, Private};

/// The highest priority: every object is written there.
const FIRST: i32 = 1000;

/// What a checkout holds.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its files; `from` is set in all of them.
    pub files: &'a [FileChange],
    /// Paths that git calls changed; files of others are what the commit says.
    pub changed: &'a [PathBuf],
    /// The folder that the paths are below.
    pub root: &'a Path,
    /// What becomes of what git calls changed, or does not track.
    pub uncommitted: Uncommitted,
}

/// What becomes of changes that are not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncommitted {
    /// They are part of the commit.
    Taken,
    /// They are not.
    LeftOut,
}

impl Private {
    /// A commit of exactly these files, without a parent, in one pack; its id.
    ///
    /// # Errors
    /// When a file cannot be read or the repository not written.
    pub fn packed(&self, files: &[FileChange], message: &str) -> Result<String, Error> {
        let doing = || self.failed("taking a snapshot into");
        let beside = Self::open(&self.folder)?;
        let odb = beside.repository.odb().map_err(doing())?;
        let memory = odb.add_new_mempack_backend(FIRST).map_err(doing())?;
        let commit = beside.snapshot(files, message)?;
        let mut pack = git2::Buf::new();
        memory.dump(&beside.repository, &mut pack).map_err(doing())?;
        let odb = self.repository.odb().map_err(doing())?;
        let mut writer = odb.packwriter().map_err(doing())?;
        let written = writer.write_all(&pack);
        written.map_err(Error::failed(format!("writing to `{}`", self.folder.display())))?;
        writer.commit().map_err(doing())?;
        odb.refresh().map_err(doing())?;
        Ok(commit)
    }

    /// The commit that a checkout of `head` holds, on top of it: `head` itself where nothing
    /// differs. None where files that git calls unchanged are not what `head` says: a filter makes
    /// other files of them.
    ///
    /// # Errors
    /// When a file cannot be read, or the repository cannot be written.
    pub fn on_top(
        &self,
        head: &str,
        found: Found<'_>,
        message: &str,
    ) -> Result<Option<String>, Error> {
        let entries = self.entries(head)?;
        let there: HashMap<&Path, Oid> =
            entries.iter().map(|entry| (entry.path.as_path(), entry.id)).collect();
        let changed: HashSet<&Path> = found.changed.iter().map(PathBuf::as_path).collect();
        let mut changes = Vec::new();
        for file in found.files {
            let Some(from) = &file.from else { continue };
            let known = there.get(file.path.as_path());
            if known.is_some_and(|id| holds(*id, from)) {
                continue;
            }
            if known.is_some() && !changed.contains(file.path.as_path()) {
                return Ok(None);
            }
            if found.uncommitted == Uncommitted::Taken {
                changes.push(file.clone());
            }
        }
        let files: HashSet<&Path> = found.files.iter().map(|file| file.path.as_path()).collect();
        for entry in entries.iter().filter(|entry| entry.is_file()) {
            let path = entry.path.as_path();
            if files.contains(path) {
                continue;
            }
            if changed.contains(path) {
                if found.uncommitted == Uncommitted::LeftOut {
                    continue;
                }
                changes.push(FileChange { path: path.to_owned(), from: None });
            } else if self.is_other_size(entry.id, &found.root.join(path)) {
                return Ok(None);
            }
        }
        if changes.is_empty() {
            return Ok(Some(head.to_owned()));
        }
        self.commit(head, &changes, message).map(Some)
    }

    /// Whether there is a file of another size than a blob's.
    fn is_other_size(&self, id: Oid, file: &Path) -> bool {
        let Ok(there) = file.symlink_metadata() else { return false };
        let header = self.repository.odb().and_then(|odb| odb.read_header(id));
        header.is_ok_and(|(size, _)| size as u64 != there.len())
    }
}

/// Whether a blob holds what a file or link does.
fn holds(id: Oid, from: &Path) -> bool {
    let kind = git2::ObjectType::Blob;
    let bytes = content(from);
    bytes.is_ok_and(|bytes| Oid::hash_object(kind, &bytes).is_ok_and(|own| own == id))
}
