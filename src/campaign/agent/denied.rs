//! Programs that an agent must not call: ones of the same names that come first in its PATH, refuse,
//! and write the call down. It keeps agents from what they would call without knowing better; it is no
//! sandbox, and a program that is called by its path is not among them.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The file in an iteration's folder that holds the calls, one a line.
pub const DENIED: &str = "denied.log";
/// How many calls are kept, and how much of each, characters.
const MAX_CALLS: usize = 20;
const MAX_CALL: usize = 200;
/// Of what is read of them, bytes.
const MAX_BYTES: u64 = 64 << 10;
/// What shells say of a command that may not be run.
const REFUSED: u8 = 126;

/// Where the programs that refuse lie, and where they write calls down.
#[derive(Debug, Clone)]
pub(super) struct Denied {
    programs: PathBuf,
    calls: PathBuf,
}

impl Denied {
    /// Makes the programs in a folder of their own, which the agent only reads; calls are written to a
    /// file of its temporary folder.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn make(names: &[String], folder: &Path, temporary: &Path) -> io::Result<Self> {
        let made = Self { programs: folder.join("denied"), calls: temporary.join(DENIED) };
        fs::create_dir_all(&made.programs)?;
        let calls = quoted(&made.calls);
        for name in names {
            let text = format!(
                "#!/bin/sh\n\
                 {{ printf '%s' '{name}'; [ $# -eq 0 ] || printf ' %s' \"$@\"; echo; }} >>{calls}\n\
                 echo 'optloop: `{name}` must not be called here ([agent] deny)' >&2\n\
                 exit {REFUSED}\n"
            );
            let place = made.programs.join(name);
            fs::write(&place, text)?;
            fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
        }
        Ok(made)
    }

    /// A PATH in which they come first.
    pub(super) fn path(&self, path: &OsStr) -> OsString {
        let mut all = self.programs.clone().into_os_string();
        all.push(":");
        all.push(path);
        all
    }

    /// The calls that were written down; the programs are gone then.
    pub(super) fn calls(&self) -> Vec<String> {
        // Another turn makes them anew.
        drop(fs::remove_dir_all(&self.programs));
        let is_file = fs::symlink_metadata(&self.calls).is_ok_and(|found| found.is_file());
        let mut text = Vec::new();
        if is_file && let Ok(file) = File::open(&self.calls) {
            // What cannot be read is as if it had not been written.
            drop(file.take(MAX_BYTES).read_to_end(&mut text));
        }
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).take(MAX_CALLS);
        lines.map(|line| line.chars().take(MAX_CALL).collect()).collect()
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}
