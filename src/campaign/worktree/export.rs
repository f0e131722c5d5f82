//! Kernels as they were at some revision, written out beside the state.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{
    AttrCheckFlags, AttrValue, DiffOptions, ErrorCode, Index, IndexEntry, IndexTime, ObjectType,
    Oid, Repository, Tree, TreeWalkMode, TreeWalkResult,
};

use super::headers;
use super::name::{find, watch};
use crate::digest::Digest;

/// How much of a repository one revision may bring.
const MAX_BYTES: u64 = 64 << 20;
/// And how many files.
const MAX_FILES: usize = 20_000;

/// What is to be had of a revision; all paths are absolute.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The kernel's files.
    pub files: &'a [PathBuf],
    /// Where the compiler looks for headers.
    pub include_dirs: &'a [PathBuf],
}

/// Files of a revision, on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The commit that the revision names, in full.
    pub commit: String,
    /// Stands for the repository's folder: the files lie below it as they lie there.
    pub dir: PathBuf,
    /// The kernel files, in the order in which they were named.
    pub files: Vec<PathBuf>,
    /// Files whose change, or coming into being, means that the revision may name another commit.
    pub watch: Vec<PathBuf>,
}

/// Writes the folders of the kernel's files, the include folders, and what the kernel includes from
/// elsewhere in the repository, as they are at `revision`, below `state`: with line ends as a
/// checkout would make them, wholly or not at all. What is there already is used.
///
/// # Errors
/// Says why the revision or the files cannot be had.
pub fn export(
    root: &Path,
    state: &Path,
    revision: &str,
    wanted: Wanted<'_>,
) -> Result<Exported, String> {
    let repository = open(root)?;
    let work = repository.workdir().and_then(|w| w.canonicalize().ok());
    let work = work.ok_or("a bare repository has no files to compare with")?;
    let commit = find(&repository, revision).map_err(|why| why.to_string())?;
    let id = commit.id().to_string();
    let tree = commit.tree().map_err(|e| format!("reading the tree of `{revision}`: {e}"))?;
    let mut paths = Vec::new();
    for file in wanted.files {
        let path = below(&work, file)?;
        vet(&tree, &path, revision)?;
        paths.push(path);
    }
    // What lies outside of the repository, or was not there yet, has no other state.
    let is_folder = |path: &PathBuf| {
        path.as_os_str().is_empty()
            || tree.get_path(path).is_ok_and(|e| e.kind() == Some(ObjectType::Tree))
    };
    let included: Vec<PathBuf> =
        wanted.include_dirs.iter().filter_map(|dir| inside(&work, dir)).filter(is_folder).collect();
    let own = paths.iter().map(|p| p.parent().unwrap_or(Path::new("")).to_owned());
    let folders = outermost(own.chain(included.iter().cloned()).collect());
    let mut parts = folders.clone();
    let headers = headers::included(&repository, &tree, &paths, &included);
    let elsewhere = |header: &PathBuf| !folders.iter().any(|folder| header.starts_with(folder));
    parts.extend(headers.into_iter().filter(elsewhere));
    let dir = state.join("revisions").join(&id).join(tag(&parts));
    let entries = gather(&repository, &tree, &parts)?;
    let scene = Scene::new(&repository, &entries);
    let mut scene = scene.map_err(|e| format!("reading `{revision}`: {e}"))?;
    scene
        .write(&dir, &paths)
        .map_err(|e| format!("writing `{revision}` to `{}`: {e}", dir.display()))?;
    let watch = watch(&repository, revision);
    let files = paths.iter().map(|path| dir.join(path)).collect();
    Ok(Exported { commit: id, dir, files, watch })
}

fn open(root: &Path) -> Result<Repository, String> {
    Repository::discover(root).map_err(|error| match error.code() {
        ErrorCode::NotFound => format!(
            "`{}` lies in no git repository, so it has no revisions: name a file instead",
            root.display()
        ),
        _ => format!("opening the git repository around `{}`: {}", root.display(), error.message()),
    })
}

