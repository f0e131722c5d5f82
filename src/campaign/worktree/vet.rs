//! Whether a file may be committed, as far as the last commit and the index have a say in it.

use git2::{IndexEntryExtendedFlag, IndexEntryFlag, ObjectType, Tree};

use super::Refused;
use super::checkout::Named;
use super::commit::Attempt;
use super::index::Snapshot;

impl Attempt {
    /// The last commit may have something else where the file is.
    pub(super) fn vet_tree(file: &Named, tree: Option<&Tree<'_>>) -> Result<(), Refused> {
        let Some(tree) = tree else { return Ok(()) };
        for path in file.path.ancestors().filter(|p| !p.as_os_str().is_empty()) {
            let Ok(entry) = tree.get_path(path) else { continue };
            let fits = match entry.kind() {
                Some(ObjectType::Blob) => path == file.path,
                Some(ObjectType::Tree) => path != file.path,
                _ => false,
            };
            if !fits {
                return Err(file.refused(format!(
                    "in the last commit `{}` is something else (a file, a folder or a \
                     submodule): commit that change yourself first",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    pub(super) fn vet_entry(
        &self,
        file: &Named,
        snapshot: &Snapshot,
        tree: Option<&Tree<'_>>,
    ) -> Result<(), Refused> {
        let conflict = (1..=3).any(|stage| snapshot.index.get_path(&file.path, stage).is_some());
        if conflict {
            return Err(file.refused("it is in conflict: resolve it and `git add` it first"));
        }
        let bytes = file.bytes();
        let below = |path: &[u8], folder: &[u8]| {
            path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        let clash =
            snapshot.index.iter().find(|e| below(&e.path, &bytes) || below(&bytes, &e.path));
        if let Some(entry) = clash {
            return Err(file.refused(format!(
                "the index has `{}`, which cannot be there beside it: commit or unstage that first",
                String::from_utf8_lossy(&entry.path)
            )));
        }
        let Some(entry) = snapshot.entry(&file.path) else { return self.vet_untracked(file, tree) };
        if IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended).is_skip_worktree() {
            return Err(file.refused(
                "git was told to keep it out of this checkout (a sparse checkout): run `git \
                 sparse-checkout add` for its folder, or pass --no-commit",
            ));
        }
        if IndexEntryFlag::from_bits_truncate(entry.flags).is_valid() {
            return Err(file.refused(
                "git was told not to look at its changes: run `git update-index \
                 --no-assume-unchanged` for it, or pass --no-commit",
            ));
        }
        Ok(())
    }

    fn vet_untracked(&self, file: &Named, tree: Option<&Tree<'_>>) -> Result<(), Refused> {
        let committed = tree.is_some_and(|tree| tree.get_path(&file.path).is_ok());
        let ignored = self.checkout.repository.is_path_ignored(&file.path);
        if !committed && ignored.map_err(Refused::failed("reading .gitignore"))? {
            return Err(file.refused(
                "it is ignored by a .gitignore: run `git add -f` for it once, or pass --no-commit",
            ));
        }
        Ok(())
    }
}
