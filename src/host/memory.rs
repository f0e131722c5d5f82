//! A host in memory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::Host;

/// Given files and variables, and nothing else: for tests, and for text that lies on no disk. Folders
/// are there when a file is in them.
#[derive(Debug, Clone)]
pub struct MemoryHost {
    /// Text by path.
    pub files: BTreeMap<PathBuf, String>,
    /// The environment.
    pub vars: BTreeMap<OsString, OsString>,
    /// Physical memory.
    pub memory_bytes: u64,
    /// What starts this program.
    pub program: PathBuf,
}

impl Default for MemoryHost {
    fn default() -> Self {
        let (files, vars) = (BTreeMap::new(), BTreeMap::new());
        Self { files, vars, memory_bytes: u64::MAX, program: PathBuf::new() }
    }
}

impl MemoryHost {
    /// With these files, by path.
    pub fn with_files<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Self
    where
        P: Into<PathBuf>,
        T: Into<String>,
    {
        let files = files.into_iter().map(|(path, text)| (path.into(), text.into()));
        Self { files: files.collect(), ..Self::default() }
    }

    /// With these variables, by name.
    pub fn with_vars<N, V>(vars: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let vars = vars.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { vars: vars.collect(), ..Self::default() }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn and_var(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }
}

impl Host for MemoryHost {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.keys().any(|file| file.starts_with(path))
    }

    fn list(&self, dir: &Path) -> Vec<String> {
        let below = self.files.keys().filter_map(|file| file.strip_prefix(dir).ok());
        let names = below.filter_map(|rest| {
            let mut parts = rest.components();
            let name = parts.next()?.as_os_str().to_string_lossy().into_owned();
            Some(if parts.next().is_some() { name + "/" } else { name })
        });
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn var(&self, name: &str) -> Option<OsString> {
        self.vars.get(OsStr::new(name)).cloned()
    }

    fn vars(&self) -> Vec<(OsString, OsString)> {
        self.vars.clone().into_iter().collect()
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn program(&self) -> &Path {
        &self.program
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lists_its_files_and_folders_once_each() {
        let host = MemoryHost::with_files([("/w/b/1", ""), ("/w/b/2", ""), ("/w/a", "text")]);
        assert_eq!(host.list(Path::new("/w/.")), ["a", "b/"]);
        assert_eq!(host.list(Path::new("/w/a")), [""; 0]);
        assert!(host.exists(Path::new("/w/b")) && !host.exists(Path::new("/w/c")));
        assert_eq!(host.read(Path::new("/w/a")).expect("there"), "text");
        assert!(host.read(Path::new("/w/b")).is_err());
    }
}