/// Where the file lies, or would lie, below the repository's folder.
fn below(work: &Path, file: &Path) -> Result<PathBuf, String> {
    let outside =
        || format!("`{}` lies outside the repository `{}`", file.display(), work.display());
    // The folder may be gone by now; what is left of the way to it has no links to follow.
    let existing = file.ancestors().skip(1).find(|folder| folder.is_dir()).ok_or_else(outside)?;
    let rest = file.strip_prefix(existing).map_err(|_| outside())?;
    let folder = existing.canonicalize().map_err(|e| format!("`{}`: {e}", existing.display()))?;
    folder.join(rest).strip_prefix(work).map(Path::to_owned).map_err(|_| outside())
}

/// Where a folder lies below the repository's, if it does.
fn inside(work: &Path, dir: &Path) -> Option<PathBuf> {
    // A name in it, for a folder that may be gone: links on the way to it are followed.
    below(work, &dir.join("x")).ok()?.parent().map(Path::to_owned)
}

/// The kernel must be a plain file there.
fn vet(tree: &Tree<'_>, path: &Path, revision: &str) -> Result<(), String> {
    let gone = || {
        let near = same_name(tree, path).map(|other| format!("; `{other}` is there"));
        format!("`{}` does not exist at `{revision}`{}", path.display(), near.unwrap_or_default())
    };
    let entry = tree.get_path(path).map_err(|_| gone())?;
    match entry.filemode() as u32 {
        0o100_644 | 0o100_755 | 0o100_664 => Ok(()),
        _ => Err(format!("`{}` is not a plain file at `{revision}`", path.display())),
    }
}

/// A file of this name elsewhere, for one that was moved.
fn same_name(tree: &Tree<'_>, path: &Path) -> Option<String> {
    let wanted = path.file_name()?.as_bytes();
    let mut found = None;
    // An end of the walk before its end is reported as an error, and is none.
    let _walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.name_bytes() == wanted && entry.kind() == Some(ObjectType::Blob) {
            found = Some(format!("{folder}{}", String::from_utf8_lossy(wanted)));
            return TreeWalkResult::Abort;
        }
        TreeWalkResult::Ok
    });
    found
}

/// Folders of which none lies inside another.
fn outermost(mut folders: Vec<PathBuf>) -> Vec<PathBuf> {
    folders.sort();
    folders.dedup();
    let all = folders.clone();
    folders.retain(|folder| !all.iter().any(|other| other != folder && folder.starts_with(other)));
    folders
}

/// A name for a set of folders and files.
fn tag(parts: &[PathBuf]) -> String {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(part.as_os_str().as_bytes());
        text.push(0);
    }
    Digest::of(&text).short()
}

/// The files of `parts`, which are folders and files, and every `.gitattributes` above them, as
/// entries of an index.
fn gather(
    repository: &Repository,
    tree: &Tree<'_>,
    parts: &[PathBuf],
) -> Result<Vec<IndexEntry>, String> {
    let odb = repository.odb().map_err(|e| format!("reading git's objects: {e}"))?;
    let mut gathered = Gathered { odb, entries: Vec::new(), bytes: 0, too_much: None };
    for part in parts {
        for above in part.ancestors().skip(1) {
            let path = above.join(".gitattributes");
            if let Ok(entry) = tree.get_path(&path) {
                gathered.add(path.as_os_str().as_bytes().to_vec(), entry.id(), entry.filemode());
            }
        }
        gathered.part(repository, tree, part)?;
    }
    gathered.entries.sort_by(|a, b| a.path.cmp(&b.path));
    gathered.entries.dedup_by(|a, b| a.path == b.path);
    Ok(gathered.entries)
}

struct Gathered<'r> {
    odb: git2::Odb<'r>,
    entries: Vec<IndexEntry>,
    bytes: u64,
    too_much: Option<String>,
}

