//! Copies of a project in which commands run, so that two versions of a kernel can lie at the same
//! path at the same time.
//!
//! - [`Listing`]: which files belong to a project, with their stat fields;
//! - [`Tree`]: one copy of them, brought up to date by difference;
//! - [`home`]: where the copies lie.
//!
//! Nothing is hard-linked: a write in place or a chmod would reach the other name. Files are
//! reflinked where the file system can, else copied. A copy whose stat fields are those that the
//! last update left is trusted; one that a command changed is made anew. A copy that changes gets a
//! modification time later than that of every file in its tree, so that make and ninja rebuild what
//! depends on it. What commands write beside the copies stays, so that builds stay warm.
//!
//! Not for: running anything, or deciding which side a tree belongs to.

mod copy;
mod held;
pub mod home;
mod listing;
#[cfg(test)]
mod tests;
mod times;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use held::Held;
pub use listing::{Item, Listing, Stat, Swap};
pub use times::tick;

/// The variable that keeps git from looking for a repository above the folders that it names.
pub const CEILING: &str = "GIT_CEILING_DIRECTORIES";

/// A copy of a project.
#[derive(Debug)]
pub struct Tree {
    place: PathBuf,
    /// The file that says what the last update left in it.
    list: PathBuf,
    held: Vec<Held>,
    git: Git,
}

/// Who makes the tree's own repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Git {
    /// The tree: an empty one, so that the user's is not found.
    Empty,
    /// The caller.
    Apart,
}

/// A copy as the last update left it.
#[derive(Debug, Clone, Copy)]
pub struct Copied<'a> {
    /// Its path below the tree.
    pub name: &'a Path,
    /// Its stat fields.
    pub stat: Stat,
}

fn bytes(name: &Path) -> &[u8] {
    name.as_os_str().as_bytes()
}

/// How a copy is.
enum Looked {
    /// What it should be.
    Good(Held),
    /// A command changed it; the modification time that it had.
    Touched(i64),
    /// Not there, or of a file that has changed.
    Stale,
}

/// What an update did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files and links that were written.
    pub copied: usize,
    /// Files and links that belong to the project no longer.
    pub removed: usize,
}

impl Tree {
    /// The tree at `place`, of which the file `list` says what is in it. One without a list begins
    /// empty.
    ///
    /// # Errors
    /// When what lies there without a list cannot be removed.
    pub fn open(place: PathBuf, list: PathBuf) -> io::Result<Self> {
        let held = held::read(&list);
        if held.is_empty() {
            copy::remove(&place)?;
        }
        Ok(Self { place, list, held, git: Git::Empty })
    }

    /// The same, whose `.git` is the caller's: it is neither made nor cleaned.
    #[must_use]
    pub fn without_repository(self) -> Self {
        Self { git: Git::Apart, ..self }
    }

