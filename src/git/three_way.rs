//! Changes and another state of the same project, merged in a repository of optloop's own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Error;
use super::private::Private;

/// Three commits, which need not know each other.
#[derive(Debug, Clone, Copy)]
pub struct ThreeWay<'a> {
    /// What both began with.
    pub ancestor: &'a str,
    /// With the changes.
    pub ours: &'a str,
    /// The other state; the result stands on it.
    pub theirs: &'a str,
    /// What the result's commit says.
    pub message: &'a str,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merging {
    /// A commit with both; `theirs` itself where nothing is left of the changes.
    Done(String),
    /// The files in which both changed the same lines.
    Conflict(Vec<PathBuf>),
}

impl Private {
    /// Merges the changes from `ancestor` to `ours` into `theirs`.
    ///
    /// # Errors
    /// When a commit is not there or the repository cannot be written.
    pub fn merge(&self, wanted: ThreeWay<'_>) -> Result<Merging, Error> {
        let failed = || self.failed("merging in");
        let tree = |commit: &str| self.found(commit)?.tree().map_err(failed());
        let (ancestor, ours) = (tree(wanted.ancestor)?, tree(wanted.ours)?);
        let theirs = self.found(wanted.theirs)?;
        let there = theirs.tree().map_err(failed())?;
        let merged = self.repository.merge_trees(&ancestor, &ours, &there, None);
        let mut merged = merged.map_err(failed())?;
        if merged.has_conflicts() {
            let mut paths = Vec::new();
            for conflict in merged.conflicts().map_err(failed())? {
                let conflict = conflict.map_err(failed())?;
                let entry = conflict.our.or(conflict.their).or(conflict.ancestor);
                paths.extend(entry.map(|entry| PathBuf::from(OsStr::from_bytes(&entry.path))));
            }
            paths.sort();
            paths.dedup();
            return Ok(Merging::Conflict(paths));
        }
        let merged = merged.write_tree_to(&self.repository).map_err(failed())?;
        if merged == there.id() {
            return Ok(Merging::Done(wanted.theirs.to_owned()));
        }
        let commit = self.write(merged, &[&theirs], wanted.message).map_err(failed())?;
        Ok(Merging::Done(commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::FileChange;

    #[test]
    fn changes_of_both_sides_are_merged_and_files_in_conflict_are_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let repository = Private::create(&dir.path().join("repo")).expect("made");
        let commit = |files: &[(&str, &str)]| {
            let change = |(name, text): &(&str, &str)| {
                let from = dir.path().join(name);
                std::fs::write(&from, text).expect("written");
                FileChange { path: name.into(), from: Some(from) }
            };
            let files: Vec<FileChange> = files.iter().map(change).collect();
            repository.snapshot(&files, "m").expect("a commit")
        };
        let base = commit(&[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n")]);
        let ours = commit(&[("a", "1 ours\n2\n3\n4\n5\n"), ("b", "b\n"), ("new", "n\n")]);
        let theirs = commit(&[("a", "1\n2\n3\n4\n5 theirs\n"), ("b", "other\n")]);
        let merge = |ours: &str, theirs: &str| {
            let wanted = ThreeWay { ancestor: &base, ours, theirs, message: "merged" };
            repository.merge(wanted).expect("merged")
        };
        let Merging::Done(merged) = merge(&ours, &theirs) else { panic!("a conflict") };
        let place = dir.path().join("place");
        repository.write_to(&merged, &place).expect("written");
        let text = |name: &str| std::fs::read_to_string(place.join(name)).expect("there");
        assert_eq!(text("a"), "1 ours\n2\n3\n4\n5 theirs\n");
        assert_eq!((&text("b")[..], &text("new")[..]), ("other\n", "n\n"));
        assert_eq!(merge(&base, &theirs), Merging::Done(theirs.clone()));
        // They have the very changes already.
        assert_eq!(merge(&ours, &ours), Merging::Done(ours.clone()));
        let against = commit(&[("a", "1 against\n2\n3\n4\n5\n"), ("b", "b\n")]);
        assert_eq!(merge(&ours, &against), Merging::Conflict(vec!["a".into()]));
    }
}
