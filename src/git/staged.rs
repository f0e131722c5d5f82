//! What the user's index says of some files, as the program lists it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::error::Unfit;
use super::program::Program;
use crate::digest::Digest;

/// The entries of the index that have to do with some files: their own, and those that could not
/// be there beside them.
pub(super) struct Staged {
    entries: Vec<Entry>,
}

struct Entry {
    /// `S` for one that a sparse checkout leaves out, a small letter for one that is assumed to be
    /// unchanged.
    tag: u8,
    /// Not 0 for one of the versions in a conflict.
    stage: u8,
    path: Vec<u8>,
    /// All of it, as it was printed.
    text: Vec<u8>,
}

impl Entry {
    /// From `H 100644 ID 0<tab>PATH`.
    fn parse(text: &[u8]) -> Option<Self> {
        let tab = text.iter().position(|byte| *byte == b'\t')?;
        let stage = text.get(tab.checked_sub(1)?)?.checked_sub(b'0')?;
        let path = text[tab + 1..].to_vec();
        Some(Self { tag: *text.first()?, stage, path, text: text.to_vec() })
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
}

impl Staged {
    /// Asks the program, which must be at the working tree's folder.
    pub(super) fn of(program: &Program, files: &[PathBuf]) -> Result<Self, Error> {
        let top = |file: &PathBuf| Some(PathBuf::from(file.components().next()?.as_os_str()));
        let mut tops: Vec<PathBuf> = files.iter().filter_map(top).collect();
        tops.sort();
        tops.dedup();
        let words = ["ls-files", "--stage", "-v", "-z", "--"];
        let listed = program.read(&words, &tops)?;
        let concerns = |entry: &Entry| {
            files.iter().any(|file| {
                let own = file.as_os_str().as_bytes();
                entry.path == own || is_below(&entry.path, own) || is_below(own, &entry.path)
            })
        };
        let entries = listed.split(|byte| *byte == 0).filter_map(Entry::parse);
        Ok(Self { entries: entries.filter(concerns).collect() })
    }

    /// Stands for the entries of the files.
    pub(super) fn digest(&self) -> Digest {
        Digest::of_parts(self.entries.iter().map(|entry| &entry.text[..]))
    }

    /// Whether the index has the file.
    pub(super) fn knows(&self, file: &Path) -> bool {
        self.entries.iter().any(|entry| entry.path == file.as_os_str().as_bytes())
    }

    /// Refuses a file that the index does not let go: what is staged beside it, or a conflict, is
    /// the user's.
    pub(super) fn vet(&self, file: &Path) -> Result<(), Unfit> {
        let own = file.as_os_str().as_bytes();
        for entry in &self.entries {
            if is_below(&entry.path, own) || is_below(own, &entry.path) {
                let path = Path::new(OsStr::from_bytes(&entry.path)).to_owned();
                return Err(Unfit::Clashes { path });
            }
            if entry.path != own {
                continue;
            }
            if entry.stage != 0 {
                return Err(Unfit::Conflict);
            }
            if entry.tag.eq_ignore_ascii_case(&b'S') {
                return Err(Unfit::Sparse);
            }
            if entry.tag.is_ascii_lowercase() {
                return Err(Unfit::AssumedUnchanged);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_git_prints_it() {
        let entry = Entry::parse(b"M 100644 0123 2\td/a b.c").expect("an entry");
        assert_eq!((entry.tag, entry.stage, &entry.path[..]), (b'M', 2, &b"d/a b.c"[..]));
        assert!(Entry::parse(b"").is_none());
    }

    #[test]
    fn only_whole_folders_count_as_above() {
        assert!(is_below(b"a/b", b"a"));
        assert!(!is_below(b"ab", b"a"));
        assert!(!is_below(b"a", b"a"));
    }
}
