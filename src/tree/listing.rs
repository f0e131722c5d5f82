//! Which files belong to a project.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder, WalkState};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::times;
use crate::paths::plain;

/// Folders that are nobody's sources: a repository's own, and what this program keeps.
const OWN: [&str; 2] = [".git", ".optloop"];

/// Stat fields under which a file's content is what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u32,
    /// Inode.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time, ns since the epoch.
    pub mtime_ns: i64,
    /// Change time, ns since the epoch.
    pub ctime_ns: i64,
}

impl Stat {
    /// The fields of a file.
    pub fn of(found: &fs::Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| seconds.saturating_mul(1_000_000_000).saturating_add(ns);
        Self {
            mode: found.mode(),
            ino: found.ino(),
            size: found.size(),
            mtime_ns: ns(found.mtime(), found.mtime_nsec()),
            ctime_ns: ns(found.ctime(), found.ctime_nsec()),
        }
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|found| Self::of(&found))
    }

    fn kind(self) -> rustix::fs::FileType {
        rustix::fs::FileType::from_raw_mode(self.mode)
    }

    pub(super) fn is_link(self) -> bool {
        self.kind() == rustix::fs::FileType::Symlink
    }

    pub(super) fn is_file(self) -> bool {
        self.kind() == rustix::fs::FileType::RegularFile
    }

    fn is_folder(self) -> bool {
        self.kind() == rustix::fs::FileType::Directory
    }

    /// Neither sockets nor devices.
    fn is_copied(self) -> bool {
        self.is_file() || self.is_link() || self.is_folder()
    }
}

/// A file, link or folder of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its path below the root.
    pub name: PathBuf,
    /// Where its bytes come from.
    pub from: PathBuf,
    /// As it was when the project was listed.
    pub stat: Stat,
    /// The permission bits that its copy gets.
    pub mode: u32,
    /// Its bytes come from elsewhere than its own place.
    pub replaced: bool,
}

/// A file of the project that gets the bytes of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Its path below the root.
    pub name: PathBuf,
    /// The other file.
    pub from: PathBuf,
}

/// What a tree is to hold, sorted by the bytes of the names: folders before what lies in them.
#[derive(Debug, Clone)]
pub struct Listing {
    pub(super) root: PathBuf,
    items: Vec<Item>,
    /// The clock by which files get their times, before the first one was looked at.
    pub(super) seen_ns: i64,
}

impl Listing {
    /// The files of the project at `root`: all but repositories, `.optloop` and what `.gitignore`
    /// and its kin name. What `extra` names, a file or a folder with everything in it, is taken all
    /// the same.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn of(root: &Path, extra: &[PathBuf]) -> io::Result<Self> {
        let seen_ns = times::clock_ns();
        let mut items = walk(root)?;
        for name in extra {
            add(root, &plain(name), &mut items)?;
        }
        items.sort_unstable_by(|a, b| by_bytes(&a.name, &b.name));
        items.dedup_by(|a, b| a.name.as_os_str() == b.name.as_os_str());
        Ok(Self { root: root.to_owned(), items, seen_ns })
    }

    /// Exactly these files, whatever lies beside them; `root` is where links may lead.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn exactly(root: &Path, files: &[Swap]) -> io::Result<Self> {
        let seen_ns = times::clock_ns();
        let item = |file: &Swap| {
            let stat = Stat::at(&file.from).map_err(|e| {
                io::Error::new(e.kind(), format!("cannot read {}: {e}", file.from.display()))
            })?;
            let (name, from) = (file.name.clone(), file.from.clone());
            Ok(Item { name, from, mode: stat.mode, stat, replaced: false })
        };
        let items: io::Result<Vec<Item>> = files.par_iter().map(item).collect();
        let mut items = items?;
        let folders: BTreeSet<&Path> = files
            .iter()
            .flat_map(|file| file.name.ancestors().skip(1))
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect();
        items.extend(folders.into_iter().map(|name| Item { name: name.into(), ..Item::folder() }));
        items.sort_unstable_by(|a, b| by_bytes(&a.name, &b.name));
        items.dedup_by(|a, b| a.name.as_os_str() == b.name.as_os_str());
        Ok(Self { root: root.to_owned(), items, seen_ns })
    }

    /// The same with the bytes of other files in some places.
    ///
    /// # Errors
    /// When one of the others is not there.
    pub fn with(&self, swaps: &[Swap]) -> io::Result<Self> {
        let mut listing = self.clone();
        for swap in swaps {
            let stat = fs::metadata(&swap.from).map(|found| Stat::of(&found)).map_err(|e| {
                io::Error::new(e.kind(), format!("cannot read {}: {e}", swap.from.display()))
            })?;
            let name = plain(&swap.name);
            let folders = name.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty());
            for folder in folders {
                listing.put(Item { name: folder.to_owned(), ..Item::folder() });
            }
            let place = listing.find(&name).ok().map(|at| listing.items[at].mode);
            let mode = place.unwrap_or(stat.mode);
            let from = swap.from.clone();
            listing.put(Item { name, from, stat, mode, replaced: true });
        }
        Ok(listing)
    }

    /// The same with files and folders of another root, read-only: those that are there already stay
    /// as they are.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn carrying(mut self, root: &Path, names: &[PathBuf]) -> io::Result<Self> {
        let mut carried = Vec::new();
        for name in names {
            add(root, &plain(name), &mut carried)?;
        }
        // What is another repository's would be written to by commands of git.
        carried.retain(|item| item.name.iter().all(|part| part != ".git"));
        for item in &mut carried {
            item.mode &= !0o222;
        }
        self.items.extend(carried);
        self.items.sort_by(|a, b| by_bytes(&a.name, &b.name));
        self.items.dedup_by(|a, b| a.name.as_os_str() == b.name.as_os_str());
        Ok(self)
    }

    /// The same without the files of these names.
    #[must_use]
    pub fn without(mut self, names: &[PathBuf]) -> Self {
        self.items.retain(|item| item.stat.is_folder() || !names.contains(&item.name));
        self
    }

    /// How many files it has.
    pub fn len(&self) -> usize {
        self.files().count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of its files and links.
    pub fn names(&self) -> impl Iterator<Item = &Path> {
        self.files().map(|item| item.name.as_path())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !item.stat.is_folder())
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        let folders = self.items.iter().filter(|item| item.stat.is_folder());
        folders.map(|item| item.name.as_path())
    }

    pub(super) fn has_folder(&self, name: &Path) -> bool {
        self.find(name).is_ok_and(|at| self.items[at].stat.is_folder())
    }

    fn find(&self, name: &Path) -> Result<usize, usize> {
        self.items.binary_search_by(|item| by_bytes(&item.name, name))
    }

    /// Puts an item in its place; a folder only where there is none yet.
    fn put(&mut self, item: Item) {
        match self.find(&item.name) {
            Ok(at) if item.stat.is_folder() && self.items[at].stat.is_folder() => {}
            Ok(at) => self.items[at] = item,
            Err(at) => self.items.insert(at, item),
        }
    }
}

