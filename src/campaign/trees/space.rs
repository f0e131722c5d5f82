//! Whether the copies of a project fit on the disk.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{TreeError, files};
use super::places::Places;
use crate::git::FileChange;

/// The agent's, the judge's, and two for a command that is compared.
const COPIES: u64 = 4;

/// Refuses a project that is too large for the disks that its copies and the campaign's folder, with
/// the best, will lie on. Copies that share their bytes take less.
pub(super) fn check(
    root: &Path,
    plain: &[FileChange],
    carried: &[String],
    places: Places<'_>,
) -> Result<(), TreeError> {
    let own = plain.iter().filter_map(|file| file.from.as_ref()?.symlink_metadata().ok());
    let own: u64 = own.map(|found| found.len()).sum();
    let beside: u64 = carried.iter().map(|path| size(&root.join(path))).sum();
    let (folder, copies) = (there(places.folder), there(places.copies));
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let one = own + beside;
    if device(&folder) == device(&copies) {
        return fits(one.saturating_mul(COPIES) + own, &copies);
    }
    fits(own, &folder)?;
    fits(one.saturating_mul(COPIES), &copies)
}

/// The nearest folder upwards that is there already.
fn there(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn fits(needed: u64, folder: &Path) -> Result<(), TreeError> {
    let found = rustix::fs::statvfs(folder);
    let found = found.map_err(|e| files("looking at the disk")(e.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed <= free {
        return Ok(());
    }
    Err(TreeError::NoRoom { needed, free, folder: folder.to_owned() })
}

fn size(path: &Path) -> u64 {
    let all = walkdir::WalkDir::new(path).into_iter().flatten();
    all.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
