//! Whether the copies of a project fit on the disk.

use std::path::{Path, PathBuf};

use super::error::{TreeError, files};
use crate::git::FileChange;

/// The best, the agent's, the judge's, and two for a command that is compared.
const COPIES: u64 = 5;

/// Refuses a project that is too large for the disk that `folder` will lie on. Copies that share
/// their bytes take less.
pub(super) fn check(
    root: &Path,
    plain: &[FileChange],
    carried: &[String],
    folder: &Path,
) -> Result<(), TreeError> {
    let own = plain.iter().filter_map(|file| file.from.as_ref()?.symlink_metadata().ok());
    let own: u64 = own.map(|found| found.len()).sum();
    let beside: u64 = carried.iter().map(|path| size(&root.join(path))).sum();
    let needed = (own + beside).saturating_mul(COPIES);
    let there = folder.ancestors().find(|folder| folder.exists()).map(PathBuf::from);
    let found = rustix::fs::statvfs(there.as_deref().unwrap_or(root));
    let found = found.map_err(|e| files("looking at the disk")(e.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed > free { Err(TreeError::NoRoom { needed, free }) } else { Ok(()) }
}

fn size(path: &Path) -> u64 {
    let all = walkdir::WalkDir::new(path).into_iter().flatten();
    all.filter_map(|entry| entry.metadata().ok()).map(|found| found.len()).sum()
}