impl Gathered<'_> {
    /// A file, or all that a folder holds.
    fn part(
        &mut self,
        repository: &Repository,
        tree: &Tree<'_>,
        part: &Path,
    ) -> Result<(), String> {
        let reading = |e: git2::Error| format!("reading `{}`: {e}", part.display());
        let inside = if part.as_os_str().is_empty() {
            tree.clone()
        } else {
            let entry = tree.get_path(part).map_err(reading)?;
            if entry.kind() == Some(ObjectType::Blob) {
                self.add(part.as_os_str().as_bytes().to_vec(), entry.id(), entry.filemode());
                return Ok(());
            }
            entry.to_object(repository).and_then(|o| o.peel_to_tree()).map_err(reading)?
        };
        let mut start = part.as_os_str().as_bytes().to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        self.walk(&inside, &start).map_err(reading)?;
        match &self.too_much {
            None => Ok(()),
            Some(what) => Err(format!(
                "the folder `{}` is too large to be written out beside the state ({what}): put \
                 the kernel, and its headers, into a folder of its own",
                if start.is_empty() { Path::new(".") } else { part }.display()
            )),
        }
    }

    fn walk(&mut self, tree: &Tree<'_>, start: &[u8]) -> Result<(), git2::Error> {
        let mut odd = None;
        let walked = tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() != Some(ObjectType::Blob) {
                return TreeWalkResult::Ok;
            }
            match self.odb.read_header(entry.id()) {
                Ok((size, _)) => self.bytes += size as u64,
                Err(error) => {
                    odd = Some(error);
                    return TreeWalkResult::Abort;
                }
            }
            self.add(
                [start, folder.as_bytes(), entry.name_bytes()].concat(),
                entry.id(),
                entry.filemode(),
            );
            if self.bytes > MAX_BYTES {
                self.too_much = Some(format!("more than {} MiB", MAX_BYTES >> 20));
            } else if self.entries.len() > MAX_FILES {
                self.too_much = Some(format!("more than {MAX_FILES} files"));
            }
            if self.too_much.is_some() { TreeWalkResult::Abort } else { TreeWalkResult::Ok }
        });
        match (odd, &self.too_much) {
            (Some(error), _) => Err(error),
            (None, Some(_)) => Ok(()),
            (None, None) => walked,
        }
    }

    fn add(&mut self, path: Vec<u8>, id: Oid, mode: i32) {
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
            path,
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

    fn write(&mut self, dir: &Path, paths: &[PathBuf]) -> Result<(), String> {
        if dir.is_dir() {
            // Held against the commit, and put right where somebody changed it.
            return self.check_out(dir, paths);
        }
        let parent = dir.parent().ok_or("there is no folder for it")?;
        let text = |error: io::Error| error.to_string();
        fs::create_dir_all(parent).map_err(text)?;
        let scratch = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).map_err(text)?;
        let made = scratch.path().join("files");
        fs::create_dir(&made).map_err(text)?;
        self.check_out(&made, paths)?;
        match fs::rename(&made, dir) {
            Err(_) if dir.is_dir() => self.check_out(dir, paths),
            done => done.map_err(text),
        }
    }

    fn check_out(&mut self, dir: &Path, paths: &[PathBuf]) -> Result<(), String> {
        let text = |error: git2::Error| error.message().to_owned();
        self.repository.set_workdir(dir, false).map_err(text)?;
        self.repository.set_index(&mut self.index).map_err(text)?;
        for path in paths {
            self.refuse_filter(path)?;
        }
        let mut options = CheckoutBuilder::new();
        options.force().update_index(false).remove_untracked(true).remove_ignored(true);
        options.disable_pathspec_match(true);
        let altered = self.altered().map_err(text)?;
        if altered.is_empty() {
            return Ok(());
        }
        for path in altered {
            options.path(path);
        }
        self.repository.checkout_index(Some(&mut self.index), Some(&mut options)).map_err(text)
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
    fn refuse_filter(&self, path: &Path) -> Result<(), String> {
        let flags = AttrCheckFlags::INDEX_ONLY;
        let value = self.repository.get_attr_bytes(path, "filter", flags);
        let value = value.map_err(|error| error.message().to_owned())?;
        match AttrValue::from_bytes(value) {
            AttrValue::String(name) => Err(format!(
                "`{}` goes through the filter `{name}`, which only `git checkout` runs: check the \
                 revision out with `git worktree add` and name the file there",
                path.display()
            )),
            _ => Ok(()),
        }
    }
}