    /// All copies as the last update left them.
    pub fn copies(&self) -> impl Iterator<Item = Copied<'_>> {
        self.held.iter().map(|held| Copied { name: held.name(), stat: held.copied() })
    }

    /// Where it lies.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Whether nothing was ever put into it.
    pub fn is_new(&self) -> bool {
        self.held.is_empty()
    }

    /// Makes every file what `wanted` says. Files that commands wrote and that do not belong to the
    /// project stay.
    ///
    /// # Errors
    /// When a file cannot be read or written, or when `stop` says so; the next update makes up for
    /// what is missing.
    pub fn update(
        &mut self,
        wanted: &Listing,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<Changes> {
        let removed = self.remove_others(wanted)?;
        self.folders(wanted)?;
        let (kernel, project): (Vec<&Item>, Vec<&Item>) =
            wanted.files().partition(|item| item.replaced);
        let (mut held, written, restored) = self.bring(&project, wanted, stop)?;
        // What is written may be an output that the user built of another version of the kernel:
        // the kernel is newer than that, too.
        let looked = self.look(&kernel, wanted);
        let all_good = looked.iter().all(|looked| matches!(looked, Looked::Good(_)));
        let stamp_ns = if all_good && written == 0 { 0 } else { self.later_than_all() };
        let mut copied = written + restored;
        for (item, looked) in kernel.into_iter().zip(looked) {
            held.push(match looked {
                Looked::Good(known) if written == 0 => known,
                Looked::Good(_) => {
                    let place = self.place.join(&item.name);
                    times::touch(&place, stamp_ns)?;
                    Held::new(item, &place, wanted.seen_ns)?
                }
                Looked::Touched(_) | Looked::Stale => {
                    copied += 1;
                    self.write(item, stamp_ns, wanted)?
                }
            });
        }
        if held != self.held {
            held::write(&self.list, &held)?;
            self.held = held;
        }
        Ok(Changes { copied, removed })
    }

    /// Brings the project's own files up to date: what is held of them then, how many were written
    /// because they changed, and how many because a command had changed the copy.
    fn bring(
        &self,
        items: &[&Item],
        wanted: &Listing,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<(Vec<Held>, usize, usize)> {
        let looked = self.look(items, wanted);
        let count = |is: fn(&Looked) -> bool| looked.iter().filter(|looked| is(looked)).count();
        let written = count(|looked| matches!(looked, Looked::Stale));
        let restored = count(|looked| matches!(looked, Looked::Touched(_)));
        // A new tree has no outputs that could be newer: there the project's times hold.
        let later = written > 0 && !self.held.is_empty();
        let stamp_ns = later.then(|| self.later_than_all());
        let pairs: Vec<(&Item, Looked)> = items.iter().copied().zip(looked).collect();
        let held: io::Result<Vec<Held>> = pairs
            .into_par_iter()
            .map(|(item, looked)| match looked {
                Looked::Good(held) => Ok(held),
                _ if stop() => Err(io::ErrorKind::Interrupted.into()),
                // What a command changed may be an output of its own that also lies in the project.
                // With the old time it is older than what it is made from, and is made anew.
                Looked::Touched(mtime_ns) => self.write(item, mtime_ns, wanted),
                Looked::Stale => self.write(item, stamp_ns.unwrap_or(item.stat.mtime_ns), wanted),
            })
            .collect();
        Ok((held?, written, restored))
    }

    /// Removes what commands wrote, so that the next one builds everything anew.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clean(&mut self) -> io::Result<()> {
        let held: HashSet<&[u8]> = self.held.iter().map(Held::bytes).collect();
        let git = self.place.join(".git");
        let is_cleaned = |path: &Path| self.git == Git::Empty || !path.starts_with(&git);
        for entry in walkdir::WalkDir::new(&self.place).min_depth(1).contents_first(true) {
            let Ok(entry) = entry else { continue };
            if !is_cleaned(entry.path()) {
                continue;
            }
            let name = entry.path().strip_prefix(&self.place).unwrap_or(Path::new(""));
            if entry.file_type().is_dir() {
                // One that is not empty stays, and the next update makes those that are missing.
                drop(fs::remove_dir(entry.path()));
            } else if !held.contains(bytes(name)) {
                copy::remove(entry.path())?;
            }
        }
        Ok(())
    }

    /// Folders of the project are folders here, not links that lead out of the tree.
    fn folders(&self, wanted: &Listing) -> io::Result<()> {
        let all = std::iter::once(Path::new("")).chain(wanted.folders());
        for name in all {
            let place = self.place.join(name);
            match fs::symlink_metadata(&place) {
                Ok(there) if there.is_dir() => continue,
                Ok(_) => fs::remove_file(&place)?,
                Err(_) => {}
            }
            fs::create_dir_all(&place)?;
        }
        if self.git == Git::Empty { copy::bound(&self.place) } else { Ok(()) }
    }

    /// How the copy of each file is.
    fn look(&self, items: &[&Item], wanted: &Listing) -> Vec<Looked> {
        let known: HashMap<&[u8], &Held> =
            self.held.iter().map(|held| (held.bytes(), held)).collect();
        let one = |item: &&Item| {
            let Some(held) = known.get(bytes(&item.name)) else { return Looked::Stale };
            let place = self.place.join(&item.name);
            if !held.is_untouched(&place) {
                return if held.is_source(item) {
                    Looked::Touched(held.mtime_ns())
                } else {
                    Looked::Stale
                };
            }
            let leads = || copy::target(item, &wanted.root, &self.place);
            let is_same = || {
                if item.stat.is_link() {
                    leads().is_ok_and(|to| fs::read_link(&place).is_ok_and(|there| there == to))
                } else {
                    held.has_content_of(item, &place)
                }
            };
            if held.is_source(item) || is_same() {
                Looked::Good(held.seen_again(item, wanted.seen_ns))
            } else {
                Looked::Stale
            }
        };
        items.par_iter().map(one).collect()
    }

    fn write(&self, item: &Item, mtime_ns: i64, wanted: &Listing) -> io::Result<Held> {
        let place = self.place.join(&item.name);
        let wrong = |e: io::Error| {
            let from = item.from.display();
            io::Error::new(e.kind(), format!("cannot copy {from} to {}: {e}", place.display()))
        };
        copy::remove(&place).map_err(wrong)?;
        if item.stat.is_link() {
            let target = copy::target(item, &wanted.root, &self.place).map_err(wrong)?;
            std::os::unix::fs::symlink(target, &place).map_err(wrong)?;
        } else {
            copy::file(item, &place, mtime_ns).map_err(wrong)?;
        }
        copy::forget_compiled(&place);
        Held::new(item, &place, wanted.seen_ns).map_err(wrong)
    }

    /// Removes what belongs to the project no longer, and folders that are empty then.
    fn remove_others(&self, wanted: &Listing) -> io::Result<usize> {
        let files: HashSet<&[u8]> = wanted.files().map(|item| bytes(&item.name)).collect();
        let mut removed = 0;
        for held in self.held.iter().filter(|held| !files.contains(held.bytes())) {
            let name = held.name();
            // What lies behind a link that a command made is no copy of ours.
            if wanted.has_folder(name) || !self.is_within(name) {
                continue;
            }
            copy::remove(&self.place.join(name))?;
            removed += 1;
            for folder in name.ancestors().skip(1).filter(|f| !f.as_os_str().is_empty()) {
                // One that still holds something stays.
                if wanted.has_folder(folder) || fs::remove_dir(self.place.join(folder)).is_err() {
                    break;
                }
            }
        }
        Ok(removed)
    }

    /// Whether every folder above is a folder of the tree.
    fn is_within(&self, name: &Path) -> bool {
        name.ancestors().skip(1).all(|folder| {
            fs::symlink_metadata(self.place.join(folder)).is_ok_and(|there| there.is_dir())
        })
    }

    /// Waits until a change of a copy shows in its times: the clock of files has ticks of some
    /// milliseconds.
    pub fn settle(&self) {
        let newest_ns = self.held.iter().map(|held| held.copied().ctime_ns).max();
        let newest_ns = newest_ns.unwrap_or_default();
        // The clock may have been set back; then nothing is waited for.
        let ahead_ns = newest_ns.saturating_sub(times::clock_ns());
        while ahead_ns < 1_000_000_000 && times::clock_ns() <= newest_ns {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// A time later than that of every file in the tree. Only what commands wrote is asked for its
    /// own: a copy has the time that it was given, or is about to be written again.
    fn later_than_all(&self) -> i64 {
        let held: HashMap<&[u8], i64> =
            self.held.iter().map(|held| (held.bytes(), held.mtime_ns())).collect();
        let all = walkdir::WalkDir::new(&self.place).into_iter().flatten();
        let files = all.filter(|entry| entry.file_type().is_file());
        let time = |entry: walkdir::DirEntry| {
            let name = entry.path().strip_prefix(&self.place).unwrap_or(entry.path());
            let known = held.get(bytes(name)).copied();
            known.or_else(|| Some(Stat::of(&entry.metadata().ok()?).mtime_ns))
        };
        let newest = files.filter_map(time).max();
        newest.map_or_else(times::now_ns, |newest| times::now_ns().max(newest + 1))
    }
}