/// A folder's name begins the names in it, and so comes before them. Paths compared part by part
/// would take several times as long.
fn by_bytes(one: &Path, other: &Path) -> Ordering {
    one.as_os_str().cmp(other.as_os_str())
}

impl Item {
    fn at(root: &Path, name: &Path) -> io::Result<Self> {
        let from = root.join(name);
        let stat = Stat::at(&from)?;
        Ok(Self { name: name.to_owned(), from, stat, mode: stat.mode, replaced: false })
    }

    /// A folder that the project does not have.
    fn folder() -> Self {
        let mode = rustix::fs::FileType::Directory.as_raw_mode() | 0o755;
        let stat = Stat { mode, ..Stat::default() };
        Self { name: PathBuf::new(), from: PathBuf::new(), stat, mode, replaced: true }
    }
}

/// Everything that no `.gitignore` names.
fn walk(root: &Path) -> io::Result<Vec<Item>> {
    let items = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    // A copy is no part of the project that it lies in, and git may ignore it there as a whole. One
    // that is judged links to its state.
    let is_copy = root.iter().any(|part| part == ".optloop") || root.join(".optloop").is_symlink();
    let walker = WalkBuilder::new(root)
        .parents(!is_copy)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .filter_entry(|entry| !OWN.iter().any(|own| entry.file_name() == *own))
        .threads(std::thread::available_parallelism().map_or(1, usize::from))
        .build_parallel();
    walker.run(|| {
        Box::new(|entry| match entry.map_err(trouble).and_then(|entry| looked_at(root, &entry)) {
            Ok(item) => {
                let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
                items.extend(item.filter(|item| item.stat.is_copied()));
                WalkState::Continue
            }
            // Files come and go, and what cannot be read here cannot be read by a command.
            Err(e) if is_passing(&e) => WalkState::Continue,
            Err(e) => {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                WalkState::Quit
            }
        })
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(e) => Err(e),
        None => Ok(items.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn is_passing(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

fn trouble(e: ignore::Error) -> io::Error {
    let text = e.to_string();
    e.into_io_error().unwrap_or_else(|| io::Error::other(text))
}

fn looked_at(root: &Path, entry: &DirEntry) -> io::Result<Option<Item>> {
    match entry.path().strip_prefix(root) {
        Ok(name) if !name.as_os_str().is_empty() => Item::at(root, name).map(Some),
        _ => Ok(None),
    }
}

/// Adds a file, or a folder with everything in it, and the folders above. A link on the way leads
/// to it as it does in the project.
fn add(root: &Path, name: &Path, items: &mut Vec<Item>) -> io::Result<()> {
    let mut above: Vec<&Path> = name.ancestors().skip(1).collect();
    above.pop();
    for folder in above.into_iter().rev() {
        let item = Item::at(root, folder)?;
        let is_link = item.stat.is_link();
        items.push(item);
        if is_link {
            return Ok(());
        }
    }
    let all = walkdir::WalkDir::new(root.join(name)).follow_root_links(false).into_iter();
    for entry in all.filter_entry(|entry| entry.file_name() != ".optloop") {
        let entry = entry.map_err(io::Error::from)?;
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let item = Item::at(root, below)?;
        items.extend(Some(item).filter(|item| item.stat.is_copied()));
    }
    Ok(())
}
