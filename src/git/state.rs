//! What a checkout is like before something begins in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::checkout::Checkout;
use super::error::Purpose;
use super::program::Program;
use super::{Error, Outside};

/// A checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The commit that is checked out; none before the first one.
    pub head: Option<String>,
    /// The branch, `refs/heads/…`; none when HEAD is detached.
    pub branch: Option<String>,
    /// Files, below the checkout, that differ from that commit; untracked ones that nothing ignores
    /// among them.
    pub changed: Vec<PathBuf>,
}

impl State {
    /// Looks at the checkout around `root`; none where there is no repository. Nothing is written.
    ///
    /// # Errors
    /// When there is one and it cannot be read.
    pub fn of(root: &Path, outside: &Outside) -> Result<Option<Self>, Error> {
        let checkout = match Checkout::open(root, outside) {
            Err(Error::NoRepository { .. }) => return Ok(None),
            opened => opened?,
        };
        let head = checkout.repository.reader.head()?;
        let because = "its files are compared with the last commit".to_owned();
        let missing = || Error::NoProgram { purpose: Purpose::Read { because } };
        let git = Program::find(&checkout.work, outside).ok_or_else(missing)?;
        let words = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=normal"];
        let listed = git.read(&words, &[])?;
        let lines = listed.split(|byte| *byte == 0).filter_map(|line| line.get(3..));
        let changed = lines.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect();
        Ok(Some(Self { head: head.commit, branch: head.branch, changed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::world_tests::{World, outside};

    #[test]
    fn changed_staged_removed_and_new_files_are_named_and_ignored_ones_are_not() {
        let world = World::with(&[("k.c", "a\n"), ("b c.c", "b\n"), (".gitignore", "out\n")]);
        let changed = || {
            let state = State::of(&world.root, &outside()).expect("read").expect("a checkout");
            assert_eq!(state.branch.as_deref(), Some("refs/heads/main"));
            assert!(state.head.is_some());
            state.changed
        };
        assert!(changed().is_empty());
        world.write("out", "x");
        assert!(changed().is_empty());
        world.write("k.c", "new\n");
        world.write("fresh.c", "x\n");
        std::fs::remove_file(world.at("b c.c")).expect("removed");
        world.write("s.c", "s\n");
        world.stage("s.c");
        let mut found = changed();
        found.sort();
        assert_eq!(found, ["b c.c", "fresh.c", "k.c", "s.c"].map(PathBuf::from));
        let outside_of_any = tempfile::tempdir().expect("a folder");
        assert_eq!(State::of(outside_of_any.path(), &outside()).expect("read"), None);
    }
}
