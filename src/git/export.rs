//! Kernels as they were at some revision, written out beside the state.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::repository::Repository;
use super::tree::{Kind, Tree};
use super::watch::watch;
use super::{Error, Outside, headers};
use crate::digest::Digest;

/// What is wanted of a revision; all paths are absolute.
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

/// Where revisions come from, and where they go.
#[derive(Debug, Clone, Copy)]
pub struct Export<'a> {
    /// A folder of the repository.
    pub root: &'a Path,
    /// The state's folder.
    pub state: &'a Path,
    /// The `git` program, for a repository that the library refuses.
    pub outside: &'a Outside,
}

impl Export<'_> {
    /// Writes the folders of the kernel's files, the include folders, and what the kernel includes
    /// from elsewhere in the repository, as they are at `revision`, below the state: with line ends
    /// as a checkout would make them, wholly or not at all. What is there already is used.
    ///
    /// # Errors
    /// Why the revision or the files are not available.
    pub fn write(&self, revision: &str, wanted: Wanted<'_>) -> Result<Exported, Error> {
        let repository = Repository::discover(self.root, self.outside)?;
        let bare = || Error::Bare { place: repository.private.clone() };
        let work = repository.work.as_ref().ok_or_else(bare)?;
        let commit = repository.reader.commit(revision)?;
        let tree = repository.reader.tree(&commit)?;
        let tree = &*tree;
        let mut paths = Vec::new();
        for file in wanted.files {
            let path = below(work, file)?;
            vet(tree, &path, revision)?;
            paths.push(path);
        }
        let parts = parts(tree, &paths, &included(tree, work, wanted.include_dirs));
        let dir = self.state.join("revisions").join(&commit).join(tag(&parts));
        tree.write(&parts, &paths, &dir)?;
        let watch = watch(&repository, revision);
        let files = paths.iter().map(|path| dir.join(path)).collect();
        Ok(Exported { commit, dir, files, watch })
    }
}

/// The include folders that the commit has: what lies outside of the repository, or was not there
/// yet, has no other state.
fn included(tree: &dyn Tree, work: &Path, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let is_folder =
        |path: &PathBuf| path.as_os_str().is_empty() || tree.kind(path) == Some(Kind::Folder);
    dirs.iter().filter_map(|dir| inside(work, dir)).filter(is_folder).collect()
}

/// The folders of the kernel and of includes, and headers from elsewhere.
fn parts(tree: &dyn Tree, paths: &[PathBuf], included: &[PathBuf]) -> Vec<PathBuf> {
    let own = paths.iter().map(|p| p.parent().unwrap_or(Path::new("")).to_owned());
    let mut parts = outermost(own.chain(included.iter().cloned()).collect());
    let headers = headers::included(tree, paths, included);
    let elsewhere = |header: &PathBuf| !parts.iter().any(|folder| header.starts_with(folder));
    let elsewhere: Vec<PathBuf> = headers.into_iter().filter(elsewhere).collect();
    parts.extend(elsewhere);
    parts
}

/// Where the file lies, or would lie, below the repository's folder.
fn below(work: &Path, file: &Path) -> Result<PathBuf, Error> {
    let outside = || Error::Outside { path: file.to_owned(), work: work.to_owned() };
    // The folder may be gone by now; what is left of the way to it has no links to follow.
    let existing = file.ancestors().skip(1).find(|folder| folder.is_dir()).ok_or_else(outside)?;
    let rest = file.strip_prefix(existing).map_err(|_| outside())?;
    let doing = || format!("finding `{}`", existing.display());
    let folder = existing.canonicalize().map_err(Error::failed(doing()))?;
    folder.join(rest).strip_prefix(work).map(Path::to_owned).map_err(|_| outside())
}

/// Where a folder lies below the repository's, if it does.
fn inside(work: &Path, dir: &Path) -> Option<PathBuf> {
    // A name in it, for a folder that may be gone: links on the way to it are followed.
    below(work, &dir.join("x")).ok()?.parent().map(Path::to_owned)
}

/// The kernel must be a plain file there.
fn vet(tree: &dyn Tree, path: &Path, revision: &str) -> Result<(), Error> {
    let (path, revision) = (path.to_owned(), revision.to_owned());
    match tree.kind(&path) {
        Some(Kind::File) => Ok(()),
        Some(_) => Err(Error::NotPlain { path, revision }),
        None => {
            // One that was moved.
            let near = path.file_name().and_then(|name| tree.named(name.as_bytes()));
            Err(Error::NotThere { path, revision, near })
        }
    }
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
