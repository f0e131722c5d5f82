//! Files as people name them.

use std::path::{Path, PathBuf};

/// A path as people would write it from here.
pub fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|h| path.strip_prefix(h).ok()).unwrap_or(path).to_owned()
}

/// `RUN/STAGE`, by which people name an artifact.
pub fn short_name(artifact: &Path) -> String {
    let named = || {
        let run = artifact.parent()?.file_name()?.to_str()?;
        Some(format!("{run}/{}", artifact.file_stem()?.to_str()?))
    };
    named().unwrap_or_else(|| artifact.display().to_string())
}
