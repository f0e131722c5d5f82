//! A repository that belongs to optloop: states of a project as commits.
//!
//! It has no working tree, remote, hook or filter, so that files come out as they went in, and
//! nothing of the user's git configuration reaches it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::build::{CheckoutBuilder, TreeUpdateBuilder};
use git2::{FileMode, Oid, RepositoryInitOptions, Signature, TreeWalkMode, TreeWalkResult};

use super::Error;

/// The repository.
pub struct Private {
    repository: git2::Repository,
    folder: PathBuf,
}

/// One file of a commit to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Below the project's root.
    pub path: PathBuf,
    /// The file on disk (or link) that it becomes; none removes it.
    pub from: Option<PathBuf>,
}

impl Private {
    /// Makes an empty one in a folder that is not there yet.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false);
        let repository = git2::Repository::init_opts(folder, &options);
        let repository = repository.map_err(failed("making", folder))?;
        Ok(Self { repository, folder: folder.to_owned() })
    }

    /// Opens one that was made.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let repository = git2::Repository::open_bare(folder).map_err(failed("opening", folder))?;
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
        let tree = self.found(commit)?;
        fs::create_dir_all(folder).map_err(Error::failed(writing(folder)))?;
        let mut how = CheckoutBuilder::new();
        how.force().remove_untracked(true).remove_ignored(true).update_index(false);
        how.disable_filters(true).target_dir(folder);
        let written = self.repository.checkout_tree(tree.as_object(), Some(&mut how));
        written.map_err(|e| Error::failed(writing(folder))(e.message().to_owned()))
    }

    /// The paths of a commit's files.
    ///
    /// # Errors
    /// When the commit is not there.
    pub fn paths(&self, commit: &str) -> Result<Vec<PathBuf>, Error> {
        let tree = self.found(commit)?.tree().map_err(self.failed("reading"))?;
        let mut paths = Vec::new();
        let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() == Some(git2::ObjectType::Blob) {
                let name = std::ffi::OsStr::from_bytes(entry.name_bytes());
                paths.push(Path::new(folder).join(name));
            }
            TreeWalkResult::Ok
        });
        walked.map_err(self.failed("reading"))?;
        Ok(paths)
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

    fn found(&self, commit: &str) -> Result<git2::Commit<'_>, Error> {
        let object = self.repository.revparse_single(commit);
        let found = object.and_then(|object| object.peel_to_commit());
        found.map_err(self.failed("reading a commit of"))
    }

    /// The tree that a base becomes by the changes.
    fn changed(&self, base: &git2::Tree<'_>, files: &[FileChange]) -> Result<Oid, Error> {
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

    fn blob(&self, from: &Path) -> Result<(Oid, FileMode), Error> {
        let reading = || format!("reading `{}`", from.display());
        let metadata = fs::symlink_metadata(from).map_err(Error::failed(reading()))?;
        let (bytes, mode) = if metadata.is_symlink() {
            let to = fs::read_link(from).map_err(Error::failed(reading()))?;
            (to.as_os_str().as_bytes().to_vec(), FileMode::Link)
        } else {
            let is_executable = metadata.permissions().mode() & 0o100 != 0;
            let mode = if is_executable { FileMode::BlobExecutable } else { FileMode::Blob };
            (fs::read(from).map_err(Error::failed(reading()))?, mode)
        };
        let id = self.repository.blob(&bytes).map_err(self.failed("writing to"))?;
        Ok((id, mode))
    }

    fn write(
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

    fn failed(&self, doing: &str) -> impl FnOnce(git2::Error) -> Error {
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

/// Makes a folder a repository of its own whose one commit holds everything in it, for programs
/// that want git. One that is there is made anew: it may hold anything.
///
/// # Errors
/// When it cannot be written.
pub fn own_repository(folder: &Path, message: &str) -> Result<(), Error> {
    let place = folder.join(".git");
    let removed = match fs::symlink_metadata(&place) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&place),
        Ok(_) => fs::remove_file(&place),
        Err(_) => Ok(()),
    };
    removed.map_err(Error::failed(format!("removing `{}`", place.display())))?;
    let make = || {
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).initial_head("main");
        let repository = git2::Repository::init_opts(folder, &options)?;
        let mut index = repository.index()?;
        index.add_all(["*"], git2::IndexAddOption::FORCE, None)?;
        index.write()?;
        let tree = repository.find_tree(index.write_tree()?)?;
        let who = Signature::now("optloop", "optloop@localhost")?;
        repository.commit(Some("HEAD"), &who, &who, message, &tree, &[])?;
        Ok(())
    };
    make().map_err(failed("making", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        dir: tempfile::TempDir,
        private: Private,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let private = Private::create(&dir.path().join("repo")).expect("made");
            Self { dir, private }
        }

        fn file(&self, path: &str, text: &str) -> FileChange {
            let from = self.dir.path().join("files").join(path);
            fs::create_dir_all(from.parent().expect("a folder")).expect("made");
            fs::write(&from, text).expect("written");
            FileChange { path: path.into(), from: Some(from) }
        }

        fn out(&self, commit: &str) -> PathBuf {
            let folder = self.dir.path().join("out");
            self.private.write_to(commit, &folder).expect("written");
            folder
        }
    }

    #[test]
    fn files_come_out_as_they_went_in_whatever_attributes_say() {
        let world = World::new();
        let script = world.file("bin/run.sh", "#!/bin/sh\n");
        let path = script.from.clone().expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        let link = world.dir.path().join("files/link");
        std::os::unix::fs::symlink("bin/run.sh", &link).expect("linked");
        let files = [
            script,
            world.file(".gitattributes", "* text eol=crlf ident\n"),
            world.file("k.c", "int a; // $Id$\n"),
            FileChange { path: "link".into(), from: Some(link) },
        ];
        let base = world.private.snapshot(&files, "base").expect("a commit");
        let out = world.out(&base);
        assert_eq!(fs::read_to_string(out.join("k.c")).expect("read"), "int a; // $Id$\n");
        let mode = fs::metadata(out.join("bin/run.sh")).expect("there").permissions().mode();
        assert_eq!(mode & 0o100, 0o100);
        assert_eq!(fs::read_link(out.join("link")).expect("a link"), Path::new("bin/run.sh"));
        let mut paths = world.private.paths(&base).expect("paths");
        paths.sort();
        let wanted = [".gitattributes", "bin/run.sh", "k.c", "link"];
        assert_eq!(paths, wanted.map(PathBuf::from));
    }

    #[test]
    fn a_commit_changes_adds_and_removes_and_its_files_replace_all_others() {
        let world = World::new();
        let files = [world.file("a/k.c", "one\n"), world.file("b.c", "b\n")];
        let base = world.private.snapshot(&files, "base").expect("a commit");
        let out = world.out(&base);
        fs::write(out.join("stray"), "x").expect("written");
        let changes = [
            world.file("a/k.c", "two\n"),
            world.file("new/n.c", "n\n"),
            FileChange { path: "b.c".into(), from: None },
        ];
        let next = world.private.commit(&base, &changes, "faster").expect("a commit");
        let out = world.out(&next);
        assert_eq!(fs::read_to_string(out.join("a/k.c")).expect("read"), "two\n");
        assert!(out.join("new/n.c").is_file());
        assert!(!out.join("b.c").exists() && !out.join("stray").exists());
        let diff = world.private.diff(&base, &next).expect("a patch");
        assert!(diff.contains("-one\n+two\n") && diff.contains("deleted file mode"), "{diff}");
        world.private.set_branch("best", &next).expect("moved");
        assert_eq!(world.private.branch("best"), Some(next.clone()));
        assert_eq!(world.private.branch("other"), None);
        // A lock that a kill left on the branch is in nobody's way.
        fs::write(world.dir.path().join("repo/refs/heads/best.lock"), "").expect("written");
        assert!(world.private.set_branch("best", &base).is_err());
        let taken = Private::take_over(&world.dir.path().join("repo")).expect("opened");
        taken.set_branch("best", &next).expect("moved");
        // All of it is on disk.
        let again = Private::open(&world.dir.path().join("repo")).expect("opened");
        assert_eq!(again.branch("best"), Some(next));
    }

    #[test]
    fn a_folder_becomes_a_repository_of_its_own_again_and_again() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("k.c"), "one\n").expect("written");
        for text in ["one\n", "two\n"] {
            fs::write(dir.path().join("k.c"), text).expect("written");
            own_repository(dir.path(), "the project").expect("made");
            let repository = git2::Repository::open(dir.path()).expect("opened");
            assert!(repository.statuses(None).expect("statuses").is_empty());
            let head = repository.head().expect("HEAD").peel_to_commit().expect("a commit");
            assert_eq!(head.parent_count(), 0);
            fs::write(dir.path().join(".git/config"), "[core]\n\tworktree = /\n").expect("planted");
        }
    }
}
