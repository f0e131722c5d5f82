//! The world outside, as a pipeline sees it.

use std::io;
use std::path::{Path, PathBuf};

/// How this module sees the world outside: files and the environment.
pub trait Loader {
    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// True when a file or folder is there.
    fn exists(&self, path: &Path) -> bool;
    /// Names of the entries of a folder, sorted; empty when there is none.
    fn list(&self, dir: &Path) -> Vec<String>;
    /// An environment variable, for `${env.NAME}`.
    fn env(&self, name: &str) -> Option<String>;
    /// True for a variable that is set, be it text or not.
    fn is_set(&self, name: &str) -> bool {
        self.env(name).is_some()
    }
    /// Where a path leads to through links; itself where it is not there.
    fn real(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}
