//! The `.git` folder of a tree that optloop makes: history and references of its own repository,
//! without a remote, and an index that knows the tree's files.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use git2::{Index, IndexEntry, IndexTime};

use super::Error;
use super::private::Private;
use crate::tree::{Copied, Swap};

/// The branch of a tree where the user's has no name.
const BRANCH: &str = "optloop";
/// Files are what commits say, byte by byte.
const ATTRIBUTES: &str = "* -text -eol -ident -filter -working-tree-encoding\n";
/// With a name for commits that the agent makes: its own home may have none.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\
                      [user]\n\tname = agent\n\temail = agent@localhost\n";

/// What a tree's `.git` is to say.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The commit of HEAD.
    pub head: &'a str,
    /// Paths that git is to ignore there.
    pub ignored: &'a [String],
    /// Where the files are written that only this tree has.
    pub template: &'a Path,
}

impl Private {
    /// Names the branch that trees have; a repository without history keeps one of its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_head(&self, branch: Option<&str>) -> Result<(), Error> {
        let name = format!("refs/heads/{}", branch.unwrap_or(BRANCH));
        self.repository.set_head(&name).map_err(self.failed("naming the branch of"))
    }

    /// Makes a reference stand for a commit.
    ///
    /// # Errors
    /// When the commit is not there or the reference cannot be written.
    pub fn set_reference(&self, name: &str, commit: &str) -> Result<(), Error> {
        let commit = self.found(commit)?;
        let set = self.repository.reference(name, commit.id(), true, "optloop");
        set.map(drop).map_err(self.failed("writing a reference of"))
    }

    /// Removes every reference but branches, which are optloop's own.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_references(&self) -> Result<(), Error> {
        let doing = "removing references of";
        let found = self.repository.references().map_err(self.failed(doing))?;
        for mut reference in found.flatten().filter(|reference| !reference.is_branch()) {
            reference.delete().map_err(self.failed(doing))?;
        }
        Ok(())
    }

    /// The commit that a reference stands for, or leads to.
    pub fn reference(&self, name: &str) -> Option<String> {
        let found = self.repository.find_reference(name).ok()?;
        found.peel_to_commit().ok().map(|commit| commit.id().to_string())
    }

    /// The files of a tree's `.git`, but for its index, as they are to lie there.
    ///
    /// # Errors
    /// When the repository cannot be read, or the template cannot be written.
    pub fn own(&self, wanted: Wanted<'_>) -> Result<Vec<Swap>, Error> {
        let head = self.repository.find_reference("HEAD").map_err(self.failed("reading"))?;
        let branch = head.symbolic_target().ok().flatten().unwrap_or("refs/heads/optloop");
        let mut packed = String::new();
        for glob in ["refs/remotes/*", "refs/tags/*"] {
            let found = self.repository.references_glob(glob).map_err(self.failed("reading"))?;
            for reference in found.flatten() {
                if let (Ok(name), Some(id)) = (reference.name(), reference.target()) {
                    packed.push_str(&format!("{id} {name}\n"));
                }
            }
        }
        let ignored: Vec<String> =
            wanted.ignored.iter().map(|path| format!("/{}\n", escaped(path))).collect();
        let texts = [
            ("HEAD", format!("ref: {branch}\n")),
            ("config", CONFIG.to_owned()),
            ("packed-refs", packed),
            ("info/attributes", ATTRIBUTES.to_owned()),
            ("info/exclude", ignored.concat()),
            (branch, format!("{}\n", wanted.head)),
        ];
        let mut files = Vec::new();
        for (name, text) in texts {
            let place = wanted.template.join(name);
            let written = write(&place, text.as_bytes());
            written.map_err(Error::failed(format!("writing `{}`", place.display())))?;
            files.push(Swap { name: name.into(), from: place });
        }
        files.extend(self.objects());
        Ok(files)
    }

    fn objects(&self) -> Vec<Swap> {
        let all = walkdir::WalkDir::new(self.folder.join("objects")).into_iter().flatten();
        // What is being written has no name yet.
        let is_whole = |entry: &walkdir::DirEntry| {
            entry.file_type().is_file() && !entry.file_name().to_string_lossy().contains("tmp")
        };
        let swap = |entry: walkdir::DirEntry| {
            let name = entry.path().strip_prefix(&self.folder).ok()?.to_owned();
            Some(Swap { name, from: entry.into_path() })
        };
        all.filter(is_whole).filter_map(swap).collect()
    }

    /// Writes an index of a commit's files to `to`. Those in `copies` are as they lie in their tree
    /// at `place`, so that git need not read them.
    ///
    /// # Errors
    /// When the commit is not there or the index cannot be written.
    pub fn write_index<'c>(
        &self,
        commit: &str,
        copies: impl Iterator<Item = Copied<'c>>,
        to: &Path,
    ) -> Result<(), Error> {
        let doing = || self.failed("writing an index of");
        let owner = fs::metadata(&self.folder).map(|found| (found.uid(), found.gid()));
        let (uid, gid) = owner.unwrap_or_default();
        let known: HashMap<&[u8], Copied<'_>> =
            copies.map(|copy| (copy.name.as_os_str().as_bytes(), copy)).collect();
        let beside = to.with_extension("new");
        // A driver that was killed can have left libgit2's lock, too.
        for left in [beside.clone(), to.with_extension("new.lock")] {
            remove(&left).map_err(Error::failed(format!("removing `{}`", left.display())))?;
        }
        let mut index = Index::open(&beside).map_err(doing())?;
        for entry in self.entries(commit)? {
            let path = entry.path.as_os_str().as_bytes();
            let stat = known.get(path).map(|copy| copy.stat).unwrap_or_default();
            let entry = IndexEntry {
                ctime: time(stat.ctime_ns),
                mtime: time(stat.mtime_ns),
                dev: 0,
                ino: stat.ino as u32,
                mode: entry.mode as u32,
                uid,
                gid,
                file_size: stat.size as u32,
                id: entry.id,
                flags: 0,
                flags_extended: 0,
                path: path.to_vec(),
            };
            index.add(&entry).map_err(doing())?;
        }
        index.write().map_err(doing())?;
        fs::rename(&beside, to).map_err(Error::failed(format!("writing `{}`", to.display())))
    }
}

fn time(ns: i64) -> IndexTime {
    let second = 1_000_000_000;
    IndexTime::new(ns.div_euclid(second) as i32, ns.rem_euclid(second) as u32)
}

/// A path as a line of an ignore file.
fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Writes a file unless it is there already.
fn write(place: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(place).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::create_dir_all(place.parent().unwrap_or(place))?;
    let beside = place.with_extension("new");
    fs::write(&beside, bytes)?;
    fs::rename(beside, place)
}

fn remove(path: &PathBuf) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
