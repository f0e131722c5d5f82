//! A repository that belongs to optloop: states of a project as commits.
//!
//! It has no working tree, remote, hook or filter, so that files come out as they went in, and
//! nothing of the user's git configuration reaches it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::build::TreeUpdateBuilder;
use git2::{Delta, FileMode, Oid, RepositoryInitOptions, Signature};

use super::Error;
use super::content::{Content, content, remove};
use super::forgiving::forgiving;

/// The repository.
pub struct Private {
    pub(super) repository: git2::Repository,
    pub(super) folder: PathBuf,
}

/// One file of a commit to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Below the project's root.
    pub path: PathBuf,
    /// The file on disk (or link) that it becomes; none removes it.
    pub from: Option<PathBuf>,
}

/// The files in which one commit differs from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differing {
    /// Those that it has, changed or new.
    pub there: Vec<PathBuf>,
    /// Those that it has no longer.
    pub gone: Vec<PathBuf>,
}

/// What lies at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) id: Oid,
    pub(super) mode: i32,
}

impl Entry {
    /// Whether it is a file or a link, and no submodule.
    pub(super) fn is_file(&self) -> bool {
        self.mode != i32::from(FileMode::Commit)
    }
}

impl Private {
    /// Makes one in a folder that is not there yet, or was left half made.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        let repository = forgiving(|| git2::Repository::init_opts(folder, &options));
        let repository = repository.map_err(failed("making", folder))?;
        Ok(Self { repository, folder: folder.to_owned() })
    }

    /// Opens one that was made.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let repository = forgiving(|| git2::Repository::open_bare(folder));
        let repository = repository.map_err(failed("opening", folder))?;
        Ok(Self { repository, folder: folder.to_owned() })
    }

    /// Opens one whose writer was killed: locks that it left are removed. The caller is the only one
    /// who writes.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn take_over(folder: &Path) -> Result<Self, Error> {
        let private = Self::open(folder)?;
        let files = walkdir::WalkDir::new(folder).into_iter().flatten();
        let is_lock = |path: &Path| path.extension().is_some_and(|extension| extension == "lock");
        for lock in files.map(walkdir::DirEntry::into_path).filter(|path| is_lock(path)) {
            let doing = || format!("removing `{}`", lock.display());
            fs::remove_file(&lock).map_err(Error::failed(doing()))?;
        }
        Ok(private)
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A commit of exactly these files, without a parent; its id.
    ///
    /// # Errors
    /// When a file cannot be read or the repository not written.
    pub fn snapshot(&self, files: &[FileChange], message: &str) -> Result<String, Error> {
        let doing = "taking a snapshot into";
        let empty = self.repository.treebuilder(None).and_then(|builder| builder.write());
        let empty = empty.and_then(|id| self.repository.find_tree(id));
        let tree = self.changed(&empty.map_err(self.failed(doing))?, files)?;
        self.write(tree, &[], message).map_err(self.failed(doing))
    }

    /// A commit on top of another that changes these files; its id.
    ///
    /// # Errors
    /// When a file cannot be read, the parent is not there, or the repository cannot be written.
    pub fn commit(
        &self,
        parent: &str,
        files: &[FileChange],
        message: &str,
    ) -> Result<String, Error> {
        let doing = "committing to";
        let parent = self.found(parent)?;
        let base = parent.tree().map_err(self.failed(doing))?;
        let tree = self.changed(&base, files)?;
        self.write(tree, &[&parent], message).map_err(self.failed(doing))
    }

    /// Makes a branch stand for a commit, whatever it stood for.
    ///
    /// # Errors
    /// When the commit is not there or the branch cannot be written.
    pub fn set_branch(&self, name: &str, commit: &str) -> Result<(), Error> {
        let commit = self.found(commit)?;
        let reference = format!("refs/heads/{name}");
        let set = self.repository.reference(&reference, commit.id(), true, "optloop");
        set.map(drop).map_err(self.failed("moving a branch of"))
    }

    /// The commit that a branch stands for; none where there is no such branch.
    pub fn branch(&self, name: &str) -> Option<String> {
        let reference = format!("refs/heads/{name}");
        self.repository.refname_to_id(&reference).ok().map(|id| id.to_string())
    }

    /// Whether a commit is there.
    pub fn has(&self, commit: &str) -> bool {
        self.found(commit).is_ok()
    }

    /// Writes the files of a commit into a folder, which then holds no others.
    ///
    /// # Errors
    /// When the commit is not there or the folder cannot be written.
    pub fn write_to(&self, commit: &str, folder: &Path) -> Result<(), Error> {
        let failed = || Error::failed(writing(folder));
        fs::create_dir_all(folder).map_err(failed())?;
        let mut wanted = self.entries(commit)?;
        wanted.retain(Entry::is_file);
        let names: HashSet<&Path> = wanted.iter().map(|entry| entry.path.as_path()).collect();
        for other in walkdir::WalkDir::new(folder).min_depth(1).contents_first(true) {
            let other = other.map_err(|e| Error::failed(writing(folder))(e.to_string()))?;
            let name = other.path().strip_prefix(folder).unwrap_or(other.path());
            if other.file_type().is_dir() {
                // One that still holds something stays.
                drop(fs::remove_dir(other.path()));
            } else if !names.contains(name) {
                fs::remove_file(other.path()).map_err(failed())?;
            }
        }
        for entry in &wanted {
            let blob = self.repository.find_blob(entry.id).map_err(self.failed("reading"))?;
            let file = Content { bytes: blob.content(), mode: entry.mode };
            let place = folder.join(&entry.path);
            if !file.lies_at(&place) {
                file.put(&place).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Makes a folder that holds the files of one commit hold those of another: no file that they
    /// share is touched.
    ///
    /// # Errors
    /// When one of them is not there or the folder cannot be written; [`Private::write_to`] puts
    /// right what is left half done then.
    pub fn write_changes(&self, from: &str, to: &str, folder: &Path) -> Result<(), Error> {
        let differing = self.differing(from, to)?;
        // A file may make room for a folder.
        for path in &differing.gone {
            remove(folder, path).map_err(Error::failed(writing(folder)))?;
        }
        let tree = self.found(to)?.tree().map_err(self.failed("reading"))?;
        for path in &differing.there {
            let entry = tree.get_path(path).map_err(self.failed("reading"))?;
            let blob = self.repository.find_blob(entry.id()).map_err(self.failed("reading"))?;
            let made = Content { bytes: blob.content(), mode: entry.filemode() };
            made.put(&folder.join(path)).map_err(Error::failed(writing(folder)))?;
        }
        Ok(())
    }

    /// The files in which a commit differs from another.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn differing(&self, from: &str, to: &str) -> Result<Differing, Error> {
        let doing = "comparing commits of";
        let from = self.found(from)?.tree().map_err(self.failed(doing))?;
        let to = self.found(to)?.tree().map_err(self.failed(doing))?;
        let diff = self.repository.diff_tree_to_tree(Some(&from), Some(&to), None);
        let diff = diff.map_err(self.failed(doing))?;
        let mut found = Differing::default();
        for delta in diff.deltas() {
            let is_gone = delta.status() == Delta::Deleted;
            let file = if is_gone { delta.old_file() } else { delta.new_file() };
            let Some(path) = file.path().filter(|_| file.mode() != FileMode::Commit) else {
                continue;
            };
            let list = if is_gone { &mut found.gone } else { &mut found.there };
            list.push(path.to_owned());
        }
        Ok(found)
    }

    /// The paths of a commit's files.
    ///
    /// # Errors
    /// When the commit is not there.
    pub fn paths(&self, commit: &str) -> Result<Vec<PathBuf>, Error> {
        let files = self.entries(commit)?.into_iter().filter(Entry::is_file);
        Ok(files.map(|entry| entry.path).collect())
    }

    /// All that a commit holds, folders apart.
    pub(super) fn entries(&self, commit: &str) -> Result<Vec<Entry>, Error> {
        let tree = self.found(commit)?.tree().map_err(self.failed("reading"))?;
        let mut found = Vec::new();
        self.descend(&tree, Path::new(""), &mut found).map_err(self.failed("reading"))?;
        Ok(found)
    }

    fn descend(
        &self,
        tree: &git2::Tree<'_>,
        above: &Path,
        found: &mut Vec<Entry>,
    ) -> Result<(), git2::Error> {
        for entry in tree {
            let path = above.join(OsStr::from_bytes(entry.name_bytes()));
            if entry.kind() == Some(git2::ObjectType::Tree) {
                self.descend(&self.repository.find_tree(entry.id())?, &path, found)?;
            } else {
                found.push(Entry { path, id: entry.id(), mode: entry.filemode() });
            }
        }
        Ok(())
    }

    /// How one commit differs from another, as a patch.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn diff(&self, from: &str, to: &str) -> Result<String, Error> {
        let doing = "comparing commits of";
        let from = self.found(from)?.tree().map_err(self.failed(doing))?;
        let to = self.found(to)?.tree().map_err(self.failed(doing))?;
        let diff = self.repository.diff_tree_to_tree(Some(&from), Some(&to), None);
        let mut text = Vec::new();
        let printed = diff.and_then(|diff| {
            diff.print(git2::DiffFormat::Patch, |_, _, line| {
                if matches!(line.origin(), '+' | '-' | ' ') {
                    text.push(line.origin() as u8);
                }
                text.extend_from_slice(line.content());
                true
            })
        });
        printed.map_err(self.failed(doing))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    pub(super) fn found(&self, commit: &str) -> Result<git2::Commit<'_>, Error> {
        let object = self.repository.revparse_single(commit);
        let found = object.and_then(|object| object.peel_to_commit());
        found.map_err(self.failed("reading a commit of"))
    }

    /// The tree that a base becomes by the changes.
    pub(super) fn changed(
        &self,
        base: &git2::Tree<'_>,
        files: &[FileChange],
    ) -> Result<Oid, Error> {
        let mut update = TreeUpdateBuilder::new();
        for file in files {
            match &file.from {
                None => update.remove(&file.path),
                Some(from) => {
                    let (blob, mode) = self.blob(from)?;
                    update.upsert(&file.path, blob, mode)
                }
            };
        }
        let made = update.create_updated(&self.repository, base);
        made.map_err(self.failed("writing to"))
    }

    pub(super) fn blob(&self, from: &Path) -> Result<(Oid, FileMode), Error> {
        let reading = || format!("reading `{}`", from.display());
        let metadata = fs::symlink_metadata(from).map_err(Error::failed(reading()))?;
        let mode = if metadata.is_symlink() {
            FileMode::Link
        } else if metadata.permissions().mode() & 0o100 != 0 {
            FileMode::BlobExecutable
        } else {
            FileMode::Blob
        };
        let bytes = content(from).map_err(Error::failed(reading()))?;
        let id = self.repository.blob(&bytes).map_err(self.failed("writing to"))?;
        Ok((id, mode))
    }

    pub(super) fn write(
        &self,
        tree: Oid,
        parents: &[&git2::Commit<'_>],
        message: &str,
    ) -> Result<String, git2::Error> {
        let who = Signature::now("optloop", "optloop@localhost")?;
        let tree = self.repository.find_tree(tree)?;
        let id = self.repository.commit(None, &who, &who, message, &tree, parents)?;
        Ok(id.to_string())
    }

    pub(super) fn failed(&self, doing: &str) -> impl FnOnce(git2::Error) -> Error {
        failed(doing, &self.folder)
    }
}

fn failed(doing: &str, folder: &Path) -> impl FnOnce(git2::Error) -> Error {
    let doing = format!("{doing} the repository `{}`", folder.display());
    move |error| Error::failed(doing)(error.message().to_owned())
}

fn writing(folder: &Path) -> String {
    format!("writing `{}`", folder.display())
}

#[cfg(test)]
#[path = "private_tests.rs"]
mod tests;
