//! What the program sees of the machine and the user around it, as one trait.
//!
//! Modules that only need to ask (for a file, a variable, which device this is) take a [`Host`], so
//! that they touch nothing themselves. The real one belongs to the program; [`MemoryHost`] holds
//! given files and variables. Not for: starting commands that do a stage's work (that is
//! [`crate::process`]), and the stat fields of files (that is [`crate::cache`]).

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

mod device;
mod launcher;
mod memory;
mod with;

pub use device::{ClockPolicy, DeviceIdentity, DeviceKind};
pub use launcher::{Launched, Launcher};
pub use memory::MemoryHost;
pub use with::{Variable, With};

/// Under this name keys hold what [`Host::sandbox`] says.
pub const SANDBOX: &str = "sandbox";

/// Files, variables, devices, tools and the clock. Each method has a default with which nothing is
/// there, so that a test implements only what it uses.
pub trait Host: Sync {
    /// The text of a file.
    ///
    /// # Errors
    /// When it cannot be read as UTF-8.
    fn read(&self, _path: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    /// True when a file or folder is there.
    fn exists(&self, _path: &Path) -> bool {
        false
    }

    /// Names of the entries of a folder, sorted, those of folders with a `/` at their end; empty
    /// when there is no such folder.
    fn list(&self, _dir: &Path) -> Vec<String> {
        Vec::new()
    }

    /// Where a path leads to through links; itself where it is not there.
    fn real(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }

    /// An environment variable.
    fn var(&self, _name: &str) -> Option<OsString> {
        None
    }

    /// An environment variable that is text; `None` also for one that is not UTF-8.
    fn text_var(&self, name: &str) -> Option<String> {
        self.var(name)?.into_string().ok()
    }

    /// What commands of stages are run through; none for nothing.
    fn launcher(&self) -> Option<&Launcher> {
        None
    }

    /// The whole environment, for programs that act in the user's name: git and its hooks.
    fn vars(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// Physical memory of the machine; all there can be where it is not known.
    fn memory_bytes(&self) -> u64 {
        u64::MAX
    }

    /// Which device `name` is (`cpu`, `cuda:0`, `cuda:GPU-…`). No driver is asked.
    fn device(&self, name: &str) -> DeviceIdentity {
        DeviceIdentity::unknown(name)
    }

    /// What confines the processes that kernels run in here, in words.
    fn sandbox(&self) -> String {
        String::new()
    }

    /// What a compiler says of its version; empty when it says nothing.
    fn tool_version(&self, _path: &Path) -> String {
        String::new()
    }

    /// Which libraries the loader will load with a built kernel (an absolute path), with those
    /// below `root` named from there; `None` where it is not built.
    fn loads(&self, _object: &Path, _root: &Path) -> Option<String> {
        None
    }

    /// Now, ms since the epoch.
    fn now_ms(&self) -> i64 {
        0
    }

    /// This program, to start itself: an absolute path.
    fn program(&self) -> &Path {
        Path::new("")
    }
}
