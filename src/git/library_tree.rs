//! The files of a commit through the library.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{
    AttrCheckFlags, AttrValue, DiffOptions, Index, IndexEntry, IndexTime, ObjectType, Oid,
    Repository, TreeWalkMode, TreeWalkResult,
};

use super::Error;
use super::tree::{Kind, Tree, attributes, within_limits};

/// The tree of one commit.
pub(super) struct Committed<'r> {
    repository: &'r Repository,
    tree: git2::Tree<'r>,
}

impl<'r> Committed<'r> {
    pub(super) fn new(repository: &'r Repository, commit: &str) -> Result<Self, Error> {
        let tree = || repository.find_commit(commit.parse()?)?.tree();
        let doing = || format!("reading the tree of `{commit}`");
        Ok(Self { repository, tree: tree().map_err(Error::failed(doing()))? })
    }

    /// The files of `parts` and every `.gitattributes` above them, as entries of an index.
    fn gather(&self, parts: &[PathBuf]) -> Result<Vec<IndexEntry>, Error> {
        let odb = self.repository.odb().map_err(Error::failed("reading git's objects"))?;
        let mut gathered = Gathered { odb, entries: Vec::new(), bytes: 0 };
        for part in parts {
            for path in attributes(part) {
                if let Ok(entry) = self.tree.get_path(&path) {
                    gathered.add(path.as_os_str().as_bytes(), entry.id(), entry.filemode());
                }
            }
            gathered.part(self, part)?;
        }
        gathered.entries.sort_by(|a, b| a.path.cmp(&b.path));
        gathered.entries.dedup_by(|a, b| a.path == b.path);
        Ok(gathered.entries)
    }
}

impl Tree for Committed<'_> {
    fn kind(&self, path: &Path) -> Option<Kind> {
        let entry = self.tree.get_path(path).ok()?;
        Some(match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => Kind::Folder,
            (Some(ObjectType::Blob), 0o100_644 | 0o100_755 | 0o100_664) => Kind::File,
            _ => Kind::Other,
        })
    }

    fn text(&self, path: &Path) -> Option<String> {
        let object = self.tree.get_path(path).ok()?.to_object(self.repository).ok()?;
        Some(String::from_utf8_lossy(object.as_blob()?.content()).into_owned())
    }

    fn named(&self, name: &[u8]) -> Option<PathBuf> {
        let mut found = None;
        // An end of the walk before its end is reported as an error, and is none.
        let _walked = self.tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.name_bytes() == name && entry.kind() == Some(ObjectType::Blob) {
                found = Some(format!("{folder}{}", String::from_utf8_lossy(name)).into());
                return TreeWalkResult::Abort;
            }
            TreeWalkResult::Ok
        });
        found
    }

    fn write(&self, parts: &[PathBuf], kernel: &[PathBuf], dir: &Path) -> Result<(), Error> {
        let entries = self.gather(parts)?;
        let doing = || format!("writing `{}`", dir.display());
        let scene = Scene::new(self.repository, &entries).map_err(Error::failed(doing()))?;
        scene.write(kernel, dir)
    }
}

struct Gathered<'r> {
    odb: git2::Odb<'r>,
    entries: Vec<IndexEntry>,
    bytes: u64,
}

