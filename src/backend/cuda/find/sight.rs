//! What of a machine's file system is seen.

use std::path::{Path, PathBuf};

/// What there is on a machine, for those who see it only through questions.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Whether there is a file or folder.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// Names of the entries of a folder, in any order, with or without a `/` behind those of
    /// folders; none where it is not there.
    pub list: &'a dyn Fn(&Path) -> Vec<String>,
    /// Where a path leads to through links; itself where it is not there.
    pub real: &'a dyn Fn(&Path) -> PathBuf,
}

impl Sight<'static> {
    /// The disk of this machine.
    pub(super) const DISK: Self = Self { exists: &Path::exists, list: &listed, real: &real };
}

impl Sight<'_> {
    /// What is in a folder, by name.
    pub(super) fn entries(self, folder: &Path) -> Vec<PathBuf> {
        let names = (self.list)(folder);
        let mut all: Vec<PathBuf> =
            names.iter().map(|name| folder.join(name.trim_end_matches('/'))).collect();
        all.sort_unstable();
        all
    }
}

fn listed(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