impl Gathered<'_> {
    /// A file, or all that a folder holds.
    fn part(&mut self, commit: &Committed<'_>, part: &Path) -> Result<(), Error> {
        let reading = || Error::failed(format!("reading `{}`", part.display()));
        let inside = if part.as_os_str().is_empty() {
            commit.tree.clone()
        } else {
            let entry = commit.tree.get_path(part).map_err(reading())?;
            if entry.kind() == Some(ObjectType::Blob) {
                self.add(part.as_os_str().as_bytes(), entry.id(), entry.filemode());
                return Ok(());
            }
            entry.to_object(commit.repository).and_then(|o| o.peel_to_tree()).map_err(reading())?
        };
        self.walk(&inside, part)
    }

    fn walk(&mut self, tree: &git2::Tree<'_>, part: &Path) -> Result<(), Error> {
        let mut start = part.as_os_str().as_bytes().to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        let reading = || Error::failed(format!("reading `{}`", part.display()));
        let mut odd = Ok(());
        let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() != Some(ObjectType::Blob) {
                return TreeWalkResult::Ok;
            }
            match self.odb.read_header(entry.id()) {
                Ok((size, _)) => self.bytes += size as u64,
                Err(error) => odd = Err(reading()(error)),
            }
            let path = [&start, folder.as_bytes(), entry.name_bytes()].concat();
            self.add(&path, entry.id(), entry.filemode());
            if odd.is_ok() {
                odd = within_limits(part, self.bytes, self.entries.len());
            }
            if odd.is_ok() { TreeWalkResult::Ok } else { TreeWalkResult::Abort }
        });
        odd.and_then(|()| walked.map_err(reading()))
    }

    fn add(&mut self, path: &[u8], id: Oid, mode: i32) {
        let never = IndexTime::new(0, 0);
        self.entries.push(IndexEntry {
            ctime: never,
            mtime: never,
            dev: 0,
            ino: 0,
            mode: mode as u32,
            uid: 0,
            gid: 0,
            file_size: 0,
            id,
            flags: 0,
            flags_extended: 0,
            path: path.to_vec(),
        });
    }
}

/// A second handle on the repository, whose files and index are made up: writing out then follows
/// the `.gitattributes` of the revision, and nothing of the user's is read or written.
struct Scene {
    repository: Repository,
    index: Index,
}

impl Scene {
    fn new(real: &Repository, entries: &[IndexEntry]) -> Result<Self, git2::Error> {
        let repository = Repository::open(real.path())?;
        let mut index = Index::new()?;
        for entry in entries {
            index.add(entry)?;
        }
        Ok(Self { repository, index })
    }

    fn write(mut self, kernel: &[PathBuf], dir: &Path) -> Result<(), Error> {
        if dir.is_dir() {
            // Held against the commit, and put right where somebody changed it.
            return self.check_out(dir, kernel);
        }
        let doing = || format!("writing `{}`", dir.display());
        let parent = dir.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(Error::failed(doing()))?;
        let scratch = tempfile::Builder::new().prefix(".new-").tempdir_in(parent);
        let scratch = scratch.map_err(Error::failed(doing()))?;
        let made = scratch.path().join("files");
        fs::create_dir(&made).map_err(Error::failed(doing()))?;
        self.check_out(&made, kernel)?;
        match fs::rename(&made, dir) {
            Err(_) if dir.is_dir() => self.check_out(dir, kernel),
            done => done.map_err(Error::failed(doing())),
        }
    }

    fn check_out(&mut self, dir: &Path, kernel: &[PathBuf]) -> Result<(), Error> {
        let doing = || Error::failed(format!("writing `{}`", dir.display()));
        self.repository.set_workdir(dir, false).map_err(doing())?;
        self.repository.set_index(&mut self.index).map_err(doing())?;
        for path in kernel {
            self.refuse_filter(path)?;
        }
        let mut options = CheckoutBuilder::new();
        options.force().update_index(false).remove_untracked(true).remove_ignored(true);
        options.disable_pathspec_match(true);
        let altered = self.altered().map_err(doing())?;
        if altered.is_empty() {
            return Ok(());
        }
        for path in altered {
            options.path(path);
        }
        self.repository.checkout_index(Some(&mut self.index), Some(&mut options)).map_err(doing())
    }

    /// Files that are missing, too many, or other than in the commit.
    fn altered(&self) -> Result<Vec<PathBuf>, git2::Error> {
        let mut options = DiffOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true);
        options.include_ignored(true).recurse_ignored_dirs(true).update_index(false);
        let diff = self.repository.diff_index_to_workdir(Some(&self.index), Some(&mut options))?;
        Ok(diff.deltas().filter_map(|d| d.old_file().path().map(Path::to_owned)).collect())
    }

    /// Only git's own program runs filter drivers.
    fn refuse_filter(&self, path: &Path) -> Result<(), Error> {
        let flags = AttrCheckFlags::INDEX_ONLY;
        let value = self.repository.get_attr_bytes(path, "filter", flags);
        let value = value.map_err(Error::failed("reading .gitattributes"))?;
        match AttrValue::from_bytes(value) {
            AttrValue::String(filter) => {
                Err(Error::Filtered { path: path.to_owned(), filter: filter.to_owned() })
            }
            _ => Ok(()),
        }
    }
}
